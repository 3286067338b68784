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


def of_maps(input_shape: tuple[int, ...], heads: Heads, kind: str) -> int:
    """How many classes the one output has, which answers at every pixel of the input.

    Raises:
        RecipeError: no image, several outputs, or one of another size.
    """
    _, height, width = check_image(input_shape, kind)
    shapes = list(heads.shapes.values())
    if len(shapes) != 1 or len(shapes[0]) != 3:
        listed, allowed = ", ".join(map(str, shapes)), "one, (classes, height, width)"
        raise RecipeError(f"{kind} has one output, a map of classes", where="model.kind", found=listed, allowed=allowed)
    if shapes[0][1:] != (height, width):
        size, allowed = f"masks of {shapes[0][1:]}", f"{(height, width)}, as what the network is given"
        hint = "without a resize in data.preprocess, or with masks that are resized as well"
        raise RecipeError(
            "masks of another size than the pictures", where="data", found=size, allowed=allowed, hint=hint
        )
    return shapes[0][0]
