"""Texts of any length on models that are compiled for a few. Without OpenVINO itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgekd.base.preprocess import MASK
from edgekd.runtime.backends._base import Array, Port


def usable(lengths: Sequence[int], axes: Sequence[tuple[str, int]]) -> tuple[int, ...]:
    """The lengths, ascending, where one of the inputs of a free length masks what is no token; else none.

    Args:
        lengths: that are asked for.
        axes: of each input with a free length its name, and the axis.
    """
    return tuple(sorted(set(lengths))) if MASK in (name for name, _ in axes) else ()


def next_of(lengths: Sequence[int], arrays: Mapping[str, Array], axes: Sequence[tuple[str, int]]) -> int:
    """The least of some ascending lengths that holds what arrays hold; 0 where all are shorter."""
    name, axis = axes[0]
    return next((length for length in lengths if length >= arrays[name].shape[axis]), 0)


def needed(lengths: Sequence[int], arrays: Mapping[str, Array]) -> tuple[int, ...]:
    """The one of some lengths that arrays run on, where they hold a mask, (N, L); () where it is none of them."""
    length = next_of(sorted(lengths), arrays, [(MASK, 1)]) if MASK in arrays else 0
    return (length,) if length else ()


def fill(buffers: Mapping[str, Array], arrays: Mapping[str, Array]) -> None:
    """Write arrays into longer ones, with zeros behind what they hold."""
    for name, buffer in buffers.items():
        array = arrays[name]
        if array.shape != buffer.shape:
            buffer.fill(0)
        buffer[tuple(map(slice, array.shape))] = array


def cropped(results: Mapping[str, Array], ports: Sequence[Port], length: int) -> dict[str, Array]:
    """Results without what belongs to no token, along every free axis but the batch."""
    free = {port.name: [bool(axis) and size is None for axis, size in enumerate(port.shape)] for port in ports}
    parts = {name: tuple(slice(length) if cut else slice(None) for cut in axes) for name, axes in free.items()}
    return {name: np.ascontiguousarray(array[parts[name]]) for name, array in results.items()}
