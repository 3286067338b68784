"""Numbers as people read them: three significant digits, units everywhere, 1 kB = 1,000 bytes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from edgekd.base import plugins, units
from edgekd.document.report import Report, Target
from edgekd.tasks import Task

NBSP = "\u00a0"
NONE = "–"
LETTERS = 600  # that are shown of a text
# What reports of 0.1 do not say: which of their metrics are shares, and which are of values.
OLD_SHARES, OLD_VALUES = frozenset({"accuracy", "agreement", "macro_f1", "hit_rate"}), frozenset({"mse"})


def significant(value: float | None, digits: int = 3) -> str:
    """``0.037758`` -> ``0.0378``, ``26484`` -> ``26,500``; never an exponent; what is not finite is a dash."""
    return _or_dash(lambda number: units.significant(number, digits), value)


def unit(number: str, name: str) -> str:
    """A number and its unit, which no line break parts."""
    return number if number == NONE else f"{number}{NBSP}{name}"


def milliseconds(value: float | None) -> str:
    """See ``units.milliseconds``."""
    return _or_dash(units.milliseconds, value)


def in_ms(value: float | None) -> str:
    """On an axis, or beside a limit; see ``units.in_ms``."""
    return _or_dash(units.in_ms, value)


def size(count: float | None) -> str:
    """Bytes; see ``units.size``."""
    return _or_dash(units.size, count)


def params(count: int) -> str:
    """``12,480``; a dash for a teacher that has answers and no network."""
    return _or_dash(lambda number: f"{number:,.0f}", count or None)


def share(value: float | None, decimals: int = 1) -> str:
    """Of 0..1 in percent."""
    return _or_dash(lambda part: units.share(part, decimals), value)


def duration(seconds: float) -> str:
    """``7.84 s``, ``12 min 3 s``, ``3 h 20 min``."""
    return _or_dash(units.duration, seconds)


def beginning(whole: str) -> str:
    """A text's first letters, and how many follow."""
    rest = len(whole) - LETTERS
    return whole if rest <= 0 else f"{whole[:LETTERS]} … ({rest:,} more)"


def _or_dash(write: Callable[[float], str], value: float | None) -> str:
    """With the signs of print: a number and its unit are not parted; what is not known, or not finite, is a dash."""
    if value is None or not math.isfinite(value):
        return NONE
    return write(value).replace(" ", NBSP).replace("-", "−")


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
        share: whether values are shares, 0..1, shown in percent.
        decimals: of a percentage; a test split of 360 samples can't tell hundredths of a point apart.
    """

    name: str
    share: bool
    decimals: int = 1

    @classmethod
    def of(cls, report: Report) -> MetricText:
        """The metric of a report, as fine as its smaller deciding split resolves."""
        sizes = report["split_sizes"]
        fewest = min((sizes[name] for name in ("validation", "test") if sizes.get(name)), default=0)
        name = report["metric"]
        return cls(name, report.get("metric_is_share", name in OLD_SHARES), 2 if fewest >= 1000 else 1)

    def value(self, value: float | None) -> str:
        """``0.98889`` -> ``98.9 %``; a metric that is no share keeps its own unit."""
        if value is None or not math.isfinite(value):
            return NONE
        return share(value, self.decimals) if self.share else significant(value, 4)

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


def tasks_of(report: Report, users: Mapping[str, type[Task]] = MappingProxyType({})) -> dict[str, type[Task]]:
    """The task of each of the student's outputs by name, "" in old reports; a user's own where ``users`` has it."""
    before = "classification" if report.get("classifies", report["metric"] not in OLD_VALUES) else "regression"
    kinds, known = report.get("outputs", {"": before}), plugins.kinds("tasks")
    built_in = {name: plugins.load("tasks", kind, "outputs") for name, kind in kinds.items() if kind in known}
    return {name: cls for name in kinds if (cls := users.get(name) or built_in.get(name)) is not None}


def of_tokens(target: Target, p50_ms: float) -> str:
    """``10 tokens; with the tokenizer, in Python, 0.9 ms``: what a text student's p50 is of; else nothing."""
    if "timed_length" not in target:
        return ""
    tokens = f"{target['timed_length']} tokens"
    if "preprocess_ms" not in target:  # a report of 0.1
        return tokens
    return f"{tokens}; with the tokenizer, in Python, {milliseconds(p50_ms + target['preprocess_ms'])}"


def asking(report: Report, users: Mapping[str, type[Task]] = MappingProxyType({})) -> Sequence[str]:
    """Lines of an app that asks ``model`` about ``x``; ``users``: see ``tasks_of``."""
    prints = [task.prints for task in tasks_of(report, users).values()]
    others = "others" in ((report.get("details") or {}).get("agreement") or {})  # as reports of before tell of heads
    if len(report.get("outputs", ())) > 1 or others:
        what = prints[0] if len({*prints}) == 1 else "answer"
        loop = ["for head, answer in answers.items():", f"    print(head, {what})"]
        return ["answers = model.predict(x)  # one raw sample; of a batch of them a list", *loop]
    return [
        "answer = model.predict(x)  # one raw sample; of a batch of them a list",
        f"print({prints[0] if prints else 'answer'})",
    ]
