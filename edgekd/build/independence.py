"""Does what a network answers to a sample depend on the other samples of its batch?

An app asks one sample at a time. BatchNorm without running statistics, a mean over the batch, or padding that is read
as data give other answers then, and no score of a split in large batches would say so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from edgekd.base import plugins
from edgekd.base.errors import ExportError
from edgekd.base.preprocess import MASK, Inputs
from edgekd.learn import nets, predictions
from edgekd.learn.feed import Feed, some
from edgekd.learn.student import joined

BATCH = 64
ALONE = 4  # samples that are asked one by one
SHARE = 1e-3  # of the range of the scores; kernels of different batches differ by about 1e-6 of it
FAR = 100.0  # times the values of a sample: the outlier

Rows = dict[str, tuple[object, object]]


def dependence(module: nn.Module, feed: Feed, where: str) -> str | None:
    """Where in a network, in evaluation mode, an answer depends on the other samples; None where none does.

    Each of a few training samples is asked alone, in a batch of 2 beside an outlier, and in a batch of 64.

    Returns:
        Words that name the module: ``"features.1 (BatchNorm2d)"``; ``"the network"`` where it is in no part of it.

    Raises:
        FactoryError: what the network raises on a batch of 1, 2 or 64.
        ExportError: it does not give a row a sample, such as one that drops a batch of 1.
    """
    if (name := _without_statistics(module)) is not None:
        return name
    index = _index(feed)
    together = feed.plain("train", index)
    whole, parts = _run(module, together, where)
    if not torch.equal(_run(module, together, where)[0], whole):
        return None  # it answers otherwise each time: which samples stand beside one says nothing
    limit = _limit(whole)
    for i in range(ALONE):
        alone, apart = _run(module, feed.plain("train", index[i : i + 1]), where)
        for scores, seen, row in (
            (whole, parts, i),
            (*_run(module, _beside_outlier(feed, index, i, together), where), 0),
        ):
            if not float((scores[row] - alone[0]).abs().max()) <= limit:
                return _first(module, apart, seen, row)
    return None


def chance(module: nn.Module, feed: Feed, where: str) -> str | None:
    """Where in a network, in evaluation mode, the answers to the same samples differ from one time to the next.

    Dropout or noise that is always on, or a state that each call moves: what is scored is not what an app gets.

    Returns:
        Words as of ``dependence``; None where the answers are the same.

    Raises:
        FactoryError: what the network raises on a batch of 1 or 64.
        ExportError: it does not give a row a sample.
        RecipeError: an answer is not finite.
    """
    index = _index(feed)
    together, one = (feed.plain("train", index[:size]) for size in (BATCH, 1))
    first, again = (_run(module, together, where)[0] for _ in range(2))
    nets.check_answers(first, where, "train", index)
    if first.shape == again.shape and float((first - again).abs().max()) <= _limit(first):
        return None
    before, after = (_run(module, one, where)[1] for _ in range(2))
    return _first(module, before, after, 0)


def _index(feed: Feed) -> np.ndarray[Any, Any]:
    """Which training samples are asked."""
    return np.resize(some(feed.length("train"), BATCH), BATCH)


def _limit(scores: torch.Tensor) -> float:
    """How far two answers may lie apart and be the same."""
    return SHARE * max(float(scores.max() - scores.min()), float(scores.abs().max()), 1e-6)


def _without_statistics(module: nn.Module) -> str | None:
    """A BatchNorm that computes with the statistics of whatever batch it is given."""
    for name, part in module.named_modules():
        if isinstance(part, _BatchNorm) and part.running_mean is None:
            return _named(name, part)
    return None


def _beside_outlier(feed: Feed, index: np.ndarray[Any, Any], i: int, together: Inputs) -> Inputs:
    """Sample ``i`` and another far from it: of a hundred times its values, or the longest text of a batch."""
    if MASK in together:
        longest = int(together[MASK].sum(axis=1).argmax())
        return feed.plain("train", index[[i, longest]])
    pair = feed.plain("train", index[[i, (i + 1) % BATCH]])
    whole = {spec.name for spec in feed.specs if spec.high is not None}
    return {name: x if name in whole else _far(x) for name, x in pair.items()}


def _far(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.concatenate([x[:1], FAR * x[1:] + FAR]).astype(x.dtype)


def _run(module: nn.Module, inputs: Inputs, where: str) -> tuple[torch.Tensor, Rows]:
    """(N, K) scores, and what each module was given and gave."""
    seen: Rows = {}
    with torch.no_grad(), _watched(module, seen):
        outputs = plugins.call_user(module, where, *predictions.tensors(inputs))
    count = len(next(iter(inputs.values())))
    for part in [outputs] if isinstance(outputs, torch.Tensor) else outputs:
        if part.ndim != 2 or len(part) != count:
            raise ExportError(
                "the output has another shape for one sample alone" if count == 1 else "the output has no row a sample",
                where=where,
                found=str(tuple(part.shape)),
                allowed=f"({count}, {part.shape[-1] if part.ndim else 1})",
                hint="squeeze() takes the batch away where it is 1: squeeze(1), flatten(1)" if count == 1 else None,
            )
    return joined(outputs).float(), seen


@contextmanager
def _watched(module: nn.Module, seen: Rows) -> Iterator[None]:
    """Keep the first input and output of each module's last call, in the order in which they end."""

    def keep(name: str) -> object:
        def hook(part: nn.Module, given: Any, gave: Any) -> None:
            seen.pop(name, None)
            seen[name] = (given[0] if given else None, gave)

        return hook

    handles = [
        part.register_forward_hook(keep(name))
        for name, part in module.named_modules()
        if name and not isinstance(part, torch.jit.ScriptModule)  # which takes no hooks
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _first(module: nn.Module, alone: Rows, together: Rows, row: int) -> str:
    """The first module that was given the same for a sample, and gave another answer."""
    parts = dict(module.named_modules())
    for name, (given, gave) in together.items():
        before = alone.get(name, (None, None))
        if _same(given, before[0], row) is True and _same(gave, before[1], row) is False:
            return _named(name, parts[name])
    return "the network"


def _same(together: object, alone: object, row: int) -> bool | None:
    """Whether a sample's part of a batch is what it is alone; None where that can't be told."""
    if not isinstance(together, torch.Tensor) or not isinstance(alone, torch.Tensor):
        return None
    if alone.ndim == 0 or len(alone) != 1 or together.shape[1:] != alone.shape[1:]:
        return None
    limit = SHARE * max(float(alone.float().abs().max()), 1e-6) if alone.numel() else 0.0
    return bool(float((together[row].float() - alone[0].float()).abs().max()) <= limit) if alone.numel() else True


def _named(name: str, part: nn.Module) -> str:
    return f"{name} ({type(part).__name__})" if name else f"the network ({type(part).__name__})"
