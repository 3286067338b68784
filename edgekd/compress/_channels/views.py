"""The rules of operators that only move numbers: views, parts of a tensor, tensors put together."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from edgekd.compress._channels import ledger
from edgekd.compress._channels.asking import Operator, Rule, bare
from edgekd.compress._channels.ledger import Block, Labels
from edgekd.compress._channels.traced import Trace

PICKED = "its channels are picked by their places"


def _same(trace: Trace, op: Operator) -> None:
    trace.put(op.made, trace.labels(op.args[0]))


def _view(trace: Trace, op: Operator) -> None:
    x = op.args[0]
    labels = trace.labels(x)
    trace.put(op.made, ledger.reshaped(trace.ledger, labels, tuple(x.shape), tuple(op.made.shape)) if labels else ())


def _permute(trace: Trace, op: Operator) -> None:
    order = [axis % op.made.ndim for axis in op.args[1]]
    trace.put(op.made, ledger.moved(trace.labels(op.args[0]), [order.index(axis) for axis in range(op.made.ndim)]))


def _transpose(trace: Trace, op: Operator) -> None:
    one, other = (axis % op.made.ndim for axis in op.args[1:3])
    where = list(range(op.made.ndim))
    where[one], where[other] = other, one
    trace.put(op.made, ledger.moved(trace.labels(op.args[0]), where))


def _t(trace: Trace, op: Operator) -> None:
    trace.put(
        op.made, ledger.moved(trace.labels(op.args[0]), [1, 0]) if op.made.ndim == 2 else trace.labels(op.args[0])
    )


def _unsqueeze(trace: Trace, op: Operator) -> None:
    at = op.args[1] % op.made.ndim
    trace.put(op.made, ledger.moved(trace.labels(op.args[0]), [a + (a >= at) for a in range(op.made.ndim - 1)]))


def _expand(trace: Trace, op: Operator) -> None:
    """Along an axis that grows all numbers are those of one position: there are no channels."""
    x = op.args[0]
    more = op.made.ndim - x.ndim
    where = [None if op.made.shape[a + more] != x.shape[a] else a + more for a in range(x.ndim)]
    trace.put(op.made, ledger.moved(trace.labels(x), where))


def _select(trace: Trace, op: Operator) -> None:
    x, axis, index = op.args[0], op.args[1] % op.args[0].ndim, op.args[2] % op.args[0].shape[op.args[1]]
    labels = ledger.taken(trace.labels(x), axis, np.array([index]))
    trace.put(op.made, ledger.moved(labels, [None if a == axis else a - (a > axis) for a in range(x.ndim)]))


def _slice(trace: Trace, op: Operator) -> None:
    x = op.args[0]
    axis = (op.args[1] if len(op.args) > 1 else 0) % x.ndim
    start = op.args[2] if len(op.args) > 2 and op.args[2] is not None else 0
    step = op.args[4] if len(op.args) > 4 else 1
    start = max(start + x.shape[axis], 0) if start < 0 else start
    _part(trace, x, axis, start, op.made, step)


def _part(trace: Trace, x: Tensor, axis: int, start: int, part: Tensor, step: int = 1) -> None:
    index = start + step * np.arange(part.shape[axis])
    trace.put(part, ledger.taken(trace.labels(x), axis, index) if len(index) else ())


def _split(trace: Trace, op: Operator) -> None:
    x = op.args[0]
    axis, start = int(op.kwargs.get("dim", op.args[2] if len(op.args) > 2 else 0)) % x.ndim, 0
    sizes = {part.shape[axis] for part in op.made}
    for part in op.made:
        _part(trace, x, axis, start, part)
        start += part.shape[axis]
    # One number for all of them (chunk, and split by an int): they stay of one size.
    block = ledger.block_of(trace.labels(x), axis)
    if isinstance(op.args[1], int) and len(op.made) > 1 and block is not None:
        if len(sizes) > 1:
            trace.ledger.fix(block.numbers, "it is cut into parts of unequal sizes")
            return
        parts = np.split(block.numbers, len(op.made), block.axes.index(axis))
        for part_numbers in parts[1:]:
            trace.ledger.join(part_numbers, parts[0])


def _unbind(trace: Trace, op: Operator) -> None:
    axis = op.args[1] if len(op.args) > 1 else 0
    for index, part in enumerate(op.made):
        _select(trace, Operator((op.args[0], axis, index), {}, part))


def _cat(trace: Trace, op: Operator) -> None:
    parts = [t for t in op.args[0] if t.ndim == op.made.ndim and t.numel()]
    axis = int(op.args[1] if len(op.args) > 1 else op.kwargs.get("dim", 0)) % op.made.ndim
    numbers = []
    for i, part in enumerate(parts):
        labels, axis_numbers = ledger.alone(trace.ledger, trace.labels(part), axis)
        trace.put(parts[i], labels)
        numbers.append(np.zeros(part.shape[axis], np.int64) if axis_numbers is None else axis_numbers)
    # Along the others they meet as in a sum: as if each were of size 1 where they are put together.
    shapes = [tuple(1 if a == axis else n for a, n in enumerate(part.shape)) for part in parts]
    rest = [tuple(b for b in trace.labels(part) if axis not in b.axes) for part in parts]
    others = ledger.agreed(trace.ledger, rest, shapes, "it meets numbers without channels") if any(rest) else ()
    trace.put(op.made, ledger.cleaned([*others, Block((axis,), np.concatenate(numbers))]))


def _stack(trace: Trace, op: Operator) -> None:
    parts = op.args[0]
    axis = int(op.args[1] if len(op.args) > 1 else op.kwargs.get("dim", 0)) % op.made.ndim
    shapes = [tuple(part.shape) for part in parts]
    labels = ledger.agreed(trace.ledger, [trace.labels(p) for p in parts], shapes, "it meets numbers without channels")
    trace.put(op.made, ledger.moved(labels, [a + (a >= axis) for a in range(op.made.ndim - 1)]))


def _pixel_shuffle(trace: Trace, op: Operator) -> None:
    """(.., C r r, H, W) -> (.., C, H r, W r)."""
    x, factor = op.args[0], int(op.args[1])
    axis = x.ndim - 3
    _, numbers = ledger.alone(trace.ledger, trace.labels(x), axis)
    if numbers is not None:
        parted = numbers.reshape(-1, factor * factor)
        trace.ledger.join(parted, parted[:, :1])
        trace.put(op.made, (Block((axis,), parted[:, 0]),) if len(parted) > 1 else ())


def _pixel_unshuffle(trace: Trace, op: Operator) -> None:
    x, factor = op.args[0], int(op.args[1])
    _, numbers = ledger.alone(trace.ledger, trace.labels(x), x.ndim - 3)
    if numbers is not None:
        trace.put(op.made, (Block((x.ndim - 3,), np.repeat(numbers, factor * factor)),))


def _channel_shuffle(trace: Trace, op: Operator) -> None:
    _, numbers = ledger.alone(trace.ledger, trace.labels(op.args[0]), 1)
    if numbers is not None:
        parted = numbers.reshape(int(op.args[1]), -1)
        trace.ledger.join(parted, parted[:1])
        trace.put(op.made, (Block((1,), parted.T.ravel()),))


def _pad(trace: Trace, op: Operator) -> None:
    """New channels where numbers are put beside the others."""
    x, pads = op.args[0], list(op.args[1])
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
    trace.put(op.made, labels)


def _repeat(trace: Trace, op: Operator) -> None:
    x, times = op.args[0], list(op.args[1])
    more = op.made.ndim - x.ndim
    labels = ledger.moved(trace.labels(x), range(more, op.made.ndim))
    for block in list(labels):
        repeats = [times[axis] for axis in block.axes]
        if any(n != 1 for n in repeats):
            labels = tuple(Block(b.axes, np.tile(b.numbers, repeats)) if b is block else b for b in labels)
    trace.put(op.made, labels)


def _flip(trace: Trace, op: Operator) -> None:
    labels: Labels = trace.labels(op.args[0])
    for axis in op.args[1]:
        axis %= op.made.ndim
        labels = ledger.taken(labels, axis, np.arange(op.made.shape[axis])[::-1].copy())
    trace.put(op.made, labels)


def _unfold(trace: Trace, op: Operator) -> None:
    """``Tensor.unfold``: windows along an axis, whose width is a last axis of their own."""
    x, axis = op.args[0], op.args[1] % op.args[0].ndim
    block = ledger.block_of(trace.labels(x), axis)
    if block is not None:
        trace.ledger.fix(block.numbers, "windows are taken along its channels")
    trace.put(op.made, ledger.without(trace.ledger, tuple(b for b in trace.labels(x) if b is not block), axis))


def _im2col(trace: Trace, op: Operator) -> None:
    x = op.args[0]
    _, numbers = ledger.alone(trace.ledger, trace.labels(x), x.ndim - 3)
    if numbers is not None:
        trace.put(op.made, (Block((x.ndim - 3,), np.repeat(numbers, op.made.shape[x.ndim - 3] // len(numbers))),))


def _col2im(trace: Trace, op: Operator) -> None:
    """Windows that are added up where they overlap: a channel has that channel of all their places."""
    x = op.args[0]
    labels = bare(trace, x, [x.ndim - 1], "windows are laid along its channels")
    labels, numbers = ledger.alone(trace.ledger, labels, x.ndim - 2)
    trace.put(x, labels)
    if numbers is not None:
        of_windows = numbers.reshape(op.made.shape[-3], -1)
        for place in of_windows.T[1:]:
            trace.ledger.join(place, of_windows[:, 0])
        trace.put(op.made, (Block((op.made.ndim - 3,), of_windows[:, 0]),))


def _created(trace: Trace, op: Operator) -> None:
    """Room that is filled, or numbers that are all alike: its channels are those of what it meets."""
    fresh = [(axis, trace.ledger.fresh(size)) for axis, size in enumerate(op.made.shape) if size > 1]
    trace.put(op.made, tuple(Block((axis,), numbers) for axis, numbers in fresh))


def _glu(trace: Trace, op: Operator) -> None:
    """The first half times the sigmoid of the second."""
    x, axis = op.args[0], (op.args[1] if len(op.args) > 1 else -1) % op.made.ndim
    half = np.arange(op.made.shape[axis])
    one, other = (ledger.taken(trace.labels(x), axis, half + start) for start in (0, op.made.shape[axis]))
    shape = tuple(op.made.shape)
    trace.put(op.made, ledger.agreed(trace.ledger, [one, other], [shape, shape], "it meets numbers without channels"))


def _along(trace: Trace, op: Operator) -> None:
    """What mixes the positions of some axes (``roll``, Fourier transforms): no channels lie along these."""
    x = op.args[0]
    axes = next(a for a in reversed(op.args) if isinstance(a, list | tuple)) if len(op.args) > 1 else range(x.ndim)
    trace.put(op.made, bare(trace, x, list(axes), "its channels are mixed along their axis"))


def _real(trace: Trace, op: Operator) -> None:
    """Complex numbers as pairs of a last axis, and back: both of a pair go together."""
    x = op.args[0]
    pairs = [x.ndim - 1] if op.made.ndim < x.ndim else []
    trace.put(op.made, bare(trace, x, pairs, "the two parts of its numbers are no channels"))


def _strided(trace: Trace, op: Operator) -> None:
    """Of the same shape it is the same tensor; else who knows."""
    x = op.args[0]
    if x.shape == op.made.shape and x.storage_offset() == op.made.storage_offset():
        trace.put(op.made, trace.labels(x))
    else:
        ledger.fixed(trace.ledger, trace.labels(x), "it is read by strides")


def _gathered(trace: Trace, op: Operator) -> None:
    """``index_select`` along an axis without channels; with them their places are written down, and can't change."""
    x, axis = op.args[0], op.args[1] % op.args[0].ndim
    trace.put(op.made, bare(trace, x, [axis], PICKED))


