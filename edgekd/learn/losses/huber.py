"""A loss on values that outliers can't rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from edgekd.learn.losses._known import row_means


@dataclass(frozen=True)
class Huber:
    """mean over n, and over the values c that are known of n, of  d^2 / 2  where |d| <= delta, else
    delta (|d| - delta / 2), with d = s_nc - y_nc (Huber 1964, doi:10.1214/aoms/1177703732).

    A task of values counts both in standard deviations of the training labels. The teacher's values are those of
    ``squared_error``.

    Attributes:
        delta: from where on a difference counts by its size, above 0 and at most 1000.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"labels"})
    delta: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.delta <= 1000:
            raise ValueError("delta: allowed is 0 < d <= 1000")

    def __call__(self, student: Tensor, teacher: Tensor | None, labels: Tensor) -> Tensor:
        """student: (N, C) values; labels: (N, C) floats, NaN where not known. Returns a scalar >= 0."""
        return self.per_sample(student, teacher, labels).mean()

    def per_sample(self, student: Tensor, teacher: Tensor | None, labels: Tensor) -> Tensor:
        """(N,) the loss of each sample."""
        known = ~labels.isnan()
        wanted = labels.to(student.dtype).nan_to_num()
        return row_means(F.huber_loss(student, wanted, reduction="none", delta=self.delta), known)
