"""Value against size: where each candidate of a target stands, and what the budget asks."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from edgekd.document.candidate import Candidate
from edgekd.document.report import Target
from edgekd.report import svg, text
from edgekd.report.svg import Scale

HEIGHT = 260
FEW = 4  # candidates, from which on there is a trade-off to see


def make(target: Target, teacher: float) -> Markup | None:
    """The picture of one target of report.json; None where there are few candidates.

    Args:
        teacher: its value on validation.
    """
    candidates = target["candidates"]
    if len(candidates) < FEW:
        return None
    budget = target["budget"].get("wanted") or {}
    drop, kilobytes = budget.get("max_drop"), budget.get("max_size_kb")
    floor = None if drop is None else teacher - drop
    most = None if kilobytes is None else 1000 * kilobytes
    sizes = [*(c["size_bytes"] for c in candidates), *([most] if most else [])]
    x = Scale(min(sizes) / 1.2, max(sizes) * 1.2, log=True)
    y = svg.around([*(c["value_validation"] for c in candidates), teacher, *([] if floor is None else [floor])], 0.01)
    parts = [Markup("<title>Value against size</title><desc>{}</desc>").format(_said(candidates))]
    parts += _grid(x, y)
    if most:
        line = '<line class="level limit" x1="{0:.2f}%" x2="{0:.2f}%" y1="0" y2="{1}"/>'
        parts.append(Markup(line).format(x(most), HEIGHT))
    if floor is not None:
        parts.append(_level(y(floor), "level limit"))
    parts.append(_level(y(teacher), "of-teacher"))
    for candidate in candidates:
        parts += _dot(candidate, target["shipped"], x, y)
    return Markup('<svg class="chart scatter" role="img" height="{}">{}</svg>').format(
        HEIGHT + 36, Markup("").join(parts)
    )


def _said(candidates: Sequence[Candidate]) -> str:
    return "; ".join(f"{c['name']}: {c['value_validation']:.4f}, {text.size(c['size_bytes'])}" for c in candidates)


def _level(share: float, kind: str) -> Markup:
    line = '<line class="{0}" x1="0" x2="100%" y1="{1:.1f}" y2="{1:.1f}"/>'
    return Markup(line).format(kind, HEIGHT * (1 - share / 100))


def _grid(x: Scale, y: Scale) -> list[Markup]:
    parts = []
    for value in y.ticks(4):
        words = '<text class="y" x="0" dx="-6" y="{:.1f}">{:g}</text>'
        parts += [_level(y(value), "grid"), Markup(words).format(HEIGHT * (1 - y(value) / 100), value)]
    for value in x.ticks(4):
        words = '<text class="x" x="{:.2f}%" y="{}">{}</text>'
        parts.append(Markup(words).format(x(value), HEIGHT + 16, text.size(value)))
    return parts


def _dot(candidate: Candidate, shipped: str | None, x: Scale, y: Scale) -> list[Markup]:
    """The candidate that ships is filled, those outside the budget are pale; all have their names."""
    ships = candidate["name"] == shipped
    kind = "chosen" if ships else "missed" if candidate.get("outside") else "met"
    across, down = x(candidate["size_bytes"]), HEIGHT * (1 - y(candidate["value_validation"]) / 100)
    side, shift = ("end", -9) if across > 75 else ("start", 9)
    dot = '<circle class="{}" cx="{:.2f}%" cy="{:.1f}" r="{}"/>'
    name = '<text class="{}" x="{:.2f}%" dx="{}" y="{:.1f}" style="text-anchor:{}">{}</text>'
    return [
        Markup(dot).format(kind, across, down, 6 if ships else 4.5),
        Markup(name).format("name main" if ships else "name", across, shift, down - 6, side, candidate["name"]),
    ]
