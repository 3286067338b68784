"""The rules of operators that only move numbers: views, parts of a tensor, tensors put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from edgekd.compress._channels import ledger
from edgekd.compress._channels.asking import Rule
from edgekd.compress._channels.ledger import Block, Labels

if TYPE_CHECKING:
    from edgekd.compress._channels.tracing import Trace


def _same(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
    trace.put(made, trace.labels(args[0]))


def _view(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
    x = args[0]
    labels = trace.labels(x)
    trace.put(made, ledger.reshaped(trace.ledger, labels, tuple(x.shape), tuple(made.shape)) if labels else ())


def _permute(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
    order = [axis % made.ndim for axis in args[1]]
    trace.put(made, ledger.moved(trace.labels(args[0]), [order.index(axis) for axis in range(made.ndim)]))


def _transpose(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
    one, other = (axis % made.ndim for axis in args[1:3])
    where = list(range(made.ndim))
    where[one], where[other] = other, one
    trace.put(made, ledger.moved(trace.labels(args[0]), where))


def _t(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
    trace.put(made, ledger.moved(trace.labels(args[0]), [1, 0]) if made.ndim == 2 else trace.labels(args[0]))


def _unsqueeze(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
    at = args[1] % made.ndim
    trace.put(made, ledger.moved(trace.labels(args[0]), [a + (a >= at) for a in range(made.ndim - 1)]))


def _expand(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
    x = args[0]
    more = made.ndim - x.ndim
    trace.put(made, ledger.moved(trace.labels(x), range(more, made.ndim)))


def _select(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
    x, axis, index = args[0], args[1] % args[0].ndim, args[2] % args[0].shape[args[1]]
    labels = ledger.taken(trace.labels(x), axis, np.array([index]))
    trace.put(made, ledger.moved(labels, [None if a == axis else a - (a > axis) for a in range(x.ndim)]))


def _slice(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
    x = args[0]
    axis = (args[1] if len(args) > 1 else 0) % x.ndim
    start = args[2] if len(args) > 2 and args[2] is not None else 0
    step = args[4] if len(args) > 4 else 1
    start = max(start + x.shape[axis], 0) if start < 0 else start
    _part(trace, x, axis, start, made, step)


def _part(trace: Trace, x: Tensor, axis: int, start: int, made: Tensor, step: int = 1) -> None:
    index = start + step * np.arange(made.shape[axis])
    trace.put(made, ledger.taken(trace.labels(x), axis, index) if len(index) else ())


def _split(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Sequence[Tensor]) -> None:
    x = args[0]
    axis, start = int(kwargs.get("dim", args[2] if len(args) > 2 else 0)) % x.ndim, 0
    sizes = {part.shape[axis] for part in made}
    for part in made:
        _part(trace, x, axis, start, part)
        start += part.shape[axis]
    # One number for all of them (chunk, and split by an int): they stay of one size.
    block = ledger.block_of(trace.labels(x), axis)
    if isinstance(args[1], int) and len(made) > 1 and block is not None:
        if len(sizes) > 1:
            trace.ledger.fix(block.numbers, "it is cut into parts of unequal sizes")
            return
        parts = np.split(block.numbers, len(made), block.axes.index(axis))
        for part_numbers in parts[1:]:
            trace.ledger.join(part_numbers, parts[0])


def _unbind(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Sequence[Tensor]) -> None:
    axis = args[1] if len(args) > 1 else 0
    for index, part in enumerate(made):
        _select(trace, (args[0], axis, index), {}, part)


def _cat(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
    parts = [t for t in args[0] if t.ndim == made.ndim and t.numel()]
    axis = int(args[1] if len(args) > 1 else kwargs.get("dim", 0)) % made.ndim
    numbers = []
    for i, part in enumerate(parts):
        labels, own = ledger.alone(trace.ledger, trace.labels(part), axis)
        trace.put(parts[i], labels)
        numbers.append(np.zeros(part.shape[axis], np.int64) if own is None else own)
    # Along the others they meet as in a sum: as if each were of size 1 where they are put together.
    shapes = [tuple(1 if a == axis else n for a, n in enumerate(part.shape)) for part in parts]
    rest = [tuple(b for b in trace.labels(part) if axis not in b.axes) for part in parts]
    others = ledger.agreed(trace.ledger, rest, shapes, "it meets numbers without channels") if any(rest) else ()
    trace.put(made, ledger.cleaned([*others, Block((axis,), np.concatenate(numbers))]))


def _stack(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
    parts = args[0]
    axis = int(args[1] if len(args) > 1 else kwargs.get("dim", 0)) % made.ndim
    shapes = [tuple(part.shape) for part in parts]
    labels = ledger.agreed(trace.ledger, [trace.labels(p) for p in parts], shapes, "it meets numbers without channels")
    trace.put(made, ledger.moved(labels, [a + (a >= axis) for a in range(made.ndim - 1)]))


def _pixel_shuffle(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
    """(.., C r r, H, W) -> (.., C, H r, W r)."""
    x, factor = args[0], int(args[1])
    axis = x.ndim - 3
    _, numbers = ledger.alone(trace.ledger, trace.labels(x), axis)
    if numbers is not None:
        parted = numbers.reshape(-1, factor * factor)
        trace.ledger.join(parted, parted[:, :1])
        trace.put(made, (Block((axis,), parted[:, 0]),) if len(parted) > 1 else ())


def _pixel_unshuffle(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
    x, factor = args[0], int(args[1])
    _, numbers = ledger.alone(trace.ledger, trace.labels(x), x.ndim - 3)
    if numbers is not None:
        trace.put(made, (Block((x.ndim - 3,), np.repeat(numbers, factor * factor)),))


def _channel_shuffle(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
    _, numbers = ledger.alone(trace.ledger, trace.labels(args[0]), 1)
    if numbers is not None:
        parted = numbers.reshape(int(args[1]), -1)
        trace.ledger.join(parted, parted[:1])
        trace.put(made, (Block((1,), parted.T.ravel()),))


def _pad(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
    """New channels where numbers are put beside the others."""
    x, pads = args[0], list(args[1])
    labels = trace.labels(x)
    for i in range(len(pads) // 2):
        axis, (before, behind) = x.ndim - 1 - i, pads[2 * i : 2 * i + 2]
        if not (before or behind):
            continue
        labels, numbers = ledger.alone(trace.ledger, labels, axis)
        if numbers is None:
            continue
        if min(before, behind) < 0:
            trace.ledger.fix(numbers, "channels are cropped by a negative padding")
            labels = ledger.without(trace.ledger, labels, axis)
            continue
        wide = np.concatenate([trace.ledger.fresh(before), numbers, trace.ledger.fresh(behind)])
        labels = tuple(Block(b.axes, wide) if b.axes == (axis,) else b for b in labels)
    trace.put(made, labels)


def _repeat(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
    x, times = args[0], list(args[1])
    more = made.ndim - x.ndim
    labels = ledger.moved(trace.labels(x), range(more, made.ndim))
    for block in list(labels):
        repeats = [times[axis] for axis in block.axes]
        if any(n != 1 for n in repeats):
            labels = tuple(Block(b.axes, np.tile(b.numbers, repeats)) if b is block else b for b in labels)
    trace.put(made, labels)


def _flip(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
    labels: Labels = trace.labels(args[0])
    for axis in args[1]:
        axis %= made.ndim
        labels = ledger.taken(labels, axis, np.arange(made.shape[axis])[::-1].copy())
    trace.put(made, labels)


def _unfold(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
    """``Tensor.unfold``: windows along an axis, whose width is a last axis of their own."""
    x, axis = args[0], args[1] % args[0].ndim
    block = ledger.block_of(trace.labels(x), axis)
    if block is not None:
        trace.ledger.fix(block.numbers, "windows are taken along its channels")
    trace.put(made, ledger.without(trace.ledger, tuple(b for b in trace.labels(x) if b is not block), axis))


def _im2col(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
    x = args[0]
    _, numbers = ledger.alone(trace.ledger, trace.labels(x), x.ndim - 3)
    if numbers is not None:
        trace.put(made, (Block((x.ndim - 3,), np.repeat(numbers, made.shape[x.ndim - 3] // len(numbers))),))


def _squeeze(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
    _view(trace, args, kwargs, made)


def _created(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
    """Room that is filled, or numbers that are all alike: its channels are those of what it meets."""
    own = [(axis, trace.ledger.fresh(size)) for axis, size in enumerate(made.shape) if size > 1]
    trace.put(made, tuple(Block((axis,), numbers) for axis, numbers in own))


def _glu(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
    """The first half times the sigmoid of the second."""
    x, axis = args[0], (args[1] if len(args) > 1 else -1) % made.ndim
    half = np.arange(made.shape[axis])
    one, other = (ledger.taken(trace.labels(x), axis, half + start) for start in (0, made.shape[axis]))
    shape = tuple(made.shape)
    trace.put(made, ledger.agreed(trace.ledger, [one, other], [shape, shape], "it meets numbers without channels"))


def _along(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
    """What mixes the positions of some axes (``roll``, Fourier transforms): no channels lie along these."""
    x = args[0]
    axes = next(a for a in reversed(args) if isinstance(a, list | tuple)) if len(args) > 1 else range(x.ndim)
    labels = trace.labels(x)
    for axis in axes:
        axis %= x.ndim
        block = ledger.block_of(labels, axis)
        if block is not None and len(block.axes) == 1:
            trace.ledger.fix(block.numbers, "its channels are mixed along their axis")
            labels = tuple(b for b in labels if b is not block)
        labels = ledger.without(trace.ledger, labels, axis)
    trace.put(made, labels)


def _real(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
    """Complex numbers as pairs of a last axis, and back."""
    trace.put(made, tuple(b for b in trace.labels(args[0]) if max(b.axes) < made.ndim))


def _strided(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
    """Of the same shape it is the same tensor; else who knows."""
    x = args[0]
    if x.shape == made.shape and x.storage_offset() == made.storage_offset():
        trace.put(made, trace.labels(x))
    else:
        ledger.fixed(trace.ledger, trace.labels(x), "it is read by strides")


def _gathered(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
    """``index_select`` along an axis without channels; with them their places are written down, and can't change."""
    x, axis = args[0], args[1] % args[0].ndim
    block = ledger.block_of(trace.labels(x), axis)
    if block is not None and len(block.axes) == 1:
        trace.ledger.fix(block.numbers, "its channels are picked by their places")
    trace.put(made, ledger.without(trace.ledger, tuple(b for b in trace.labels(x) if b.axes != (axis,)), axis))


