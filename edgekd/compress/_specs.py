"""The formats of a scheme, each with the observer that finds its range.

torchao's fused kernel is left alone: of symmetric weights whose largest is negative it divides by another number than
its observer, which converts. Trained weights were then rounded otherwise than in training (2 % of CIFAR-10's answers).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from edgekd.compress._observers import Rounding
from edgekd.learn.quiet import quiet
from edgekd.spec.target import Numerics

with quiet():
    from torchao.quantization.pt2e.quantizer import QuantizationSpec


@dataclass(frozen=True)
class Ranging:
    """How ranges are found and moved; the keys of ``int8_qat`` of these names."""

    ranges: str = "moving_average"
    percentile: float = 99.99
    step_sizes: str = "observed"

    def observer(self, constant: bool, middle: bool, eps: float) -> Any:
        """What ``QuantizationSpec`` makes a ``Rounding`` of."""
        learned = self.step_sizes == "learned"
        return Rounding.with_args(
            ranges=self.ranges, percent=self.percentile, learned=learned, constant=constant, middle=middle, eps=eps
        )


@dataclass(frozen=True)
class Specs:
    """The formats of a scheme: activations, the network's inputs, what recurrent layers read, weights, narrow layers'
    weights, and tables.

    ``activation`` and ``input`` are None where a scheme has int8 weights alone. The rows of a table are what the next
    layer reads, so they have the type of activations.
    """

    activation: QuantizationSpec | None
    input: QuantizationSpec | None
    sequence: QuantizationSpec | None
    weight: QuantizationSpec
    narrow: QuantizationSpec
    table: QuantizationSpec

    @classmethod
    def of(cls, numerics: Numerics, ranging: Ranging) -> Specs:
        """Observers stream: whatever number of samples they see, they keep as much."""
        activation = inputs = sequence = None
        if numerics.activations != "float32":
            sequence = _sequence(ranging)
            activation = _activation(numerics, numerics.activation_symmetric, ranging)
            inputs = _activation(numerics, True, ranging) if numerics.input_symmetric else activation
        most = 2 ** (numerics.weight_bits - 1) - 1
        weight, narrow = _weight(most, numerics.per_channel, ranging), _weight(most, False, ranging)
        return cls(activation, inputs, sequence, weight, narrow, _table(numerics.activations, ranging))


def _activation(numerics: Numerics, symmetric: bool, ranging: Ranging) -> QuantizationSpec:
    signed = numerics.activations == "int8"
    low, high = (-128, 127) if signed else (0, 255)
    observer = ranging.observer(constant=False, middle=symmetric and not signed, eps=2**-12)
    scheme = torch.per_tensor_symmetric if symmetric else torch.per_tensor_affine
    return QuantizationSpec(torch.int8 if signed else torch.uint8, observer, low, high, scheme)


def _sequence(ranging: Ranging) -> QuantizationSpec:
    """Zero in the middle whatever the signs: a recurrent layer's state shares the zero point of its input."""
    observer = ranging.observer(constant=False, middle=False, eps=2**-12)
    return QuantizationSpec(torch.int8, observer, -128, 127, torch.per_tensor_symmetric)


def _table(activations: str, ranging: Ranging) -> QuantizationSpec:
    """Eight bits, whatever weights have: where rows are multiplied they are the activations."""
    if activations != "uint8":
        return _weight(127, False, ranging)
    observer = ranging.observer(constant=True, middle=True, eps=2**-24)
    return QuantizationSpec(torch.uint8, observer, 0, 255, torch.per_tensor_symmetric)


def _weight(most: int, per_channel: bool, ranging: Ranging) -> QuantizationSpec:
    """Weights as they are now, from -most to most."""
    observer = ranging.observer(constant=True, middle=False, eps=2**-24)
    if per_channel:
        return QuantizationSpec(torch.int8, observer, -most, most, torch.per_channel_symmetric, ch_axis=0)
    return QuantizationSpec(torch.int8, observer, -most, most, torch.per_tensor_symmetric)
