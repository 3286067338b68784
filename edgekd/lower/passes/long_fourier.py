"""Long Fourier transforms in products and convolutions, for OpenVINO."""

from __future__ import annotations

from dataclasses import dataclass

from onnxscript import ir

from edgekd.lower.passes._fourier import in_products, is_long


@dataclass(frozen=True)
class LongFourier:
    """``DFT`` -> MatMul, ``STFT`` -> Conv, for what ``plain_fourier`` leaves.

    OpenVINO 2026.4 reads no STFT, takes every DFT along its second axis whatever the axis is, and one of real numbers
    for one of complex ones. ONNX Runtime's own take 0.2 to 0.8 of a product's time from 1024 entries on.
    """

    def __call__(self, model: ir.Model) -> None:
        in_products(model, lambda length: length is not None and is_long(length))
