"""What a split can't decide, and what to do after a miss: sentences, from what was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgekd.base import units
from edgekd.decide.budget import is_met
from edgekd.decide.choose import Contender
from edgekd.spec.recipe import Budget


@dataclass(frozen=True)
class Drop:
    """How far a candidate lies below its teacher on a split, with its paired 95 % interval.

    Attributes:
        is_share: the metric is a share of samples.
    """

    split: str
    samples: int
    value: float
    interval: Sequence[float]
    is_share: bool = False

    @property
    def at_most(self) -> float:
        """The interval's upper end. One of answers that differ nowhere has no width, however few they are: of a share
        so many exclude no more than three in as many (Hanley and Lippman-Hand 1983, If nothing goes wrong).
        """
        low, high = self.interval
        return self.value + 3 / self.samples if self.is_share and low == high else high

    def words(self) -> str:
        """``0.0028 (95 % interval -0.0056 to 0.0111) of 360 validation samples``."""
        low, high = self.interval
        return f"{self.value:.4f} (95 % interval {low:.4f} to {high:.4f}) of {self.samples:,} {self.split} samples"


def about_drop(name: str, budget: Budget, validation: Drop, test: Drop) -> str | None:
    """One sentence where a budget's ``max_drop`` was met on validation and is in doubt; None where it is not.

    Args:
        name: what ships, and where.
    """
    wish = budget.max_drop
    if wish is None:
        return None
    met = is_met(wish, validation.value)
    if met and not is_met(wish, test.value):
        contradiction = f"{name}: test contradicts max_drop {wish:g}: the drop is {test.words()}"
        return f"{contradiction}; on validation, which decides, it was {validation.value:.4f}"
    if met and not is_met(wish, validation.at_most):
        return f"{name}: validation is too small to decide max_drop {wish:g}: the drop is {validation.words()}"
    return None


def resolution(value: float, samples: int) -> float:
    """The half width of a share's 95 % interval, 0..1: what so many samples can't tell apart (normal approximation).

    Never less than one sample.
    """
    return max(1.96 * math.sqrt(max(value * (1 - value), 0.0) / samples), 1 / samples)


def advice(
    contenders: Sequence[Contender], pruned: Mapping[str, bool], budget: Budget, teacher_value: float, file: str
) -> list[str]:
    """What to change after nothing was inside the budget, made of this very miss.

    Args:
        contenders: one is named ``fp32``.
        pruned: of each, whether its network was pruned or cut on the way.
        file: the recipe's.
    """
    by_name = {c.name: c for c in contenders}
    drops = {name: teacher_value - c.value for name, c in by_name.items()}
    sentences = []
    if budget.max_drop is not None:
        within = {name for name, drop in drops.items() if is_met(budget.max_drop, drop)}
        if "fp32" not in within:
            gap = f"the fp32 student itself is {drops['fp32']:.4f} below its teacher"
            sentences.append(f"{gap}: train longer (student.epochs in {file}), or widen student.model")
        elif lost := [name for name in by_name if name not in within and name != "fp32"]:
            cut = [name for name in lost if pruned[name]]
            floats = [name for name in cut if "int8" not in name]
            if floats:
                loses = f"{floats[0]} loses {drops[floats[0]]:.4f}"
                sentences.append(f"{loses}: a smaller ratio in [[compress]] of {file}, or more epochs there")
            elif cut:
                fails = f"{cut[0]} fails after pruning"
                sentences.append(f"{fails}: a smaller ratio in [[compress]] of {file}, or int8 without it")
            else:
                sentences.append(f"{lost[0]} loses {drops[lost[0]]:.4f}: more epochs of int8_qat, or most_float")
    fits = [c for c in contenders if c.parity is None]
    if turned := [c for c in fits if not is_met(budget.min_cosine, c.cosine, at_least=True)]:
        points = f"{turned[0].name} has vectors of a mean cosine of {turned[0].cosine:.4f} to the fp32 file's"
        sentences.append(f"{points}: the loss cosine, more epochs of int8_qat, or most_float")
    if fits and not is_met(budget.max_latency_ms, min(c.p50_ms for c in fits)):
        least = min(fits, key=lambda c: c.p50_ms)
        wish = f"edgekd tune {file} --max-latency-ms {budget.max_latency_ms:g}"
        sentences.append(
            f"the fastest, {least.name}, takes {units.in_ms(least.p50_ms)}: narrow student.model, or {wish}"
        )
    if fits and not is_met(budget.max_size_kb, min(c.size_bytes for c in fits) / 1000):
        least = min(fits, key=lambda c: c.size_bytes)
        has = f"the smallest, {least.name}, has {units.in_kb(least.size_bytes)}"
        sentences.append(f"{has}: narrow student.model, or edgekd tune {file} --max-size-kb {budget.max_size_kb:g}")
    return sentences
