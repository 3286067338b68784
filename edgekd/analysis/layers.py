"""What inner layers of teacher and student have in common: linear CKA between a handful of each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgekd.analysis import similarity
from edgekd.base import plugins
from edgekd.base.errors import RecipeError
from edgekd.document.details import Layers
from edgekd.learn import taps
from edgekd.learn.feed import Feed, some
from edgekd.learn.objective import Term
from edgekd.learn.predictions import tensors

Features = dict[str, NDArray[np.float32]]
SAMPLES, LAYERS, BATCH = 512, 8, 64


def layer_similarity(
    student: nn.Module,
    teacher: nn.Module,
    feeds: tuple[Feed, Feed],
    terms: Sequence[Term],
    step: str = "student",
) -> Layers:
    """Linear CKA of layers of the student with layers of the teacher, over at most 512 test samples.

    The layers are those that the losses name and, up to eight, others that lie evenly between the first block and the
    last. A layer counts by its means over space or time, (N, C): its values at every place would be thousands for a
    few hundred samples, and then unlike layers look alike (see ``similarity.linear_cka``). Where in a picture
    something is seen does not count here.

    Args:
        student: still made of modules, so not quantized; neither it nor the teacher is changed.
        feeds: the student's view of the data and the teacher's.
        step: which made the student.

    Returns:
        ``{step, samples, student: [paths], teacher: [paths], pairs: [[row, column]], cka: [[0..1 or None]]}``, paths in
        the order in which the layers run, pairs those that a loss ties together.
    """
    pairs = [
        pair
        for term in terms
        if term.on_features
        for pair in zip(term.loss.student_layers, term.loss.teacher_layers, strict=True)
    ]
    index = some(feeds[0].length("test"), SAMPLES)
    ours = features(student, feeds[0], index, [path for path, _ in pairs])
    theirs = features(teacher, feeds[1], index, [path for _, path in pairs])
    rows, columns = list(ours), list(theirs)
    tied = dict.fromkeys((rows.index(s), columns.index(t)) for s, t in pairs if s in ours and t in theirs)
    return {
        "step": step,
        "samples": len(index),
        "student": rows,
        "teacher": columns,
        "pairs": [list(pair) for pair in tied],
        "cka": similarity.cka_table(list(ours.values()), list(theirs.values())),
    }


def features(module: nn.Module, feed: Feed, index: NDArray[np.int64], named: Sequence[str]) -> Features:
    """(N, C) means of some layers over test samples, by path: ``named`` ones and others of the network's blocks."""
    module.eval()
    example = tensors(feed.plain("test", index[:2]))
    wanted = [path for path in dict.fromkeys(named) if _tells(module, example, path)]
    others = [path for path in taps.blocks(module) if path not in wanted and _tells(module, example, path)]
    paths = wanted + _evenly(others, max(LAYERS - len(wanted), 0))
    means: dict[str, list[NDArray[np.float32]]] = {}
    first = {path: taps.gives_channels_first(module, path) for path in paths}
    with taps.tapped(module, paths) as seen, torch.no_grad():
        for start in range(0, len(index), BATCH):
            plugins.call_user(module, "test", *tensors(feed.plain("test", index[start : start + BATCH])))
            for path, value in seen.items():
                means.setdefault(path, []).append(_means(value, first[path]).float().numpy())
    return {path: np.concatenate(parts) for path, parts in means.items()}


def _tells(module: nn.Module, example: tuple[Tensor, ...], path: str) -> bool:
    """Whether a layer is there, is run, and gives numbers for each sample."""
    if taps.missing(module, [path]):
        return False
    try:
        with taps.tapped(module, [path]) as seen, torch.no_grad():
            plugins.call_user(module, "test", *example)
    except RecipeError:  # it gives no tensor
        return False
    value = seen.get(path)
    return value is not None and value.is_floating_point() and value.dim() > 1 and len(value) == len(example[0])


def _evenly(paths: Sequence[str], count: int) -> list[str]:
    """At most ``count`` of some paths, evenly spaced, the first and the last among them."""
    if len(paths) <= count:
        return list(paths)
    return [paths[i] for i in np.linspace(0, len(paths) - 1, count).round().astype(int)] if count else []


def _means(value: Tensor, channels_first: bool = False) -> Tensor:
    """(N, C) of maps (N, C, H, W), sequences (N, L, C), or (N, C, L), or vectors (N, C)."""
    if value.dim() == 3:
        return value.mean(dim=2 if channels_first else 1)
    return value.flatten(2).mean(dim=2) if value.dim() > 3 else value
