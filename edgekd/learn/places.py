"""What losses see of a task that answers at every place of a sample: rows, or maps."""

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
        (M, C) of the student and of the teacher, and (M,) labels, or (M, 1), as ``Task.label_rows`` has them.
    """
    s = task.rows(student, shape)
    t = None if teacher is None else task.rows(teacher, shape)
    y = None if labels is None else task.label_rows(labels)
    place = (s if t is None else t).ne(0).any(dim=1) if labels is None else labels.reshape(-1) != IGNORED
    return s[place], None if t is None else t[place], None if y is None else y[place]


def as_maps(
    task: Task, shape: tuple[int, ...], student: Tensor, teacher: Tensor | None, labels: Tensor | None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Whole samples, for losses that compare places with each other; arguments as of ``by_place``.

    Returns:
        (N, C, ...) of the student and of the teacher, and (N, ...) labels, below 0 where a place has none.
    """
    s = student.reshape(-1, *shape).movedim(1 + task.axis, 1)
    t = None if teacher is None else teacher.reshape(-1, *shape).movedim(1 + task.axis, 1)
    y = None if labels is None else labels.reshape(len(s), *s.shape[2:])
    return s, t, y
