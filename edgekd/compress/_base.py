"""What a compression pass is: it changes structure and never trains; the pipeline trains between apply and finish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from edgekd.learn.student import Student
from edgekd.target import Numerics


@dataclass(frozen=True)
class Context:
    """What the target and the data tell a pass, as plain values.

    Attributes:
        numerics: the int8 (or other) scheme of the target, for passes that quantize.
        channel_multiple: channel counts are rounded to multiples of this.
        calibration: batches of model inputs, each a tuple in the module's order, for ranges and importances.
    """

    numerics: Numerics | None
    channel_multiple: int
    calibration: Sequence[tuple[torch.Tensor, ...]]


class Pass(Protocol):
    """One file of ``compress/``: a frozen dataclass whose fields are TOML keys.

    ``quantizes`` says whether the result depends on the target's numerics (the plan forks there).
    """

    quantizes: bool

    def requires(self, student: Student, context: Context) -> None:
        """Raise ExportError, naming the module, where this student can't be compressed like this."""

    def apply(self, student: Student, context: Context) -> Student:
        """A new Student (the input is left as it was) whose last lineage record replays the change."""

    def replay(self, student: Student, record: dict[str, Any]) -> Student:
        """The structure that ``apply`` gave, from its record; weights are loaded afterwards by the caller."""

    def begin_epoch(self, student: Student, epoch: int, epochs: int) -> None:
        """Called before each epoch of the fine-tuning that follows ``apply``."""

    def finish(self, student: Student) -> Student:
        """After the fine-tuning: the Student that is exported."""

    def ensures(self, before: Student, after: Student) -> None:
        """Raise ExportError where the result breaks a promise (output shape, finite parameters)."""
