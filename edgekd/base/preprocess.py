"""From raw samples to model inputs: one definition for training, ``predict``, ONNX metadata and other languages.

A pipeline is a list of ``{"op": name, ...}`` steps, plain JSON. Each is a fixed order of single float32 (or integer)
operations without a matrix product, so that any language repeats it bit for bit:

===========  =====================  ==============================================================================
op           arguments              for a batch of (N, H, W, C)
===========  =====================  ==============================================================================
crop         height, width,         the middle, top = (H - height) // 2, left = (W - width) // 2, where these are not
             [top], [left]          said
resize       height, width,         ``nearest``: source row = (2 y + 1) H // (2 height), columns alike; or ``box``,
             [interpolation]        ``bilinear``, ``bicubic``, ``lanczos``: as Pillow does, see ``resampling.py``
letterbox    height, width, and     resized to the largest of its aspect that fits (the other side rounded), then padded
             [of resize and pad]
pad          height, width; or      pixels of ``value`` (0) around: ``middle``, top = (height - H) // 2, left alike, or
             multiple; or aspect;   ``top_left``, top = left = 0; to a size, to a multiple of so many pixels, or to the
             [value], [position]    smallest of an aspect [height, width]
bgr          --                     the three channels in the other order
grey         --                     (77 R + 150 G + 29 B + 128) >> 8 on uint8, one channel
edges        --                     (|a| + |b|) >> 3 on uint8, each channel; a, b: Sobel's 3x3 sums, border repeated
scale        divide                 float32(x) / float32(divide)
normalise    mean, std              (x - float32(mean_c)) / float32(std_c), for each channel c
layout       --                     (N, H, W, C) -> (N, C, H, W); last
columns      names, sizes, widths   (N, K) whole numbers in int64 inputs: the next width_k columns, 0..size_k - 1; last
parts        names, sizes, shapes   (N, K) numbers in float32 inputs: the next of shape_k; where size_k > 0 they are
                                    whole numbers from 0 to size_k - 1, which the network reads as such; last
table        columns                (N, K) raw rows, float32: numbers, and places of values; NaN is a missing one: see
                                    ``table_rows.py``; last
wordpiece    vocabulary, length,    (N,) texts -> ``input_ids`` and ``attention_mask``, int64 (N, L), L that of the
             lower                  longest, at most ``length``: see ``wordpiece.py``; last
===========  =====================  ==============================================================================

Sounds are (N, T) and take ``scale`` and ``normalise``. The result is named model inputs: one float32 array called
``input``, unless the last op names its own.

``vocabulary`` is the list of tokens. Where ops are written down it is a file's name: ``stored`` and ``resolved``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekd.base import image_ops, limits, table_rows
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError, RecipeError
from edgekd.base.wordpiece import Vocabulary

Inputs = dict[str, AnyArray]
Op = image_ops.Op
Ops = Sequence[Op]

ARGUMENTS: dict[str, tuple[str, ...]] = {
    "crop": ("height", "width"),
    "resize": ("height", "width"),
    "letterbox": ("height", "width"),
    "pad": (),
    "bgr": (),
    "grey": (),
    "edges": (),
    "scale": ("divide",),
    "normalise": ("mean", "std"),
    "layout": (),
    "columns": ("names", "sizes", "widths"),
    "parts": ("names", "sizes", "shapes"),
    "wordpiece": ("vocabulary", "length", "lower"),
    "table": ("columns",),
}
# What may be left out.
OPTIONAL: dict[str, tuple[str, ...]] = {
    "crop": ("top", "left"),
    "resize": ("interpolation",),
    "letterbox": ("interpolation", "value", "position"),
    "pad": ("height", "width", "multiple", "aspect", "value", "position"),
}
LAST = ("layout", "columns", "parts", "table", "wordpiece")
IMAGES = ("crop", "resize", "letterbox", "pad", "bgr", "grey", "edges", "layout")
INPUT, TOKENS, MASK = "input", "input_ids", "attention_mask"
VOCABULARY = "vocab.txt"
MOST_TOKENS = 16_384  # of a text
LARGEST = float(np.finfo(np.float32).max)
TEXT = "text"  # the type of raw samples that are texts; the others are those of numpy
TYPES = ("uint8", "int16", "int64", "float32")


@dataclass(frozen=True)
class Spec:
    """One model input after preprocessing: ``None`` is any size, of a sequence ``shortest`` to ``longest``.

    ``high``: it holds whole numbers, which lie in 0..high - 1, whatever its type.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"
    high: int | None = None
    longest: int | None = None
    shortest: int = 2


def raw_shape(ops: Ops, shape: Sequence[int]) -> tuple[int, ...]:
    """What one raw sample of an app is like, where a data set's samples are like ``shape``.

    A student that looks at the first columns alone is asked with these alone.
    """
    widths = widths_of(ops)
    return (sum(widths),) if widths else tuple(shape)


