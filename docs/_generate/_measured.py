"""The measured figures, from benchmarks/results/*.json: all of them, and what other people's quantizers make."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def table() -> str:
    """Every figure, as ``benchmarks/table.py`` prints it."""
    text: str = _figures().table()
    return text.replace("<", "&lt;") + "\n"


def peers() -> str:
    """Other people's quantizers, each in short."""
    return _peers("in_short")


def peers_by_net() -> str:
    """Other people's quantizers, net by net."""
    return _peers("by_net")


def _peers(part: str) -> str:
    figures = _figures()
    found = figures.result("peers")
    text = "not measured" if found is None else str(getattr(figures.peers_table, part)(found))
    return text.replace("<", "&lt;") + "\n"


def _figures() -> ModuleType:
    """The module ``benchmarks/table.py``."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import table as figures
    finally:
        sys.path.remove(str(BENCHMARKS))
    return figures
