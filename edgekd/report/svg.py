"""Small graphics as inline SVG that stretch to any width while their text keeps its size.

The outer ``<svg>`` has no ``viewBox``: horizontal places are percentages, vertical ones pixels. Only paths live in an
inner ``<svg viewBox="0 0 1000 H" preserveAspectRatio="none">``, which stretches. Colours come from the page's CSS.
Every string is escaped by ``Markup.format``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

BINS = 240
FALL_ROW = 38  # pixels of a row of a waterfall
LABEL_GAP = 13.0  # pixels between two lines of labels


@dataclass(frozen=True)
class Scale:
    """Values to percent of the width or height, 0..100; beyond the ends they are held at the ends."""

    low: float
    high: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high = self._of(self.low), self._of(self.high)
        share = (self._of(value) - low) / (high - low) if high > low else 0.5
        return 100 * min(max(share, 0.0), 1.0)

    def _of(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def ticks(self, count: int = 4) -> list[float]:
        """About ``count`` round values within the ends (1, 2 or 5 times a power of ten, or multiples)."""
        if self.log:
            return self._log_ticks(count)
        step = _round_step((self.high - self.low) / max(count, 1))
        first = math.ceil(self.low / step - 1e-9)
        return [float(f"{i * step:.12g}") for i in range(first, math.floor(self.high / step + 1e-9) + 1)]

    def _log_ticks(self, count: int) -> list[float]:
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for leads in ((1, 2, 5), (1, 3), (1,)):
            ticks = [float(f"{lead}e{d}") for d in decades for lead in leads]
            ticks = [value for value in ticks if self.low <= value <= self.high]
            if len(ticks) <= count + 2:
                break
        return ticks[:: max(1, math.ceil(len(ticks) / (count + 2)))]


def around(values: Sequence[float], least: float) -> Scale:
    """A scale that holds all values with some air, at least ``least`` wide."""
    low, high = min(values), max(values)
    air = max((high - low) * 0.08, (least - (high - low)) / 2)
    return Scale(low - air, high + air)


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step)) if step > 0 else 1.0
    return next(lead * power for lead in (1, 2, 5, 10) if lead * power >= step * 0.999)


def bar(share: float, kind: str = "") -> Markup:
    """A horizontal bar, ``share`` of its cell (0..1). The number stands beside it, so readers skip it."""
    width = 100 * min(max(share, 0.004), 1.0)
    return Markup('<svg class="bar" aria-hidden="true"><rect class="{}" width="{:.2f}%" height="100%"/></svg>').format(
        f"mark {kind}".strip(), width
    )


def strip(
    scale: Scale,
    *,
    dots: Sequence[tuple[float, str]],
    lines: Sequence[tuple[float, str]],
    span: tuple[float, float] | None = None,
) -> Markup:
    """Values on a line: ``dots`` and vertical ``lines``, each (value, class), and the ``span`` of an interval. The
    numbers stand beside it."""
    parts = [Markup('<line class="rail" x1="0" x2="100%" y1="8" y2="8"/>')]
    if span is not None:
        whole = '<line class="span" x1="{:.2f}%" x2="{:.2f}%" y1="8" y2="8"/>'
        parts.append(Markup(whole).format(scale(span[0]), scale(span[1])))
    for value, kind in lines:
        parts.append(
            Markup('<line class="{0}" x1="{1:.2f}%" x2="{1:.2f}%" y1="0" y2="16"/>').format(kind, scale(value))
        )
    for value, kind in dots:
        parts.append(Markup('<circle class="{}" cx="{:.2f}%" cy="8" r="3.5"/>').format(kind, scale(value)))
    return Markup('<svg class="strip" aria-hidden="true">{}</svg>').format(Markup("").join(parts))


@dataclass(frozen=True)
class Fall:
    """One row of a waterfall: where it starts and ends, what stands over it, and a CSS class.

    ``start`` None: the first row, or one that is held against nothing; ``value`` None: not measured.
    """

    name: str
    written: str
    value: float | None
    start: float | None
    kind: str = ""


def waterfall(rows: Sequence[Fall], scale: Scale, *, title: str, description: str) -> Markup:
    """Bars that hang from one another: each goes from where the stage before it stood to where it stands itself.

    Args:
        rows: from top to bottom; over each bar its name at the left and its number at the right.
        scale: shared by all rows.
    """
    parts = [Markup("<title>{}</title><desc>{}</desc>").format(title, description)]
    for i, row in enumerate(rows):
        top = FALL_ROW * i
        words = '<text class="name {0}" x="0" y="{1}">{2}</text><text class="number {0}" x="100%" y="{1}">{3}</text>'
        parts.append(Markup(words).format(row.kind, top + 11, row.name, row.written))
        parts.append(Markup('<line class="rail" x1="0" x2="100%" y1="{0}" y2="{0}"/>').format(top + 22))
        if row.value is None:
            continue
        here = scale(row.value)
        if row.start is not None:
            left, right = sorted((scale(row.start), here))
            bar_ = '<rect class="step {}" x="{:.2f}%" width="{:.2f}%" y="{}" height="9" rx="1"/>'
            parts.append(Markup(bar_).format(row.kind, left, max(right - left, 0.4), top + 17.5))
            dashed = '<line class="hang" x1="{0:.2f}%" x2="{0:.2f}%" y1="{1}" y2="{2}"/>'
            parts.append(Markup(dashed).format(scale(row.start), top + 15, top + 30))
        parts.append(Markup('<circle class="at {}" cx="{:.2f}%" cy="{}" r="4"/>').format(row.kind, here, top + 22))
    height = FALL_ROW * len(rows)
    return Markup('<svg class="waterfall" role="img" height="{}">{}</svg>').format(height, Markup("").join(parts))


def axis(scale: Scale, write: Callable[[float], str], count: int = 4) -> Markup:
    """A horizontal axis: ticks and their labels, the axis' own figure below rows that share it."""
    parts = [Markup('<line class="rail" x1="0" x2="100%" y1="0.5" y2="0.5"/>')]
    for value in scale.ticks(count):
        parts.append(
            Markup('<line class="rail" x1="{0:.2f}%" x2="{0:.2f}%" y1="0" y2="5"/><text x="{0:.2f}%" y="17">{1}</text>')
            .format(scale(value), write(value))
        )  # fmt: skip
    return Markup('<svg class="axis" height="20" aria-hidden="true">{}</svg>').format(Markup("").join(parts))


