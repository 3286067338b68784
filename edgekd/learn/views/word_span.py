"""A part of a text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgekd.base.arrays import AnyArray
from edgekd.learn.views._base import Draws, check_share, each_text


@dataclass(frozen=True)
class WordSpan:
    """Show neighbouring words of a text alone (after the n-grams of arXiv:1903.12136). Words are what spaces part.

    A label may not hold for a part of its text: the teacher's answer does.

    Attributes:
        probability: of a view to be a part, 0 to 1.
        shortest: share of the words that is shown at least, above 0, at most 1; how many, is drawn evenly.
    """

    reads: ClassVar[frozenset[str]] = frozenset({"texts"})
    probability: float = 0.5
    shortest: float = 0.25

    def __post_init__(self) -> None:
        check_share("probability", self.probability)
        check_share("shortest", self.shortest, above=True)

    def __call__(self, x: AnyArray, draws: Draws) -> AnyArray:
        """x: (N,) texts."""
        chosen, share, start = (draws.uniform(number) for number in (1, 2, 3))
        share = self.shortest + (1 - self.shortest) * share
        share[chosen >= self.probability] = 1
        return each_text(x, _part, share, start)


def _part(words: list[str], share: float, start: float) -> list[str]:
    shown = max(1, round(share * len(words)))
    first = int(start * (len(words) - shown + 1))
    return words[first : first + shown]
