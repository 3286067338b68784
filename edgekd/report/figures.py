"""The figures of the page: training curves, latency distributions, agreement by class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from edgekd.document.candidate import Candidate
from edgekd.document.details import Agreement, ByClass, Details, Epoch
from edgekd.document.report import Report, Stage, Target
from edgekd.document.samples import Samples
from edgekd.report import svg, text, view
from edgekd.report.svg import Line, Scale
from edgekd.report.text import MetricText

MANY = 24  # classes, beyond which only the worst are shown at once
NUMBERED = 12  # classes, up to which the confusion is a table of numbers
MATRIX = 256  # classes, up to which it is drawn at all


def make(report: Report, details: Details, samples: Samples, metric: MetricText) -> dict[str, object]:
    """Every figure; those without data are empty."""
    classes = details.get("agreement")
    return {
        "curves": curves(details, view.teacher_of(report), metric),
        "latency": {name: latency(target, samples.get(name) or {}) for name, target in report["targets"].items()},
        "agreement": by_head(classes, metric) if classes else [],
    }


def curves(details: Details, teacher: Stage | None, metric: MetricText) -> list[dict[str, object]]:
    """Loss, validation and learning rate of each stage that trained."""
    stages: list[dict[str, object]] = []
    validated = details.get("validated") or {}
    for stage, epochs in (details.get("history") or {}).items():
        if not epochs:
            continue
        shown = replace(metric, name=validated.get(stage, metric.name))
        x = [float(epoch["epoch"]) + 1 for epoch in epochs]
        seconds = sum(epoch.get("seconds") or 0 for epoch in epochs)
        word = "epoch" if len(epochs) == 1 else "epochs"
        panels = [_loss(stage, x, epochs), _validation(stage, x, epochs, teacher, shown), _rate(stage, x, epochs)]
        stages.append(
            {
                "stage": stage,
                "about": f"{len(epochs)} {word}" + (f", {text.duration(seconds)}" if seconds else ""),
                "panels": [panel for panel in panels if panel],
            }
        )
    return stages


def _series(x: Sequence[float], values: Iterable[float | None]) -> list[tuple[float, float]]:
    """The points of a line: where an epoch tells the value."""
    return [(a, float(b)) for a, b in zip(x, values, strict=True) if b is not None and np.isfinite(b)]


def _loss(stage: str, x: Sequence[float], epochs: Sequence[Epoch]) -> dict[str, object] | None:
    kinds = list(dict.fromkeys(kind for epoch in epochs for kind in epoch.get("losses") or {}))
    parts = {kind: _series(x, ((epoch.get("losses") or {}).get(kind) for epoch in epochs)) for kind in kinds}
    total = _series(x, (epoch.get("loss") for epoch in epochs))
    lines = [Line(points, kind, "quiet") for kind, points in parts.items() if points]
    name = "loss" if len(lines) < 2 else "weighted sum"
    # One loss of weight 1 is its own sum: drawn once.
    lines = [line for line in lines if len(lines) > 1 or list(line.points) != total]
    lines += [Line(total, name, "main")] if total else []
    if not lines:
        return None
    values = [value for line in lines for _, value in line.points]
    log = min(values) > 0 and max(values) / min(values) >= 20
    y = Scale(min(values) * 0.9, max(values) * 1.1, log=True) if log else Scale(min(0.0, *values), max(values) or 1.0)
    caption = "training loss" + (", log scale" if log else "")
    return _panel(caption, stage, lines, x, y, text.significant)


def _validation(
    stage: str, x: Sequence[float], epochs: Sequence[Epoch], teacher: Stage | None, metric: MetricText
) -> dict[str, object] | None:
    points = _series(x, (epoch.get("validation") for epoch in epochs))
    if not points:
        return None
    lines = [Line(points, metric.value(points[-1][1]), "main")]
    if teacher and stage != "teacher":
        level = teacher["value_validation"]
        lines.append(Line([], f"teacher {metric.value(level)}", "quiet", level))
    values = [value for line in lines for value in ([line.level] if line.level is not None else [])]
    scale = svg.around([*values, *(value for _, value in points)], 0.02 if metric.share else 1e-3)
    y = Scale(max(scale.low, 0.0), min(scale.high, 1.0)) if metric.share else scale
    write = (lambda v: f"{100 * v:.3g}") if metric.share else text.significant
    return _panel(f"validation {metric.name}" + (", %" if metric.share else ""), stage, lines, x, y, write)


def _rate(stage: str, x: Sequence[float], epochs: Sequence[Epoch]) -> dict[str, object] | None:
    points = _series(x, (epoch.get("lr") for epoch in epochs))
    if not points:
        return None
    y = Scale(0.0, max(value for _, value in points) * 1.05 or 1.0)
    lines = [Line(points, f"{points[-1][1]:.2g}", "quiet")]
    return _panel("learning rate", stage, lines, x, y, lambda v: f"{v:.2g}")


def _panel(
    caption: str, stage: str, lines: Sequence[Line], x: Sequence[float], y: Scale, write: Callable[[float], str]
) -> dict[str, object]:
    ends = [f"{line.label}: {write(line.points[0][1])} to {write(line.last)}" for line in lines if line.points]
    across = Scale(min(x), max(x)) if len(x) > 1 else Scale(x[0] - 1, x[0] + 1)
    figure = svg.chart(
        lines,
        across,
        y,
        write,
        title=f"{stage}: {caption} by epoch",
        description=f"Epoch {x[0]:g} to {x[-1]:g}. " + "; ".join(ends) + ".",
    )
    return {"caption": caption, "figure": figure}


def latency(target: Target, samples: Mapping[str, Sequence[int]]) -> dict[str, object]:
    """The distribution of every candidate of a target over one axis of milliseconds."""
    candidates = target["candidates"]
    if not candidates:
        return {"rows": []}
    slowest = max(c["latency_ms"]["p50"] for c in candidates)
    # A wild tail would squeeze what matters: beyond 2.5 x the slowest median it is told in words.
    high = min(max(c["latency_ms"]["p99"] for c in candidates) * 1.1, 2.5 * slowest)
    scale, rows = Scale(0.0, high), []
    for candidate in candidates:
        raw: NDArray[np.float64] | None = None
        if samples.get(candidate["name"]):
            raw = np.asarray(samples[candidate["name"]], np.float64) / 1e6
        rows.append(_distribution(candidate, raw, scale, candidate["name"] == target["shipped"]))
    axis = svg.axis(scale, lambda v: text.in_ms(v) if v else "0")
    return {"rows": rows, "axis": axis, "raw": any(samples.get(c["name"]) for c in candidates)}


def _distribution(
    candidate: Candidate, raw: NDArray[np.float64] | None, scale: Scale, ships: bool
) -> dict[str, object]:
    of = candidate["latency_ms"]
    marks = [(of["p50"], "p50"), (of["p90"], "p90"), (of["p99"], "p99")]
    numbers = [(key, text.significant(value), value > scale.high) for value, key in marks]
    beyond = 0 if raw is None else int((raw > scale.high).sum())
    tail = ""
    if raw is not None and beyond:
        share = text.significant(100 * beyond / len(raw), 2)
        tail = f"{beyond:,} of {len(raw):,} runs ({share} %) lie to the right, the slowest at " + text.milliseconds(
            of["max"]
        )
    percentiles = ", ".join(f"{key} {text.milliseconds(value)}" for value, key in marks)
    figure = svg.histogram(
        raw,
        marks,
        scale,
        title=f"{candidate['name']}: distribution of latency",
        description=f"{percentiles}; {candidate['samples']:,} runs.",
        kind="ships" if ships else "",
    )
    return {"name": candidate["name"], "ships": ships, "numbers": numbers, "tail": tail, "figure": figure}


def by_head(by_class: Agreement, metric: MetricText) -> list[dict[str, object]]:
    """Agreement class by class, for each head; of one head, without a name."""
    others = by_class.get("others") or {}
    first: dict[str, object] = {"head": by_class.get("head"), **agreement(by_class, metric)}
    return [first, *({"head": name, **agreement(other, metric)} for name, other in others.items())]


def agreement(by_class: ByClass, metric: MetricText) -> dict[str, object]:
    """Class by class what the student took over from the teacher, and where the two part."""
    classes = [str(name) for name in by_class["classes"]]
    shares = list(zip(by_class["teacher"], by_class["student"], by_class["agree"], strict=True))
    low = min(
        (v for v in (*by_class["teacher"], *by_class["student"], *by_class["agree"]) if v is not None), default=0.0
    )
    scale = Scale(max(0.0, min(low - 0.05 * (1 - low), 0.95)), 1.0)
    rows = [_class_row(name, *values, scale) for name, values in zip(classes, shares, strict=True)]
    samples = by_class.get("samples") or [0] * len(rows)
    # Of thousands of classes most have a sample or two: what counts is how many samples they part on, then the share.
    lost = [n * (1 - agree) if agree is not None else -1.0 for n, agree in zip(samples, by_class["agree"], strict=True)]
    worst = sorted(range(len(rows)), key=lambda i: (-lost[i], by_class["agree"][i] or 0.0, i))
    many = len(rows) > MANY
    low_text = text.share(scale.low, 0)
    return {
        "rows": [{**rows[i], "samples": f"{samples[i]:,}"} for i in (worst[:NUMBERED] if many else range(len(rows)))],
        "count": f"{len(rows):,}",
        "worst": many,
        "all": rows if MANY < len(rows) <= MATRIX else [],
        "low": low_text,
        "pairs": [(classes[t], classes[s], n) for t, s, n in by_class.get("pairs") or []],
        **_confusion(by_class.get("confusion"), classes),
    }


def _class_row(
    name: str, teacher: float | None, student: float | None, agree: float | None, scale: Scale
) -> dict[str, object]:
    values = (teacher, student, agree)
    written = [text.share(v) for v in values]
    return {"name": name, "values": values, "written": written, "strip": _class_strip(*values, scale)}


def _class_strip(teacher: float | None, student: float | None, agree: float | None, scale: Scale) -> Markup:
    dots = [(teacher, "of-teacher"), (student, "of-student")]
    lines = [(agree, "agree")] if agree is not None else []
    return svg.strip(scale, dots=[(v, kind) for v, kind in dots if v is not None], lines=lines)


def _confusion(given: Sequence[Sequence[int]] | None, classes: Sequence[str]) -> dict[str, object]:
    """The table or picture of teacher against student."""
    if given is None:
        return {"table": None, "matrix": None}
    counts = np.asarray(given, np.int64)
    total, same = int(counts.sum()), int(np.trace(counts))
    described = f"{same:,} of {total:,} answers are the same" + (f" ({text.share(same / total)})" if total else "")
    table = figure = None
    if len(classes) <= NUMBERED:
        sums = np.maximum(counts.sum(1, keepdims=True), 1)
        table = [
            [(int(n), "same" if i == j else "other", svg.shade(n / sums[i, 0])) for j, n in enumerate(row)]
            for i, row in enumerate(counts)
        ]
    elif len(classes) <= MATRIX:
        title = f"The teacher's answer (row) against the student's (column), {len(classes)} classes"
        figure = svg.matrix(counts, title=title, description=described)
    return {"table": table, "matrix": figure}
