"""Correlation of ranks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edgekd.base.arrays import AnyArray
from edgekd.metrics._base import Against, Scores
from edgekd.metrics._columns import Column, correlation, mean_over


@dataclass(frozen=True)
class Spearman:
    """mean over c of Pearson's r of the ranks of the values and of their labels, -1..1: only the order matters.

    Equal numbers share their mean rank (Spearman 1904, doi:10.2307/1412159).
    """

    share: ClassVar[bool] = False
    normalised: ClassVar[bool] = True
    correlates: ClassVar[bool] = True
    classifies: ClassVar[bool] = False
    against: ClassVar[Against] = "labels"

    def __call__(self, scores: Scores, wanted: AnyArray, raw: AnyArray) -> float:
        """See ``Metric``."""
        return mean_over(scores, wanted, lambda s, y: correlation(_ranks(s), _ranks(y)), 0.0)


def _ranks(values: Column) -> Column:
    """(n,) from 0; equal ones have the mean of theirs."""
    _, member, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts + 1) / 2)[member.reshape(-1)]
