"""How ``edgekd inspect --kernels`` looks on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgekd.base import units
from edgekd.document.kernel_costs import (
    BesideCosts,
    BesideKernel,
    FileCosts,
    KernelCost,
    KernelInspection,
    KernelReport,
)

MARKS = {"conversion": "⇄", "layout": "⇅"}  # of rows that convert types, and of those that change the layout
CROSSES = "→"  # of arithmetic that hands on in another type than it read
LEGEND = "⇄ converts types; ⇅ changes the layout; → computes, and hands on in another type than it read"
WORDS = {
    "int8": "int8 arithmetic",
    "float": "float arithmetic",
    "conversion": "⇄ conversions",
    "layout": "⇅ changes of layout",
    "other": "other",
}


def tables(inspection: KernelInspection) -> RenderableType:
    """Per model: kernel by kernel, by operator, by what it is for, and beside the other file."""
    parts: list[RenderableType] = []
    for model in inspection["models"]:
        parts += _model(model)
    return Group(*parts)


def _model(report: KernelReport) -> list[RenderableType]:
    costs, beside = report["costs"], report.get("beside")
    inputs = ", ".join(f"{name} {'x'.join(map(str, sizes))}" for name, sizes in report["inputs"].items())
    threads = "" if report["threads"] is None else f", {report['threads']} thread{'s' * (report['threads'] != 1)}"
    parts: list[RenderableType] = [
        Text(costs["file"], style="bold"),
        f"{report['runtime']}{threads}; inputs: {inputs}; medians of {report['rounds']} profiles",
        _rows(costs["kernels"], None if beside is None else beside["kernels"]),
        _operators(costs),
    ]
    if beside is not None:
        parts += [_differences(costs, beside), _ratio(beside)]
    parts += [LEGEND, _sum(costs)]
    if beside is not None:
        parts.append(_sum(beside["costs"]))
    if report["note"]:
        parts.append(Text(f"not stable: {report['note']}", style="yellow"))
    return parts


def _rows(rows: Sequence[KernelCost], beside: Sequence[BesideKernel | None] | None) -> Table:
    """In execution order; ``beside``: what does the same in the other file, kernel by kernel."""
    table = Table(title="what runs, in order", title_justify="left")
    for column in ("", "layer", "operator", "in", "out", "shape"):
        table.add_column(column, overflow="fold")
    for column in ("us", "share", *(() if beside is None else ("beside: operator", "us", "more"))):
        table.add_column(column, justify="left" if "operator" in column else "right")
    for row, other in zip(rows, [None] * len(rows) if beside is None else beside, strict=True):
        cells = [_mark(row), row["layer"], row["op"], row["reads"], row["gives"], _shape(row["shape"])]
        cells += [_us(row["microseconds"]), units.share(row["share"])]
        if other is not None:
            cells += [other["op"], _us(other["microseconds"]), f"{other['difference']:+.1f}"]
        table.add_row(*cells, style="yellow" if row["work"] in MARKS else None)
    return table


def _operators(costs: FileCosts) -> Table:
    table = Table(title="by operator", title_justify="left")
    for column in ("", "operator", "precision", "count", "us", "share"):
        table.add_column(column, justify="right" if column in ("count", "us", "share") else "left")
    for row in costs["operators"]:
        figures = (str(row["count"]), _us(row["microseconds"]), units.share(row["share"]))
        table.add_row(MARKS.get(row["work"], ""), row["op"], row["precision"], *figures)
    table.add_section()
    for work, cost in costs["work"].items():
        table.add_row("", WORDS[work], "", str(cost["count"]), _us(cost["microseconds"]), units.share(cost["share"]))
    return table


def _differences(costs: FileCosts, beside: BesideCosts) -> Table:
    """Both by operator, what costs more in the first file first."""
    title = f"by operator, beside {beside['costs']['file']}, the worst first"
    table = Table(title=title, title_justify="left")
    for column in ("operator", "precision", "count", "us", "count there", "us there", "difference us"):
        table.add_column(column, justify="left" if column in ("operator", "precision") else "right")
    for row in beside["differences"]:
        here = _side(row["count"], row["microseconds"])
        there = _side(row["count_beside"], row["microseconds_beside"])
        table.add_row(row["op"], row["precision"], *here, *there, f"{row['difference']:+.1f}")
    table.add_section()
    for work in WORDS:
        sides = [side["work"].get(work) for side in (costs, beside["costs"])]
        if any(sides):
            taken = [0.0 if side is None else side["microseconds"] for side in sides]
            cells = [_side(0 if side is None else side["count"], us) for side, us in zip(sides, taken, strict=True)]
            table.add_row(WORDS[work], "", *cells[0], *cells[1], f"{taken[0] - taken[1]:+.1f}")
    return table


def _side(count: int, microseconds: float) -> tuple[str, str]:
    return str(count), _us(microseconds) if count else ""


def _ratio(beside: BesideCosts) -> str:
    low, high = beside["ci95"]
    return (
        f"without the profiler it takes {beside['ratio']:.3f} times as long as the file beside it, in turns "
        f"(95 % interval {low:.3f} to {high:.3f})"
    )


def _sum(costs: FileCosts) -> str:
    """Copies are no kernels, and the profiler takes some time at each."""
    file, size, kernels = costs["file"], units.size(costs["bytes"]), _us(costs["microseconds"])
    return (
        f"{file}: {size}; its kernels take {kernels} us by the runtime's profiler, which takes some time at each "
        f"itself; a run without it, copies in and out included, {_us(1e3 * costs['p50_ms'])} us"
    )


def _mark(row: KernelCost) -> str:
    crosses = row["work"] in ("int8", "float") and row["gives"] not in ("", row["reads"])
    return MARKS.get(row["work"], CROSSES if crosses else "")


def _shape(sizes: Sequence[int | None]) -> str:
    return "x".join("?" if size is None else str(size) for size in sizes)


def _us(value: float) -> str:
    """A runtime's clock may tell of a kernel that it took no time."""
    return f"{value:,.1f}" if value else "< 1"