def histogram(
    samples: NDArray[np.float64] | None,
    marks: Sequence[tuple[float, str]],
    scale: Scale,
    *,
    title: str,
    description: str,
    kind: str = "",
    height: int = 46,
) -> Markup:
    """How often each value came, with marks (value, class) over it; without samples the marks alone.

    Args:
        samples: (N,); those beyond the scale are left out.
        scale: shared by the rows of a figure.
    """
    parts = [Markup("<title>{}</title><desc>{}</desc>").format(title, description)]
    if samples is not None:
        counts, _ = np.histogram(samples, bins=BINS, range=(scale.low, scale.high))
        parts.append(_stretched(_steps(counts, height - 8), height, f"area {kind}".strip()))
    parts.append(Markup('<line class="rail" x1="0" x2="100%" y1="{0}" y2="{0}"/>').format(height - 0.5))
    for value, name in marks:
        if scale.low <= value <= scale.high:
            top = {"p50": 0, "p90": height * 0.45, "p99": height * 0.65}.get(name, height * 0.8)
            line = '<line class="{0}" x1="{1:.2f}%" x2="{1:.2f}%" y1="{2:.1f}" y2="{3}"/>'
            parts.append(Markup(line).format(f"tick {name}", scale(value), top, height))
    return Markup('<svg class="hist" role="img" height="{}">{}</svg>').format(height, Markup("").join(parts))


def _steps(counts: NDArray[np.int64], height: float) -> str:
    """The outline of a histogram as path data in 1000 x (height + 8); equal neighbours share a line."""
    tallest, width = max(int(counts.max()), 1), 1000 / len(counts)
    path, x = [f"M0 {height + 8:g}"], 0.0
    for count, group in itertools.groupby(counts.tolist()):
        x += width * sum(1 for _ in group)
        path.append(f"V{8 + height * (1 - count / tallest):.1f}H{x:.1f}")
    return "".join([*path, f"V{height + 8:g}Z"])


