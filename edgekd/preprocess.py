"""From raw samples to model inputs: one definition for training, ``predict``, ONNX metadata and other languages.

A pipeline is a list of ``{"op": name, ...}`` steps, plain JSON. Each is a fixed order of single float32 (or integer)
operations without a matrix product, so that any language repeats it bit for bit:

===========  =====================  ==============================================================================
op           arguments              for a batch of (N, H, W, C)
===========  =====================  ==============================================================================
crop         height, width          the middle; top = (H - height) // 2, left = (W - width) // 2
resize       height, width          nearest: source row = (2 y + 1) H // (2 height), columns alike
grey         --                     (77 R + 150 G + 29 B + 128) >> 8 on uint8, one channel
edges        --                     (|a| + |b|) >> 3 on uint8, each channel; a, b: Sobel's 3x3 sums, border repeated
scale        divide                 float32(x) / float32(divide)
normalise    mean, std              (x - float32(mean_c)) / float32(std_c), for each channel c
layout       --                     (N, H, W, C) -> (N, C, H, W); last
columns      names, sizes, widths   (N, K) whole numbers in int64 inputs: the next width_k columns, 0..size_k - 1; last
===========  =====================  ==============================================================================

Sounds are (N, T) and take ``scale`` and ``normalise``. The result is named model inputs: one float32 array called
``input``, unless the last op names its own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekd.errors import DataError, RecipeError, UsageError

Array = NDArray[Any]
Inputs = dict[str, NDArray[Any]]
Ops = Sequence[Mapping[str, Any]]

ARGUMENTS: dict[str, tuple[str, ...]] = {
    "crop": ("height", "width"),
    "resize": ("height", "width"),
    "grey": (),
    "edges": (),
    "scale": ("divide",),
    "normalise": ("mean", "std"),
    "layout": (),
    "columns": ("names", "sizes", "widths"),
}
LAST = ("layout", "columns")
IMAGES = ("crop", "resize", "grey", "edges", "layout")
INPUT = "input"


@dataclass(frozen=True)
class Spec:
    """One model input after preprocessing: ``None`` is any size; ``high``: whole numbers lie in 0..high - 1."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"
    high: int | None = None


def raw_shape(ops: Ops, shape: Sequence[int]) -> tuple[int, ...]:
    """What one raw sample of an app is like, where a data set's samples are like ``shape``.

    A student that looks at the first columns alone is asked with these alone.
    """
    return (sum(ops[-1]["widths"]),) if ops and ops[-1]["op"] == "columns" else tuple(shape)


def specs(ops: Ops, sample: Array) -> tuple[Spec, ...]:
    """What the inputs of a model are like, from one raw sample."""
    found = apply(ops, sample[None])
    bounds = dict(zip(ops[-1]["names"], ops[-1]["sizes"], strict=True)) if ops and ops[-1]["op"] == "columns" else {}
    return tuple(Spec(name, (None, *x.shape[1:]), str(x.dtype), bounds.get(name)) for name, x in found.items())


def check(ops: Ops, where: str) -> None:
    """Raise RecipeError where a pipeline is malformed, naming the step and the key."""
    for i, op in enumerate(ops):
        place = f"{where}[{i}]"
        name = op.get("op")
        if name not in ARGUMENTS:
            raise RecipeError("unknown op", where=f"{place}.op", found=name, allowed=ARGUMENTS)
        wanted = ARGUMENTS[name]
        for key in op:
            if key != "op" and key not in wanted:
                raise RecipeError(
                    f"unknown key of {name!r}", where=f"{place}.{key}", found=key, allowed=wanted or "none"
                )
        for key in wanted:
            if key not in op:
                raise RecipeError(f"{name!r} needs {key!r}", where=f"{place}.{key}")
            _check_value(key, op[key], f"{place}.{key}")
        if name in LAST and i != len(ops) - 1:
            raise RecipeError(f"{name} must be the last op", where=place)


def _check_value(key: str, value: Any, where: str) -> None:
    if key in ("names", "sizes", "widths"):
        kind = str if key == "names" else int
        if not isinstance(value, list | tuple) or not value or not all(isinstance(v, kind) for v in value):
            raise RecipeError("malformed", where=where, found=value, allowed=f"a list of {kind.__name__}")
        return
    if key in ("height", "width"):
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 65_536:
            raise RecipeError("out of range", where=where, found=value, allowed="a whole number from 1 to 65536")
        return
    numbers = value if isinstance(value, list | tuple) else [value]
    good = numbers and all(isinstance(n, int | float) and not isinstance(n, bool) and math.isfinite(n) for n in numbers)
    if not good:
        raise RecipeError("not finite numbers", where=where, found=value, allowed="a number, or one for each channel")
    if key in ("divide", "std") and any(n == 0 for n in numbers):
        raise RecipeError("would divide by zero", where=where, found=value)


def apply(ops: Ops, batch: Array) -> Inputs:
    """Run a checked pipeline over a batch of raw samples; the model's inputs by name, contiguous.

    Args:
        batch: (N, H, W, C) images, (N, K) numbers, or anything else where there are no ops.

    Raises:
        DataError: the batch does not fit an op (channels, crop larger than the image, an unknown user).
    """
    for op in ops:
        if op["op"] in IMAGES and batch.ndim != 4:
            raise DataError(f"{op['op']} takes images", where="preprocess", found=batch.shape, allowed="(N, H, W, C)")
        if op["op"] == "columns":
            return _columns(batch, op)
        batch = _OPS[op["op"]](batch, op)
    return {INPUT: np.ascontiguousarray(batch, dtype=np.float32)}