def _indexed(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
    """x[:, index, ..]: axes that are indexed must carry no channels; one index, or several side by side."""
    x, indices = args[0], args[1]
    at = [axis for axis, index in enumerate(indices) if index is not None]
    labels = trace.labels(x)
    for axis in at:
        block = ledger.block_of(labels, axis)
        if block is not None and len(block.axes) == 1:
            trace.ledger.fix(block.numbers, "its channels are picked by their places")
            labels = tuple(b for b in labels if b is not block)
        labels = ledger.without(trace.ledger, labels, axis)
    beside = at == list(range(at[0], at[-1] + 1)) and all(indices[a].dtype.is_floating_point is False for a in at)
    rank = made.ndim - (x.ndim - len(at))
    if not beside or any(str(indices[a].dtype) == "torch.bool" for a in at):
        ledger.fixed(trace.ledger, labels, "its channels are picked by their places")
        return
    where = [a if a < at[0] else None if a in at else a - len(at) + rank for a in range(x.ndim)]
    trace.put(made, ledger.moved(labels, where))


def _put(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
    """x[index, ..] = values: along the axes behind those that are indexed they meet."""
    x, indices, values = args[:3]
    axis = 0
    labels = trace.labels(x)
    for index in indices:
        for _ in range(
            1 if index is None or index.dtype.is_floating_point else max(index.ndim, 1) if _boolean(index) else 1
        ):
            block = ledger.block_of(labels, axis)
            if block is not None and len(block.axes) == 1:
                trace.ledger.fix(block.numbers, "its channels are picked by their places")
                labels = tuple(b for b in labels if b is not block)
            labels = ledger.without(trace.ledger, labels, axis)
            axis += 1
    behind = ledger.moved(labels, [None if a < axis else a - axis for a in range(x.ndim)])
    shape, rank = tuple(x.shape[axis:]), x.ndim - axis
    given = trace.labels(values)
    more = values.ndim - rank
    if more > 0:
        given = ledger.moved(given, [None if a < more else a - more for a in range(values.ndim)])
    own = (1,) * rank + tuple(values.shape) if values.ndim < rank else tuple(values.shape)
    ledger.agreed(trace.ledger, [behind, given], [shape, own[len(own) - rank :]], "it meets numbers without channels")
    trace.put(made, labels)


def _boolean(index: Tensor) -> bool:
    return str(index.dtype) in ("torch.bool", "torch.uint8")


RULES: dict[str, Rule] = {
    **dict.fromkeys(["view", "_unsafe_view", "reshape", "_reshape_alias", "squeeze"], _view),
    **dict.fromkeys(["alias", "detach", "clone", "lift_fresh", "_conj"], _same),
    "permute": _permute,
    "transpose": _transpose,
    "t": _t,
    "unsqueeze": _unsqueeze,
    "expand": _expand,
    "select": _select,
    "slice": _slice,
    "split": _split,
    "unsafe_split": _split,
    "split_with_sizes": _split,
    "unbind": _unbind,
    "cat": _cat,
    "stack": _stack,
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
    "channel_shuffle": _channel_shuffle,
    "native_channel_shuffle": _channel_shuffle,
    "constant_pad_nd": _pad,
    "repeat": _repeat,
    "flip": _flip,
    "unfold": _unfold,
    "im2col": _im2col,
    "as_strided": _strided,
    **dict.fromkeys(["empty", "zeros", "ones", "full", "new_empty", "new_zeros", "new_ones", "new_full"], _created),
    "glu": _glu,
    "roll": _along,
    "_fft_c2c": _along,
    "_fft_r2c": _along,
    "_fft_c2r": _along,
    "view_as_real": _real,
    "view_as_complex": _real,
    "index_select": _gathered,
    "gather": _gathered,
    "index": _indexed,
    "index_put": _put,
    "_index_put_impl": _put,
}
