"""Fourier transforms in products and convolutions, which every runtime computes."""

from __future__ import annotations

from dataclasses import dataclass

from onnxscript import ir

from edgekd.lower.passes._fourier import in_products, is_long


@dataclass(frozen=True)
class PlainFourier:
    """``DFT`` -> MatMul, ``STFT`` -> Conv, but for lengths that are powers of two from 1024 on.

    ONNX Runtime 1.31, one thread of an EPYC: 64 rows of 256 entries 0.39 of the time, a second of sound in frames of
    512 samples 0.96, of 400 0.15, which are the usual ones; lengths that are no powers of two are also up to 8e-3
    wrong there. OpenVINO: see ``long_fourier``.
    """

    def __call__(self, model: ir.Model) -> None:
        in_products(model, lambda length: length is None or not is_long(length))
