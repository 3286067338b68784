"""Several teachers' answers combined into one's."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.base.scores import answered, log_softmax
from edgekd.learn.answers import Answers, Combined, Logits
from edgekd.learn.teaching import TeacherOutputs as TeacherOutputs
from edgekd.tasks import Heads
from edgekd.teachers import of_shares as shares_as_scores


@dataclass(frozen=True)
class Member:
    """A teacher among others: what it says, about which head (None: all), how much it counts, and whether what it gave
    were shares, see ``AnswerSource``."""

    says: TeacherOutputs
    head: str | None
    weight: float
    of_shares: bool = False


@dataclass(frozen=True)
class Ensemble:
    """Several teachers as one: the logits of those that teach a head, and answer the sample, are averaged.

    Where one of them gave shares (labels, votes, probabilities) the shares of all are averaged: the logit of what a
    label rules out is -87, against which no weight counts.

    With ``confidence`` a teacher also counts by its certainty about the very sample, exp(-entropy of its softmax)
    (after Kwon et al. 2020, doi:10.1109/ICASSP40776.2020.9054698); labels play no part, so that a test split is
    answered as a new sample is.
    """

    members: Sequence[Member]
    heads: Heads
    combine: str

    def view(self, view: int) -> Answers:
        """See ``TeacherOutputs``."""
        return self._answers([member.says.view(view) for member in self.members])

    def split(self, split: str) -> Answers:
        """See ``TeacherOutputs``."""
        return self._answers([member.says.split(split) for member in self.members])

    def _answers(self, parts: Sequence[Answers]) -> Answers:
        """Combined at once where all lie in memory, else the rows that are asked for."""
        arrays = [part for part in parts if isinstance(part, np.ndarray)]
        if len(arrays) == len(parts):
            return self._combined(arrays)
        return Combined(parts, self._combined, self.heads.width)

    def _combined(self, member_logits: Sequence[Logits]) -> Logits:
        return np.concatenate([self._of_head(name, member_logits) for name in self.heads], axis=1)

    def _of_head(self, name: str, member_logits: Sequence[Logits]) -> Logits:
        head_columns, task = self.heads.columns[name], self.heads.tasks[name]
        parts, weights, of_shares = list[AnyArray](), [], False
        for member, logits in zip(self.members, member_logits, strict=True):
            if member.head in (None, name):
                parts.append(logits if member.head else logits[:, head_columns])
                weights.append(np.full(len(logits), member.weight))
                of_shares = of_shares or (member.of_shares and task.link != "" and not task.dense)
        if len(parts) == 1:
            return parts[0]
        if self.combine == "confidence":
            weights = [weight * certainty(part) for weight, part in zip(weights, parts, strict=True)]
        if not of_shares:
            return _mean(parts, weights).astype(np.float32)
        scores = shares_as_scores(_mean([task.shares(part) for part in parts], weights), task)
        return _with_those_alone(scores, parts)


def certainty(logits: Logits) -> NDArray[np.float64]:
    """(N,) exp(-entropy) of the softmax of (N, K) logits, 1/K..1."""
    logs = log_softmax(logits)
    inverse_perplexity: NDArray[np.float64] = np.exp((np.exp(logs) * logs).sum(axis=1))
    return inverse_perplexity


def _mean(parts: Sequence[AnyArray], weights: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """(N, K) the average for each sample over those who answer it; NaN where nobody does."""
    known = [answered(part) for part in parts]
    if not all(each.all() for each in known):
        return _of_those_that_answer(parts, weights, known)
    return np.asarray(np.average(parts, axis=0, weights=_shared(weights, parts[0].shape)), dtype=np.float64)


def _with_those_alone(scores: Logits, parts: Sequence[AnyArray]) -> Logits:
    """Where one answers alone its scores as they are, with the level that shares lose."""
    known = np.stack([answered(part) for part in parts])
    for part, each in zip(parts, known & (known.sum(axis=0) == 1), strict=True):
        scores[each] = part[each]
    return scores


def _of_those_that_answer(
    parts: Sequence[AnyArray], weights: Sequence[NDArray[np.float64]], known: Sequence[NDArray[np.bool_]]
) -> NDArray[np.float64]:
    """The average for each sample over those who answer it; NaN where nobody does."""
    counted = [np.where(each, weight, 0.0) for weight, each in zip(weights, known, strict=True)]
    nobody = ~np.any(known, axis=0)
    counted[0] = np.where(nobody, 1.0, counted[0])  # of nothing there is no average
    filled = [np.where(each[:, None], part, 0.0) for part, each in zip(parts, known, strict=True)]
    means = np.average(filled, axis=0, weights=_shared(counted, parts[0].shape))
    return np.asarray(np.where(nobody[:, None], np.nan, means), dtype=np.float64)


def _shared(weights: Sequence[NDArray[np.float64]], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """(K, N, C) from K weights a sample."""
    return np.broadcast_to(np.stack(weights)[:, :, None], (len(weights), *shape))


def make(
    member_outputs: Mapping[str, tuple[TeacherOutputs, str | None, float]],
    heads: Heads,
    combine: str,
    of_shares: Collection[str] = (),
) -> TeacherOutputs:
    """Whose outputs a student learns from: the one teacher, or an ensemble of (answers, head, weight) by name.

    Args:
        of_shares: the names of those that gave labels, votes or probabilities.
    """
    members = [Member(*one, name in of_shares) for name, one in member_outputs.items()]
    return members[0].says if len(members) == 1 and members[0].head is None else Ensemble(members, heads, combine)
