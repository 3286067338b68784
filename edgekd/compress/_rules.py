"""What each operator does with the channels of its inputs: one rule an operator.

A rule labels the operator's outputs, and joins channels that can only go together. Operators without a rule keep all
channels of their inputs: a network that does what nobody thought of loses none there, and is told why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from edgekd.compress import _axes, _rules_views
from edgekd.compress._axes import Block, Labels, Numbers

if TYPE_CHECKING:
    from edgekd.compress._trace import Trace

Rule = Callable[["Trace", tuple[Any, ...], Mapping[str, Any], Any], None]
# Element by element although torch does not tag them so.
ELEMENTWISE = frozenset(
    [
        "where",
        "masked_fill",
        "dropout",
        "native_dropout",
        "clone",
        "_to_copy",
        "contiguous",
        "hardswish",
        "hardtanh",
        "relu",
        "relu6",
        "silu",
        "mish",
        "gelu",
        "elu",
        "celu",
        "selu",
        "leaky_relu",
        "softplus",
        "hardsigmoid",
        "copy",
        "lerp",
        "addcmul",
        "_prelu_kernel",
        "addcdiv",
        "threshold",
        "rrelu_with_noise",
        "zeros_like",
        "ones_like",
        "full_like",
        "empty_like",
        "rand_like",
        "randn_like",
        "bernoulli",
    ]
)


def follow(trace: Trace, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Any) -> None:
    """Label what an operator made."""
    name = func.overloadpacket.__name__
    plain = name.rstrip("_") if name.endswith("_") and not name.startswith("__") else name
    given = list(tensors([args, kwargs]))
    outputs = list(tensors(made))
    names = [trace.weights(t) for t in given]
    if names and all(names):
        for output in outputs:
            trace.inherit(output, frozenset.union(*names))
    rule = RULES.get(plain)
    if rule is not None:
        rule(trace, args, kwargs, made)
    elif not any(trace.labels(t) for t in given):
        return
    elif plain in ELEMENTWISE or torch.Tag.pointwise in func.tags:
        elementwise(trace, given, outputs)
    else:
        for tensor in given:
            _axes.fixed(trace.ledger, trace.labels(tensor), f"nothing is known of the operator {name}")


def tensors(value: Any) -> Iterator[Tensor]:
    """Every tensor of nested arguments."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from tensors(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from tensors(inner)


