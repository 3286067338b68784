"""Figures as people read them, rounded in one way everywhere: bytes, times, ratios and shares. 1 kB = 1,000 bytes.

A larger value never reads as a smaller one: the unit is chosen after rounding, so that there is no ``1000.0 kB``. Where
several figures stand below one another or beside a limit, ``in_ms`` and ``in_kb`` keep to one unit.
"""

from __future__ import annotations

import math

SIZES = (("kB", 1e3, 1), ("MB", 1e6, 2), ("GB", 1e9, 2))  # unit, bytes, decimals: three significant digits and more
IN_US = 0.1  # milliseconds, below which microseconds are told


def significant(value: float, digits: int = 3) -> str:
    """``0.037758`` -> ``0.0378``, ``26484`` -> ``26,500``; never an exponent."""
    if not math.isfinite(value):
        return str(value)
    rounded = float(f"{value:.{digits}g}")
    if rounded == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    return f"{rounded:,.{decimals}f}"


def size(count: float) -> str:
    """``512 B``, ``102.0 kB``, ``1.20 MB``, ``3.07 GB``: of bytes, 0 or more."""
    if round(count) < 1000:
        return f"{round(count)} B"
    amounts = [(f"{count / unit:.{decimals}f}", name) for name, unit, decimals in SIZES]
    number, name = next((pair for pair in amounts if float(pair[0]) < 1000), amounts[-1])
    return f"{number} {name}"


def in_kb(count: float) -> str:
    """``1,207.5 kB``: of bytes, whatever their number."""
    return f"{count / 1e3:,.1f} kB"


def in_gb(count: float) -> str:
    """``0.2 GB``: of bytes, as ``--max-memory-gb`` has them."""
    return f"{count / 1e9:.3g} GB"


def milliseconds(value: float) -> str:
    """``22.3 us``, ``0.112 ms``, ``1,230 ms``: of milliseconds, 0 or more, in three significant digits."""
    rounded = float(f"{value:.3g}")
    return f"{significant(value * 1e3)} us" if 0 < rounded < IN_US else in_ms(value)


def in_ms(value: float) -> str:
    """``0.0223 ms``: of milliseconds, whatever their number."""
    return f"{significant(value)} ms"


def in_us(value: float) -> str:
    """``412 us``: of microseconds, whole ones."""
    return f"{value:,.0f} us"


def duration(seconds: float) -> str:
    """``7.84 s``, ``12 min 3 s``, ``3 h 20 min``."""
    if seconds < 120:
        return f"{significant(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def ratio(value: float) -> str:
    """``3.53``: of two like figures, in three significant digits."""
    return significant(value)


def share(value: float, decimals: int = 1) -> str:
    """``98.9 %``: of 0..1."""
    return f"{100 * value:,.{decimals}f} %"
