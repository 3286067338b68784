"""The preprocessing as a program repeats it: its samples have one size, so that nothing is left to be worked out."""

from __future__ import annotations

from collections.abc import Sequence

from edgekd.base import image_ops
from edgekd.base.preprocess import Op, Ops

PLAIN = ("uint8", "int16", "int64")  # what the numbers are until an op makes them floats


def of(ops: Ops, extent: Sequence[int], dtype: str) -> list[Op]:
    """Ops with every size and place in numbers.

    Args:
        extent: height, width and channels of a raw sample.
        dtype: of its numbers.

    Returns:
        ``crop`` says ``top`` and ``left``; ``resize`` is to the nearest pixel, and ``resample`` by a ``filter``; of
        ``letterbox`` one of these is left, and ``pad``, which says ``height``, ``width``, ``top``, ``left`` and a
        ``value`` for each channel (whole numbers where those of the image are); the others are as they were.
    """
    steps: list[Op] = []
    size, channels, whole = (extent[0], extent[1]), extent[2], dtype in PLAIN
    for op in ops:
        name, after = op["op"], image_ops.size_after(op, size)
        if name in ("resize", "letterbox"):
            inner = image_ops.inside(size, after) if name == "letterbox" else after
            steps.append(_resized(inner, op.get("interpolation", "nearest")))
            size = inner
        if name in ("pad", "letterbox"):
            steps.append(_padded(op, size, after, channels, whole))
        elif name == "crop":
            top, left = image_ops.crop_place(size, after, op.get("top"), op.get("left"))
            steps.append({**op, "top": top, "left": left})
        elif name != "resize":
            steps.append(op)
        size, channels = after, 1 if name == "grey" else channels
        whole = whole and name not in ("scale", "normalise")
    return steps


def _resized(size: image_ops.Size, interpolation: str) -> Op:
    where = {"height": size[0], "width": size[1]}
    return (
        {"op": "resize", **where}
        if interpolation == "nearest"
        else {"op": "resample", **where, "filter": interpolation}
    )


def _padded(op: Op, size: image_ops.Size, after: image_ops.Size, channels: int, whole: bool) -> Op:
    value, middle = op.get("value", 0), op.get("position", "middle") == "middle"
    values = list(value) if isinstance(value, list | tuple) else [value]
    values *= channels // len(values)
    return {
        "op": "pad",
        "height": after[0],
        "width": after[1],
        "top": (after[0] - size[0]) // 2 if middle else 0,
        "left": (after[1] - size[1]) // 2 if middle else 0,
        "value": [int(v) if whole else float(v) for v in values],
        "whole": whole,
    }
