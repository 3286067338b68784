"""The door of backends: what a backend is, its sessions, and ``make``, which builds one from a target's table.

It stands beside the package ``backends``, whose ``__init__`` imports nothing: facts about runtimes are asked for where
numpy may not be imported.
"""

from __future__ import annotations

from edgekd.runtime.backends._base import (
    PLUGIN,
    Apart,
    Array,
    Backend,
    Configured,
    Port,
    Profiled,
    SelfTimed,
    Session,
    check_inputs,
    describe,
    fits,
    kernels,
    listed,
    make,
    profiled,
    unreported,
)

__all__ = [
    "PLUGIN",
    "Apart",
    "Array",
    "Backend",
    "Configured",
    "Port",
    "Profiled",
    "SelfTimed",
    "Session",
    "check_inputs",
    "describe",
    "fits",
    "kernels",
    "listed",
    "make",
    "profiled",
    "unreported",
]
