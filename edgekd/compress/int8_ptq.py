"""Post-training quantization: int8 from calibration alone, in the target's numerics, without a step of training.

For the impatient, and the baseline that quantization-aware training has to beat.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgekd.compress.int8_qat import Int8Qat


@dataclass(frozen=True)
class Int8Ptq(Int8Qat):
    """The network of ``int8_qat`` before its first step: ranges from ``samples`` training samples."""

    trains: ClassVar[bool] = False
    suffix: ClassVar[str] = "ptq"
