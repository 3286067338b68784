"""Made keywords: two syllables (chirps, tones, bursts of noise) in a noisy second. For recipes and for tests."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.data._checks import checked
from edgekd.learn.data._made import MadeData
from edgekd.learn.data._split import sound_ops

# (name, kind, first frequency, last frequency) in Hz; of a noise burst the band.
SYLLABLES = (
    ("rise", "tone", 500.0, 1100.0),
    ("fall", "tone", 1100.0, 500.0),
    ("low", "tone", 520.0, 520.0),
    ("high", "tone", 1150.0, 1150.0),
    ("hiss", "noise", 1800.0, 3600.0),
    ("rush", "noise", 700.0, 1800.0),
)
WORDS = tuple(itertools.permutations(range(len(SYLLABLES)), 2))


@dataclass(frozen=True)
class MadeAudio(MadeData):
    """Seeded (N, length) int16 clips; a class is an ordered pair of syllables, so that order counts as well.

    Pitch (a third up or down), tempo, onset, gain (20 dB) and timbre of every clip are random, and so is the noise.

    Attributes:
        rate: sample rate in Hz, 8000 to 192000.
        length: of a clip in samples, from a quarter of a second to 10 s.
        classes: how many words, 2..30.
        train, validation, test: clips of each split.
        noise: level of the noise against the word in the mean, in dB, -60..20; it varies by 10 dB up and down.
        seed: of everything made.
    """

    rate: int = 16_000
    length: int = 16_000
    classes: int = 10
    train: int = 2_000
    validation: int = 400
    test: int = 400
    noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 8_000 <= self.rate <= 192_000:
            raise ValueError("rate: allowed is 8000 to 192000 Hz")
        if not self.rate <= 4 * self.length <= 40 * self.rate:
            raise ValueError("length: allowed is a quarter of a second to 10 seconds, in samples")
        if not 2 <= self.classes <= len(WORDS):
            raise ValueError(f"classes: allowed is 2 to {len(WORDS)}")
        if not -60 <= self.noise <= 20:
            raise ValueError("noise: allowed is -60 to 20 dB")

    def load(self) -> Dataset:
        """Make all three splits."""
        rng = np.random.default_rng(self.seed)
        chosen = np.random.default_rng(0).permutation(len(WORDS))[: self.classes]
        words = [WORDS[i] for i in chosen]
        names = tuple(f"{SYLLABLES[a][0]}-{SYLLABLES[b][0]}" for a, b in words)
        train, validation, test = (self._split(words, count, rng) for count in self.sizes.values())
        return checked(Dataset(train, validation, test, names, sound_ops(), rate=self.rate), "made_audio")

    def _split(self, words: list[tuple[int, int]], count: int, rng: np.random.Generator) -> Split:
        y = rng.permutation(np.arange(count) % self.classes).astype(np.int64)
        return Split(np.stack([self._clip(words[label], rng) for label in y]), y)

    def _clip(self, word: tuple[int, int], rng: np.random.Generator) -> NDArray[np.int16]:
        unit = 0.12 * min(1.0, self.length / self.rate) * self.rate  # of a syllable, in samples
        pitch = 2 ** rng.uniform(-1 / 3, 1 / 3)
        parts = [self._syllable(index, round(unit * rng.uniform(0.7, 1.4)), pitch, rng) for index in word]
        gap = np.zeros(round(unit * rng.uniform(0.05, 0.5)))
        spoken = np.concatenate([parts[0], gap, parts[1]])
        clip = np.zeros(self.length)
        start = rng.integers(0, self.length - len(spoken) + 1)
        clip[start : start + len(spoken)] = spoken
        level = np.sqrt((spoken**2).mean()) * 10 ** ((self.noise + rng.uniform(-10, 10)) / 20)
        clip = (clip + level * self._background(rng)) * 10 ** (rng.uniform(-20, 0) / 20)
        return np.clip(np.rint(clip * 8_000), -32_768, 32_767).astype(np.int16)

    def _syllable(self, index: int, count: int, pitch: float, rng: np.random.Generator) -> NDArray[np.float64]:
        _, kind, first, last = SYLLABLES[index]
        envelope = np.sin(np.pi * (np.arange(count) + 0.5) / count) ** 0.5 * rng.uniform(0.6, 1.0)
        if kind == "noise":
            return envelope * self._band(rng.standard_normal(count), first * pitch, last * pitch)
        bend = rng.uniform(0.93, 1.07, 2)
        frequency = pitch * np.geomspace(first * bend[0], last * bend[1], count)
        phase = 2 * np.pi * (np.cumsum(frequency) / self.rate + rng.uniform())
        overtones = sum(rng.uniform(0, 0.5) * np.sin(k * phase) for k in (2, 3))
        return envelope * (np.sin(phase) + overtones)

    def _background(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Noise of mean square 1, darker or brighter, with a hum of its own."""
        slope = rng.uniform(0, 1)
        spectrum = np.fft.rfft(rng.standard_normal(self.length))
        spectrum[1:] *= np.arange(1, len(spectrum)) ** -slope
        spectrum[0] = 0
        noise = np.fft.irfft(spectrum, self.length)
        hum = np.sin(2 * np.pi * rng.uniform(200, 3_000) * np.arange(self.length) / self.rate)
        noise = noise / np.sqrt((noise**2).mean()) + rng.uniform(0, 0.7) * hum
        return noise / np.sqrt((noise**2).mean())

    def _band(self, noise: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
        spectrum = np.fft.rfft(noise)
        frequency = np.fft.rfftfreq(len(noise), 1 / self.rate)
        spectrum[(frequency < low) | (frequency > high)] = 0
        band = np.fft.irfft(spectrum, len(noise))
        return band / np.sqrt((band**2).mean())
