"""What the record of pre-trained weights says of images, as ops: of images of one size every step is in numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from edgekd.base import image_ops
from edgekd.base.image_ops import Op, Size
from edgekd.learn.data import Pipeline

FILTERS = image_ops.CHOICES["interpolation"]
# Pillow's numbers, as image processors write them; 5, its Hamming filter, is none of ours.
PILLOW = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box"}
Table = Mapping[str, object]


class Trained(Protocol):
    """The fields of timm's ``PretrainedCfg`` that say how its evaluation shows images."""

    input_size: tuple[int, int, int]
    interpolation: str
    crop_pct: float
    crop_mode: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


def of_timm(name: str, trained: Trained, size: Size) -> tuple[Pipeline, str]:
    """The steps of timm's ``transforms_imagenet_eval`` for images of a size, and what is done otherwise, "" if nothing.

    ``squash``: each side is resized to that of the network divided by ``crop_pct``; ``border``: the longer one, in its
    own aspect; else the shorter one. Then the middle, as torchvision rounds it, of ``border`` with the mean colour
    around where the image is smaller.
    """
    wanted = trained.input_size[1], trained.input_size[2]
    height, width = (math.floor(side / (trained.crop_pct or 0.875)) for side in wanted)
    filter_name, colour, note = trained.interpolation or "bicubic", [0], ""
    ratios = size[0] / height, size[1] / width
    if trained.crop_mode == "squash":
        resized = height, width
    elif trained.crop_mode == "border":
        resized = _by_ratio(size, max(ratios))
        colour = [round(255 * share) for share in trained.mean]
    elif height == width:
        resized = shortest(size, height)
    else:
        resized = _by_ratio(size, min(ratios))
    if filter_name not in FILTERS:
        note = f"{name} was trained on images resized by {filter_name}; here it is bicubic"
        filter_name = "bicubic"
    ops = [*resize(size, resized, filter_name), *_middle(resized, wanted, colour, torchvision=True), *_scaled(255.0)]
    ops += [{"op": "normalise", "mean": list(trained.mean), "std": list(trained.std)}, {"op": "layout"}]
    return tuple(map(dict, ops)), note


def _by_ratio(size: Size, ratio: float) -> Size:
    """The size divided by a ratio, a half rounded to the even side."""
    return max(1, round(size[0] / ratio)), max(1, round(size[1] / ratio))


def of_processor(table: Table, size: Size) -> Pipeline:
    """The steps of an image processor of transformers (its Pillow backend) for images of a size.

    Args:
        table: the processor as a whole, with its defaults.

    Raises:
        ValueError: it says something that no op does; names it.
    """
    ops: list[Op] = []
    if table.get("do_resize"):
        resized = _processor_size(table, size)
        resample = table.get("resample")
        if not isinstance(resample, int) or int(resample) not in PILLOW:
            raise ValueError(f"resample = {resample!r}")
        ops += resize(size, resized, PILLOW[int(resample)])
        size = resized
        if table.get("crop_pct") is not None and (side := _whole(table, "size", "shortest_edge")) < 384:
            ops += _middle(size, (side, side))
            size = side, side
    if table.get("do_center_crop"):
        ops += _middle(size, (_whole(table, "crop_size", "height"), _whole(table, "crop_size", "width")))
    if table.get("do_pad"):
        raise ValueError("do_pad = true")
    if table.get("do_flip_channel_order"):
        ops.append({"op": "bgr"})
    if table.get("do_rescale"):
        ops += _scaled(1 / _number(table, "rescale_factor"))
    if table.get("do_normalize"):
        ops.append({"op": "normalise", "mean": _numbers(table, "image_mean"), "std": _numbers(table, "image_std")})
    return (*map(dict, ops), {"op": "layout"})


def shortest(size: Size, side: int) -> Size:
    """The size whose shorter side is ``side``, in the same aspect, the longer one cut to whole pixels."""
    height, width = size
    return (side, int(side * width / height)) if height <= width else (int(side * height / width), side)


def resize(size: Size, wanted: Size, filter_name: str) -> list[Op]:
    """No op where nothing changes."""
    op = {"op": "resize", "height": wanted[0], "width": wanted[1], "interpolation": filter_name}
    return [op] if size != wanted else []


def _processor_size(table: Table, size: Size) -> Size:
    sides = table.get("size")
    keys = {key for key, side in sides.items() if side is not None} if isinstance(sides, Mapping) else set()
    if keys == {"height", "width"}:
        return _whole(table, "size", "height"), _whole(table, "size", "width")
    if keys != {"shortest_edge"}:
        raise ValueError(f"size = {sides!r}")
    side = _whole(table, "size", "shortest_edge")
    if table.get("crop_pct") is None:
        return shortest(size, side)
    return shortest(size, int(side / _number(table, "crop_pct"))) if side < 384 else (side, side)


def _middle(size: Size, wanted: Size, colour: Sequence[int] = (0,), *, torchvision: bool = False) -> list[Op]:
    """The middle; what is missing around is of a colour, black where nothing is said.

    torchvision rounds half a pixel above to the even one where it crops, and down where it pads; transformers rounds
    down where it crops, and up where it pads.
    """
    ops: list[Op] = []
    whole = max(size[0], wanted[0]), max(size[1], wanted[1])
    place = image_ops.crop_place(whole, wanted)
    if torchvision:
        place = round((whole[0] - wanted[0]) / 2), round((whole[1] - wanted[1]) / 2)
    elif whole != size:  # padded by one more, which is cropped below and right
        whole = whole[0] + (whole[0] - size[0]) % 2, whole[1] + (whole[1] - size[1]) % 2
    if whole != size:
        value = {"value": list(colour)} if any(colour) else {}
        ops.append({"op": "pad", "height": whole[0], "width": whole[1], **value})
    if whole != wanted:
        begin = {} if place == image_ops.crop_place(whole, wanted) else {"top": place[0], "left": place[1]}
        ops.append({"op": "crop", "height": wanted[0], "width": wanted[1], **begin})
    return ops


def _scaled(divide: float) -> list[Op]:
    whole = round(divide)  # 1 / 0.00392156862745098 is not 255 to the last bit
    return [{"op": "scale", "divide": float(whole) if math.isclose(divide, whole, rel_tol=1e-9) else divide}]


def _whole(table: Table, key: str, inner: str) -> int:
    sides = table.get(key)
    side = sides.get(inner) if isinstance(sides, Mapping) else None
    if type(side) is not int or side < 1:
        raise ValueError(f"{key} = {sides!r}")
    return side


def _number(table: Table, key: str) -> float:
    value = table.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ValueError(f"{key} = {value!r}")
    return float(value)


def _numbers(table: Table, key: str) -> list[float]:
    values = table.get(key)
    listed: Sequence[object] = values if isinstance(values, list | tuple) else [values]
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in listed):
        raise ValueError(f"{key} = {values!r}")
    return [float(value) for value in listed if isinstance(value, int | float)]