def widths_of(ops: Ops) -> list[int]:
    """How many numbers of a row each input takes, of the ops ``columns`` and ``parts``; none of others."""
    last: Op = ops[-1] if ops else {}
    return [math.prod(shape) for shape in last.get("shapes", ())] or list(last.get("widths", ()))


def specs(ops: Ops, sample: AnyArray) -> tuple[Spec, ...]:
    """What the inputs of a model are like, from one raw sample."""
    if ops and ops[-1]["op"] == "wordpiece":
        longest = int(ops[-1]["length"])
        highs = {TOKENS: len(ops[-1]["vocabulary"]), MASK: 2}
        return tuple(Spec(name, (None, None), "int64", high, longest) for name, high in highs.items())
    inputs = apply(ops, np.asarray(sample)[None])
    bounds = dict(zip(ops[-1]["names"], ops[-1]["sizes"], strict=True)) if widths_of(ops) else {}
    return tuple(Spec(name, (None, *x.shape[1:]), str(x.dtype), bounds.get(name) or None) for name, x in inputs.items())


def check(ops: Ops, where: str) -> None:
    """Raise RecipeError where a pipeline is malformed, naming the step and the key."""
    _check_count(ops, where)
    for i, op in enumerate(ops):
        place = f"{where}[{i}]"
        name = op.get("op")
        if not isinstance(name, str) or name not in ARGUMENTS:
            raise RecipeError("unknown op", where=f"{place}.op", found=name, allowed=ARGUMENTS)
        wanted, optional = ARGUMENTS[name], OPTIONAL.get(name, ())
        for key in op:
            if key not in ("op", *wanted, *optional):
                allowed = (*wanted, *optional) or "none"
                raise RecipeError(f"unknown key of {name!r}", where=f"{place}.{key}", found=key, allowed=allowed)
        for key in (*wanted, *filter(op.__contains__, optional)):
            if key not in op:
                raise RecipeError(f"{name!r} needs {key!r}", where=f"{place}.{key}")
            _check_value(key, op[key], f"{place}.{key}", least=0 if name == "parts" else 1)
        if name in ("columns", "parts") and len({len(op[key]) for key in wanted}) > 1:
            lengths = {key: len(op[key]) for key in wanted}
            raise RecipeError(f"as many names as {wanted[1]} and {wanted[2]} are needed", where=place, found=lengths)
        image_ops.check_op(op, place)
        if name in LAST and i != len(ops) - 1:
            raise RecipeError(f"{name} must be the last op", where=place)


def _check_count(ops: Ops, where: str) -> None:
    if len(ops) > limits.OPS:
        raise RecipeError("too many ops", where=where, found=len(ops), allowed=f"at most {limits.OPS}")


def largest(ops: Ops, shape: Sequence[int]) -> int:
    """The most numbers that one raw sample of a shape is made of on its way through a checked pipeline."""
    most, channels = [math.prod(shape)], math.prod(shape[2:])
    size = (*shape, 1, 1)[0], (*shape, 1, 1)[1]
    for op in ops:
        size = image_ops.size_after(op, size)
        most.append(table_rows.width(op["columns"]) if op["op"] == table_rows.OP else math.prod(size) * channels)
    return max(most)


def check_sample(ops: Ops, shape: Sequence[int], dtype: str) -> None:
    """Raise DataError where a checked pipeline takes no raw sample of a shape and a type ("": any).

    Each op is asked about 0 samples, so that none is made: 30 us for the digits, and for the largest there are.
    """
    if dtype not in (TEXT, "", *TYPES):
        raise DataError("no type of raw samples", where="sample.dtype", found=dtype, allowed=(TEXT, *TYPES))
    if bool(shape) == (dtype == TEXT) and dtype:
        raise DataError("a text has no axes, and all else has", where="sample", found=f"{dtype} {tuple(shape)}")
    kinds = ("object",) if not shape else (dtype,) if dtype else TYPES
    for kind in kinds:
        try:
            apply(ops, np.empty((0, *shape), kind))
            return
        except ValueError as err:  # numpy's own limit
            raise DataError("too many axes", where="sample.shape", found=len(shape)) from err
        except DataError:
            if kind == kinds[-1]:
                raise


