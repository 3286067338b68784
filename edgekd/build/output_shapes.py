"""What a network answers is of the shape that its task has; else the error says which that is, and the way there."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch

from edgekd.base.errors import ExportError
from edgekd.learn.flat import in_words
from edgekd.learn.student import Student
from edgekd.tasks import Heads, Task

Shape = tuple[int, ...]
SCORES = "give the scores themselves: argmax, .long() and > have no gradient"
TWO = "torch.cat([torch.zeros_like(z), z], 1) makes scores of two classes of one logit z, (N, 1{})"


def check(
    given: object,
    student: Student,
    where: str,
    heads: Heads,
    names: Sequence[str] = (),
    *,
    teaches: bool = False,
    texts: bool = False,
) -> None:
    """The model must give one tensor of scores, or one for each head.

    Args:
        given: what it answered to two samples.
        where: its step.
        heads: what it has to answer; ``names``: of their columns, where one task has them all.
        teaches: it is a teacher, of whose classes some may be picked.
        texts: it reads texts, and answers about as many tokens as these have.

    Raises:
        ExportError: it gives something else.
    """
    parts = list(given) if isinstance(given, tuple | list) else [given]
    shapes = [tuple(part.shape) if isinstance(part, torch.Tensor) else None for part in parts]
    if shapes == [(2, *spec.shape[1:]) for spec in student.outputs]:
        return
    kinds = [type(part).__name__ if shape is None else str(shape) for part, shape in zip(parts, shapes, strict=True)]
    hint, first = None, parts[0] if len(parts) == 1 else None
    if len(heads) == 1 and isinstance(first, torch.Tensor):
        ((name, task),) = heads.tasks.items()
        hint = _hint(first, task, heads.shapes[name], names, teaches=teaches)
    raise ExportError(
        "the output has the wrong shape",
        where=where,
        found=", ".join(kinds),
        allowed=in_words(heads, texts),
        hint=hint,
    )


def _hint(scores: torch.Tensor, task: Task, wanted: Shape, names: Sequence[str], *, teaches: bool) -> str | None:
    """The way from what a network gives to what its task wants, where that is plain."""
    shape = tuple(scores.shape[1:])
    if task.dense:
        return _of_places(scores, task, wanted, names)
    if task.false_alarms is not None and math.prod(shape) > 1:
        return "give the error of each sample: (x - its reconstruction).square().flatten(1).mean(1)"
    if task.exclusive and wanted == (2,) and math.prod(shape) == 1:
        again = "" if shape else ", which unsqueeze(1) makes of (N,)"
        return f"{TWO.format('')}{again}; or the task multi_label of one label has one"
    if teaches and len(shape) == 1 and shape[0] > wanted[0]:
        return "teacher.classes says for each of ours its column"
    return None


def _of_places(scores: torch.Tensor, task: Task, wanted: Shape, names: Sequence[str]) -> str | None:
    """The same of scores at every place of a sample."""
    shape, axis = tuple(scores.shape[1:]), task.axis
    places = wanted[:axis] + wanted[axis + 1 :]
    if shape in (places, (1, *places)) and not scores.is_floating_point():
        return SCORES
    if task.link == "softmax" and wanted[axis] == 2 and shape in (places, (1, *places)) and axis == 0:
        size = "".join(f", {size}" for size in places)
        again = "" if len(shape) > len(places) else ", which unsqueeze(1) makes of logits (argmax leaves none)"
        return f"{TWO.format(size)}{again}; z is no probability: leave the sigmoid out"
    if len(shape) != len(wanted):
        return None
    if (turned := _order(shape, wanted)) is not None:
        return f"permute({', '.join(map(str, (0, *turned)))}) puts its axes in this order"
    if task.program == "tags" and shape[axis] != wanted[axis] and names:
        return f"the tags are {', '.join(names)}: of every kind of span both B- and I-"
    if axis == 0 and shape[0] == wanted[0] and len(places) == 2:
        return f"F.interpolate(scores, size={places}) makes them as large as what it reads and its labels"
    return None


def _order(shape: Shape, wanted: Shape) -> Sequence[int] | None:
    """By which order of its axes a sample's scores have the wanted shape, counted with the batch; None: by none."""
    orders = itertools.permutations(range(len(shape)))
    fits = (order for order in orders if tuple(shape[axis] for axis in order) == wanted)
    return next(([axis + 1 for axis in order] for order in fits), None)
