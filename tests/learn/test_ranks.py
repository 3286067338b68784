"""Two processes that train together give what one does, for every buffer, gradient and answer."""

from __future__ import annotations

import os
from pathlib import Path

import _ranks
import pytest
import torch
from accelerate.utils import environment
from torch import Tensor

from edgekd.base import rank
from edgekd.learn import ranks, train

# Sums of float32 in another order: some units in the last place of the largest number that a tensor holds.
BOUND = 1e-5
# Times that: what cancels out, as sums of gradients do, and what epochs of training make of it. With fake quantization
# a number at the edge between two steps may fall on the other one; statistics of a rank's own rows differ by a tenth.
LOOSER = {"quantized": (10, 200)}
TRAINED = ("float", "layers", "texts", "one by one")
States = tuple[dict[str, Tensor], dict[str, Tensor]]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the first of two processes."""
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="module")
def states(out: Path) -> States:
    """Of one process and of two, what ``_ranks.compute`` gives."""
    return _ranks.compute(), _ranks.of_two(out)


@pytest.mark.parametrize("kind", _ranks.TRAININGS)
def test_two_processes_of_32_are_one_of_64(states: States, kind: str) -> None:
    """BatchNorm's running statistics and the observers' ranges among all that is compared; whole numbers are equal.

    Three epochs of Adam move each weight by what is left of such differences, too: 151 samples, so that the ranks'
    shares of the last batch are not alike. Losses compare samples with each other, and layers; a service is asked by
    one rank; a batch of one sample is every rank's.
    """
    one, two = ({name: value for name, value in state.items() if name.startswith(kind)} for state in states)
    assert one.keys() == two.keys() and len(one) >= 2
    for name, value in one.items():
        if value.dtype.is_floating_point:
            state, trained = LOOSER.get(kind, (1, 10))
            bound = BOUND * (trained if name.startswith((*TRAINED, f"{kind}: gradient")) else state)
            largest = max(float(value.abs().max()), 1e-2)
            assert float((value - two[name]).abs().max()) <= bound * largest, name
        else:
            assert torch.equal(value, two[name]), name


def test_a_rank_that_is_killed_ends_the_others_and_the_training_goes_on(states: States, out: Path) -> None:
    """With any number of ranks: here one goes on where two were."""
    error = (out / "error.txt").read_text()
    assert error.startswith("4 rank 0 of 2: another rank ended; ") and "run the same command again" in error
    module = _ranks.network()
    history = train.fit(module, _ranks.job(3), out)
    assert [record["epoch"] for record in history] == [0, 1, 2]
    for name, value in module.state_dict().items():
        torch.testing.assert_close(value, states[0][f"float: {name}"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", ["PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE"])
def test_accelerate_reads_no_rank_where_it_is_forgotten(size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``srun --mpi=pmi2`` and launchers of MPI set them; with ACCELERATE_USE_CPU it made a group of its own."""
    before = environment.get_cpu_distributed_information()
    for name in (size, size.replace("SIZE", "RANK"), size.replace("SIZE", "LOCAL_SIZE"), "MPI_LOCALNRANKS"):
        monkeypatch.setenv(name, "3")
    assert environment.get_cpu_distributed_information().world_size == 3, "or this test tells nothing"
    rank.forget(os.environ)
    assert environment.get_cpu_distributed_information() == before


def test_a_process_alone_is_the_first_of_one() -> None:
    assert (ranks.count(), ranks.number(), ranks.share(7)) == (1, 0, (0, 7))
    with ranks.joined(None), ranks.together():
        assert ranks.from_first(lambda: {"a": b"1"}) == {"a": b"1"}
        assert ranks.from_first(lambda: None) is None
