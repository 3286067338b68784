"""How much each label of a training counts, where they do not count alike.

Classes may be weighed, and a mixed view has the labels of two samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from edgekd.learn.feed import Feed
from edgekd.learn.objective import Weighed
from edgekd.spec.recipe import ClassWeights


@dataclass(frozen=True)
class LabelWeights:
    """The weights of a feed's training labels.

    Attributes:
        by_sample: (N,), or (N, H) for several heads; None: its class makes no difference to a sample.
    """

    feed: Feed
    by_sample: NDArray[np.float64] | None

    @classmethod
    def of(cls, feed: Feed, classes: ClassWeights) -> LabelWeights:
        """The weights of a schedule: see ``by_class``."""
        labels = feed.labels("train")
        return cls(feed, None if labels is None or classes is None else by_class(labels, classes))

    def of_batch(self, view: int, index: NDArray[np.int64], device: torch.device) -> list[Weighed]:
        """The labels of some training samples as a view shows them, with their weights; none where all count alike.

        Args:
            index: (N,) the samples' numbers.
        """
        labels, mixture = self.feed.labels("train"), self.feed.mixture(view, index)
        if labels is None or (mixture is None and self.by_sample is None):
            return []
        shares = [(index, np.ones(len(index)))]
        if mixture is not None:
            shares = [(index, mixture.coefficient), (mixture.partners, 1 - mixture.coefficient)]
        return [self._weighed(labels, samples, share, device) for samples, share in shares]

    def _weighed(
        self, labels: NDArray[np.int64], samples: NDArray[np.int64], share: NDArray[np.float64], device: torch.device
    ) -> Weighed:
        picked = np.asarray(labels[samples])
        weights = np.broadcast_to(share.reshape(-1, *[1] * (picked.ndim - 1)), picked.shape)
        if self.by_sample is not None:
            weights = weights * self.by_sample[samples]
        return torch.tensor(picked, device=device), torch.tensor(weights, dtype=torch.float32, device=device)


def by_class(labels: NDArray[np.int64], classes: str | tuple[float, ...]) -> NDArray[np.float64]:
    """What each label counts; 0 where it is not told.

    Args:
        labels: (N,), or (N, H) for several heads.
        classes: the weight of each class; or ``balanced``: all classes of a head count alike together, and a label 1 on
            average.

    Returns:
        As ``labels``.
    """
    return np.stack([_by_class(column, classes) for column in labels.reshape(len(labels), -1).T], axis=1).reshape(
        labels.shape
    )


def _by_class(labels: NDArray[np.int64], classes: str | tuple[float, ...]) -> NDArray[np.float64]:
    known, weights = labels >= 0, np.zeros(len(labels))
    if isinstance(classes, str):
        _, which, counts = np.unique(labels[known], return_inverse=True, return_counts=True)
        weights[known] = known.sum() / (len(counts) * counts[which])
    else:
        weights[known] = np.array(classes)[labels[known]]
    return weights
