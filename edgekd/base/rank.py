"""Which of several processes this one is, as the launcher of them says it in the environment.

``torchrun`` and ``accelerate launch`` set RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT; ``srun`` sets SLURM_PROCID,
SLURM_STEP_NUM_TASKS and the names of the machines.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

from edgekd.base.errors import UsageError

NAMES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
LOCAL = ("LOCAL_RANK", "LOCAL_WORLD_SIZE")
SLURM = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_NODELIST", "SLURM_JOB_ID")
SLURM_LOCAL = ("SLURM_LOCALID", "SLURM_STEP_TASKS_PER_NODE")
# What launchers of MPI set, and srun beside its own (--mpi=pmi2); accelerate takes it for a rank where no other is.
MPI: tuple[str, ...] = ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS")
MPI += tuple(f"{of}_COMM_WORLD_{name}" for of in ("OMPI", "MV2") for name in ("RANK", "SIZE"))
MPI += tuple(f"{of}_COMM_WORLD_LOCAL_{name}" for of in ("OMPI", "MV2") for name in ("RANK", "SIZE"))
PORTS = 15_000  # from here on a job of SLURM's has a port by its number
MOST_PORT = 65_535
AGAIN = "run the same command again: it goes on from the last epoch"  # where one rank ended, and so all


@dataclass(frozen=True)
class Rank:
    """One process of several that train together.

    Attributes:
        number: 0 to ``count`` - 1; ``local``: among the ``local_count`` processes of this machine.
        address, port: where rank 0 is reached.
    """

    number: int
    count: int
    local: int
    local_count: int
    address: str
    port: int

    def __str__(self) -> str:
        return f"rank {self.number} of {self.count}"


def of_environment(environment: Mapping[str, str]) -> Rank | None:
    """The rank that a launcher gave this process; None: it is the only one.

    Raises:
        UsageError: half an environment, no number, or a rank that can't be.
    """
    if "RANK" in environment or "WORLD_SIZE" in environment:
        if missing := [name for name in NAMES if not environment.get(name)]:
            raise UsageError(
                "half an environment of ranks",
                where=", ".join(name for name in NAMES if environment.get(name)),
                found=f"no {', '.join(missing)}",
                allowed=f"all of {', '.join(NAMES)}, as torchrun sets them, or neither RANK nor WORLD_SIZE",
            )
        return _checked(environment, NAMES[:2], LOCAL, environment["MASTER_ADDR"], _number(environment, "MASTER_PORT"))
    # A batch script has the number of a rank and is one process: only what srun starts is a step.
    if "SLURM_PROCID" in environment and "SLURM_STEP_NUM_TASKS" in environment:
        if missing := [name for name in SLURM if not environment.get(name)]:
            allowed = f"all of {', '.join(SLURM)}, as srun sets them"
            where = "SLURM_PROCID, SLURM_STEP_NUM_TASKS"
            raise UsageError("half an environment of ranks", where=where, found=f"no {missing[0]}", allowed=allowed)
        address = environment.get("MASTER_ADDR") or first_host(environment["SLURM_STEP_NODELIST"])
        port = PORTS + _number(environment, "SLURM_JOB_ID") % PORTS
        if "MASTER_PORT" in environment:
            port = _number(environment, "MASTER_PORT")
        return _checked(environment, SLURM[:2], SLURM_LOCAL, address, port)
    return None


def _checked(
    environment: Mapping[str, str], names: tuple[str, ...], local: tuple[str, ...], address: str, port: int
) -> Rank | None:
    number, count = (_number(environment, name) for name in names)
    if not 0 <= number < count:
        raise UsageError("no such rank", where=names[0], found=number, allowed=f"0 to {names[1]} - 1, which is {count}")
    if not 0 < port <= MOST_PORT:
        raise UsageError("no port", where="MASTER_PORT", found=port, allowed=f"1 to {MOST_PORT}")
    mine = _number(environment, local[0]) if local[0] in environment else 0
    here = environment.get(local[1], "")
    beside = int(digits[0]) if (digits := re.match(r"\d+", here)) else count
    return Rank(number, count, mine, beside, address, port) if count > 1 else None


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment[name]
    if not re.fullmatch(r"\d{1,9}", text):
        raise UsageError("not a number", where=name, found=text, allowed="a whole number, 0 or more")
    return int(text)


def first_host(hosts: str) -> str:
    """The first machine of a list as SLURM writes it: ``node[03-05,9],other`` is node03 and others."""
    first = re.match(r"([^,\[\]]+)(?:\[(\w+)[^\]]*\])?([^,\[\]]*)", hosts)
    if first is None:
        raise UsageError("no list of machines", where="SLURM_STEP_NODELIST", found=hosts)
    return "".join(part or "" for part in first.groups())


def forget(environment: MutableMapping[str, str]) -> None:
    """Take the rank out of an environment: a program that is started from here is no rank."""
    for name in (*NAMES, *LOCAL, *MPI, "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "GROUP_RANK", "ROLE_RANK"):
        environment.pop(name, None)
