"""Predictions of a network over a split, or over the training samples as a view shows them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from accelerate import PartialState
from numpy.typing import NDArray
from torch import Tensor, nn

from edgekd.base import heap, plugins
from edgekd.base.preprocess import MASK, Inputs
from edgekd.learn import ranks
from edgekd.learn.answers import Logits
from edgekd.learn.feed import Feed
from edgekd.learn.lengths import LEAST
from edgekd.learn.student import joined

Tensors = tuple[Tensor, ...]
ALIKE = 32  # texts of like length that are answered together


def tensors(inputs: Inputs, device: torch.device | None = None) -> Tensors:
    """A model's inputs in their order."""
    return tuple(torch.tensor(x, device=device) for x in inputs.values())


def predict(module: nn.Module, feed: Feed, split: str, batch_size: int = 256, limit: int | None = None) -> Logits:
    """(N, K) logits over a split, without augmentation, in evaluation mode; ``limit``: only the first samples."""
    total = min(feed.length(split), limit if limit is not None else feed.length(split))
    (scores,) = predict_parts(module, feed, split, None, [(0, total)], batch_size)
    return scores


def predict_view(module: nn.Module, feed: Feed, view: int, batch_size: int = 256) -> Logits:
    """(N, K) logits over all training samples as one view shows them."""
    (scores,) = predict_parts(module, feed, "train", view, [(0, feed.length("train"))], batch_size)
    return scores


def predict_parts(
    module: nn.Module, feed: Feed, split: str, view: int | None, spans: Sequence[tuple[int, int]], batch_size: int = 256
) -> Iterator[Logits]:
    """(n, C) logits over each span of samples, as ``predict`` or, of a view, ``predict_view`` gives them."""
    shares = [ranks.own([index + start for index in _parts(stop - start, batch_size)]) for start, stop in spans]
    ahead = feed.ahead(split, [index for _, batches in shares for index in batches], view)
    inputs = (
        feed.plain(split, index, samples) if view is None else feed.train(view, index, samples)
        for index, samples in ahead
    )
    for (start, stop), (before, batches) in zip(spans, shares, strict=True):
        count = sum(map(len, batches))
        scores = _forward(module, itertools.islice(inputs, len(batches)), count, split, feed.reads_texts)
        yield _of_all_ranks(scores, before * batch_size, stop - start)


def _of_all_ranks(mine: Logits | None, start: int, total: int) -> Logits:
    """(N, K) logits over all samples, of those that each rank computed, from ``start`` on."""
    if mine is not None and ranks.count() == 1:
        return mine
    scores: Logits = ranks.rows(None if mine is None else torch.tensor(mine), start, total).numpy()
    return scores


def _parts(count: int, size: int) -> list[NDArray[np.int64]]:
    """The numbers of so many samples, so many at a time."""
    return np.split(np.arange(count), np.arange(size, count, size))


@contextmanager
def accelerated(module: nn.Module) -> Iterator[nn.Module]:
    """The module on the device that trains, and back where it was afterwards: a teacher's views are worth the trip."""
    before = next((p.device for p in module.parameters()), torch.device("cpu"))
    module.to(PartialState().device)
    try:
        yield module
    finally:
        module.to(before)


@heap.kept()
def _forward(module: nn.Module, batches: Iterable[Inputs], count: int, where: str, texts: bool) -> Logits | None:
    """(N, K) logits over batches of ``count`` samples, of ``texts``: see ``_by_length``; None: there are none."""
    module.eval()
    device = next((p.device for p in module.parameters()), torch.device("cpu"))

    def scores(x: Inputs) -> NDArray[np.float32]:
        answer: Logits = joined(plugins.call_user(module, where, *tensors(x, device))).float().cpu().numpy()
        return answer

    with torch.no_grad():
        return _stacked((_by_length(scores, x) if texts else scores(x) for x in batches), count)


def _stacked(parts: Iterable[Logits], count: int) -> Logits | None:
    """Scores of ``count`` samples in all, put in their place as they come; None: there are none.

    A list of parts would hold a piece of the heap of each batch, between arrays of megabytes: then each needs new room.
    """
    stacked, start = None, 0
    for part in parts:
        stacked = np.empty((count, *part.shape[1:]), part.dtype) if stacked is None else stacked
        stacked[start : start + len(part)] = part
        start += len(part)
    return stacked


def _by_length(scores: Callable[[Inputs], NDArray[np.float32]], x: Inputs) -> NDArray[np.float32]:
    """(N, K) scores of a batch of texts, those of like length together, padded to the longest of these alone.

    Of 256 sentences of films the longest has 2.5 times the tokens of the mean: MiniLM answers 2.2 times as many so.
    """
    tokens = x[MASK].sum(axis=1)
    order = np.argsort(tokens, kind="stable")
    parts = np.split(order, np.arange(ALIKE, len(order), ALIKE))
    cut = [{name: ids[part, : max(LEAST, tokens[part].max())] for name, ids in x.items()} for part in parts]
    sorted_scores = np.concatenate([scores(part) for part in cut])
    return sorted_scores[np.argsort(order)]
