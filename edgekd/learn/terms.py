"""The losses of a recipe, each as it is of one head: what it compares, and how much it counts when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from edgekd.base.errors import RecipeError
from edgekd.learn.losses import TaskLoss
from edgekd.tasks import CLASSES, Heads, Task


@dataclass(frozen=True)
class Term:
    """One loss of a recipe, and how much it counts when.

    Attributes:
        name: its kind; a second one of a kind has its number behind it.
        weight: at ``start``; it goes in a straight line to ``final_weight`` at ``stop``.
        start, stop: shares of the training, 0..1; outside of them the loss does not count.
        only: the head that its table names, of several, or by ``by_head`` is given; None: all of them.
        task: of the head that a loss on answers compares; columns, label_columns: where that head's scores and labels
            stand, of several heads; see ``by_head``. shape: the natural one of its scores. whole: its labels are whole
            numbers, whatever stands beside them.
        where: its table in the recipe, for errors: of several heads a table gives several terms.
    """

    name: str
    loss: Any
    weight: float = 1.0
    final_weight: float = 1.0
    start: float = 0.0
    stop: float = 1.0
    only: str | None = None
    task: Task = CLASSES
    columns: slice = field(default_factory=lambda: slice(None))
    label_columns: slice | int | None = None
    shape: tuple[int, ...] = ()
    whole: bool = False
    where: str = "losses"

    @property
    def on_features(self) -> bool:
        return "features" in self.loss.needs

    def of_head(self, values: Tensor) -> Tensor:
        """Those of its head, of labels or of what stands beside them."""
        return values if self.label_columns is None else values[:, self.label_columns]

    def labels(self, labels: Tensor) -> Tensor:
        """Those of its head; see ``Heads.labels_of``."""
        y = self.of_head(labels)
        return y.nan_to_num(nan=-1.0).long() if self.whole and y.is_floating_point() else y

    def weight_at(self, share: float) -> float:
        """The weight after a share of the training, 0..1."""
        if not self.start <= share <= self.stop:
            return 0.0
        length = self.stop - self.start
        return self.weight + (self.final_weight - self.weight) * ((share - self.start) / length if length else 0.0)


def by_head(terms: Sequence[Term], heads: Heads) -> tuple[Term, ...]:
    """Of several heads a loss on answers is a term for each of them that it suits, or for the one that it names.

    Raises:
        RecipeError: it names one that there is none of, or suits none.
    """
    return tuple(one for term in terms for one in _by_head(term, heads))


def _by_head(term: Term, heads: Heads) -> list[Term]:
    wanted = term.only
    if wanted is not None and (term.on_features or wanted not in list(heads)):
        allowed = "none: it compares layers" if term.on_features else list(heads)
        raise RecipeError("no such head", where=f"{term.where}.head", found=wanted, allowed=allowed)
    if term.on_features:
        return [term]
    suited = [name for name, task in heads.tasks.items() if ":" in _kind(term) or _kind(term) in task.losses]
    if "labels" in term.loss.needs:
        suited = [name for name in suited if heads.labelled.get(name) != "none"] or suited
    names = [wanted] if wanted is not None else suited or list(heads)  # of none, the first says why
    return [_of_head(term, heads, name) for name in names]


def _kind(term: Term) -> str:
    return term.name.split(" #")[0]


def _of_head(term: Term, heads: Heads, name: str) -> Term:
    """A loss on answers as it is of one head."""
    task = heads.tasks[name]
    if ":" not in (kind := _kind(term)) and kind not in task.losses:
        what = f"not a loss of {type(task).__name__}"
        raise RecipeError(what, where=f"{term.where}.kind", found=kind, allowed=task.losses)
    loss = term.loss.of_task(task) if isinstance(term.loss, TaskLoss) else term.loss
    shape = heads.shapes[name]
    if len(heads) == 1:
        return replace(term, loss=loss, task=task, shape=shape)
    labels = heads.label_columns[name]
    return replace(
        term,
        name=f"{term.name} ({name})",
        loss=loss,
        only=name,
        task=task,
        columns=heads.columns[name],
        label_columns=labels if task.row_labels else labels.start,
        shape=shape,
        whole=heads.labelled.get(name) == "whole",
    )
