"""Labels of places in pictures, masks and points, as augmentations show them: they move with what they label."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray, Rows
from edgekd.base.samples import sides
from edgekd.learn.views import Views
from edgekd.tasks import Heads

TRIED = 4  # samples whose labels are moved before anything trains


def moved(labels: AnyArray, heads: Heads, views: Views, index: NDArray[np.int64], view: int, samples: Rows) -> AnyArray:
    """The labels of some training samples as a view shows them, of the same shape.

    Args:
        labels: those of the samples ``index``, of all heads.
        samples: the raw samples of the split, pictures where a head's labels are places, see ``sides``.

    Raises:
        FactoryError: what a user's own augmentation raises.
    """
    if not views.ops or not any(task.geometry for task in heads.tasks.values()):
        return labels
    every = {name: heads.labels_of(labels, name) for name in heads}
    parts = {name: part for name, part in every.items() if part is not None}
    size = sides(samples.shape)
    for name, part in parts.items():
        if geometry := heads.tasks[name].geometry:
            shown = views.labels(_places(heads, name, part), geometry, index, view, size)
            parts[name] = shown.reshape(part.shape)
    if len(heads) == 1:
        return next(iter(parts.values()))
    return np.concatenate([part.reshape(len(part), -1) for part in parts.values()], axis=1, dtype=labels.dtype)


def check(labels: AnyArray | None, heads: Heads, views: Views, samples: Rows) -> None:
    """Try on a few labels what the augmentations do to them, before anything trains. Raises as ``check_labels``.

    Answers about tokens stand each at the place of one, also a teacher's where there are no labels.
    """
    if any(task.dense and not task.geometry for task in heads.tasks.values()):
        views.check_stay()
    if labels is None:
        return
    for name, task in heads.tasks.items():
        some = heads.labels_of(np.asarray(labels[:TRIED]), name)
        if task.geometry and views.ops and some is not None:
            views.check_labels(_places(heads, name, some), task.geometry, samples)


def _places(heads: Heads, name: str, labels: AnyArray) -> AnyArray:
    """(N, H, W) masks or (N, K, 2) points of one head's labels."""
    if heads.tasks[name].geometry == "mask":
        return labels.reshape(len(labels), *heads.shapes[name][1:])
    return labels.reshape(len(labels), -1, 2)
