"""Who runs a trial, and whether it still does: processes of this machine by the kernel, of others by their beats."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from optuna.exceptions import OptunaError
from optuna.trial import FrozenTrial
from sqlalchemy.exc import SQLAlchemyError

from edgekd.base import beats
from edgekd.base.errors import EdgekdError

BEAT_S = 20  # between two beats of a worker
AWAY_S = 120  # without one, after which a worker of another machine counts as dead
NAMELESS_S = 60  # a running trial without a worker's name belongs to one that was killed at once


@functools.cache
def machine() -> str:
    """This machine's name, with a mark of its boot and, in a container, of that: two may have one name, and a process
    number says something in one of them alone."""
    marks = []
    for path, read in (("/proc/sys/kernel/random/boot_id", Path.read_text), ("/proc/self/ns/pid", os.readlink)):
        with contextlib.suppress(OSError):
            marks.append(read(Path(path)))
    mark = hashlib.sha256("".join(marks).encode()).hexdigest()[:8]
    return f"{platform.node()}-{mark}" if marks else platform.node()


def me() -> str:
    """This process, so that another can tell whether it lives: machine:pid:start."""
    return f"{machine()}:{os.getpid()}:{_started(os.getpid())}"


def _started(pid: int) -> str | None:
    """When a process started, in the kernel's ticks; empty where that can't be told; None: there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        pass
    return ""


def lives(worker: str) -> bool | None:
    """Whether a worker of this machine runs still; None of another machine's: that its beats must tell."""
    where, pid, start = worker.rsplit(":", 2)
    return _started(int(pid)) == start if where == machine() else None


class Watch:
    """What this process saw of other machines' workers, by its own clock: those of machines need not agree."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[object, float]] = {}  # by trial: the last new sign of life, and when it was seen

    def is_dead(self, trial: FrozenTrial) -> bool:
        """Whether nobody runs a running trial any more: no sign of life for ``AWAY_S`` seconds that this one looked."""
        worker = trial.user_attrs.get("worker")
        alive = None if worker is None else lives(worker)
        if alive is not None:
            return not alive
        sign, now = (worker, trial.user_attrs.get("beat")), time.monotonic()
        last, since = self._seen.get(trial.number, (None, now))
        if sign != last:
            since = now
        self._seen[trial.number] = (sign, since)
        return now - since > (NAMELESS_S if worker is None else AWAY_S)


@contextlib.contextmanager
def beating(note: Callable[[str, object], None], look: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Note ``beat``, a number that grows, every ``BEAT_S`` seconds while the block runs; and look after the others.

    Who looked between its own trials alone would see a silence of ``AWAY_S`` seconds only after two of them.

    A storage that is away for a while is no reason to end: what the block itself writes there will tell.
    """

    def beat(count: int) -> None:
        note("beat", count)
        look()

    with beats.beating(beat, BEAT_S, "edgekd-tune-beat", (OptunaError, SQLAlchemyError, EdgekdError)):
        yield
