"""A student's named outputs, each with a task: their numbers side by side are its scores, (N, W)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Literal

import numpy as np

from edgekd.base.arrays import AnyArray
from edgekd.tasks._base import Decided, Floats, Groups, Hits, Shown, Task
from edgekd.tasks._certainty import Certainty
from edgekd.tasks._rows import UNKNOWN
from edgekd.tasks.classification import Classification

CLASSES = Classification()  # the task of who names none
SINGLE = "logits"  # of a student that has one output, its name
Labelled = Literal["whole", "values", "none"]


class Heads(Mapping[str, int]):
    """How many numbers of a sample each output has, in order, such as ``{"garment": 10, "kind": 4}``; and its task.

    Labels are those of the one output, or where there are several side by side, (N, W): a column of a task whose label
    is one number, of a dense one a column for each of its places, else as many as the output has.

    Args:
        sizes: by name: how many numbers, or their natural shape, see ``Task``.
        tasks: by name; those that are missing are classifications.
        certainties: by name, of those whose answers are told to be sure or not.
        labelled: by name, of several outputs, what the data has of it: labels that are whole numbers, values, or none.
            Beside values all labels are of one float type; those of classes are whole numbers again where they are
            taken from there. Of a name that is missing they are as they stand.

    Attributes:
        shapes: by name, the natural shape of a sample's scores, of which the flat row is ``math.prod(shape)`` long.
    """

    def __init__(
        self,
        sizes: Mapping[str, int | tuple[int, ...]],
        tasks: Mapping[str, Task] = MappingProxyType({}),
        certainties: Mapping[str, Certainty] = MappingProxyType({}),
        labelled: Mapping[str, Labelled] = MappingProxyType({}),
    ) -> None:
        self.shapes: Mapping[str, tuple[int, ...]] = {
            name: size if isinstance(size, tuple) else (size,) for name, size in sizes.items()
        }
        self._sizes = {name: math.prod(shape) for name, shape in self.shapes.items()}
        self.certainties, self.labelled = dict(certainties), dict(labelled)
        self.tasks: Mapping[str, Task] = {name: tasks.get(name, CLASSES) for name in self._sizes}

    def __getitem__(self, name: str) -> int:
        return self._sizes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)

    def __repr__(self) -> str:
        return f"Heads({dict(self.shapes)}, {dict(self.tasks)})"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Heads):
            if list(self) != list(other):
                return False
            mine, others = ((heads.shapes, heads.tasks, heads.certainties) for heads in (self, other))
            return mine == others
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def only(self, name: str) -> Heads:
        """One of them."""
        certainties = {name: self.certainties[name]} if name in self.certainties else {}
        labelled = {name: self.labelled[name]} if name in self.labelled else {}
        return Heads({name: self.shapes[name]}, {name: self.tasks[name]}, certainties, labelled)

    def decided(self, thresholds: Mapping[str, Sequence[float]], certainties: Mapping[str, Certainty]) -> Heads:
        """The same with what was chosen on validation: a threshold for each label, when answers are sure."""
        tasks = {
            name: task.decided_at(thresholds[name]) if name in thresholds else task for name, task in self.tasks.items()
        }
        return Heads(self.shapes, tasks, certainties, self.labelled)

    @property
    def width(self) -> int:
        """How many numbers all have together."""
        return sum(self._sizes.values())

    @property
    def columns(self) -> dict[str, slice]:
        """Where each output's numbers stand."""
        return _slices(self._sizes)

    @property
    def name_columns(self) -> dict[str, slice]:
        """Where the names of each output stand among those of all: as many as one axis of its shape."""
        return _slices({name: shape[self.tasks[name].axis] for name, shape in self.shapes.items()})

    @property
    def label_columns(self) -> dict[str, slice]:
        """Where the labels of each stand, where there are several outputs."""
        return _slices({name: self._label_size(name) for name in self})

    def _label_size(self, name: str) -> int:
        return 0 if self.labelled.get(name) == "none" else self.tasks[name].label_size(self.shapes[name])

    def unlabelled(self, labels: AnyArray | None) -> list[str]:
        """The outputs of which the data has no labels; ``labels``: those of all, None where there are none at all."""
        return [name for name in self if labels is None or self.labelled.get(name) == "none"]

    def sure(self) -> list[str]:
        """The outputs whose answers can be told to be sure or not: one of several is right, or each is right or not."""
        return [
            name for name, task in self.tasks.items() if task.certainties and (self[name] > 1 or not task.exclusive)
        ]

    def together(self, labels: AnyArray | None) -> Groups | None:
        """See ``Task``: of the one output whose labels are of pairs."""
        for name, task in self.tasks.items():
            of_head = self.labels_of(labels, name)
            groups = None if of_head is None or of_head.ndim != 2 else task.together(of_head)
            if groups is not None:
                return groups
        return None

    @property
    def dense(self) -> bool:
        """Whether some output answers at every place of a sample."""
        return any(task.dense for task in self.tasks.values())

    @property
    def link(self) -> str:
        """What makes probabilities of the scores of every output; "": nothing, or not of all the same."""
        links = {"" if task.dense else task.link for task in self.tasks.values()}
        return links.pop() if len(links) == 1 else ""

    @property
    def exclusive(self) -> bool:
        """Whether every output is of classes of which one is right."""
        return all(task.exclusive for task in self.tasks.values())

    @property
    def decides(self) -> bool:
        """Whether some output may say one thing or another: of one class alone there is nothing to say."""
        return any(size > 1 or not self.tasks[name].exclusive for name, size in self._sizes.items())

    def natural(self, name: str, scores: AnyArray) -> AnyArray:
        """(N, *shape) of one output's (N, W) scores."""
        return scores.reshape(len(scores), *self.shapes[name])

    def split(self, scores: AnyArray) -> dict[str, AnyArray]:
        """(N, W) scores by output, each in its natural shape."""
        return {name: self.natural(name, scores[:, where]) for name, where in self.columns.items()}

    def labels_of(self, labels: AnyArray | None, name: str) -> AnyArray | None:
        """The labels of one output: (N,), or (N, K); None: the data has none of it."""
        if labels is None or len(self) == 1:
            return labels
        if self.labelled.get(name) == "none":
            return None
        part = labels[:, self.label_columns[name]]
        has_rows = self.tasks[name].row_labels
        if part.dtype.kind == "f" and (self.labelled.get(name) == "whole" or not has_rows):
            part = np.where(np.isnan(part), UNKNOWN, part).astype(np.int64)
        return part if has_rows else part[:, 0]

    def answers(self, scores: AnyArray) -> AnyArray:
        """What scores say, as labels are written."""
        by_name = [self.tasks[name].answers(part) for name, part in self.split(scores).items()]
        if len(by_name) == 1:
            return by_name[0]
        return np.concatenate([part if part.ndim > 1 else part[:, None] for part in by_name], axis=1)

    def decode(
        self, name: str, scores: AnyArray, names: Sequence[str], shown: Sequence[Shown] | None = None
    ) -> list[Decided]:
        """What an app gets of one output's (N, W) scores: of each sample what the task decodes, with whether it is
        sure where that is told. ``shown``: the samples; None: the task decodes without.
        """
        task, certainty, natural = self.tasks[name], self.certainties.get(name), self.natural(name, scores)
        shares = task.shares(natural if certainty is None else natural.astype(np.float64) / certainty.temperature)
        if shown is None:
            decided = [task.decode(one, names) for one in shares]
        else:
            decided = [task.decode_shown(one, names, sample) for one, sample in zip(shares, shown, strict=True)]
        if certainty is None:
            return decided
        sure = certainty.sure(task, scores).tolist()
        return [replace(one, sure=is_sure) for one, is_sure in zip(decided, sure, strict=True)]

    def same(self, one: AnyArray, other: AnyArray) -> Hits | None:
        """(N,) whether two nets decide alike, every output that decides something; None: none does."""
        pairs = zip(self.tasks.values(), self.split(one).values(), self.split(other).values(), strict=True)
        hits = [hit for task, a, b in pairs if (hit := task.same(a, b)) is not None]
        return np.logical_and.reduce(hits) if hits else None

    def differs(self, got: AnyArray, wanted: AnyArray, tolerance: float) -> Hits:
        """(N,) where an output decides otherwise than ``wanted``, which was in no doubt; see ``Task``."""
        pairs = zip(self.tasks.values(), self.split(got).values(), self.split(wanted).values(), strict=True)
        return np.logical_or.reduce([task.differs(a, b, tolerance) for task, a, b in pairs])

    def agreement(self, one: AnyArray, other: AnyArray) -> Floats | None:
        """(N,) the share of its decisions that two nets take alike, of the output where it is least; see ``Task``."""
        pairs = zip(self.tasks.values(), self.split(one).values(), self.split(other).values(), strict=True)
        shares = [share for task, a, b in pairs if (share := task.agreement(a, b)) is not None]
        return np.asarray(np.min(shares, axis=0)) if shares else None

    def differing(self, got: AnyArray, wanted: AnyArray, tolerance: float) -> Floats:
        """(N,) the share of its decisions that are clearly others, of the output where it is most; see ``Task``."""
        pairs = zip(self.tasks.values(), self.split(got).values(), self.split(wanted).values(), strict=True)
        return np.asarray(np.max([task.differing(a, b, tolerance) for task, a, b in pairs], axis=0))

    def cosine(self, one: AnyArray, other: AnyArray) -> float | None:
        """The mean cosine of two nets' vectors, -1..1, of the output where it is least; None: no output holds some."""
        pairs = zip(self.tasks.values(), self.split(one).values(), self.split(other).values(), strict=True)
        return min((1 - float(task.distance(a, b).mean()) for task, a, b in pairs if task.vectors), default=None)

    def distance(self, one: AnyArray, other: AnyArray) -> Floats:
        """(N,) the mean over the outputs of how far two nets are apart on a sample."""
        pairs = zip(self.tasks.values(), self.split(one).values(), self.split(other).values(), strict=True)
        return np.asarray(np.mean([task.distance(a, b) for task, a, b in pairs], axis=0))


def _slices(widths: Mapping[str, int]) -> dict[str, slice]:
    ends = np.cumsum(list(widths.values())).tolist()
    return {name: slice(end - width, end) for (name, width), end in zip(widths.items(), ends, strict=True)}
