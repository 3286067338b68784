"""What did it learn, as the page shows it: calibration, layers, samples they part on, the worth of each loss."""

from __future__ import annotations

from edgekd.document.details import Calibration, Layers, Learned, Loss, Losses
from edgekd.report import svg, text
from edgekd.report.svg import Line, Scale
from edgekd.report.text import MetricText


def make(analysis: Learned, samples: int, metric: MetricText) -> dict[str, object]:
    """The parts of the section beyond agreement by class.

    Args:
        analysis: ``details.learned``.
        samples: how many the test split has.
    """
    student, alike, losses = analysis["student"], analysis.get("layers"), analysis.get("losses")
    ships = (
        f"{student['candidate']} on {student['target']}" if student["candidate"] else "the student, which does not ship"
    )
    return {
        "who": ships,
        "agreement": text.share(analysis["agreement"]) if analysis["agreement"] is not None else None,
        "calibration": [_calibration(of) for of in analysis.get("calibration") or []],
        "layers": _layers(alike) if alike else None,
        "bits": analysis["unit"] == "bit",
        "apart": [(f"{row['sample']:,}", text.significant(row["divergence"], 2)) for row in analysis["apart"]],
        "losses": _losses(losses, samples, metric) if losses else None,
    }


def _calibration(calibration: Calibration) -> dict[str, object]:
    """How often each is right when it is so sure, and how far that is from what it says."""
    lines, rows, sentences = [Line([(0.0, 0.0), (100.0, 100.0)], "", "ideal")], list[dict[str, object]](), list[str]()
    for name, kind, of in (("teacher", "quiet", calibration["teacher"]), ("student", "main", calibration["student"])):
        bins = [
            (b["count"], b["confidence"], b["accuracy"])
            for b in of["bins"]
            if b["count"] and b["confidence"] is not None and b["accuracy"] is not None
        ]
        total = sum(count for count, _, _ in bins)
        points = [(100 * sure, 100 * right) for _, sure, right in bins]
        lines.append(Line(points, name, kind, sizes=[count / total for count, _, _ in bins]))
        gap = 100 * (of["confidence"] - of["accuracy"])
        word = (
            "as sure as right"
            if abs(gap) < 0.05
            else f"{abs(gap):.1f} points {'too sure' if gap > 0 else 'too unsure'}"
        )
        percent = [text.share(part) for part in (of["ece"], of["confidence"], of["accuracy"])]
        rows.append({"name": name, "numbers": [*percent, text.significant(of["nll"])], "word": word})
        sentences.append(f"{name}: ECE {percent[0]}, {word}")
    described = "; ".join(sentences)
    # Of thousands of items no answer has a large share: then the corner is drawn that the dots lie in.
    most = max(value for line in lines[1:] for point in line.points for value in point)
    scale = Scale(0.0, 100.0 if most > 40 else max(2.0, 1.25 * most))
    figure = svg.chart(
        lines,
        scale,
        scale,
        lambda v: f"{v:g}",
        title="How often the answer is right, by confidence",
        description=described,
        height=220,
    )
    return {"head": calibration["head"], "rows": rows, "figure": figure, "bins": len(calibration["student"]["bins"])}


def _layers(layers: Layers) -> dict[str, object]:
    """The heat map: rows of the student, columns of the teacher, front to back."""
    tied = {tuple(pair) for pair in layers["pairs"]}

    def cell(value: float | None, place: tuple[int, int]) -> tuple[str, str, bool]:
        if value is None:
            return text.NONE, "0", place in tied
        return f"{value:.2f}", f"{0.65 * value * value:.2f}", place in tied

    rows = [
        (path or "output", [cell(value, (i, j)) for j, value in enumerate(values)])
        for i, (path, values) in enumerate(zip(layers["student"], layers["cka"], strict=True))
    ]
    return {
        "step": layers["step"],
        "samples": f"{layers['samples']:,}",
        "columns": [path or "output" for path in layers["teacher"]],
        "rows": rows,
        "tied": bool(tied),
    }


def _losses(losses: Losses, samples: int, metric: MetricText) -> dict[str, object]:
    """With and without each loss; an interval that holds 0 tells nothing."""
    rows = losses["rows"]
    ends = [value for row in rows if row["ci95"] for value in row["ci95"]]
    scale = svg.around([0.0, *ends], 0.01 if metric.share else 1e-3)
    return {
        "seed": losses["seed"],
        "draws": f"{losses['draws']:,}",
        "samples": f"{samples:,}",
        "validation": metric.value(losses["validation"]),
        "test": metric.value(losses["test"]),
        "rows": [_loss(row, scale, metric) for row in rows],
    }


def _loss(row: Loss, scale: Scale, metric: MetricText) -> dict[str, object]:
    gain = row["gain"]
    if row["ci95"] is None or gain is None:
        return {"name": row["loss"], "cells": [text.NONE] * 4, "strip": "", "word": "without it the training diverges"}
    low, high = row["ci95"]
    word = "it helps" if low > 0 else "it harms" if high < 0 else "no difference shown"
    cells = [metric.value(row["validation"]), metric.value(row["test"]), signed(gain, metric)]
    cells.append(f"{signed(low, metric, unit=False)} to {signed(high, metric)}")
    dots, lines = [(gain, "of-student")], [(0.0, "agree")]
    return {
        "name": row["loss"],
        "cells": cells,
        "strip": svg.strip(scale, dots=dots, lines=lines, span=(low, high)),
        "word": word,
    }


def signed(value: float, metric: MetricText, *, unit: bool = True) -> str:
    """``+0.6 points``, ``−0.012``."""
    written = metric.gap(value)
    number = written.split(text.NBSP)[0]
    sign = "" if float(number.replace(",", "")) == 0 else "+" if value > 0 else "−"
    return sign + (written if unit else number)