def _check_value(key: str, value: Any, where: str, least: int = 1) -> None:
    """``least``: of a size."""
    if key == "columns":
        table_rows.check(value, where)
        return
    if key in ("vocabulary", "length", "lower"):
        _check_text(key, value, where)
        return
    if key == "shapes":
        axes = [size for shape in value for size in shape] if _is_list(value) and all(map(_is_list, value)) else [None]
        if not value or not all(type(size) is int and 1 <= size <= 65_536 for size in axes):
            raise RecipeError("malformed", where=where, found=value, allowed="a list of shapes, of sizes 1 to 65536")
        return
    if key in ("names", "sizes", "widths"):
        kind = str if key == "names" else int
        good = _is_list(value) and len(value) > 0 and all(type(v) is kind for v in value)
        if not good or (len({*value}) < len(value) if kind is str else not least <= min(value) <= max(value) <= 2**31):
            allowed = "a list of different names" if kind is str else f"a list of whole numbers from {least} to 2^31"
            raise RecipeError("malformed", where=where, found=value, allowed=allowed)
        return
    if key in ("height", "width", "top", "left", "multiple", "aspect", "interpolation", "position"):
        image_ops.check_value(key, value, where)
        return
    numbers = value if isinstance(value, list | tuple) and key != "divide" else [value]
    plain = all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers)
    good = plain and len(numbers) > 0 and all(abs(n) <= LARGEST for n in numbers)
    if not good:
        allowed = "a number" if key == "divide" else "a number, or one for each channel"
        raise RecipeError("not finite numbers", where=where, found=value, allowed=f"{allowed}, of float32")
    if key in ("divide", "std") and any(np.float32(n) == 0 for n in numbers):
        raise RecipeError("would divide by zero", where=where, found=value)


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


def _check_text(key: str, value: object, where: str) -> None:
    if key == "vocabulary":
        if not isinstance(value, list | tuple) or not all(isinstance(token, str) for token in value):
            raise RecipeError("malformed", where=where, found=value, allowed="a list of tokens")
        try:
            Vocabulary.of(value)
        except ValueError as err:
            raise RecipeError(str(err), where=where) from err
    elif key == "lower" and not isinstance(value, bool):
        raise RecipeError("malformed", where=where, found=value, allowed="true or false")
    elif key == "length" and (isinstance(value, bool) or not isinstance(value, int) or not 3 <= value <= MOST_TOKENS):
        raise RecipeError("out of range", where=where, found=value, allowed=f"a whole number from 3 to {MOST_TOKENS}")


def apply(ops: Ops, batch: AnyArray) -> Inputs:
    """Run a checked pipeline over a batch of raw samples; the model's inputs by name, contiguous.

    Args:
        batch: (N, H, W, C) images, (N, K) numbers, (N,) texts (str, or object), or anything else where there are no
            ops.

    Raises:
        DataError: the batch does not fit an op (channels, crop larger than the image, an unknown user, an empty text).
    """
    for op in ops:
        if op["op"] in IMAGES and batch.ndim != 4:
            raise DataError(f"{op['op']} takes images", where="preprocess", found=batch.shape, allowed="(N, H, W, C)")
        if op["op"] in _ENDS:
            return _ENDS[op["op"]](batch, op)
        _check_numbers(batch, ops)
        batch = _OPS[op["op"]](batch, **{key: value for key, value in op.items() if key != "op"})
    _check_numbers(batch, ops)
    return {INPUT: np.ascontiguousarray(batch, dtype=np.float32)}


def _check_numbers(batch: AnyArray, ops: Ops) -> None:
    if batch.dtype.kind in "UO":
        names, allowed = [op["op"] for op in ops], "the op wordpiece alone"
        raise DataError("texts need the op wordpiece", where="preprocess", found=names, allowed=allowed)


def cut(ops: Ops, texts: Sequence[str]) -> int:
    """How many texts lose their last tokens; 0 for what is no text."""
    if not ops or ops[-1]["op"] != "wordpiece":
        return 0
    vocabulary, room = Vocabulary.of(ops[-1]["vocabulary"]), ops[-1]["length"] - 2
    return sum(len(vocabulary.tokens(text, ops[-1]["lower"], room + 1)) > room for text in texts)


def stored(ops: Ops) -> tuple[list[dict[str, object]], dict[str, bytes]]:
    """The ops as they are written down, and the files that they name: a vocabulary is one of its own."""
    tables, files = [dict(op) for op in ops], {}
    for op in tables:
        if op["op"] == "wordpiece":
            files[VOCABULARY] = Vocabulary.of(op["vocabulary"]).written()
            op["vocabulary"] = VOCABULARY
    return tables, files


def resolved(ops: Ops, read: Callable[[str], bytes]) -> list[dict[str, object]]:
    """The ops in memory, checked, from what was written down and a way to read the files that it names.

    Raises:
        RecipeError: malformed ops or files; names the op.
    """
    _check_count(ops, "preprocess")
    loaded = [dict(op) for op in ops]
    for i, op in enumerate(loaded):
        if op.get("op") == "wordpiece":
            name, where = op.get("vocabulary"), f"preprocess[{i}].vocabulary"
            if not isinstance(name, str):
                raise RecipeError("not the name of a file", where=where, found=name)
            try:
                op["vocabulary"] = Vocabulary.read(read(name))
            except ValueError as err:
                raise RecipeError(f"{name} is no vocabulary: {err}", where=where) from err
    check(loaded, "preprocess")
    return loaded


