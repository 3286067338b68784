"""The measured figures, from benchmarks/results/*.json."""

from __future__ import annotations

import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def table() -> str:
    """Every figure, as ``benchmarks/table.py`` prints it."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import table as figures
    finally:
        sys.path.remove(str(BENCHMARKS))
    text: str = figures.table()
    return text.replace("<", "&lt;") + "\n"
