"""Images of another size, as Pillow 13 makes them: equal bit for bit on uint8, within 1e-6 on float32 (mode "F").

The method is that of ``Image.resize`` (``src/libImaging/Resample.c`` of Pillow): a pass over the columns and one over
the rows, each a weighted sum over the pixels that a filter reaches. Of a reduction the filter is as much wider
(antialias). On uint8 the weights are whole numbers of 2^-22, and a pass is rounded and clipped to 0..255; on float32
they are float64, and a pass is summed in float64 from the first pixel to the last and rounded to float32. The rows come
first where H - height is above 0 and above 2 (W - width), else the columns. (Pillow before 13 begins with the columns:
as each pass is clipped, its bytes differ there, on noise by up to 22 for ``bicubic``.) Sums and products stand in a
fixed order and nothing but ``+ - * /`` is used, so that C++ and JavaScript give the same bits.

==========  =======  ========================================================================================
name        support  weight at distance t, in pixels of the smaller image
==========  =======  ========================================================================================
box         1/2      1 for -1/2 < t <= 1/2
bilinear    1        1 - |t|
bicubic     2        (Keys 1981, a = -1/2) 3/2 |t|^3 - 5/2 |t|^2 + 1 up to 1, then -1/2 |t|^3 + 5/2 |t|^2 - 4 |t| + 2
lanczos     3        sinc(t) sinc(t / 3), sinc(t) = sin(pi t) / (pi t)
==========  =======  ========================================================================================
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError

Floats = NDArray[np.float64]

BITS = 22  # of a weight's fraction: 32 less 8 of a pixel and 2 for sums beyond 0..1
LARGEST = 65_536  # pixels of a side: a table of weights has up to seven numbers for each
BLOCK = 2**17  # numbers of a pass at once: what they need stays in a CPU's cache


def _box(t: Floats) -> Floats:
    return np.where((t > -0.5) & (t <= 0.5), 1.0, 0.0)


def _bilinear(t: Floats) -> Floats:
    t = np.abs(t)
    return np.where(t < 1.0, 1.0 - t, 0.0)


def _bicubic(t: Floats) -> Floats:
    t = np.abs(t)
    near = (1.5 * t - 2.5) * t * t + 1.0
    far = (((t - 5.0) * t + 8.0) * t - 4.0) * -0.5
    return np.where(t < 1.0, near, np.where(t < 2.0, far, 0.0))


def _sinc(t: Floats) -> Floats:
    """sin(pi t) / (pi t) for |t| <= 3: Taylor's series to t^21, as libraries' sines differ in the last bit.

    Its error is below 1e-15, where a weight on uint8 has steps of 2.4e-7.
    """
    whole = np.floor(t + 0.5)
    angle = (t - whole) * np.pi  # -pi/2 .. pi/2
    series = np.ones_like(angle)
    for k in range(20, 0, -2):
        series = 1.0 - angle * angle / (k * (k + 1)) * series
    sine = angle * series * (1.0 - 2.0 * (np.abs(whole) % 2.0))
    return np.where(t == 0.0, 1.0, sine / np.where(t == 0.0, 1.0, t * np.pi))


def _lanczos(t: Floats) -> Floats:
    inside = np.clip(t, -3.0, 3.0)
    return np.where((t >= -3.0) & (t < 3.0), _sinc(inside) * _sinc(inside / 3.0), 0.0)


FILTERS: dict[str, tuple[float, Callable[[Floats], Floats]]] = {
    "box": (0.5, _box),
    "bilinear": (1.0, _bilinear),
    "bicubic": (2.0, _bicubic),
    "lanczos": (3.0, _lanczos),
}


def resized(x: AnyArray, height: int, width: int, name: str) -> AnyArray:
    """Images of another size.

    Args:
        x: (N, H, W, C) uint8, or floats, which are taken as float32; finite.
        height, width: in pixels, 1 to ``LARGEST``.
        name: of ``FILTERS``.

    Returns:
        (N, height, width, C), uint8 or float32.

    Raises:
        DataError: numbers of another type, or a side of more than ``LARGEST`` pixels.
    """
    if x.dtype != np.uint8 and x.dtype.kind != "f":
        allowed = "uint8, or floats; nearest takes any"
        raise DataError(f"{name} takes no such numbers", where="preprocess", found=str(x.dtype), allowed=allowed)
    if max(x.shape[1:3]) > LARGEST:
        allowed = f"sides of at most {LARGEST:,} pixels"
        raise DataError("an image too large", where="preprocess", found=x.shape[1:3], allowed=allowed)
    x = x if x.dtype == np.uint8 else x.astype(np.float32, copy=False)
    if not x.size:
        return np.empty((len(x), height, width, x.shape[3]), x.dtype)
    passes = [(2, width), (1, height)]
    for axis, size in reversed(passes) if rows_first(x.shape[1:3], (height, width)) else passes:
        if x.shape[axis] != size:
            x = _along(x, axis, size, name)
    return x


def rows_first(size: tuple[int, ...], wanted: tuple[int, int]) -> bool:
    """Whether the pass over the rows comes first; both are (height, width)."""
    fewer, narrower = size[0] - wanted[0], size[1] - wanted[1]
    return fewer > max(0, 2 * narrower)


def _along(x: AnyArray, axis: int, size: int, name: str) -> AnyArray:
    """One pass: ``size`` pixels along an axis."""
    moved = np.moveaxis(x, axis, 0)
    rows = np.ascontiguousarray(moved).reshape(len(moved), -1)
    index, weights = _fixed(len(rows), size, name) if x.dtype == np.uint8 else _weights(len(rows), size, name)
    summed = np.empty((size, rows.shape[1]), x.dtype)
    step = max(64, BLOCK // size)
    for start in range(0, rows.shape[1], step):
        part = slice(start, start + step)
        summed[:, part] = _sums(np.ascontiguousarray(rows[:, part]), index, weights)
    return np.moveaxis(summed.reshape(size, *moved.shape[1:]), 0, axis)


def _sums(rows: AnyArray, index: NDArray[np.intp], weights: AnyArray) -> AnyArray:
    """(in, M) -> (out, M): row y is the sum over k of weights[k, y] * rows[index[k, y]], k rising."""
    total = np.zeros((index.shape[1], rows.shape[1]), weights.dtype)
    product = np.empty_like(total)
    if rows.dtype == np.uint8:
        total += 1 << (BITS - 1)  # half of one: the shift rounds
    for places, weight in zip(index, weights, strict=True):
        np.multiply(rows[places], weight[:, None], out=product)
        total += product
    return np.clip(total >> BITS, 0, 255) if rows.dtype == np.uint8 else total


@functools.lru_cache(maxsize=32)
def _weights(length: int, size: int, name: str) -> tuple[NDArray[np.intp], Floats]:
    """(K, size) each: which pixels of ``length`` make each of ``size``, and how much; the least one is the first.

    Where a filter reaches fewer than K pixels, the last one stands there again, with a weight of 0.
    """
    support, weight = FILTERS[name]
    scale = length / size
    wider = max(scale, 1.0)
    reach, narrower = support * wider, 1.0 / wider
    centre = (np.arange(size) + 0.5) * scale
    first = np.maximum(np.trunc(centre - reach + 0.5), 0.0)
    stop = np.minimum(np.trunc(centre + reach + 0.5), float(length))
    places = first + np.arange(int((stop - first).max()))[:, None]
    weights = np.where(places < stop, weight((places - centre + 0.5) * narrower), 0.0)
    sums = np.add.accumulate(weights, axis=0)[-1]  # one after another, where ``sum`` adds in pairs
    weights /= np.where(sums == 0.0, 1.0, sums)
    return np.minimum(places, stop - 1.0).astype(np.intp), weights


@functools.lru_cache(maxsize=32)
def _fixed(length: int, size: int, name: str) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """The same with weights in whole numbers of 2^-22, a half rounded away from 0."""
    index, weights = _weights(length, size, name)
    return index, np.trunc(weights * float(1 << BITS) + np.where(weights < 0.0, -0.5, 0.5)).astype(np.int32)
