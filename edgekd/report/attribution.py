"""What each stage cost and bought, as the page shows it: three small waterfalls and a table for each target."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from edgekd.document.details import Row
from edgekd.report import svg, text
from edgekd.report.svg import Fall, Scale
from edgekd.report.text import NBSP, MetricText

Key = Literal["value_validation", "size_bytes", "p50_ms"]
SAME = 1e-9


def make(rows_by_target: Mapping[str, Sequence[Row]], metric: MetricText) -> list[dict[str, object]]:
    """The section's parts, by target.

    Args:
        rows_by_target: ``details.attribution``: rows by target.
    """
    return [
        {"name": name, "panels": _panels(name, rows, metric), "rows": [_row(row, metric) for row in rows]}
        for name, rows in rows_by_target.items()
    ]


def _panels(target: str, rows: Sequence[Row], metric: MetricText) -> list[dict[str, object]]:
    values = [row["value_validation"] for row in rows]
    around = svg.around(values, 0.01 if metric.share else 1e-6)
    if metric.share:
        around = Scale(max(around.low, 0.0), min(around.high, 1.0))

    def value(row: Row) -> str:
        return " · ".join(
            filter(None, (metric.value(row["value_validation"]), _moved(row["delta_validation"], metric)))
        )

    def size(row: Row) -> str:
        return " · ".join(
            filter(None, (text.size(row["size_bytes"] or None), _factor(row["size_factor"], "smaller", "larger")))
        )

    def latency(row: Row) -> str:
        if row["p50_ms"] is None:
            return "not timed"
        return " · ".join(
            filter(None, (text.milliseconds(row["p50_ms"]), _factor(row["p50_factor"], "faster", "slower")))
        )

    panels = [
        _panel(target, rows, f"validation {metric.name}", "value_validation", value, around, more_is_better=True),
        _panel(target, rows, "size", "size_bytes", size, _log(rows, "size_bytes"), more_is_better=False),
        _panel(target, rows, "latency, p50", "p50_ms", latency, _log(rows, "p50_ms"), more_is_better=False),
    ]
    return [panel for panel in panels if panel]


def _log(rows: Sequence[Row], key: Key) -> Scale | None:
    """A log scale that holds all values with some air; None where nothing was measured."""
    values = [value for row in rows if (value := row[key])]
    return Scale(min(values) / 1.15, max(values) * 1.15, log=True) if values else None


def _panel(
    target: str,
    rows: Sequence[Row],
    caption: str,
    key: Key,
    write: Callable[[Row], str],
    scale: Scale | None,
    *,
    more_is_better: bool,
) -> dict[str, object] | None:
    if scale is None:
        return None
    known = {row["stage"]: row[key] for row in rows}
    falls = []
    for row in rows:
        value, start = row[key], known.get(row["from"] or "")
        if scale.log:  # 0: nobody knows the size of a teacher that has answers alone
            value, start = value or None, start or None
        kinds = ["ships"] if row["ships"] else [] if row["on_the_way"] else ["left"]
        if value is not None and start is not None and abs(value - start) > SAME:
            kinds.append("gain" if (value > start) == more_is_better else "loss")
        falls.append(Fall(row["stage"], write(row), value, start, " ".join(kinds)))
    description = "; ".join(f"{fall.name}: {fall.written}" for fall in falls) + "."
    figure = svg.waterfall(falls, scale, title=f"{target}: {caption} by stage", description=description)
    return {"caption": caption, "figure": figure}


def _row(row: Row, metric: MetricText) -> dict[str, object]:
    return {
        "stage": row["stage"],
        "start": row["from"] or "",
        "how": "ships" if row["ships"] else "" if row["on_the_way"] else "left",
        "numbers": [
            metric.value(row["value_validation"]),
            _moved(row["delta_validation"], metric),
            metric.value(row["value_test"]),
            _moved(row["delta_test"], metric),
            text.size(row["size_bytes"] or None),
            text.times(row["size_factor"]) if row["size_factor"] else "",
            text.milliseconds(row["p50_ms"]) if row["p50_ms"] is not None else "not timed",
            text.times(row["p50_factor"]) if row["p50_factor"] else "",
        ],
    }


def _moved(delta: float | None, metric: MetricText) -> str:
    """``−0.6 points``, ``+0.3 points``, ``±0``."""
    if delta is None:
        return ""
    gap = metric.gap(delta)
    if float(gap.split(NBSP)[0].replace(",", "").replace(text.NONE, "0").replace("−", "")) == 0:
        return "±0"
    return f"{'+' if delta > 0 else '−'}{gap}"


def _factor(ratio: float | None, better: str, worse: str) -> str:
    """``3.9 × smaller``; nothing where it is the same or not known."""
    if not ratio or abs(ratio - 1) < 0.005:
        return ""
    return f"{text.times(max(ratio, 1 / ratio))} {better if ratio > 1 else worse}"
