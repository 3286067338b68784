"""What an augmentation is: a pure function of raw samples and of the random numbers that are drawn for each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from edgekd.base.arrays import AnyArray

# Kinds of raw samples. ``codes``: whole numbers that stand for something, such as ids, and are no quantities.
RAW = ("images", "sounds", "texts", "vectors", "codes")
_LOW = np.uint64(11)  # bits that a float64 in 0..1 has no room for


@dataclass(frozen=True)
class Draws:
    """Random numbers for the samples of a batch: functions of (seed, sample, view, place in the recipe, number).

    Attributes:
        bits: (N,) uint64, of (seed, sample, view, place).
    """

    bits: NDArray[np.uint64]

    def words(self, number: int) -> NDArray[np.uint64]:
        """(N,) 64 random bits each; another ``number``, others that know nothing of these. 0: ``bits`` themselves."""
        return splitmix(self.bits ^ np.uint64(number)) if number else self.bits

    def uniform(self, number: int) -> NDArray[np.float64]:
        """(N,) values in 0 <= u < 1."""
        return (self.words(number) >> _LOW).astype(np.float64) * 2.0**-53

    def integers(self, number: int, stop: int) -> NDArray[np.int64]:
        """(N,) whole numbers in 0..stop-1."""
        return (self.words(number) % np.uint64(stop)).astype(np.int64)

    def beta(self, number: int, alpha: float) -> NDArray[np.float64]:
        """(N,) values in 0..1, of the distribution Beta(alpha, alpha); alpha 1: ``uniform``."""
        return self.uniform(number) if alpha == 1 else betaincinv(alpha, alpha, self.uniform(number))


class View(Protocol):
    """One file of ``learn/views/``: a frozen dataclass whose fields are the keys of an ``[[augment.ops]]`` table.

    Nothing else is random in it than ``draws``, so that a view is the same in any batch and any order, and the
    teacher's answer to it can be kept. ``reads`` holds the kinds of raw samples that it is for, of ``RAW``.
    """

    reads: ClassVar[frozenset[str]]

    def __call__(self, x: AnyArray, draws: Draws) -> AnyArray:
        """The samples as a view shows them: of the same shape and type, each a function of itself and its draws alone.

        Args:
            x: (N, ...) raw samples, such as (N, H, W, C) images; they stay as they are.
        """


@runtime_checkable
class Mix(Protocol):
    """An augmentation that puts another sample of the training split, its partner, into each; else as ``View``.

    The pipeline draws the partner, which comes as the augmentations before this one show it in the same view.
    """

    reads: ClassVar[frozenset[str]]

    def coefficient(self, shape: tuple[int, ...], draws: Draws) -> NDArray[np.float64]:
        """(N,) how much each sample's own label counts, 0..1; the rest is its partner's. ``shape``: of one sample."""

    def __call__(self, x: AnyArray, draws: Draws, partners: AnyArray) -> AnyArray:
        """The mixed samples. x, partners: (N, ...), which stay as they are."""


@runtime_checkable
class Moves(Protocol):
    """An augmentation that moves what is in a picture, and the labels of places with it; else as ``View``.

    Where labels are masks or points, one that is none says that it ``stays``, a ClassVar, or is refused.
    """

    def masks(self, masks: NDArray[np.int64], draws: Draws) -> NDArray[np.int64]:
        """(N, H, W) labels of the pixels as the view shows them; ``IGNORED`` where it shows what was in no picture."""

    def points(self, points: NDArray[np.float32], draws: Draws, size: tuple[int, int]) -> NDArray[np.float32]:
        """(N, K, 2) x and y in pixels of pictures of (height, width); a point that is not known, NaN, stays so."""


def check_alpha(alpha: float) -> None:
    """The parameter of a distribution Beta(alpha, alpha)."""
    if not 0 < alpha <= 100:
        raise ValueError("alpha: allowed is 0 < alpha <= 100")


def check_share(name: str, value: float, *, above: bool = False) -> None:
    """Raise the ValueError that ``plugins.build`` turns into a message, unless 0 <= value <= 1; ``above``: nor 0."""
    if not 0 <= value <= 1 or (above and value == 0):
        raise ValueError(f"{name}: allowed is {'above 0, at most 1' if above else '0 to 1'}")


def each_text(x: AnyArray, words: Callable[..., list[str]], *drawn: AnyArray) -> AnyArray:
    """(N,) texts of some of the words of each; one that keeps them all is as it was.

    Args:
        x: (N,) texts.
        words: those that stay, of a text's words and of what is drawn for it.
        drawn: (N,) each.
    """
    shown = x.copy()
    for i, (text, *values) in enumerate(zip(x, *drawn, strict=True)):
        every = text.split()
        stay = words(every, *values)
        if len(stay) < len(every):
            shown[i] = " ".join(stay)
    return shown


def as_type(values: NDArray[np.float32], like: AnyArray) -> AnyArray:
    """Values as an array's type; whole numbers are rounded, half to even, and kept in the range of theirs."""
    if like.dtype.kind == "f":
        return values.astype(like.dtype)
    limits = np.iinfo(like.dtype)
    rounded = np.rint(values)
    return np.clip(rounded, limits.min, limits.max, out=rounded).astype(like.dtype)


def splitmix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A step of splitmix64 (Steele et al. 2014): other bits for other bits, none of which tells of the others."""
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))
