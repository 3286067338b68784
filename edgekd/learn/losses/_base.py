"""What a loss is: a pure function of what the student says, what the teacher says, and the label.

There are two sorts. A loss on responses compares logits. A loss on features compares what named layers give; it has
``student_layers`` and ``teacher_layers`` (module paths) and may bring an adapter that is trained and then dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from edgekd.tasks import Task

Given = Any  # a tensor; None where a loss does not need it, which it says in its own types


class Loss(Protocol):
    """One file of ``learn/losses/``: a frozen dataclass whose fields are TOML keys.

    The loop's own keys (``weight``, ``final_weight``, ``start``, ``stop``) are not among them. ``needs`` holds
    "teacher", "labels" or both; what is not among them may be None, and a loss says so in its own types.

    Samples and places without a label, -1 or NaN, are left out of what a loss on labels gets, but of one that says
    ``unlabelled = True``, a ClassVar: to it a label that nobody knows means something, too. One that compares triplets
    says ``triplets = True``, a ClassVar: data that names none is refused.
    """

    needs: ClassVar[frozenset[str]]

    def __call__(self, student: Tensor, teacher: Given, labels: Given) -> Tensor:
        """The mean over the batch, a scalar. ``student``, ``teacher``: (N, C) logits or values.

        ``labels``: those of the output's task: (N,) int64 of a class, or (N, C) rows.
        """


@runtime_checkable
class WeighedLoss(Protocol):
    """A ``Loss`` that is the mean of a value of each sample, so that labels may count by weights or be mixed."""

    def per_sample(self, student: Tensor, teacher: Given, labels: Given) -> Tensor:
        """(N,) the value of each sample; arguments as for ``Loss``."""


@runtime_checkable
class MapLoss(Protocol):
    """A ``Loss`` that compares the places of a sample with each other, of a task that answers at every one.

    ``student``, ``teacher``: (N, C, ...) scores in the natural shape, classes first; ``labels``: (N, ...), below 0
    where a place has none.
    """

    maps: ClassVar[bool]


@runtime_checkable
class TaskLoss(Protocol):
    """A ``Loss`` whose form depends on what it compares."""

    def of_task(self, task: Task) -> Loss:
        """The same loss for an output of a task."""


class FeatureLoss(Protocol):
    """A loss on features: ``needs`` is {"features"}; layers are paired by their place.

    Texts are of any length, and a teacher may read other tokens of one. So a loss that compares places with their like
    says ``by_position = True``, a ClassVar, and one whose adapter takes the whole of what a layer gives says
    ``one_size = True``: layers that give something of each token are refused where the loss can't compare them.
    """

    needs: ClassVar[frozenset[str]]
    student_layers: tuple[str, ...]
    teacher_layers: tuple[str, ...]

    def adapter(self, student: Sequence[torch.Size], teacher: Sequence[torch.Size]) -> nn.Module | None:
        """A module, trained with the student and dropped afterwards, that makes shapes comparable; None: none.

        Args:
            student, teacher: the shapes of the layers' outputs for one batch, in order.

        Raises:
            RecipeError: shapes that can't be matched.
        """

    def __call__(self, student: Sequence[Tensor], teacher: Sequence[Tensor], adapter: nn.Module | None) -> Tensor:
        """A scalar >= 0 from the outputs of the layers, in order."""


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise the ValueError that ``plugins.build`` turns into a message, unless low <= value <= high."""
    if not low <= value <= high:
        raise ValueError(f"{name}: allowed is {low:g} to {high:g}")


def check_temperature(temperature: float) -> None:
    """A temperature is above 0 and at most 100."""
    if not 0 < temperature <= 100:
        raise ValueError("temperature: allowed is 0 < T <= 100")


def standardised(logits: Tensor) -> Tensor:
    """(z - mean z) / std z over each sample's logits (Sun et al. 2024, arXiv:2403.01427): the student may keep its own
    range of logits. Shape (N, C) in and out; the standard deviation is that of the C values, without correction.
    """
    centred = logits - logits.mean(dim=1, keepdim=True)
    return centred / (centred.square().mean(dim=1, keepdim=True) + EPSILON).sqrt()


EPSILON = 1e-7
