"""A recurrent net over time, for series of numbers such as those of an accelerometer."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from edgekd.base.errors import RecipeError


@dataclass(frozen=True)
class SensorGru:
    """Gated recurrent units (Cho et al. 2014, arXiv:1406.1078) over frames of a series; the last state decides.

    No runtime has int8 kernels for them: where int8 counts, ``sensor_cnn`` is the student.

    Attributes:
        width: of the state, 1..1024.
        layers: of units, 1..4.
        frame: steps of the series that are read at once, 1..64; what is left at its beginning is not read.
        both: whether the series is read backwards, too.
        dropout: the share of each layer's outputs that training leaves out, 0 <= p < 1.
    """

    width: int = 32
    layers: int = 1
    frame: int = 4
    both: bool = False
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name, least, most in (("width", 1, 1024), ("layers", 1, 4), ("frame", 1, 64)):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name}: allowed is {least} to {most}")
        if not 0 <= self.dropout < 1:
            raise ValueError("dropout: allowed is 0 <= p < 1")

    def build(self, input_shape: tuple[int, ...], classes: int) -> nn.Module:
        """(N, T, C) series -> (N, classes).

        Raises:
            RecipeError: no series, or one that is shorter than a frame.
        """
        if len(input_shape) != 2 or input_shape[0] < self.frame:
            allowed = f"(T, C), at least {self.frame} steps"
            raise RecipeError("sensor_gru takes series", where="model.kind", found=input_shape, allowed=allowed)
        return SensorGruModule(input_shape, classes, self)


class SensorGruModule(nn.Module):
    """The module of ``SensorGru``."""

    def __init__(self, shape: tuple[int, ...], classes: int, family: SensorGru) -> None:
        super().__init__()
        steps, channels = shape
        self.frames, self.frame = steps // family.frame, family.frame
        inner = family.dropout if family.layers > 1 else 0.0
        self.units = nn.GRU(
            channels * family.frame,
            family.width,
            family.layers,
            batch_first=True,
            dropout=inner,
            bidirectional=family.both,
        )
        self.dropout, self.head = nn.Dropout(family.dropout), nn.Linear(family.width * (1 + family.both), classes)

    def forward(self, x: Tensor) -> Tensor:
        frames = x[:, -self.frames * self.frame :].reshape(-1, self.frames, self.units.input_size)
        states, last = self.units(frames)
        read = last[-2:].transpose(0, 1).flatten(1) if self.units.bidirectional else states[:, -1]
        return self.head(self.dropout(read))