def elementwise(trace: Trace, given: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
    """Channels that meet in a sum or a product go together."""
    for output in outputs:
        rank = output.ndim
        fitting = [t for t in given if 0 < t.ndim <= rank and t.numel() > 1]
        shapes = [(1,) * (rank - t.ndim) + tuple(t.shape) for t in fitting]
        lifted = [
            _axes.moved(trace.labels(t), range(rank - t.ndim, rank)) if t.ndim < rank else trace.labels(t)
            for t in fitting
        ]
        if fitting:
            trace.put(output, _axes.agreed(trace.ledger, lifted, shapes, "it meets numbers without channels"))


def channels(trace: Trace, tensor: Tensor, axis: int) -> Numbers | None:
    """The numbers along an axis that carries its channels by itself."""
    labels, numbers = _axes.alone(trace.ledger, trace.labels(tensor), axis % tensor.ndim)
    if labels is not trace.labels(tensor):
        trace.put(tensor, labels)
    return numbers


def bare(trace: Trace, tensor: Tensor, axes: Sequence[int], why: str) -> Labels:
    """The labels of a tensor whose channels lie along none of some axes: those that do must stay."""
    labels = trace.labels(tensor)
    for axis in axes:
        axis %= tensor.ndim
        block = _axes.block_of(labels, axis)
        if block is not None and len(block.axes) == 1:
            trace.ledger.fix(block.numbers, why)
            labels = tuple(b for b in labels if b is not block)
        labels = _axes.without(trace.ledger, labels, axis)
    return labels


def meet(trace: Trace, one: Numbers | None, other: Numbers | None, why: str) -> None:
    """Positions of two axes go together; where one has no channels the other's must stay."""
    if one is not None and other is not None:
        trace.ledger.join(one, other)
    elif one is not None or other is not None:
        trace.ledger.fix(one if one is not None else other, why)  # type: ignore[arg-type]  # one of them is some


def _single(axis: int, numbers: Numbers | None) -> Labels:
    return () if numbers is None else (Block((axis,), numbers),)


INPUTS = "it reads the inputs"
SIZES = "the sizes of its kernels, pictures or steps are no channels"


def _convolution(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
    x, weight, bias = args[:3]
    transposed, groups = bool(args[6]), int(args[8])
    labels = bare(trace, x, [a for a in range(x.ndim) if a != x.ndim - weight.ndim + 1], SIZES)
    trace.put(x, labels)
    inputs = channels(trace, x, x.ndim - weight.ndim + 1)
    trace.put(weight, bare(trace, weight, range(2, weight.ndim), SIZES))
    into, out = (0, 1) if transposed else (1, 0)
    reads, writes = channels(trace, weight, into), channels(trace, weight, out)
    width = x.shape[x.ndim - weight.ndim + 1]
    if groups == 1 or transposed:
        meet(trace, inputs, reads, INPUTS)
    elif inputs is not None and reads is not None:
        trace.ledger.join(inputs.reshape(groups, -1), reads[None])
    else:
        meet(trace, inputs if reads is None and width != groups else None, reads, INPUTS)
    if reads is not None:
        trace.read(weight, reads)
    outputs = _grouped(trace, writes, inputs, groups, transposed, width)
    if bias is not None:
        meet(trace, channels(trace, bias, 0), outputs, INPUTS)
    trace.put(made, _single(made.ndim - weight.ndim + 1, outputs))


def _grouped(
    trace: Trace, writes: Numbers | None, inputs: Numbers | None, groups: int, transposed: bool, width: int
) -> Numbers | None:
    """The numbers of a convolution's outputs: of a depthwise one its inputs', of a grouped one alike in each group."""
    if writes is None and not (transposed and groups > 1):
        return None
    if groups == 1:
        return writes
    if groups == width:  # depthwise: a group is one channel
        if transposed:
            if writes is not None:
                trace.ledger.fix(writes, "a depthwise transposed convolution of several outputs a channel")
            return inputs if writes is None else None
        assert writes is not None
        if inputs is None:
            trace.ledger.fix(writes, INPUTS)
        else:
            trace.ledger.join(writes.reshape(groups, -1), inputs[:, None])
        return writes
    if transposed:
        if inputs is not None:
            trace.ledger.join(inputs.reshape(groups, -1), inputs.reshape(groups, -1)[:1])
        return None if writes is None else np.tile(writes, groups)
    assert writes is not None
    trace.ledger.join(writes.reshape(groups, -1), writes.reshape(groups, -1)[:1])
    return writes


def _product(trace: Trace, a: Tensor, b: Tensor, made: Tensor) -> None:
    """(.., n, k) @ (.., k, m): the k go together; a batch of heads leaves their widths to carry the channels."""
    batch = a.ndim - 2
    for axis in range(batch):
        pair = [_axes.block_of(trace.labels(t), axis) for t in (a, b)]
        for t, block in zip((a, b), pair, strict=True):
            if block is not None and len(block.axes) > 1:
                trace.put(t, _axes.without(trace.ledger, trace.labels(t), axis))
    one, other = channels(trace, a, -1), channels(trace, b, -2)
    meet(trace, one, other, "it is multiplied with numbers without channels")
    for tensor, numbers in ((a, one), (b, other)):
        if numbers is not None and trace.weights(tensor):
            trace.read(tensor, numbers)
    rows, columns = channels(trace, a, -2), channels(trace, b, -1)
    batches: Labels = ()
    for axis in range(batch):
        pair_numbers = [channels(trace, t, axis) for t in (a, b)]
        meet(trace, pair_numbers[0], pair_numbers[1], "it is multiplied with numbers without channels")
        if all(n is not None for n in pair_numbers):
            batches += _single(axis, pair_numbers[0])
    trace.put(made, _axes.cleaned([*batches, *_single(batch, rows), *_single(batch + 1, columns)]))


def _mm(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
    _product(trace, args[0], args[1], made)


def _addmm(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
    bias, a, b = args[:3]
    _product(trace, a, b, made)
    elementwise(trace, [bias, made], [made])


def _normalised(axes: Callable[[Tensor, tuple[Any, ...]], Sequence[int]]) -> Rule:
    """A normalisation: its first output is like its input; (input, axes that share their statistics)."""

    def rule(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Any) -> None:
        x, output = args[0], next(tensors(made))
        for axis in axes(x, args):
            if (numbers := channels(trace, x, axis)) is not None:
                trace.ledger.norm(numbers)
        trace.put(output, trace.labels(x))

    return rule


def _batch_norm(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Any) -> None:
    numbers = channels(trace, args[0], 1)
    for own in args[1:5]:
        if isinstance(own, Tensor):
            meet(trace, channels(trace, own, 0), numbers, INPUTS)
    for block in trace.labels(args[0]):
        if 1 not in block.axes:  # over weights: each filter is standardised over what it reads
            trace.ledger.norm(block.numbers)
    trace.put(next(tensors(made)), trace.labels(args[0]))


def _layer_norm(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Any) -> None:
    x, shape = args[0], args[1]
    first = x.ndim - len(shape)
    for axis in range(first, x.ndim):
        numbers = channels(trace, x, axis)
        for own in args[2:4]:
            if isinstance(own, Tensor) and own.shape[axis - first] > 1:
                meet(trace, channels(trace, own, axis - first), numbers, INPUTS)
        if numbers is not None:
            trace.ledger.norm(numbers, function=True)
    trace.put(next(tensors(made)), trace.labels(x))


def _group_norm(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Any) -> None:
    x, groups = args[0], int(args[6])
    numbers = channels(trace, x, 1)
    for own in args[1:3]:
        if isinstance(own, Tensor):
            meet(trace, channels(trace, own, 0), numbers, INPUTS)
    if numbers is not None:
        parted = numbers.reshape(groups, -1)
        trace.ledger.join(parted, parted[:1])
        trace.ledger.norm(numbers, function=True)
    trace.put(next(tensors(made)), trace.labels(x))


def _reduced(normed: bool) -> Rule:
    """Over some axes, kept as size 1 or gone."""

    def rule(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Any) -> None:
        x = args[0]
        given = next((a for a in args[1:] if isinstance(a, list | tuple) and a), None)
        if given is None and len(args) > 1 and isinstance(args[1], int) and not isinstance(args[1], bool):
            given = [args[1]]
        gone = {axis % x.ndim for axis in (range(x.ndim) if given is None else given)} if x.ndim else set()
        if normed:
            for axis in gone:
                if (block := _axes.block_of(trace.labels(x), axis)) is not None:
                    trace.ledger.norm(block.numbers)
        labels = tuple(block for block in trace.labels(x) if not set(block.axes) <= gone)
        for axis in gone:
            labels = _axes.without(trace.ledger, labels, axis)
        for output in tensors(made):
            keeps = output.ndim == x.ndim
            stays = [axis for axis in range(x.ndim) if keeps or axis not in gone]
            where = [None if axis in gone else stays.index(axis) for axis in range(x.ndim)]
            trace.put(output, _axes.moved(labels, where))

    return rule


def _softmax(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
    x, axis = args[0], int(args[1])
    if (numbers := channels(trace, x, axis)) is not None:
        trace.ledger.norm(numbers)
    trace.put(made, trace.labels(x))


def _spatial(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Any) -> None:
    """Pooling, resizing, padding with reflections: along the axes behind the channels."""
    x = args[0]
    for output in tensors(made):
        behind = (
            [axis for axis in range(x.ndim) if x.shape[axis] != output.shape[axis]] if x.ndim == output.ndim else []
        )
        behind = sorted({*behind, *range(2, x.ndim)}) if x.ndim > 2 else behind
        labels = bare(trace, x, behind, SIZES)
        trace.put(x, labels)
        trace.put(output, labels)


def _embedding(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Tensor) -> None:
    weight = args[0]
    trace.put(weight, bare(trace, weight, [0], "rows of a table are no channels"))
    trace.put(made, _single(made.ndim - 1, channels(trace, weight, 1)))


def _attention(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Any) -> None:
    """(B, H, N, E): of queries and keys the widths go together, those of the values come out."""
    query, key, value = args[:3]
    for tensor in (query, key, value):
        trace.put(tensor, bare(trace, tensor, range(tensor.ndim - 1), "heads and steps are no channels"))
    meet(trace, channels(trace, query, -1), channels(trace, key, -1), INPUTS)
    trace.put(next(tensors(made)), _single(value.ndim - 1, channels(trace, value, -1)))


def _weight_norm(trace: Trace, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Any) -> None:
    direction, size = args[:2]
    output = next(tensors(made))
    elementwise(trace, [direction, size], [output])


RULES: dict[str, Rule] = {
    **_rules_views.RULES,
    "convolution": _convolution,
    "mm": _mm,
    "bmm": _mm,
    "addmm": _addmm,
    "baddbmm": _addmm,
    "native_batch_norm": _batch_norm,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "_native_batch_norm_legit": _batch_norm,
    "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm,
    "mean": _reduced(True),
    "var": _reduced(True),
    "var_mean": _reduced(True),
    "std": _reduced(True),
    "linalg_vector_norm": _reduced(True),
    "norm": _reduced(True),
    "sum": _reduced(False),
    "amax": _reduced(False),
    "amin": _reduced(False),
    "max": _reduced(False),
    "_softmax": _softmax,
    "_log_softmax": _softmax,
    "embedding": _embedding,
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "_weight_norm_interface": _weight_norm,
    **dict.fromkeys(
        [
            "max_pool2d_with_indices",
            "max_pool3d_with_indices",
            "avg_pool2d",
            "avg_pool3d",
            "_adaptive_avg_pool2d",
            "_adaptive_avg_pool3d",
            "adaptive_max_pool2d",
            "adaptive_max_pool3d",
            "upsample_nearest1d",
            "upsample_nearest2d",
            "upsample_nearest3d",
            "upsample_bilinear2d",
            "upsample_linear1d",
            "upsample_bicubic2d",
            "upsample_trilinear3d",
            "_upsample_nearest_exact1d",
            "_upsample_nearest_exact2d",
            "reflection_pad1d",
            "reflection_pad2d",
            "replication_pad1d",
            "replication_pad2d",
            "replication_pad3d",
            "_upsample_bilinear2d_aa",
            "cumsum",
            "mkldnn_max_pool2d",
        ],
        _spatial,
    ),
}
