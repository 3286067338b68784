"""Augmentation as a pure function: view v of a sample depends on (seed, sample, v) and on nothing else.

So a view is exactly reproducible, in any batch and any order, and the teacher's answer to it can be kept
(Beyer et al. 2021, arXiv:2106.05237: the teacher must see the very same view).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekd.base import plugins, watch
from edgekd.base.arrays import AnyArray, Rows
from edgekd.base.errors import FactoryError, RecipeError
from edgekd.base.samples import sides
from edgekd.learn.views._base import Draws, Mix, Moves, View, splitmix
from edgekd.learn.views.crop import Crop
from edgekd.learn.views.flip import Flip
from edgekd.spec.recipe import Augment, Table
from edgekd.tasks import Geometry

PARTNER = 2**32 - 1  # the number that draws it
TRIED = 4  # samples whose views are tried before anything trains


@dataclass(frozen=True)
class Op:
    """An augmentation at its place in the recipe.

    Attributes:
        kind: what the recipe calls it.
        place: which numbers are drawn for it.
        where: its key in the recipe, for errors.
    """

    view: View | Mix
    kind: str
    place: int
    where: str


class Mixture(NamedTuple):
    """What the samples of a view are mixed of.

    Attributes:
        partners: (N,) the number of the other sample.
        coefficient: (N,) the share of the sample itself, 0..1.
    """

    partners: NDArray[np.int64]
    coefficient: NDArray[np.float64]


@dataclass(frozen=True)
class Views:
    """What the samples of the training split look like.

    Attributes:
        seed: of the recipe.
        ops: in order.
        count: how many views there are; epoch e sees view e mod ``count``.
    """

    seed: int
    ops: tuple[Op, ...] = ()
    count: int = 1

    @classmethod
    def of(cls, augment: Augment, seed: int) -> Views:
        """Those of a recipe: ``crop``, ``flip`` and then ``ops``, in their order.

        Raises:
            RecipeError: an unknown kind or key, a value out of range, or a second one that mixes samples.
        """
        # Both keys take bits from one word, as they did before there were others.
        ops = [Op(Crop(augment.crop), "crop", 0, "augment.crop")] if augment.crop else []
        ops += [Op(Flip(), "flip", 0, "augment.flip")] if augment.flip else []
        ops += [_op(table, i) for i, table in enumerate(augment.ops)]
        mixing = [op for op in ops if isinstance(op.view, Mix)]
        if len(mixing) > 1:
            where, allowed = f"{mixing[1].where}.kind", f"one that mixes samples, as {mixing[0].where} does"
            raise RecipeError("mixes samples a second time", where=where, found=mixing[1].kind, allowed=allowed)
        return cls(seed, tuple(ops), augment.views if ops else 1)

    def apply(self, samples: Rows, index: NDArray[np.int64], view: int) -> AnyArray:
        """View ``view`` of some samples.

        Args:
            samples: (M, ...) the raw samples of the training split.
            index: (N,) which of them.

        Returns:
            (N, ...) of the same type.

        Raises:
            FactoryError: what a user's own augmentation raises, or that it gives another shape or type.
        """
        return self._through(self.ops, samples, index, view)

    def mixture(self, samples: Rows, index: NDArray[np.int64], view: int) -> Mixture | None:
        """What samples are mixed of in a view, for losses that compare labels; None where nothing mixes. See ``apply``.

        Raises:
            FactoryError: what a user's own augmentation raises, or that it gives no share of each sample.
        """
        for op in self.ops:
            if isinstance(op.view, Mix):
                draws = Draws(_bits(self.seed, index, view, op.place))
                shares = _shares(op.view, f"{op.where}: coefficient", samples.shape[1:], draws)
                return Mixture(_partners(draws, samples), shares)
        return None

    def reads(self, samples: Rows, index: NDArray[np.int64], view: int) -> NDArray[np.int64]:
        """The numbers of all samples that are looked at for a view of some."""
        mixing = (op for op in self.ops if isinstance(op.view, Mix))
        drawn = [_partners(Draws(_bits(self.seed, index, view, op.place)), samples) for op in mixing]
        return np.concatenate([index, *drawn])

    def labels(
        self, y: AnyArray, geometry: Geometry, index: NDArray[np.int64], view: int, size: tuple[int, int]
    ) -> AnyArray:
        """The labels of some samples as a view shows them.

        Args:
            y: (N, H, W) masks or (N, K, 2) points of the samples ``index``.
            geometry: which of the two.
            size: height and width of a raw picture.

        Raises:
            FactoryError: what a user's own augmentation raises.
        """
        for op in self.ops:
            if isinstance(op.view, Moves):
                draws = Draws(_bits(self.seed, index, view, op.place))
                if geometry == "mask":
                    y = plugins.call_user(op.view.masks, f"{op.where}: masks", y, draws)
                else:
                    y = plugins.call_user(op.view.points, f"{op.where}: points", y, draws, size)
        return y

    def check_labels(self, y: AnyArray, geometry: Geometry, samples: Rows) -> None:
        """Try what every augmentation does to a few labels; see ``labels`` and ``check``.

        Raises:
            RecipeError: one that does not say whether it moves them, or masks that are moved as pictures of another
                size are.
        """
        size = sides(samples.shape)
        self.check_stay(
            "augmentations that move masks and points too, or say that they stay (flip, crop, colour, erase)"
        )
        for op in self.ops:
            if isinstance(op.view, Moves) and geometry == "mask" and y.shape[1:] != size:
                allowed = f"{size}, as the pictures: they are moved together"
                raise RecipeError("masks of another size", where=op.where, found=y.shape[1:], allowed=allowed)
        index = np.arange(min(TRIED, len(y)))
        moved = self.labels(y[index], geometry, index, 0, size)
        if not isinstance(moved, np.ndarray) or moved.shape != y[index].shape or moved.dtype != y.dtype:
            raise FactoryError(
                "gives other labels", where="augment", found=np.shape(moved), allowed=str(y[index].shape)
            )

    def check_stay(self, allowed: str = "none, or one that says that all stays at its place") -> None:
        """Raise RecipeError where an augmentation neither moves labels of places nor says that what it shows stays."""
        for op in self.ops:
            if not isinstance(op.view, Moves) and not getattr(op.view, "stays", False):
                what = "labels of places would not fit what it shows"
                raise RecipeError(what, where=op.where, found=op.kind, allowed=allowed)

    @property
    def mixes(self) -> bool:
        """Whether a view of a sample holds another one, too."""
        return any(isinstance(op.view, Mix) for op in self.ops)

    @property
    def moves(self) -> bool:
        """Whether a view may show what is in a picture at another place."""
        return any(isinstance(op.view, Moves) for op in self.ops)

    def _through(self, ops: Sequence[Op], samples: Rows, index: NDArray[np.int64], view: int) -> AnyArray:
        """Samples after some of the augmentations."""
        x = np.asarray(samples[index])
        for i, op in enumerate(ops):
            draws = Draws(_bits(self.seed, index, view, op.place))
            partners: tuple[AnyArray, ...] = ()
            if isinstance(op.view, Mix):
                partners = (self._through(ops[:i], samples, _partners(draws, samples), view),)
            x = _shown(op, x, draws, *partners)
        return x

    def check(self, samples: Rows, kind: str) -> None:
        """Try every augmentation on a few samples, before anything trains.

        Args:
            samples: as ``apply`` takes them.
            kind: of raw samples, see ``RAW``.

        Raises:
            RecipeError: one is for other kinds of samples.
            FactoryError: see ``apply``; or a sample's view depends on the rest of its batch, or on the time.
        """
        index = np.arange(min(TRIED, len(samples)))
        for i, op in enumerate(self.ops):
            if kind not in op.view.reads:
                sample = f"{kind}: {samples.dtype} {samples.shape[1:]}"
                allowed = sorted(op.view.reads)
                raise RecipeError(f"{op.kind} is for other samples", where=op.where, found=sample, allowed=allowed)
            so_far = replace(self, ops=self.ops[: i + 1])
            with watch.watching(op.kind) if ":" in op.kind else contextlib.nullcontext():
                together = so_far._tried(samples, index)
                alone = [so_far._tried(samples, index[j : j + 1])[0] for j in reversed(index)]
            if not all(map(_same, reversed(alone), together)):
                raise FactoryError(
                    "a sample's view depends on its batch, or differs each time",
                    where=op.where,
                    found=op.kind,
                    hint="all that is random in it must come from draws, sample by sample",
                )

    def _tried(self, samples: Rows, index: NDArray[np.int64]) -> list[tuple[AnyArray, object]]:
        """Of each sample what a view shows, and what it is mixed of."""
        mixture = self.mixture(samples, index, 0)
        shares = [None] * len(index) if mixture is None else mixture.coefficient.tolist()
        return list(zip(self.apply(samples, index, 0), shares, strict=True))


def _partners(draws: Draws, samples: Rows) -> NDArray[np.int64]:
    """(N,) the number of the sample that each is mixed with."""
    return draws.integers(PARTNER, len(samples))


def _op(table: Table, number: int) -> Op:
    where = f"augment.ops[{number}]"
    view = plugins.build("views", table, where)
    if not isinstance(getattr(view, "reads", None), Iterable):
        raise RecipeError("says not what it 'reads', a ClassVar", where=f"{where}.kind", allowed="a frozenset")
    return Op(view, table["kind"], number + 1, where)


def _shown(op: Op, x: AnyArray, draws: Draws, *partners: AnyArray) -> AnyArray:
    shown = plugins.call_user(op.view, op.where, x, draws, *partners)
    if not isinstance(shown, np.ndarray) or shown.shape != x.shape or not _of_type(shown, x):
        odd = f"{shown.dtype} {shown.shape}" if isinstance(shown, np.ndarray) else type(shown).__name__
        raise FactoryError("gives other samples", where=op.where, found=odd, allowed=f"{x.dtype} {x.shape}")
    return shown


def _shares(view: Mix, where: str, shape: tuple[int, ...], draws: Draws) -> NDArray[np.float64]:
    shares = np.asarray(plugins.call_user(view.coefficient, where, shape, draws))
    if shares.shape != draws.bits.shape or shares.dtype.kind != "f" or not ((shares >= 0) & (shares <= 1)).all():
        odd = f"{shares.dtype} {shares.shape}" if shares.shape != draws.bits.shape else shares.tolist()
        raise FactoryError("gives no share of each sample", where=where, found=odd, allowed="(N,) floats in 0..1")
    return shares.astype(np.float64)


def _of_type(shown: AnyArray, x: AnyArray) -> bool:
    """Of the same type; texts may be longer or shorter."""
    return shown.dtype == x.dtype or shown.dtype.kind == x.dtype.kind == "U"


def _same(one: tuple[AnyArray, object], other: tuple[AnyArray, object]) -> bool:
    is_float = isinstance(one[0], np.ndarray) and one[0].dtype.kind == "f"
    return np.array_equal(one[0], other[0], equal_nan=is_float) and one[1] == other[1]


def _bits(seed: int, index: NDArray[np.int64], view: int, place: int) -> NDArray[np.uint64]:
    """64 random bits for each sample: of seed, sample, view and place in turn."""
    bits = splitmix(np.full(len(index), seed, dtype=np.uint64))
    bits = splitmix(splitmix(bits ^ index.astype(np.uint64)) ^ np.uint64(view))
    return splitmix(bits ^ (np.uint64(place) << np.uint64(32))) if place else bits