def _stretched(path: str, height: float, kind: str) -> Markup:
    return Markup('<svg width="100%" height="{0:g}" viewBox="0 0 1000 {0:g}" preserveAspectRatio="none">'
                  '<path class="{1}" d="{2}"/></svg>').format(height, kind, path)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One line of a chart: (x, y) pairs, the label at its end, a CSS class; ``level`` is a dashed level of no x.

    With ``sizes``, 0..1, each point is a dot of so much area, and the line between them is faint.
    """

    points: Sequence[tuple[float, float]]
    label: str
    kind: str = ""
    level: float | None = None
    sizes: Sequence[float] = ()

    @property
    def last(self) -> float:
        return self.level if self.level is not None else self.points[-1][1]


def chart(
    lines: Sequence[Line],
    x: Scale,
    y: Scale,
    write: Callable[[float], str],
    *,
    title: str,
    description: str,
    height: int = 120,
) -> Markup:
    """Lines over a shared x (epochs), each labelled at its right end; the page leaves room at both sides for labels."""
    parts = [Markup("<title>{}</title><desc>{}</desc>").format(title, description)]

    def down(value: float) -> float:
        return height * (1 - y(value) / 100)

    for value in y.ticks(3):
        parts.append(
            Markup('<line class="grid" x1="0" x2="100%" y1="{0:.1f}" y2="{0:.1f}"/>'
                   '<text class="y" x="0" dx="-6" y="{0:.1f}">{1}</text>').format(down(value), write(value))
        )  # fmt: skip
    whole = [value for value in x.ticks(4) if value == round(value)]
    for value in whole:
        parts.append(Markup('<text class="x" x="{:.2f}%" y="{}">{:g}</text>').format(x(value), height + 16, value))
    for line in lines:
        parts.append(_drawn(line, x, down, height))
    ends = _apart([down(line.last) for line in lines], height)
    for line, end in zip(lines, ends, strict=True):
        label = '<text class="end {}" x="100%" dx="8" y="{:.1f}">{}</text>'
        parts.append(Markup(label).format(line.kind, end, line.label))
    return Markup('<svg class="chart" role="img" height="{}">{}</svg>').format(height + 20, Markup("").join(parts))


def _drawn(line: Line, x: Scale, down: Callable[[float], float], height: int) -> Markup:
    if line.level is not None:
        level = '<line class="level {0}" x1="0" x2="100%" y1="{1:.1f}" y2="{1:.1f}"/>'
        return Markup(level).format(line.kind, down(line.level))
    places = [(x(a), down(b)) for a, b in line.points]
    path = "M" + "L".join(f"{10 * a:.1f} {b:.1f}" for a, b in places)
    if line.sizes:
        dots = [
            Markup('<circle class="end {}" cx="{:.2f}%" cy="{:.1f}" r="{:.1f}"/>').format(
                line.kind, *place, radius(size)
            )
            for place, size in zip(places, line.sizes, strict=True)
        ]
        return _stretched(path, height, f"line faint {line.kind}".strip()) + Markup("").join(dots)
    end = Markup('<circle class="{}" cx="{:.2f}%" cy="{:.1f}" r="2.5"/>').format(f"end {line.kind}", *places[-1])
    return _stretched(path, height, f"line {line.kind}".strip()) + end


def radius(size: float) -> float:
    """Pixels, so that the area of a dot tells a share 0..1, and the least can still be seen."""
    return 1.5 + 7.5 * math.sqrt(size)


def _apart(places: Sequence[float], height: float) -> list[float]:
    """Push labels apart until no two are closer than a line, and keep them within the chart where there is room."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    spread = [places[i] for i in order]
    for i in range(1, len(spread)):
        spread[i] = max(spread[i], spread[i - 1] + LABEL_GAP)
    limit = float(height)
    for i in reversed(range(len(spread))):
        spread[i] = min(spread[i], limit)
        limit = spread[i] - LABEL_GAP
    result = [0.0] * len(spread)
    for place, i in zip(spread, order, strict=True):
        result[i] = place
    return result


def matrix(counts: NDArray[np.int64], *, title: str, description: str) -> Markup:
    """A square of cells, row by column, shaded by their share of the row; off the diagonal in the colour of a warning.

    One path for each shade: a hundred classes stay a few kilobytes.
    """
    n = len(counts)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    paths: dict[str, list[str]] = {}
    for row, column in zip(*np.nonzero(counts), strict=True):
        name = f"{'same' if row == column else 'other'} {shade(float(shares[row, column]))}"
        paths.setdefault(name, []).append(f"M{column} {row}h1v1h-1z")
    parts: list[Markup] = [Markup("<title>{}</title><desc>{}</desc>").format(title, description)]
    parts += [Markup('<path class="{}" d="{}"/>').format(name, "".join(cells)) for name, cells in sorted(paths.items())]
    head = (
        '<svg class="matrix" role="img" viewBox="0 0 {0} {0}"><rect class="frame" width="{0}" height="{0}"/>{1}</svg>'
    )
    return Markup(head).format(n, Markup("").join(parts))


def shade(share: float) -> str:
    """One of four shades for a share, 0..1, each twice or more the one before it."""
    return next(name for name, limit in (("s1", 0.02), ("s2", 0.1), ("s3", 0.4), ("s4", math.inf)) if share < limit)
