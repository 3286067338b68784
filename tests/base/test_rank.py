"""The rank of a process, as launchers tell it."""

from __future__ import annotations

import pytest

from edgekd.base import rank
from edgekd.base.errors import UsageError
from edgekd.base.rank import Rank

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "10.0.0.1"}
TORCHRUN |= {"MASTER_PORT": "29500"}
SRUN = {"SLURM_PROCID": "2", "SLURM_STEP_NUM_TASKS": "4", "SLURM_LOCALID": "0", "SLURM_STEP_TASKS_PER_NODE": "2(x2)"}
SRUN |= {"SLURM_STEP_NODELIST": "node[03-05,9],other", "SLURM_JOB_ID": "31234", "SLURM_NTASKS": "4"}


def test_launchers_tell_it_by_their_own_names() -> None:
    assert rank.of_environment(TORCHRUN) == Rank(3, 4, 1, 2, "10.0.0.1", 29500)
    assert rank.of_environment(SRUN) == Rank(2, 4, 0, 2, "node03", 16234)
    assert rank.of_environment({**SRUN, "MASTER_ADDR": "head", "MASTER_PORT": "77"}) == Rank(2, 4, 0, 2, "head", 77)
    assert rank.of_environment({**SRUN, **TORCHRUN}) == rank.of_environment(TORCHRUN)  # which srun started
    forgotten = {**SRUN, **TORCHRUN, "PATH": "/bin"}
    rank.forget(forgotten)
    assert rank.of_environment(forgotten) is None and forgotten["PATH"] == "/bin"


@pytest.mark.parametrize(
    "alone",
    [
        {},
        {"MASTER_ADDR": "10.0.0.1"},  # some clusters set it for every process
        {**TORCHRUN, "RANK": "0", "WORLD_SIZE": "1"},
        {name: value for name, value in SRUN.items() if name != "SLURM_STEP_NUM_TASKS"},  # a batch script
    ],
)
def test_a_process_that_is_the_only_one_has_none(alone: dict[str, str]) -> None:
    assert rank.of_environment(alone) is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"WORLD_SIZE": None}, r"RANK, MASTER_ADDR, MASTER_PORT: half an environment of ranks; found 'no WORLD_SIZE'"),
        ({"RANK": None, "MASTER_PORT": ""}, r"WORLD_SIZE, MASTER_ADDR: half .* found 'no RANK, MASTER_PORT'"),
        ({"RANK": "4"}, "RANK: no such rank; found 4; allowed: 0 to WORLD_SIZE - 1, which is 4"),
        ({"RANK": "-1"}, "RANK: not a number; found '-1'"),
        ({"MASTER_PORT": "99999"}, "MASTER_PORT: no port; found 99999; allowed: 1 to 65535"),
    ],
)
def test_half_an_environment_is_an_error(changed: dict[str, str | None], message: str) -> None:
    environment = {name: value for name, value in {**TORCHRUN, **changed}.items() if value is not None}
    with pytest.raises(UsageError, match=message):
        rank.of_environment(environment)


def test_half_a_step_of_slurm_is_an_error() -> None:
    with pytest.raises(UsageError, match="found 'no SLURM_STEP_NODELIST'; allowed: all of SLURM_PROCID"):
        rank.of_environment({**SRUN, "SLURM_STEP_NODELIST": ""})


@pytest.mark.parametrize(
    ("hosts", "first"),
    [("a", "a"), ("a,b", "a"), ("n[1,3]", "n1"), ("n[007-009].lan,x", "n007.lan"), ("rack-2-n[12]", "rack-2-n12")],
)
def test_the_first_machine_of_a_list(hosts: str, first: str) -> None:
    assert rank.first_host(hosts) == first
