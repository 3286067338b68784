"""A student's named outputs, each with a task: their numbers side by side are its scores, (N, C)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import overload

import numpy as np

from edgekd.base.arrays import AnyArray
from edgekd.tasks._base import Decided, Floats, Hits, Task
from edgekd.tasks._certainty import Certainty
from edgekd.tasks.classification import Classification

CLASSES = Classification()  # the task of who names none
SINGLE = "logits"  # of a student that has one output, its name


class Heads(Mapping[str, int]):
    """How many numbers of a sample each output has, in order, such as ``{"garment": 10, "kind": 4}``; and its task.

    Labels are those of the one output, or where there are several side by side, (N, W): a column of a task whose label
    is one number, else as many as the output has.

    Args:
        sizes: by name.
        tasks: by name; those that are missing are classifications.
        certainties: by name, of those whose answers are told to be sure or not.
    """

    def __init__(
        self,
        sizes: Mapping[str, int],
        tasks: Mapping[str, Task] = MappingProxyType({}),
        certainties: Mapping[str, Certainty] = MappingProxyType({}),
    ) -> None:
        self._sizes = dict(sizes)
        self.certainties = dict(certainties)
        self.tasks: Mapping[str, Task] = {name: tasks.get(name, CLASSES) for name in self._sizes}

    def __getitem__(self, name: str) -> int:
        return self._sizes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)

    def __repr__(self) -> str:
        return f"Heads({self._sizes}, {dict(self.tasks)})"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Heads):
            mine, others = ((heads._sizes, heads.tasks, heads.certainties) for heads in (self, other))
            return mine == others
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def only(self, name: str) -> Heads:
        """One of them."""
        certainties = {name: self.certainties[name]} if name in self.certainties else {}
        return Heads({name: self[name]}, {name: self.tasks[name]}, certainties)

    def decided(self, thresholds: Mapping[str, Sequence[float]], certainties: Mapping[str, Certainty]) -> Heads:
        """The same with what was chosen on validation: a threshold for each label, when answers are sure."""
        tasks = {
            name: task.decided_at(thresholds[name]) if name in thresholds else task for name, task in self.tasks.items()
        }
        return Heads(self._sizes, tasks, certainties)

    @property
    def width(self) -> int:
        """How many numbers all have together."""
        return sum(self._sizes.values())

    @property
    def columns(self) -> dict[str, slice]:
        """Where each output's numbers stand."""
        return _slices(self._sizes)

    @property
    def label_columns(self) -> dict[str, slice]:
        """Where the labels of each stand, where there are several outputs."""
        return _slices({name: size if self.tasks[name].row_labels else 1 for name, size in self._sizes.items()})

    @property
    def link(self) -> str:
        """What makes probabilities of the scores of every output; "": nothing, or not of all the same."""
        links = {task.link for task in self.tasks.values()}
        return links.pop() if len(links) == 1 else ""

    @property
    def exclusive(self) -> bool:
        """Whether every output is of classes of which one is right."""
        return all(task.exclusive for task in self.tasks.values())

    def split(self, scores: AnyArray) -> dict[str, AnyArray]:
        """(N, C) scores by output."""
        return {name: scores[:, where] for name, where in self.columns.items()}

    @overload
    def labels_of(self, labels: AnyArray, name: str) -> AnyArray: ...
    @overload
    def labels_of(self, labels: AnyArray | None, name: str) -> AnyArray | None: ...

    def labels_of(self, labels: AnyArray | None, name: str) -> AnyArray | None:
        """The labels of one output: (N,), or (N, K)."""
        if labels is None or len(self) == 1:
            return labels
        part = labels[:, self.label_columns[name]]
        if self.tasks[name].row_labels:
            return part
        return part[:, 0] if part.dtype.kind in "iu" else part[:, 0].astype(np.int64)

    def answers(self, scores: AnyArray) -> AnyArray:
        """What scores say, as labels are written."""
        by_name = [self.tasks[name].answers(part) for name, part in self.split(scores).items()]
        if len(by_name) == 1:
            return by_name[0]
        return np.concatenate([part if part.ndim > 1 else part[:, None] for part in by_name], axis=1)

    def decode(self, name: str, scores: AnyArray, names: Sequence[str]) -> list[Decided]:
        """What an app gets of one output's (N, K) scores: of each sample what the task decodes, with whether it is
        sure where that is told."""
        task, certainty = self.tasks[name], self.certainties.get(name)
        if certainty is None:
            return [task.decode(shares, names) for shares in task.shares(scores)]
        shares = task.shares(scores.astype(np.float64) / certainty.temperature)
        pairs = zip(shares, certainty.sure(task, scores).tolist(), strict=True)
        return [replace(task.decode(one, names), sure=sure) for one, sure in pairs]

    def same(self, one: AnyArray, other: AnyArray) -> Hits | None:
        """(N,) whether two nets decide alike, every output that decides something; None: none does."""
        pairs = zip(self.tasks.values(), self.split(one).values(), self.split(other).values(), strict=True)
        hits = [hit for task, a, b in pairs if (hit := task.same(a, b)) is not None]
        return np.logical_and.reduce(hits) if hits else None

    def differs(self, got: AnyArray, wanted: AnyArray, tolerance: float) -> Hits:
        """(N,) where an output decides otherwise than ``wanted``, which was in no doubt; see ``Task``."""
        pairs = zip(self.tasks.values(), self.split(got).values(), self.split(wanted).values(), strict=True)
        return np.logical_or.reduce([task.differs(a, b, tolerance) for task, a, b in pairs])

    def distance(self, one: AnyArray, other: AnyArray) -> Floats:
        """(N,) the mean over the outputs of how far two nets are apart on a sample."""
        pairs = zip(self.tasks.values(), self.split(one).values(), self.split(other).values(), strict=True)
        return np.asarray(np.mean([task.distance(a, b) for task, a, b in pairs], axis=0))


def _slices(widths: Mapping[str, int]) -> dict[str, slice]:
    ends = np.cumsum(list(widths.values())).tolist()
    return {name: slice(end - width, end) for (name, width), end in zip(widths.items(), ends, strict=True)}
