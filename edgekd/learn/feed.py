"""A data set as a network reads it: raw samples in memory, augmented and preprocessed batch by batch."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgekd.base import preprocess, table_rows
from edgekd.base.arrays import AnyArray, Rows
from edgekd.base.preprocess import Inputs, Ops
from edgekd.base.samples import CHANNELS
from edgekd.learn import moved_labels
from edgekd.learn.data import Dataset, Samples, Split, ahead
from edgekd.learn.views import Mixture, Views
from edgekd.spec.recipe import Augment
from edgekd.tasks import IGNORED, Heads

UNKNOWN = -1


class Feed:
    """Model inputs, by sample number.

    Args:
        dataset: raw samples.
        ops: the preprocessing pipeline, already checked.
        augment: which views of the training samples there are.
        seed: of the recipe.
        limit: use only so many samples of each split (``--quick``).
        heads: what the labels are of; None: nothing that views move.

    Attributes:
        specs: the model's inputs.
        sample_shape: what a model family is told: the shape of one float input, such as (C, H, W), or how many values
            each input of whole numbers has.
        raw_shape: of one raw sample of an app, such as (H, W, C).
        rate: of raw sounds, in Hz; 0: samples are none.
    """

    def __init__(
        self,
        dataset: Dataset,
        ops: Ops,
        augment: Augment,
        seed: int,
        limit: int | None = None,
        heads: Heads | None = None,
    ) -> None:
        if ops and ops[-1]["op"] == "columns":
            train, validation, test = (_whole(split) for split in dataset.splits.values())
            dataset = replace(dataset, train=train, validation=validation, test=test)
        self._kept = {
            name: None if limit is None else some(len(split), limit, split.together)
            for name, split in dataset.splits.items()
        }
        self._splits = {
            name: split if (kept := self._kept[name]) is None else split.some(kept)
            for name, split in dataset.splits.items()
        }
        self.ops = tuple(dict(op) for op in ops)
        self._views, self._heads = Views.of(augment, seed), heads
        self.raw_shape = preprocess.raw_shape(self.ops, dataset.train.x.shape[1:])
        self.specs = preprocess.specs(self.ops, dataset.train.x[0])
        self.sample_shape = told_shape(self.specs)
        self.rate = dataset.rate

    @property
    def views(self) -> int:
        """How many views there are."""
        return self._views.count

    def seeded(self, seed: int) -> Feed:
        """The same samples under the views of another seed."""
        other = copy.copy(self)
        other._views = replace(self._views, seed=seed)
        return other

    def as_they_are(self) -> Feed:
        """The same samples under one view, which changes nothing."""
        other = copy.copy(self)
        other._views = Views.of(Augment(views=1), self._views.seed)
        return other

    def of_head(self, heads: Heads, name: str) -> Feed:
        """The same samples with the labels of one head of several."""
        other = copy.copy(self)
        other._splits = {key: replace(part, y=heads.labels_of(part.y, name)) for key, part in self._splits.items()}
        other._heads = heads.only(name)
        return other

    def with_labels(self, count: int) -> Feed:
        """The same samples, of which so many alone, drawn at random, have a label; of the others -1 or NaN stands."""
        known = self.labels("train")
        if known is None or count >= len(known):
            return self
        known = np.asarray(known)
        other, kept_labels = copy.copy(self), np.full_like(known, np.nan if known.dtype.kind == "f" else UNKNOWN)
        kept_labels[self._of_places(known) & (known == IGNORED)] = IGNORED
        index = some(len(known), count, self.together("train"))
        kept_labels[index] = known[index]
        other._splits = {**self._splits, "train": replace(self._splits["train"], y=kept_labels)}
        return other

    def _of_places(self, labels: AnyArray) -> NDArray[np.bool_]:
        """() or (W,) which columns of labels are of places, which may be ignored: a value may be that number."""
        if self._heads is None or len(self._heads) == 1:
            return np.array(labels.dtype.kind != "f")
        columns = np.zeros(labels.shape[1], bool)
        for name, where in self._heads.label_columns.items():
            columns[where] = self._heads.tasks[name].dense
        return columns

    def shows_as(self, other: Feed) -> bool:
        """Whether a sample's model inputs are the other's, whatever the labels."""
        return self.ops == other.ops and self._views == other._views

    @property
    def reads_texts(self) -> bool:
        """Whether samples are texts, which become sequences of any length."""
        return bool(self.ops) and self.ops[-1]["op"] == "wordpiece"

    @property
    def raw_kind(self) -> str:
        """What raw samples are, of ``views.RAW``."""
        x, last = self._splits["train"].x, self.ops[-1]["op"] if self.ops else ""
        if self.rate:
            return "sounds"
        if x.dtype.kind not in "uif":
            return "texts"
        if x.ndim == 4 and x.shape[-1] in CHANNELS:
            return "images"
        table = table_rows.op_of(self.ops)
        ids = last == "columns" or (last == "parts" and any(self.ops[-1]["sizes"]))
        ids = ids or (table is not None and any("values" in column for column in table["columns"]))
        return "vectors" if x.dtype.kind == "f" and not ids else "codes"

    def length(self, split: str) -> int:
        """How many samples a split has."""
        return len(self._splits[split])

    def number(self, split: str, index: int) -> int:
        """The number of a sample in the whole split, before ``limit``."""
        return index if (kept := self._kept[split]) is None else int(kept[index])

    def labels(self, split: str) -> AnyArray | None:
        """(N,) class indices, rows of labels or values, see ``tasks.Heads``; None: the data has none.

        Masks of training may be left in a file: ``np.asarray`` reads those of an index.
        """
        return self._splits[split].y

    def together(self, split: str) -> NDArray[np.int64] | None:
        """(N,) which samples of a split mean something together alone, see ``Task.together``; None: all do."""
        return self._splits[split].together

    def group(self, split: str) -> NDArray[np.int64] | None:
        """(N,) which samples of a split are alike, see ``Split.group``; None: nobody says of any."""
        return self._splits[split].group

    def drawn_by(self, split: str) -> NDArray[np.int64] | None:
        """(N,) the number of each sample's group, which a resample of a split takes whole, -1 of one that stands by
        itself: what is alike says one thing only once, and a pair means nothing by halves; None: each does.
        """
        return self.together(split) if (group := self.group(split)) is None else group

    def view_labels(self, view: int, index: NDArray[np.int64]) -> AnyArray | None:
        """The labels of some training samples as view ``view`` shows them: masks and points move with their pictures.

        Raises:
            FactoryError: what a user's own augmentation raises.
        """
        if (labels := self.labels("train")) is None or self._heads is None:
            return None if labels is None else np.asarray(labels[index])
        return moved_labels.moved(
            np.asarray(labels[index]), self._heads, self._views, index, view, self._splits["train"].x
        )

    def names(self, split: str) -> list[str] | None:
        """What each sample of a split is called where it comes from; None: nobody can tell."""
        return self._splits[split].names

    def raw(self, split: str, start: int = 0, stop: int | None = None) -> Samples:
        """Raw samples of a split, of which nothing is decoded yet where they are not in memory."""
        samples: Samples = self._splits[split].x[start:stop]
        return samples

    def ahead(
        self, split: str, parts: Sequence[NDArray[np.int64]], view: int | None = None
    ) -> Iterator[tuple[NDArray[np.int64], Rows]]:
        """Each part of a split, by number, with what ``plain`` and ``train`` take its samples of.

        Where samples are decoded when they are asked for, those of the next parts are meanwhile.

        Args:
            view: of the training samples; None: without augmentation.
        """
        x = self._splits[split].x
        wanted = parts if view is None else (self._views.reads(x, part, view) for part in parts)
        return zip(parts, ahead(x, wanted), strict=False)

    def inputs(self, split: str, start: int, stop: int) -> Inputs:
        """Model inputs of a split, without augmentation."""
        return self._prepared(self.raw(split, start, stop))

    def plain(self, split: str, index: NDArray[np.int64], samples: Rows | None = None) -> Inputs:
        """Model inputs of some samples of a split, without augmentation; ``samples``: see ``ahead``."""
        return self._prepared((self._splits[split].x if samples is None else samples)[index])

    def train(self, view: int, index: NDArray[np.int64], samples: Rows | None = None) -> Inputs:
        """Model inputs of training samples, as view ``view`` shows them; ``samples``: see ``ahead``."""
        return self._prepared(self.raw_view(view, index, samples))

    def raw_view(self, view: int, index: NDArray[np.int64], samples: Rows | None = None) -> AnyArray:
        """Raw training samples, as view ``view`` shows them; ``samples``: see ``ahead``."""
        return self._views.apply(self._splits["train"].x if samples is None else samples, index, view)

    def mixture(self, view: int, index: NDArray[np.int64]) -> Mixture | None:
        """What those samples are mixed of in a view; None where nothing mixes."""
        return self._views.mixture(self._splits["train"].x, index, view)

    @property
    def mixes(self) -> bool:
        """Whether a view of a sample holds another one, too."""
        return self._views.mixes

    @property
    def augments(self) -> bool:
        """Whether a view of a sample is another than the sample as it is."""
        return bool(self._views.ops)

    @property
    def moves(self) -> bool:
        """Whether a view moves what is in a sample, and with it the places that labels name."""
        return self._views.moves

    def check_views(self) -> None:
        """Try the augmentations on a few samples. Raises as ``Views.check`` does."""
        self._views.check(self.raw("train"), self.raw_kind)
        if self._heads is not None:
            moved_labels.check(self.labels("train"), self._heads, self._views, self.raw("train"))

    def _prepared(self, raw: Samples) -> Inputs:
        return preprocess.apply(self.ops, np.asarray(raw))


def _whole(split: Split) -> Split:
    """Whole numbers as such where they came as floats, as of a table with a missing value; others are refused later."""
    x = np.asarray(split.x)
    if x.dtype.kind != "f" or not np.isfinite(x).all() or (x != np.rint(x)).any():
        return split
    return replace(split, x=x.astype(np.int64))


def told_shape(specs: Sequence[preprocess.Spec]) -> tuple[int, ...]:
    """See ``Feed.sample_shape``."""
    if specs[0].dtype == "float32":
        return tuple(int(size or 1) for size in specs[0].shape[1:])
    return tuple(spec.high for spec in specs if spec.high is not None)


def some(total: int, limit: int, together: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """At most ``limit`` of ``total`` sample numbers, at random, always the same, rising.

    Not the first: a folder of images is sorted by class.

    Args:
        together: (total,) see ``Task.together``: whole groups are taken, and so perhaps some samples less.
    """
    order = np.random.default_rng(0).permutation(total)
    if together is None or limit >= total:
        return np.sort(order[:limit])
    member = groups(together)
    first = np.full(int(member.max(initial=-1)) + 1, total)
    np.minimum.at(first, member, np.argsort(order))
    order = np.argsort(first[member], kind="stable")
    kept, left = order[:limit], order[limit:]
    return np.sort(kept[~np.isin(member[kept], member[left])])


def groups(together: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) a number for each group, from 0; a sample that stands by itself has one of its own."""
    alone = together < 0
    numbers = np.where(alone, together.max(initial=0) + 1 + np.cumsum(alone), together)
    return np.asarray(np.unique(numbers, return_inverse=True)[1], np.int64).reshape(-1)
