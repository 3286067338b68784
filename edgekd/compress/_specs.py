"""The formats of a scheme, each with the observer that finds its range.

Where ranges are a moving average, torchao's fused kernel observes and rounds; other ranges and learned step sizes are
our own ``Rounding``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from edgekd.compress._observers import Rounding
from edgekd.learn.quiet import quiet
from edgekd.target import Numerics

with quiet():
    from torchao.quantization.pt2e import (
        FusedMovingAvgObsFakeQuantize,
        MovingAverageMinMaxObserver,
        MovingAveragePerChannelMinMaxObserver,
    )
    from torchao.quantization.pt2e.quantizer import QuantizationSpec


@dataclass(frozen=True)
class Ranging:
    """How ranges are found and moved; the keys of ``int8_qat`` of these names."""

    ranges: str = "moving_average"
    percentile: float = 99.99
    step_sizes: str = "observed"

    @property
    def fused(self) -> bool:
        """Whether torchao's fused kernel does it."""
        return self.ranges == "moving_average" and self.step_sizes == "observed"

    def observer(self, constant: bool, middle: bool, eps: float) -> Any:
        """What ``QuantizationSpec`` makes a ``Rounding`` of."""
        learned = self.step_sizes == "learned"
        return Rounding.with_args(
            ranges=self.ranges, percent=self.percentile, learned=learned, constant=constant, middle=middle, eps=eps
        )


class MiddleZeroObserver(MovingAverageMinMaxObserver):
    """uint8 ranges of both signs have their zero in the middle, at 128; ranges of one sign begin at zero.

    This is how the fused kernel behind ``per_tensor_symmetric`` trains; torchao's own observer would convert with 128
    throughout, and waste half of the steps behind a ReLU.
    """

    def calculate_qparams(self) -> tuple[Tensor, Tensor]:
        """(scale, zero point) of the range seen so far."""
        low, high = self.min_val.clamp(max=0), self.max_val.clamp(min=0)
        both = (low < 0) & (high > 0)
        scale = torch.where(both, torch.maximum(-low / 128, high / 127), (high - low) / 255).clamp(min=self.eps)
        zero = torch.where(both, 128, torch.where(low < 0, 255, 0)).to(torch.int64)
        return scale, zero


@dataclass(frozen=True)
class Specs:
    """The formats of a scheme: activations, the network's inputs, weights, and tables that are only looked up.

    ``activation`` and ``input`` are None where a scheme has int8 weights alone.
    """

    activation: QuantizationSpec | None
    input: QuantizationSpec | None
    weight: QuantizationSpec
    table: QuantizationSpec

    @classmethod
    def of(cls, numerics: Numerics, ranging: Ranging) -> Specs:
        """Observers stream: whatever number of samples they see, they keep as much."""
        activation = inputs = None
        if numerics.activations != "float32":
            activation = _activation(numerics, numerics.activation_symmetric, ranging)
            inputs = _activation(numerics, True, ranging) if numerics.input_symmetric else activation
        most = 2 ** (numerics.weight_bits - 1) - 1
        # A table is gathered and not multiplied: no kernel saturates, and 8 bits are safe everywhere.
        return cls(activation, inputs, _weight(most, numerics.per_channel, ranging), _weight(127, False, ranging))


def _activation(numerics: Numerics, symmetric: bool, ranging: Ranging) -> QuantizationSpec:
    signed = numerics.activations == "int8"
    low, high = (-128, 127) if signed else (0, 255)
    middle = symmetric and not signed
    if ranging.fused:
        kind = MiddleZeroObserver if middle else MovingAverageMinMaxObserver
        observer = FusedMovingAvgObsFakeQuantize.with_args(observer=kind, eps=2**-12)
    else:
        observer = ranging.observer(constant=False, middle=middle, eps=2**-12)
    scheme = torch.per_tensor_symmetric if symmetric else torch.per_tensor_affine
    return QuantizationSpec(torch.int8 if signed else torch.uint8, observer, low, high, scheme)


def _weight(most: int, per_channel: bool, ranging: Ranging) -> QuantizationSpec:
    """Weights as they are now, from -most to most."""
    if ranging.fused:
        kind = MovingAveragePerChannelMinMaxObserver if per_channel else MovingAverageMinMaxObserver
        observer = FusedMovingAvgObsFakeQuantize.with_args(observer=kind, averaging_constant=1.0, eps=2**-24)
    else:
        observer = ranging.observer(constant=True, middle=False, eps=2**-24)
    if per_channel:
        return QuantizationSpec(torch.int8, observer, -most, most, torch.per_channel_symmetric, ch_axis=0)
    return QuantizationSpec(torch.int8, observer, -most, most, torch.per_tensor_symmetric)