def to_json(ops: Ops) -> str:
    """The canonical spelling of what is written down, as it stands in metadata."""
    return json.dumps(stored(ops)[0], sort_keys=True, separators=(",", ":"), allow_nan=False)


def _scale(x: AnyArray, divide: float) -> AnyArray:
    if divide >= 32_768 and x.ndim == 2:  # sounds, (N, T): pictures of 16 bits are divided by as much
        _check_sound(x)
    return x.astype(np.float32) / np.float32(divide)


def _check_sound(x: AnyArray) -> None:
    """Raise DataError for what would be silence once it is scaled, and nothing would say so."""
    if x.dtype.itemsize == 1:
        raise DataError("sound of 8 bits", where="preprocess", found=str(x.dtype), allowed="int16 samples")
    # Most audio libraries give -1..1, and a resampler a little more. Whole numbers are int16 samples as floats.
    if x.dtype.kind == "f" and x.size and np.abs(x).max() <= 2 and bool((x != np.rint(x)).any()):
        description = f"{x.dtype} within -1..1"
        raise DataError("sound that is scaled already", where="preprocess", found=description, allowed="int16 samples")


def _normalise(x: AnyArray, mean: float | Sequence[float], std: float | Sequence[float]) -> AnyArray:
    means, deviations = np.asarray(mean, dtype=np.float32), np.asarray(std, dtype=np.float32)
    for name, value in (("mean", means), ("std", deviations)):
        if value.size not in (1, x.shape[-1]):
            raise DataError(f"{name} has {value.size} numbers, the image {x.shape[-1]} channels", where="preprocess")
    return (x.astype(np.float32) - means) / deviations


def _columns(x: AnyArray, op: Op) -> Inputs:
    """The inputs of ``columns`` and of ``parts``."""
    ids, widths = op["op"] == "columns", widths_of([op])
    if x.ndim != 2 or x.shape[1] < sum(widths) or (ids and x.dtype.kind not in "iu"):
        description, allowed = f"{x.dtype} {x.shape}", f"(N, {sum(widths)})"
        message = f"{op['op']} takes {'whole ' if ids else ''}numbers"
        raise DataError(message, where="preprocess", found=description, allowed=allowed)
    shapes = [() if width == 1 else (width,) for width in widths] if ids else op["shapes"]
    inputs: Inputs = {}
    for name, size, shape, stop in zip(op["names"], op["sizes"], shapes, np.cumsum(widths).tolist(), strict=True):
        part = x[:, stop - math.prod(shape) : stop]
        unknown = part[(part < 0) | (part >= size) | (part != np.rint(part))] if size else []
        if len(unknown):
            number, allowed = unknown[0].item(), f"0 to {size - 1}"
            raise DataError(f"unknown {name}", where="preprocess", found=number, allowed=allowed)
        dtype = np.int64 if ids else np.float32
        inputs[name] = np.ascontiguousarray(part.reshape(len(x), *shape), dtype=dtype)
    return inputs


def _table(x: AnyArray, op: Op) -> Inputs:
    return {INPUT: table_rows.encoded(x, op["columns"])}


def _wordpiece(x: AnyArray, op: Op) -> Inputs:
    texts = x.tolist()
    if x.ndim != 1 or not all(isinstance(text, str) for text in texts):
        raise DataError("wordpiece takes texts", where="preprocess", found=f"{x.dtype} {x.shape}", allowed="(N,) str")
    if empty := [i for i, text in enumerate(texts) if not text.strip()]:
        raise DataError("an empty text", where="preprocess", found=f"text {empty[0]}", allowed="at least one word")
    ids, mask = Vocabulary.of(op["vocabulary"]).encode(texts, op["length"], op["lower"])
    return {TOKENS: np.array(ids, dtype=np.int64), MASK: np.array(mask, dtype=np.int64)}


def _layout(x: AnyArray) -> AnyArray:
    return x.transpose(0, 3, 1, 2)


_OPS: dict[str, Callable[..., AnyArray]] = {  # called with the op's arguments
    "crop": image_ops.crop,
    "resize": image_ops.resize,
    "letterbox": image_ops.letterbox,
    "pad": image_ops.pad,
    "bgr": image_ops.bgr,
    "grey": image_ops.grey,
    "edges": image_ops.edges,
    "scale": _scale,
    "normalise": _normalise,
    "layout": _layout,
}
# What gives inputs of its own names, and so comes last.
_ENDS: dict[str, Callable[[AnyArray, Op], Inputs]] = {
    "columns": _columns,
    "parts": _columns,
    "table": _table,
    "wordpiece": _wordpiece,
}
