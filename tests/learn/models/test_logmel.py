"""The log-mel spectrogram inside the graph, against numpy's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgekd.learn.data.made_audio import MadeAudio
from edgekd.learn.models._logmel import FLOOR, LogMel

RATE = 8_000


def by_hand(x: np.ndarray, rate: int, hop: int, mels: int, low: float, high: float) -> np.ndarray:
    """(N, mels, frames) in float64, by numpy's FFT and a loop over the bands."""
    window = 2 * hop
    hann = np.sin(np.pi * np.arange(window) / window) ** 2
    frames = np.stack([x[:, s : s + window] * hann for s in range(0, x.shape[1] - window + 1, hop)], 1)
    power, frequency = np.abs(np.fft.rfft(frames)) ** 2, np.fft.rfftfreq(window, 1 / rate)
    mel = np.linspace(1127 * np.log(1 + low / 700), 1127 * np.log(1 + high / 700), mels + 2)
    edges = 700 * np.expm1(mel / 1127)
    bands = [np.interp(frequency, edges[m : m + 3], [0, 1, 0], left=0, right=0) for m in range(mels)]
    return np.log(power @ np.stack(bands, 1) + FLOOR).transpose(0, 2, 1)


@pytest.mark.parametrize(
    ("rate", "hop", "mels", "low", "high"),
    [(16_000, 320, 40, 20.0, 4_000.0), (8_000, 125, 20, 0.0, 4_000.0), (16_000, 173, 16, 50.0, 7_600.0)],
)
def test_the_spectrogram_is_numpys(rate: int, hop: int, mels: int, low: float, high: float) -> None:
    words = np.asarray(MadeAudio(train=10, validation=1, test=1, noise=-30).load().train.x) / 32768.0
    tone = 0.5 * np.sin(2 * np.pi * 0.05 * np.arange(words.shape[1]))[None] + 0.3  # leaks, and a mean
    x = np.concatenate([words, tone, np.zeros_like(tone)])
    got = LogMel(rate, hop, mels, low, high)(torch.tensor(x, dtype=torch.float32)).numpy()
    want = by_hand(x, rate, hop, mels, low, high)
    assert got.shape == want.shape == (12, mels, x.shape[1] // hop - 1)
    loudest = np.exp(want).max(axis=1, keepdims=True)
    assert (np.abs(np.exp(got) - np.exp(want)) / loudest).max() < 1e-5
    assert np.abs(got - want).max() < 2e-3
    assert got[-1] == pytest.approx(np.log(FLOOR)), "silence"


def test_half_precision_does_not_reach_the_spectrogram() -> None:
    layer, x = LogMel(RATE, 160, 20, 20.0, 3_000.0), torch.randn(2, 1_600)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(x), layer(x.float())) and layer(x).dtype == torch.float32
    assert torch.allclose(layer(x), layer(x), atol=0)
