"""Kernel by kernel: what ran of each candidate, in which precision, and what it cost beside the same net in float."""

from __future__ import annotations

from dataclasses import dataclass

from edgekd.decide import kernel_costs
from edgekd.document.candidate import Candidate
from edgekd.document.kernel_costs import BesideKernel, KernelCost, WorkCost
from edgekd.document.report import Target
from edgekd.report import text

WORDS = {
    "int8": "int8",
    "float": "float",
    "conversion": "converts types",
    "layout": "changes the layout",
    "other": "other",
}


@dataclass(frozen=True)
class Table:
    """One candidate's kernels, as the page shows them.

    Attributes:
        title: the candidate, and whether it ships.
        sums: by what kernels are there for: ``int8 45.9 µs (60 %)``.
        beside: the float candidate whose kernels stand beside; None where there is none of the same shapes.
        mixed: of each group of its layers that was tried in float: which, what it costs, and whether it is so now.
        rows: (class, cells) a kernel.
    """

    title: str
    sums: str
    beside: str | None
    mixed: list[str]
    rows: list[tuple[str, list[str]]]


def tables(target: Target) -> list[Table]:
    """Of every candidate whose kernels are known, int8 that does not ship first: there they say why not."""
    known = [candidate for candidate in target["candidates"] if _rows(candidate)]
    return [_table(candidate, target, known) for candidate in sorted(known, key=lambda c: _place(c, target))]


def _place(candidate: Candidate, target: Target) -> int:
    """Quantized ones that do not ship, then what ships, then the rest."""
    if candidate["name"] == target["shipped"]:
        return 1
    return 0 if any(row["work"] == "int8" for row in _rows(candidate)) else 2


def _rows(candidate: Candidate) -> list[KernelCost]:
    """A candidate's kernels; none where the runtime does not tell, or of a report of before."""
    kernels = candidate.get("kernels")
    return kernels.get("rows", []) if kernels else []


def _table(candidate: Candidate, target: Target, known: list[Candidate]) -> Table:
    rows, reference = _rows(candidate), _reference(candidate, known)
    others = kernel_costs.pairs(rows, [] if reference is None else _rows(reference))
    paired = any(others)
    ships = "ships" if candidate["name"] == target["shipped"] else "does not ship"
    return Table(
        f"{candidate['name']}, which {ships}",
        _sums(rows),
        reference["name"] if reference is not None and paired else None,
        _mixed(candidate),
        [(row["work"], _cells(row, other, paired=paired)) for row, other in zip(rows, others, strict=True)],
    )


def _mixed(candidate: Candidate) -> list[str]:
    """A sentence for each group that was tried; nothing where nothing was."""
    tried = candidate.get("mixed")
    sentences = []
    for group in tried["groups"] if tried is not None else ():
        layers = ", ".join(group["layers"]) or "conversions between layers that run in float"
        outcome = "in float" if group["in_float"] else "tried in float, and not clearly faster"
        int8, plain, saved = map(text.significant, (group["int8_us"], group["float_us"], group["promised_us"]))
        costs = f"{int8}{text.NBSP}µs in int8, {plain} in float; {saved} saved with conversions"
        sentences.append(f"{layers}: {outcome} (by the profiles {costs}).")
    if tried is not None and tried["refused"]:
        sentences.append(f"Not taken all the same: {tried['refused']}.")
    return sentences


def _reference(candidate: Candidate, known: list[Candidate]) -> Candidate | None:
    """The float candidate of the same structure."""
    if candidate["numerics"] == "fp32":
        return None
    alike = (c for c in known if c["numerics"] == "fp32" and c["pruned"] == candidate["pruned"])
    return next(alike, None)


def _sums(rows: list[KernelCost]) -> str:
    sums: dict[str, WorkCost] = {}
    for row in rows:
        cost = sums.setdefault(row["work"], {"count": 0, "microseconds": 0.0, "share": 0.0})
        cost["count"] += 1
        cost["microseconds"] += row["microseconds"]
        cost["share"] += row["share"]
    ordered = sorted(sums.items(), key=lambda item: -item[1]["microseconds"])
    return "; ".join(
        f"{WORDS[work]}: {cost['count']} kernels, {text.significant(cost['microseconds'])}{text.NBSP}µs "
        f"({text.share(min(cost['share'], 1.0), 0)})"
        for work, cost in ordered
    )


def _cells(row: KernelCost, other: BesideKernel | None, *, paired: bool) -> list[str]:
    sizes = "×".join("?" if size is None else str(size) for size in row["shape"])
    types = row["reads"] if row["reads"] == row["gives"] else f"{row['reads']} → {row['gives']}"
    cells = [row["layer"], row["op"], WORDS[row["work"]], types, sizes, f"{row['microseconds']:.1f}"]
    if not paired:
        return cells
    more = "" if other is None else f"{other['difference']:+.1f}".replace("-", "−")
    return [*cells, "" if other is None else f"{other['op']} {other['microseconds']:.1f}", more]
