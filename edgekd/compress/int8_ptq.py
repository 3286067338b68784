"""Post-training quantization: int8 from calibration alone, in the target's numerics, without a step of training.

For the impatient, and the baseline that quantization-aware training has to beat.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgekd.compress.int8_qat import Int8Qat


@dataclass(frozen=True)
class Int8Ptq(Int8Qat):
    """The network of ``int8_qat`` before its first step: ranges from ``samples`` training samples.

    Attributes:
        step_sizes: nothing is learned.
    """

    trains: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.step_sizes != "observed":
            raise ValueError("step_sizes: int8_ptq trains nothing; allowed is observed")

    @property
    def suffix(self) -> str:
        """``ptq``, and ``mixed`` where layers stay in float."""
        return "-".join(filter(None, ("ptq", super().suffix)))
