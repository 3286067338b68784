"""Texts with words left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edgekd.base.arrays import AnyArray
from edgekd.learn.views._base import Draws, check_share, each_text, splitmix


@dataclass(frozen=True)
class WordDrop:
    """Leave each word out at random, but one (random deletion, arXiv:1901.11196). Words are what spaces part.

    A label may no longer hold where the words that carry it are gone: the teacher's answer does.

    Attributes:
        probability: of a word to be left out, 0 to 1.
    """

    reads: ClassVar[frozenset[str]] = frozenset({"texts"})
    probability: float = 0.1

    def __post_init__(self) -> None:
        check_share("probability", self.probability)

    def __call__(self, x: AnyArray, draws: Draws) -> AnyArray:
        """x: (N,) texts."""
        return each_text(x, self._shorter, draws.bits)

    def _shorter(self, words: list[str], bits: np.uint64) -> list[str]:
        each = Draws(splitmix(bits ^ np.arange(len(words), dtype=np.uint64))).uniform(0)
        stays = each >= min(self.probability, each.max(initial=0))
        return [word for word, left in zip(words, stays, strict=True) if left]
