"""Cross-entropy with what the teacher thinks likely: shares of votes, probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from edgekd.learn.losses._shares import cross_entropy, softmax


@dataclass(frozen=True)
class SoftCrossEntropy:
    """mean over n of  -sum_c p_nc log softmax(s_n)_c,  p = softmax(t_n)  (Peterson et al. 2019, arXiv:1908.07086).

    Of a sample that several people or several runs of a model have labelled, p is the share of each label. It has the
    gradient of ``kl`` at temperature 1; where all votes agree it is ``cross_entropy``.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"teacher"})

    def __call__(self, student: Tensor, teacher: Tensor, labels: Tensor | None) -> Tensor:
        """student, teacher: (N, C) logits, or log shares. A scalar >= 0; the entropy of p where both say the same."""
        return cross_entropy(student, softmax(teacher))