def _scattered(trace: Trace, op: Operator) -> None:
    """``index_add``, ``scatter`` and their like: numbers put at places along an axis; along others they meet."""
    x, axis, *others = op.args[:4]
    axis %= x.ndim
    meeting = [t for t in (x, *others) if isinstance(t, Tensor) and t.ndim == x.ndim]
    labels = [bare(trace, t, [axis], PICKED) for t in meeting]
    shapes = [
        tuple(1 if a == axis or step == 0 else n for a, (n, step) in enumerate(zip(t.shape, t.stride(), strict=True)))
        for t in meeting
    ]
    trace.put(op.made, ledger.agreed(trace.ledger, labels, shapes, "it meets numbers without channels"))


def _indexed(trace: Trace, op: Operator) -> None:
    """x[:, index, ..]: axes that are indexed must carry no channels; one index, or several side by side."""
    x, indices = op.args[0], op.args[1]
    at = [axis for axis, index in enumerate(indices) if index is not None]
    labels = bare(trace, x, at, PICKED)
    beside = at == list(range(at[0], at[-1] + 1)) and all(indices[a].dtype.is_floating_point is False for a in at)
    rank = op.made.ndim - (x.ndim - len(at))
    if not beside or any(str(indices[a].dtype) == "torch.bool" for a in at):
        ledger.fixed(trace.ledger, labels, PICKED)
        return
    where = [a if a < at[0] else None if a in at else a - len(at) + rank for a in range(x.ndim)]
    trace.put(op.made, ledger.moved(labels, where))


def _put(trace: Trace, op: Operator) -> None:
    """x[index, ..] = values: along the axes behind those that are indexed they meet."""
    x, indices, values = op.args[:3]
    axis = sum(max(index.ndim, 1) if index is not None and _boolean(index) else 1 for index in indices)
    labels = bare(trace, x, range(axis), PICKED)
    behind = ledger.moved(labels, [None if a < axis else a - axis for a in range(x.ndim)])
    shape, rank = tuple(x.shape[axis:]), x.ndim - axis
    given = trace.labels(values)
    more = values.ndim - rank
    if more > 0:
        given = ledger.moved(given, [None if a < more else a - more for a in range(values.ndim)])
    values_shape = (1,) * rank + tuple(values.shape) if values.ndim < rank else tuple(values.shape)
    ledger.agreed(
        trace.ledger,
        [behind, given],
        [shape, values_shape[len(values_shape) - rank :]],
        "it meets numbers without channels",
    )
    trace.put(op.made, labels)


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
    "col2im": _col2im,
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
    **dict.fromkeys(["index_add", "index_copy", "scatter", "scatter_add", "scatter_reduce"], _scattered),
    "index": _indexed,
    "index_put": _put,
    "_index_put_impl": _put,
}
