"""What a compression pass is told of its target and the data: a ``Context``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgekd.build.ensemble import TeacherOutputs
from edgekd.compress import Context, Pass
from edgekd.learn import predictions
from edgekd.learn.answers import Answers, have_answer
from edgekd.learn.feed import Feed, some
from edgekd.learn.objective import Term, on_answers
from edgekd.spec.target import Numerics

BATCH = 32


def make(
    feed: Feed,
    numerics: Numerics | None,
    channel_multiple: int,
    change: Pass,
    terms: Sequence[Term],
    teacher_outputs: TeacherOutputs | None = None,
) -> Context:
    """As many training samples as the pass wants, without augmentation, and what is known of them.

    Where fewer are answered of every head, those of any will do, and no pass is told the teachers' answers: they read
    whole rows.

    Args:
        feed: with the labels that students are told.
        numerics, channel_multiple: of the step.
        terms: the losses of the step.
        watching: the teachers, where they are trained.
    """
    labels, logits = feed.labels("train"), None if teacher_outputs is None else teacher_outputs.split("train")
    usable = np.ones(feed.length("train"), bool)
    if logits is not None:
        usable, of_any = have_answer(logits), _of_any(logits, terms)
        if usable.sum() < min(change.samples, of_any.sum()):
            usable, logits = of_any, None
    numbers = np.flatnonzero(usable)
    index = numbers[some(len(numbers), change.samples)]
    parts = [index[start : start + BATCH] for start in range(0, len(index), BATCH)]
    return Context(
        numerics,
        channel_multiple,
        Samples(feed, parts),
        teacher=None if logits is None else [torch.tensor(logits[part]) for part in parts],
        labels=None if labels is None else [torch.tensor(np.asarray(labels[part])) for part in parts],
        exclusive=all(term.task.exclusive for term in terms),
        loss=on_answers(terms) if any(not term.on_features for term in terms) else None,
    )


def _of_any(answers: Answers, terms: Sequence[Term]) -> NDArray[np.bool_]:
    """(N,) which samples have an answer of some head that a loss compares."""
    each = [have_answer(answers, term.columns) for term in terms if "teacher" in term.loss.needs]
    return np.logical_or.reduce(each) if each else have_answer(answers)


class Samples(Sequence[tuple[torch.Tensor, ...]]):
    """Some training samples as batches of model inputs, each made when it is asked for."""

    def __init__(self, feed: Feed, parts: Sequence[NDArray[np.int64]]) -> None:
        self._feed, self._parts = feed, parts

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, number: Any) -> Any:
        return predictions.tensors(self._feed.plain("train", self._parts[number]))
