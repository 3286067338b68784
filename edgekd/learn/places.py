"""The rows that losses see of a task that answers at every place of a sample."""

from __future__ import annotations

from torch import Tensor

from edgekd.tasks import IGNORED, Task


def by_place(
    task: Task, shape: tuple[int, ...], student: Tensor, teacher: Tensor | None, labels: Tensor | None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The rows of all samples' places but those that are ignored.

    Args:
        shape: the natural one of a sample's scores.
        student, teacher: (N, W); labels: (N, P), ``IGNORED`` where no loss looks. Without labels these are the places
            that a sample has not: there all scores are 0.

    Returns:
        (M, C) of the student and of the teacher, and (M,) labels.
    """
    s = task.rows(student, shape)
    t = None if teacher is None else task.rows(teacher, shape)
    y = None if labels is None else labels.reshape(-1)
    place = (s if t is None else t).ne(0).any(dim=1) if y is None else y != IGNORED
    return s[place], None if t is None else t[place], None if y is None else y[place]
