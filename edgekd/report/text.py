"""Numbers as people read them: three significant digits, units everywhere, 1 kB = 1,000 bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgekd.document.report import Report, Target

NBSP = "\u00a0"
NONE = "–"
SHARES = frozenset({"accuracy", "agreement", "macro_f1", "hit_rate"})


def significant(value: float | None, digits: int = 3) -> str:
    """``0.037758`` -> ``0.0378``, ``26484`` -> ``26,500``; never an exponent; what is not finite is a dash."""
    if value is None or not math.isfinite(value):
        return NONE
    rounded = float(f"{value:.{digits}g}")
    if rounded == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    return f"{rounded:,.{decimals}f}".replace("-", "−")


def unit(number: str, name: str) -> str:
    """A number and its unit, which no line break parts."""
    return number if number == NONE else f"{number}{NBSP}{name}"


def milliseconds(value: float | None) -> str:
    return unit(significant(value), "ms")


def size(count: float | None) -> str:
    """Bytes in kB, from 10 MB on in MB."""
    if count is None:
        return NONE
    if count >= 1e7:
        return unit(significant(count / 1e6), "MB")
    return unit(f"{count / 1e3:,.0f}" if count >= 1e6 else f"{count / 1e3:.1f}", "kB")


def duration(seconds: float) -> str:
    """``7.84 s``, ``12 min 3 s``, ``3 h 20 min``."""
    if seconds < 120:
        return unit(significant(seconds), "s")
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{unit(str(minutes), 'min')} {unit(str(rest), 's')}"
    return f"{unit(str(minutes // 60), 'h')} {unit(str(minutes % 60), 'min')}"


def times(ratio: float | None) -> str:
    """``3.53 ×``."""
    return unit(significant(ratio), "×")


def interval(ends: tuple[float, float] | list[float]) -> str:
    """``3.52 to 3.54``."""
    return f"{significant(ends[0])} to {significant(ends[1])}"


@dataclass(frozen=True)
class MetricText:
    """How values of the report's metric are written.

    Attributes:
        name: such as ``accuracy``.
        decimals: of a percentage; a test split of 360 samples can't tell hundredths of a point apart.
    """

    name: str
    decimals: int = 1

    @classmethod
    def of(cls, report: Report) -> MetricText:
        """The metric of a report, as fine as its smaller deciding split resolves."""
        sizes = report["split_sizes"]
        fewest = min((sizes[name] for name in ("validation", "test") if sizes.get(name)), default=0)
        return cls(report["metric"], 2 if fewest >= 1000 else 1)

    @property
    def share(self) -> bool:
        """Whether values are shares, 0..1, shown in percent."""
        return self.name in SHARES

    def value(self, value: float | None) -> str:
        """``0.98889`` -> ``98.9 %``; a metric that is no share keeps its own unit."""
        if value is None or not math.isfinite(value):
            return NONE
        return unit(f"{100 * value:.{self.decimals}f}", "%") if self.share else significant(value, 4)

    def gap(self, value: float) -> str:
        """The size of a difference, without its sign: ``0.6 points``."""
        if not self.share:
            return significant(abs(value))
        number = f"{abs(100 * value):.{self.decimals}f}"
        return unit(number, "point" if float(number) == 1 else "points")

    def against(self, value: float, other: float, name: str) -> str:
        """``0.6 points below the teacher``, ``equal to the teacher``."""
        gap = value - other
        written = self.gap(gap)
        if float(written.split(NBSP)[0].replace(",", "").replace(NONE, "0")) == 0:
            return f"equal to {name}"
        return f"{written} {'above' if gap > 0 else 'below'} {name}"


def of_tokens(target: Target, p50_ms: float) -> str:
    """``10 tokens; with the tokenizer, in Python, 0.9 ms``: what a text student's p50 is of; else nothing."""
    if "timed_length" not in target:
        return ""
    told = f"{target['timed_length']} tokens"
    if "preprocess_ms" not in target:  # a report of 0.1
        return told
    return f"{told}; with the tokenizer, in Python, {milliseconds(p50_ms + target['preprocess_ms'])}"


def asking(report: Report) -> Sequence[str]:
    """Lines of an app that asks ``model`` about ``x``."""
    details = report.get("details") or {}
    if report["metric"] == "mse":  # values: predict would tell of classes
        return ["values = model.run({model.inputs[0].name: x})[model.outputs[0].name]  # a batch, preprocessed"]
    if "others" in (details.get("agreement") or {}):
        said = ["for head, answer in answers.items():", "    print(head, answer.label, answer.score)"]
        return ["answers = model.predict(x)  # one raw sample; of a batch of them a list", *said]
    return [
        "answer = model.predict(x)  # one raw sample; of a batch of them a list",
        "print(answer.label, answer.score)",
    ]
