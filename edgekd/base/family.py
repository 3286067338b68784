"""A process and all that it started, as Linux tells of them below ``/proc``."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


def of(pid: int) -> Iterator[Path]:
    """The folder of each, its own first; nothing where the system does not tell."""
    todo, seen = [str(pid)], {str(pid)}
    while todo:
        place = Path("/proc", todo.pop())
        yield place
        with contextlib.suppress(OSError):  # it has ended
            for task in os.listdir(place / "task"):
                started = set((place / "task" / task / "children").read_text(encoding="ascii").split()) - seen
                seen |= started
                todo += started


def seconds_of_started(pid: int) -> float:
    """CPU seconds of what a process started and that has not ended, and of what these waited for; 0 where the system
    does not tell."""
    ticks = 0
    for place in of(pid):
        with contextlib.suppress(OSError):
            fields = (place / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15])) if place.name != str(pid) else 0  # utime stime cutime cstime
    return ticks / os.sysconf("SC_CLK_TCK") if ticks else 0.0
