"""F1 of spans, as named entities and slots are scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edgekd.base.arrays import AnyArray
from edgekd.metrics._base import Against, Scores
from edgekd.tasks import edges


@dataclass(frozen=True)
class SpanF1:
    """2 TP / (2 TP + FP + FN) over the spans of all samples, 0..1; 1 where neither side has one.

    A span is right where its kind and both its ends are (conlleval, Tjong Kim Sang and Buchholz 2000; seqeval's default
    counts alike). Words without a label are left out, as if they were not there.
    """

    share: ClassVar[bool] = True
    against: ClassVar[Against] = "labels"
    whole: ClassVar[bool] = True

    def __call__(self, scores: Scores, wanted: AnyArray, raw: AnyArray) -> float:
        """See ``Metric``: (N, P, C) scores of tags in the order of ``tasks/tagging.py``, (N, P) labels."""
        known = wanted >= 0
        answers, right = scores[known].argmax(axis=-1), wanted[known].astype(np.int64)
        sample = np.nonzero(known)[0]
        begins = np.append(True, sample[1:] != sample[:-1])[: len(sample)]
        mine, theirs = ({*zip(*map(np.ndarray.tolist, _spans(tags, begins)), strict=True)} for tags in (answers, right))
        total = len(mine) + len(theirs)
        return 2 * len(mine & theirs) / total if total else 1.0


def _spans(tags: AnyArray, begins: AnyArray) -> tuple[AnyArray, AnyArray, AnyArray]:
    """Of each span its first word, the one behind its last, and its kind."""
    first, behind = edges(tags, begins)
    return first, behind, (tags[first] + 1) // 2
