"""A convolutional net over a log-mel spectrogram that it makes itself: raw sound in, scores of words out.

Small-footprint keyword spotting as in Zhang et al. 2017 (arXiv:1711.07128), with their frames of 40 ms every 20 ms; but
plain 3x3 convolutions of one width in place of depthwise ones, which leave the int8 units of a CPU idle.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from edgekd.base.errors import RecipeError
from edgekd.learn.models._logmel import LogMel, mel_filters
from edgekd.learn.models.convnet import Convnet


@dataclass(frozen=True)
class KeywordCnn:
    """Log-mel spectrogram (see ``_logmel``), a normalisation of each band that is learned, and a ``convnet``.

    The spectrogram is float32 in an int8 file, too; it has no parameters.

    Attributes:
        width, depth, strides: of the convolutions, see ``convnet``. The last one should see as much of the time as a
            word takes: at the defaults 39 frames, 0.8 s.
        rate: sample rate in Hz that the mel scale is laid out for, 1000 to 384000; the data's.
        hop: samples between frames, 8 to 8192; a frame has twice as many, under a Hann window.
        mels: bands, 4 to 256, on HTK's mel scale.
        low, high: where they begin and end in Hz, at most half the rate.
    """

    width: int = 64
    depth: int = 5
    strides: tuple[int, ...] = (2, 2, 1, 2)
    rate: int = 16_000
    hop: int = 320
    mels: int = 40
    low: float = 20.0
    high: float = 4_000.0

    def __post_init__(self) -> None:
        self._convnet()
        for name, least, most in (("rate", 1_000, 384_000), ("hop", 8, 8192), ("mels", 4, 256)):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name}: allowed is {least} to {most}")
        if not 0 <= self.low < self.high:
            raise ValueError("low: allowed is 0 to less than high, in Hz")
        if self.high > self.rate / 2:
            raise ValueError(f"high: allowed is at most half the rate, {self.rate / 2:g} Hz")
        if not mel_filters(self.rate, 2 * self.hop, self.mels, self.low, self.high).any(axis=0).all():
            raise ValueError("mels: allowed are fewer, or a longer hop: a band lies between two frequencies of the DFT")

    def build(self, input_shape: tuple[int, ...], classes: int) -> nn.Module:
        """(N, T) sounds in -1..1 -> (N, classes).

        Raises:
            RecipeError: not sounds, or shorter than a frame.
        """
        if len(input_shape) != 1 or input_shape[0] < 2 * self.hop:
            allowed = f"(T,), at least {2 * self.hop} samples"
            raise RecipeError("keyword_cnn takes sounds", where="model.kind", found=input_shape, allowed=allowed)
        return KeywordCnnModule(
            LogMel(self.rate, self.hop, self.mels, self.low, self.high),
            nn.BatchNorm1d(self.mels),
            self._convnet().build((1, self.mels, input_shape[0] // self.hop - 1), classes),
        )

    def _convnet(self) -> Convnet:
        return Convnet(self.width, self.depth, self.strides[: self.depth])


class KeywordCnnModule(nn.Module):
    """The module of ``KeywordCnn``: what the convolutions see has mean 0 and deviation 1, a range that suits int8."""

    def __init__(self, spectrum: nn.Module, norm: nn.Module, convnet: nn.Module) -> None:
        super().__init__()
        self.spectrum, self.norm, self.convnet = spectrum, norm, convnet

    def forward(self, x: Tensor) -> Tensor:
        return self.convnet(self.norm(self.spectrum(x)).unsqueeze(1))