def batched(x: Any, sample_shape: Sequence[int]) -> tuple[Array, bool]:
    """One raw sample, or a batch of them, as a batch; and whether it was one.

    A sample of one channel may be H x W or H x W x 1.

    Raises:
        UsageError: any other shape, or not an array of numbers.
    """
    array = np.asarray(x)
    shape = tuple(sample_shape)
    shapes = [shape, shape[:-1]] if len(shape) == 3 and shape[-1] == 1 else [shape]
    if array.dtype.kind not in "uifb":
        raise UsageError("not an array of numbers", where="predict", found=str(array.dtype))
    for wanted in shapes:
        if array.shape == wanted:
            return array.reshape(1, *shape), True
        if array.ndim == len(wanted) + 1 and array.shape[1:] == wanted:
            return array.reshape(-1, *shape), False
    text = " or ".join(" x ".join(map(str, wanted)) for wanted in shapes)
    raise UsageError("wrong shape", where="predict", found=array.shape, allowed=f"{text}, or a batch (N first)")


def to_json(ops: Ops) -> str:
    """The canonical spelling, as it stands in metadata."""
    return json.dumps([dict(op) for op in ops], sort_keys=True, separators=(",", ":"), allow_nan=False)


def from_json(text: str) -> list[dict[str, Any]]:
    """Read and check what ``to_json`` wrote."""
    ops: list[dict[str, Any]] = json.loads(text)
    check(ops, "preprocess")
    return ops


def _crop(x: Array, op: Mapping[str, Any]) -> Array:
    height, width = op["height"], op["width"]
    if height > x.shape[1] or width > x.shape[2]:
        raise DataError("crop is larger than the image", where="preprocess", found=x.shape[1:3])
    top, left = (x.shape[1] - height) // 2, (x.shape[2] - width) // 2
    return x[:, top : top + height, left : left + width]


def _resize(x: Array, op: Mapping[str, Any]) -> Array:
    height, width = op["height"], op["width"]
    rows = (2 * np.arange(height) + 1) * x.shape[1] // (2 * height)
    columns = (2 * np.arange(width) + 1) * x.shape[2] // (2 * width)
    return x[:, rows[:, None], columns[None, :]]


def _grey(x: Array, op: Mapping[str, Any]) -> Array:
    if x.dtype != np.uint8 or x.shape[-1] != 3:
        raise DataError("grey takes uint8 RGB", where="preprocess", found=f"{x.dtype} with {x.shape[-1]} channels")
    wide = x.astype(np.uint16)
    return ((77 * wide[..., 0] + 150 * wide[..., 1] + 29 * wide[..., 2] + 128) >> 8).astype(np.uint8)[..., None]


def _edges(x: Array, op: Mapping[str, Any]) -> Array:
    if x.dtype != np.uint8:
        raise DataError("edges takes uint8", where="preprocess", found=str(x.dtype))
    p = np.pad(x.astype(np.int32), ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    rows = p[:, :-2] + 2 * p[:, 1:-1] + p[:, 2:]
    columns = p[:, :, :-2] + 2 * p[:, :, 1:-1] + p[:, :, 2:]
    across, down = rows[:, :, 2:] - rows[:, :, :-2], columns[:, 2:] - columns[:, :-2]
    return ((np.abs(across) + np.abs(down)) >> 3).astype(np.uint8)


def _scale(x: Array, op: Mapping[str, Any]) -> Array:
    if op["divide"] >= 32_768 and x.dtype.kind == "f" and x.size and 0 < np.abs(x).max() <= 1:
        # Most audio libraries give -1..1: scaled once more that is silence, and nothing would say so.
        found = f"{x.dtype} within -1..1"
        raise DataError("sound that is scaled already", where="preprocess", found=found, allowed="int16 samples")
    return x.astype(np.float32) / np.float32(op["divide"])


def _normalise(x: Array, op: Mapping[str, Any]) -> Array:
    mean, std = np.asarray(op["mean"], dtype=np.float32), np.asarray(op["std"], dtype=np.float32)
    for name, value in (("mean", mean), ("std", std)):
        if value.size not in (1, x.shape[-1]):
            raise DataError(f"{name} has {value.size} numbers, the image {x.shape[-1]} channels", where="preprocess")
    return (x.astype(np.float32) - mean) / std


def _columns(x: Array, op: Mapping[str, Any]) -> Inputs:
    total = sum(op["widths"])
    if x.ndim != 2 or x.shape[1] < total or x.dtype.kind not in "iu":
        found = f"{x.dtype} {x.shape}"
        raise DataError("columns takes whole numbers", where="preprocess", found=found, allowed=f"(N, {total})")
    made: Inputs = {}
    start = 0
    for name, size, width in zip(op["names"], op["sizes"], op["widths"], strict=True):
        part = x[:, start] if width == 1 else x[:, start : start + width]
        start += width
        if part.size and not 0 <= int(part.min()) <= int(part.max()) < size:
            bad = part[(part < 0) | (part >= size)][0]
            raise DataError(f"unknown {name}", where="preprocess", found=int(bad), allowed=f"0 to {size - 1}")
        made[name] = np.ascontiguousarray(part, dtype=np.int64)
    return made


def _layout(x: Array, op: Mapping[str, Any]) -> Array:
    return x.transpose(0, 3, 1, 2)


_OPS: dict[str, Callable[[Array, Mapping[str, Any]], Array]] = {
    "crop": _crop,
    "resize": _resize,
    "grey": _grey,
    "edges": _edges,
    "scale": _scale,
    "normalise": _normalise,
    "layout": _layout,
}
