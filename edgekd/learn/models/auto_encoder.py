"""An auto-encoder that answers how badly it rebuilds what it is given, and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgekd.base import plugins
from edgekd.base.errors import RecipeError
from edgekd.learn.models._base import conv_bn, initialise
from edgekd.learn.models._maps import check_image, resized, size_of
from edgekd.tasks import Heads

LEAST = 1e-6  # of a mean squared error: a thousandth of inputs of 0 to 1, less is rounding in 8 bits
# Of that around a pixel, the mean of few numbers, which int8 kernels round otherwise: on made_tiles OpenVINO's differed
# from torch's by up to 6.5 % of the range of all logarithms with 1e-6, and by 4.5 % with this. Their order is the same.
LEAST_AROUND = 1e-4


@dataclass(frozen=True)
class AutoEncoder:
    """The logarithm of the mean squared error of a reconstruction (Hinton and Salakhutdinov 2006,
    doi:10.1126/science.1127647; as a score of anomalies Sakurada and Yairi 2014, doi:10.1145/2689746.2689747).

    What it learned to rebuild has a small error, and what is new a large one. The error is in the graph: every runtime
    answers with the score. Pictures go through convolutions, rows of numbers through linear layers. It wants inputs of
    about the size of 1. Of pictures it may answer with a map, beside the score or alone: the logarithm of the mean
    squared error around each pixel, which takes no layer more.

    Attributes:
        width: channels of the first convolution, 1..1024, which double with every halving; of numbers each layer's.
        depth: halvings, 1..5; of numbers the layers on either side.
        code: channels at the narrowest place, 1..1024; of numbers how many.
        window: of pictures: the score is that of the worst square of so many pixels, half a square apart and along each
            edge, which small defects show in; 0: of the whole picture.
        smoothing: of maps: the error at a pixel is the mean over a square of so many pixels around it, as far as that
            lies in the picture; an odd number, 1..63.
    """

    width: int = 16
    depth: int = 3
    code: int = 8
    window: int = 0
    smoothing: int = 5

    def __post_init__(self) -> None:
        ranges = {"width": (1, 1024), "depth": (1, 5), "code": (1, 1024), "window": (0, 1024), "smoothing": (1, 63)}
        plugins.check_ranges(self, **ranges)
        if self.smoothing % 2 == 0:
            raise ValueError("smoothing: allowed is an odd number, so that a pixel is in the middle")

    def build(self, input_shape: tuple[int, ...], classes: int) -> nn.Module:
        """(N, C, H, W) or (N, D) -> (N, 1).

        Raises:
            RecipeError: inputs that are neither, more outputs than one, or a window that is larger than the picture.
        """
        if classes != 1:
            what, allowed = "auto_encoder answers one score", 'one output, as of task = "anomaly"'
            raise RecipeError(what, where="model.kind", found=classes, allowed=allowed)
        if len(input_shape) == 1:
            if self.window:
                what = "a window is of pictures"
                raise RecipeError(what, where="model.window", found=self.window, allowed="0")
            return NumbersModule(input_shape[0], self)
        return self._pictures(input_shape, {"score": (1,)})

    def build_heads(self, input_shape: tuple[int, ...], heads: Heads) -> nn.Module:
        """See ``HeadsFamily``: (N, 1, H, W) of the input's size, beside (N, 1) or alone; or (N, 1) alone.

        Raises:
            RecipeError: as ``build``, other answers, or maps of another size.
        """
        shapes = sorted(heads.shapes.values(), key=len)
        if len(shapes) == 1 and len(shapes[0]) == 1:
            return self.build(input_shape, *shapes[0])
        _, height, width = check_image(input_shape, "auto_encoder with a map")
        if shapes not in ([(1, height, width)], [(1,), (1, height, width)]):
            listed, allowed = ", ".join(map(str, heads.shapes.values())), f"(1, {height}, {width}), and beside it (1,)"
            what = "auto_encoder answers with one map of the size of its pictures, and one score"
            raise RecipeError(what, where="model.kind", found=listed, allowed=allowed)
        self._check_fits("smoothing", height, width)
        return self._pictures(input_shape, heads.shapes)

    def _pictures(self, input_shape: tuple[int, ...], answers: Mapping[str, tuple[int, ...]]) -> nn.Module:
        """See ``PicturesModule``."""
        channels, height, width = check_image(input_shape, "auto_encoder")
        self._check_fits("window", height, width)
        return initialise(PicturesModule(channels, self, answers))

    def _check_fits(self, name: str, height: int, width: int) -> None:
        if (side := getattr(self, name)) > min(height, width):
            allowed = f"at most {min(height, width)}, the size of the picture"
            raise RecipeError(f"a {name} larger than the picture", where=f"model.{name}", found=side, allowed=allowed)


class PicturesModule(nn.Module):
    """Down to small maps of a few channels, and up again by nearest neighbours and convolutions.

    Args:
        answers: the shape of each, by name: (1,) of the score, (1, H, W) of the map.
    """

    def __init__(self, channels: int, family: AutoEncoder, answers: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__()
        widths = [channels, *(family.width * 2**level for level in range(family.depth))]
        self.down = nn.ModuleList(conv_bn(widths[i], widths[i + 1], stride=2) for i in range(family.depth))
        self.squeeze = conv_bn(widths[-1], family.code, 1)
        ups = [family.code, *reversed(widths[1:])]
        self.up = nn.ModuleList(conv_bn(ups[i], ups[i + 1]) for i in range(family.depth))
        self.head = nn.Conv2d(ups[-1], channels, 3, padding=1)
        self.window, self.smoothing = family.window, family.smoothing
        self.is_map = {name: len(shape) == 3 for name, shape in answers.items()}

    def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:
        maps, sizes = x, []
        for block in self.down:
            sizes.append(size_of(maps))
            maps = block(maps)
        maps = self.squeeze(maps)
        for block in self.up:
            maps = block(resized(maps, sizes.pop()))
        error = (x - self.head(maps)).square()
        answers = {name: self._map(error) if is_map else self._score(error) for name, is_map in self.is_map.items()}
        return answers if len(answers) > 1 else next(iter(answers.values()))

    def _score(self, error: Tensor) -> Tensor:
        """(N, 1) of (N, C, H, W) squared errors."""
        if not self.window:
            return _score(error)
        by_pixel = error.mean(dim=1, keepdim=True)
        step = max(1, self.window // 2)
        parts = _with_edges(by_pixel, self.window, step)
        squares = [nn.functional.avg_pool2d(part, self.window, step).flatten(1) for part in parts]
        every = squares[0] if len(squares) == 1 else torch.cat(squares, dim=1)
        return torch.log(every.amax(dim=1, keepdim=True) + LEAST)

    def _map(self, error: Tensor) -> Tensor:
        """(N, 1, H, W) of the same."""
        around = self.smoothing // 2
        by_pixel = error.mean(dim=1, keepdim=True)
        smooth = nn.functional.avg_pool2d(by_pixel, self.smoothing, 1, around, count_include_pad=False)
        return torch.log(smooth + LEAST_AROUND)


class NumbersModule(nn.Module):
    """Linear layers down to the code, and up again."""

    def __init__(self, inputs: int, family: AutoEncoder) -> None:
        super().__init__()
        widths = [inputs, *[family.width] * family.depth, family.code, *[family.width] * family.depth]
        self.body = nn.Sequential(*(_layer(widths[i], widths[i + 1]) for i in range(len(widths) - 1)))
        self.head = nn.Linear(family.width, inputs)

    def forward(self, x: Tensor) -> Tensor:
        return _score((x - self.head(self.body(x))).square())


def _with_edges(maps: Tensor, window: int, step: int) -> list[Tensor]:
    """The maps, and of them what windows that lie so far apart don't reach: the last rows, the last columns."""
    height, width = size_of(maps)
    parts = [maps]
    if (height - window) % step:
        parts += [part[:, :, height - window :] for part in parts]
    if (width - window) % step:
        parts += [part[:, :, :, width - window :] for part in parts]
    return parts


def _layer(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU())


def _score(error: Tensor) -> Tensor:
    """(N, 1) the logarithm of the mean of (N, ...) squared errors."""
    return torch.log(error.flatten(1).mean(dim=1, keepdim=True) + LEAST)
