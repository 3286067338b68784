"""What networks that answer with maps share."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from edgekd.base.errors import RecipeError
from edgekd.learn.models._base import conv_bn
from edgekd.tasks import Heads


def twice(inputs: int, outputs: int) -> nn.Sequential:
    """Two 3x3 convolutions with BatchNorm and ReLU."""
    return nn.Sequential(conv_bn(inputs, outputs), conv_bn(outputs, outputs))


def encoder(channels: int, width: int, stages: int, depth: int) -> tuple[nn.ModuleList, int]:
    """Stages of ``depth`` convolutions, each of which halves the maps and doubles the channels; those of the last."""
    modules, inputs = [], channels
    for stage in range(stages):
        outputs = width * 2**stage
        more = (conv_bn(outputs, outputs) for _ in range(depth - 1))
        modules.append(nn.Sequential(conv_bn(inputs, outputs, stride=2), *more))
        inputs = outputs
    return nn.ModuleList(modules), inputs


def resized(maps: Tensor, size: tuple[int, int], mode: str = "nearest") -> Tensor:
    """(N, C, *size) of (N, C, h, w); as they are where they have that size.

    Args:
        mode: ``nearest``, which copies 8-bit numbers as they are, or ``bilinear``, which runtimes compute in float.
    """
    if (int(maps.shape[2]), int(maps.shape[3])) == size:
        return maps
    return F.interpolate(maps, size=size, mode=mode, align_corners=False if mode == "bilinear" else None)


def size_of(maps: Tensor) -> tuple[int, int]:
    """Height and width, as Python's numbers: those of a picture are fixed in a file."""
    return int(maps.shape[2]), int(maps.shape[3])


def check_image(input_shape: tuple[int, ...], kind: str) -> tuple[int, int, int]:
    """(C, H, W) of a model's one input.

    Raises:
        RecipeError: it is no image.
    """
    if len(input_shape) != 3:
        where, allowed = "model.kind", "images, (C, H, W)"
        raise RecipeError(f"{kind} reads images", where=where, found=input_shape, allowed=allowed)
    channels, height, width = input_shape
    return channels, height, width


def of_maps(input_shape: tuple[int, ...], heads: Heads, kind: str) -> int | None:
    """How many classes the one output has, which answers at every pixel of the input; None: there are several, each
    such a map, or scores in a row.

    Raises:
        RecipeError: no image, no map, one of another size, or another answer.
    """
    _, height, width = check_image(input_shape, kind)
    shapes = list(heads.shapes.values())
    maps = [shape for shape in shapes if len(shape) == 3]
    if not maps or any(len(shape) not in (1, 3) for shape in shapes):
        listed, allowed = ", ".join(map(str, shapes)), "(classes, height, width), and beside it scores in a row"
        raise RecipeError(f"{kind} answers with a map of classes", where="model.kind", found=listed, allowed=allowed)
    for _, *size in maps:
        if size != [height, width]:
            given, allowed = f"masks of {tuple(size)}", f"{(height, width)}, as what the network is given"
            hint = "without a resize in data.preprocess, or with masks that are resized as well"
            raise RecipeError(
                "masks of another size than the pictures", where="data", found=given, allowed=allowed, hint=hint
            )
    return maps[0][0] if len(shapes) == 1 else None


class MapsAndRows(nn.Module):
    """A 1x1 convolution for each head of maps, and a linear layer over the mean of the deepest maps for each other.

    Args:
        heads: their shapes, (C, H, W) or (K,).
        inputs: channels of the maps that scores of pixels are made of; deep: of the deepest maps.
    """

    def __init__(self, heads: Heads, inputs: int, deep: int) -> None:
        super().__init__()
        shapes = heads.shapes.items()
        self.maps = nn.ModuleDict({name: nn.Conv2d(inputs, s[0], 1) for name, s in shapes if len(s) == 3})
        self.rows = nn.ModuleDict({name: nn.Linear(deep, s[0]) for name, s in shapes if len(s) == 1})

    def forward(self, maps: Tensor, deepest: Tensor, size: tuple[int, int]) -> dict[str, Tensor]:
        """(N, inputs, h, w), (N, deep, ...) -> (N, C, *size) or (N, K) of each head, by name."""
        pooled = F.adaptive_avg_pool2d(deepest, 1).flatten(1)
        of_pixels = {name: resized(head(maps), size, "bilinear") for name, head in self.maps.items()}
        return {**of_pixels, **{name: head(pooled) for name, head in self.rows.items()}}
