"""A log-mel spectrogram as the first layers of a network, so that no app has to repeat it in its own language.

Frames of two hops, half overlapping, under a periodic Hann window; their power spectrum; triangles on the mel scale
m = 2595 log10(1 + f / 700) (O'Shaughnessy 1987; HTK's formula), linear in Hz, of height 1; log(power + 1e-6).

The DFT is Cooley and Tukey's (1965) in two steps, N = P Q, with n = Q a + b and k = c + P d:

    X[c + P d] = sum_b  e^(-2 pi i b d / Q)  e^(-2 pi i b c / N)  sum_a  x[Q a + b] e^(-2 pi i a c / P)

both sums matrix products with a constant. x is real, so c = 0 .. P / 2 is enough: the other bins are conjugates.
Columns d that no mel filter reads are left out. For 16,000 samples and N = 640, one thread, p50 in us on ONNX Runtime
and OpenVINO: 131 / 130 with constants of 43 kB; one matrix of cosines and sines 153 / 182 with 840 kB; a strided Conv
188 / 181; ONNX's DFT operator 3,750 on ONNX Runtime, and OpenVINO does not read it.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

FLOOR = 1e-6  # power of a band; digital silence gives log(FLOOR). One step of int16 noise is below it


def mel_filters(rate: int, window: int, mels: int, low: float, high: float) -> NDArray[np.float64]:
    """(window // 2 + 1, mels): how much of each frequency bin a mel band takes, 0..1.

    Args:
        rate: sample rate in Hz; low, high: where the first band begins and the last one ends, in Hz.
        window: samples of a frame.
    """
    first, last = 2595 * np.log10(1 + np.array([low, high]) / 700)
    edges = 700 * (10 ** (np.linspace(first, last, mels + 2) / 2595) - 1)
    bins = np.arange(window // 2 + 1)[:, None] * rate / window
    left, middle, right = edges[:-2], edges[1:-1], edges[2:]
    return np.maximum(0.0, np.minimum((bins - left) / (middle - left), (right - bins) / (right - middle)))


class LogMel(nn.Module):
    """(N, T) sounds in -1..1 -> (N, mels, T // hop - 1); samples behind the last whole hop are not looked at.

    It has no parameters. All of it is ``matmul`` with buffers, products and sums of float tensors: ops that an int8
    scheme leaves alone (a Conv or Linear would be quantized), as 8 bits would drown quiet bands in rounding noise.

    Args:
        hop: samples from one frame to the next, half a frame.
        rate, mels, low, high: see ``mel_filters``.
    """

    window: Tensor  # (P, Q): Hann's, in rows
    first: Tensor  # (2 rows, P): real above imaginary parts
    cos: Tensor  # (rows, Q)
    sin: Tensor
    second: Tensor  # (2 Q, 2 D)
    mel: Tensor  # (rows D, mels)

    def __init__(self, rate: int, hop: int, mels: int, low: float, high: float) -> None:
        super().__init__()
        self.hop, window = hop, 2 * hop
        filters = mel_filters(rate, window, mels, low, high)
        p, q = _factors(window)
        self.rows = p // 2 + 1
        c, d = np.arange(self.rows), np.arange(q)
        k = c[:, None] + p * d
        bins = np.minimum(k, window - k)
        # A bin that stands in two places gives half of its power from each.
        weights = filters[bins] / np.bincount(bins.ravel())[bins][..., None]
        d = d[(weights > 0).any(axis=(0, 2))]
        first, turn, second = _turns(c, np.arange(p), p), _turns(c, np.arange(q), window), _turns(np.arange(q), d, q)
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
        self._table("window", hann.reshape(p, q))
        self._table("first", np.concatenate([first.real, first.imag]))
        self._table("cos", turn.real)
        self._table("sin", turn.imag)
        self._table("second", np.block([[second.real, second.imag], [-second.imag, second.real]]))
        self._table("mel", weights[:, d].reshape(-1, mels))

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_autocast_enabled(x.device.type):  # in 16 bits quiet bands would be lost
            with torch.autocast(x.device.type, enabled=False):
                return self._spectrum(x.float())
        return self._spectrum(x)

    def _spectrum(self, x: Tensor) -> Tensor:
        blocks = x[:, : x.shape[1] // self.hop * self.hop].reshape(-1, x.shape[1] // self.hop, self.hop)
        count, (p, q) = x.shape[1] // self.hop - 1, self.window.shape
        frames = torch.cat([blocks[:, :-1], blocks[:, 1:]], 2).reshape(-1, count, p, q) * self.window
        part = torch.matmul(self.first, frames)
        real, imaginary = part[:, :, : self.rows], part[:, :, self.rows :]
        turned = [real * self.cos - imaginary * self.sin, real * self.sin + imaginary * self.cos]
        spectrum = torch.matmul(torch.cat(turned, 3), self.second)
        squares = spectrum * spectrum
        half = squares.shape[3] // 2
        power = (squares[..., :half] + squares[..., half:]).reshape(-1, count, self.rows * half)
        return torch.log(torch.matmul(power, self.mel) + FLOOR).transpose(1, 2)

    def _table(self, name: str, values: NDArray[np.float64]) -> None:
        """A constant; not in the state dict, as it follows from the fields."""
        self.register_buffer(name, torch.tensor(values, dtype=torch.float32), persistent=False)


def _factors(n: int) -> tuple[int, int]:
    """P <= Q with P Q = n, as near to each other as they come."""
    p = next(p for p in range(math.isqrt(n), 0, -1) if n % p == 0)
    return p, n // p


def _turns(rows: NDArray[np.int64], columns: NDArray[np.int64], n: int) -> NDArray[np.complex128]:
    """(rows, columns): e^(-2 pi i row column / n)."""
    return np.exp(-2j * np.pi * (np.outer(rows, columns) % n) / n)
