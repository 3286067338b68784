"""What a loss is: a pure function of what the student says, what the teacher says, and the label."""

from __future__ import annotations

from typing import ClassVar, Protocol

from torch import Tensor


class Loss(Protocol):
    """One file of ``learn/losses/``: a frozen dataclass whose fields are TOML keys (``weight`` is the loop's own).

    ``needs`` holds "teacher", "labels" or both; what is not needed may be None.
    """

    needs: ClassVar[frozenset[str]]

    def __call__(self, student: Tensor, teacher: Tensor | None, labels: Tensor | None) -> Tensor:
        """The mean over the batch, a scalar. ``student``, ``teacher``: (N, C) logits; ``labels``: (N,) int64."""
