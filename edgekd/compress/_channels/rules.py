"""What each operator does with the channels of its inputs: one rule an operator.

A rule labels the operator's outputs, and joins channels that can only go together. Operators without a rule keep all
channels of their inputs: a network that does what nobody thought of loses none there, and is told why.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from edgekd.compress._channels import ledger, norms, views
from edgekd.compress._channels.asking import INPUTS, SIZES, Operator, Rule, bare, channels, meet, single, tensors
from edgekd.compress._channels.failures import FAILURES, words
from edgekd.compress._channels.ledger import Labels, Numbers
from edgekd.compress._channels.traced import Trace

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
        "polar",
        "complex",
        "addcmul",
        "_prelu_kernel",
        "addcdiv",
        "threshold",
        "log_sigmoid_forward",
        "rrelu_with_noise",
        "zero",
        "fill",
        "zeros_like",
        "ones_like",
        "full_like",
        "empty_like",
        "rand_like",
        "randn_like",
        "bernoulli",
    ]
)


def follow(trace: Trace, func: torch._ops.OpOverload, op: Operator) -> None:
    """Label what an operator made."""
    name = func.overloadpacket.__name__
    given, outputs = list(tensors([op.args, op.kwargs])), list(tensors(op.made))
    names = [trace.weights(t) for t in given]
    if names and all(names):
        for output in outputs:
            trace.inherit(output, frozenset.union(*names))
    attempt(trace, name, op, partial(_labelled, func))


def attempt(trace: Trace, name: str, op: Operator, rule: Rule) -> None:
    """Follow a rule. Where it can't be followed all channels that it has to do with stay, and the reason names it."""
    try:
        rule(trace, op)
    except FAILURES as err:  # what was joined so far ties more than it must, and nothing less
        for tensor in tensors([op.args, op.kwargs, op.made]):
            ledger.fixed(trace.ledger, trace.labels(tensor), f"the operator {name} can't be followed ({words(err)})")
        for output in tensors(op.made):
            trace.put(output, ())


def _labelled(func: torch._ops.OpOverload, trace: Trace, op: Operator) -> None:
    given, outputs = list(tensors([op.args, op.kwargs])), list(tensors(op.made))
    name = func.overloadpacket.__name__
    plain = name.rstrip("_") if name.endswith("_") and not name.startswith("__") else name
    rule = RULES.get(plain)
    if rule is not None:
        rule(trace, op)
    elif not any(trace.labels(t) for t in given) or all(t.numel() == 1 and t.dtype == torch.bool for t in outputs):
        return  # what only checks its numbers is no part of the answers
    elif plain in ELEMENTWISE or torch.Tag.pointwise in func.tags:
        elementwise(trace, given, outputs)
    else:
        for tensor in given:
            ledger.fixed(trace.ledger, trace.labels(tensor), f"nothing is known of the operator {name}")


def elementwise(trace: Trace, given: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
    """Channels that meet in a sum or a product go together."""
    for output in outputs:
        rank = output.ndim
        fitting = [t for t in given if 0 < t.ndim <= rank and t.numel() > 1]
        shapes = [(1,) * (rank - t.ndim) + _own_sizes(t) for t in fitting]
        lifted = [
            ledger.moved(trace.labels(t), range(rank - t.ndim, rank)) if t.ndim < rank else trace.labels(t)
            for t in fitting
        ]
        if fitting:
            trace.put(output, ledger.agreed(trace.ledger, lifted, shapes, "it meets numbers without channels"))


def _own_sizes(tensor: Tensor) -> tuple[int, ...]:
    """The sizes of a tensor; 1 along an axis that it was expanded along, which holds one number however long it is."""
    return tuple(1 if step == 0 else size for size, step in zip(tensor.shape, tensor.stride(), strict=True))


def _convolution(trace: Trace, op: Operator) -> None:
    x, weight, bias = op.args[:3]
    transposed, groups = bool(op.args[6]), int(op.args[8])
    more = x.ndim - weight.ndim
    covered = [] if transposed else _covered(trace, op)
    trace.put(x, bare(trace, x, [a for a in range(x.ndim) if a - more not in (1, *covered)], SIZES))
    inputs = channels(trace, x, more + 1)
    trace.put(weight, bare(trace, weight, [a for a in range(2, weight.ndim) if a not in covered], SIZES))
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
    trace.put(op.made, single(op.made.ndim - weight.ndim + 1, outputs))


def _covered(trace: Trace, op: Operator) -> list[int]:
    """Axes of a kernel that lie over a whole axis of channels (words by their widths, as a text's convolution reads
    them): these go together, and it reads them as it reads its inputs.
    """
    x, weight, _, _, padding, dilation = op.args[:6]
    covered = []
    for axis in range(2, weight.ndim):
        at, place = x.ndim - weight.ndim + axis, axis - 2
        plain = padding[place % len(padding)] == 0 and dilation[place % len(dilation)] == 1
        numbers = channels(trace, x, at) if plain and weight.shape[axis] == x.shape[at] else None
        if numbers is not None and (reads := channels(trace, weight, axis)) is not None:
            trace.ledger.join(numbers, reads)
            trace.read(weight, reads)
            covered.append(axis)
    return covered


def _grouped(
    trace: Trace, writes: Numbers | None, inputs: Numbers | None, groups: int, transposed: bool, width: int
) -> Numbers | None:
    """The numbers of a convolution's outputs: of a depthwise one its inputs', of a grouped one alike in each group."""
    if groups == 1:
        return writes
    if transposed:
        return _transposed(trace, writes, inputs, groups, width)
    if writes is None:
        return None
    parted = writes.reshape(groups, -1)
    if groups < width:
        trace.ledger.join(parted, parted[:1])
    elif inputs is None:
        trace.ledger.fix(writes, INPUTS)
    else:  # depthwise: a group is one channel
        trace.ledger.join(parted, inputs[:, None])
    return writes


def _transposed(
    trace: Trace, writes: Numbers | None, inputs: Numbers | None, groups: int, width: int
) -> Numbers | None:
    """Its weight is (inputs, outputs of one group, ..)."""
    if groups == width and writes is not None:
        trace.ledger.fix(writes, "a depthwise transposed convolution of several outputs a channel")
        return None
    if groups == width:
        return inputs
    if inputs is not None:
        parted = inputs.reshape(groups, -1)
        trace.ledger.join(parted, parted[:1])
    return None if writes is None else np.tile(writes, groups)


def _product(trace: Trace, a: Tensor, b: Tensor, product: Tensor) -> None:
    """(.., n, k) @ (.., k, m): the k go together; a batch of heads leaves their widths to carry the channels."""
    batch = a.ndim - 2
    for axis in range(batch):
        pair = [ledger.block_of(trace.labels(t), axis) for t in (a, b)]
        for t, block in zip((a, b), pair, strict=True):
            if block is not None and len(block.axes) > 1:
                trace.put(t, ledger.without(trace.ledger, trace.labels(t), axis))
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
            batches += single(axis, pair_numbers[0])
    trace.put(product, ledger.cleaned([*batches, *single(batch, rows), *single(batch + 1, columns)]))


def _mm(trace: Trace, op: Operator) -> None:
    _product(trace, op.args[0], op.args[1], op.made)


def _addmm(trace: Trace, op: Operator) -> None:
    bias, a, b = op.args[:3]
    _product(trace, a, b, op.made)
    elementwise(trace, [bias, op.made], [op.made])


def _mv(trace: Trace, op: Operator) -> None:
    """(n, k) @ (k,): the k go together."""
    matrix, vector = op.args[:2]
    numbers = channels(trace, matrix, 1)
    meet(trace, numbers, channels(trace, vector, 0), "it is multiplied with numbers without channels")
    if numbers is not None:
        trace.read(matrix, numbers)
    trace.put(op.made, single(0, channels(trace, matrix, 0)))


def _addmv(trace: Trace, op: Operator) -> None:
    bias, matrix, vector = op.args[:3]
    _mv(trace, Operator((matrix, vector), {}, op.made))
    elementwise(trace, [bias, op.made], [op.made])


def _distances(trace: Trace, op: Operator) -> None:
    """(.., n, k) and (.., m, k): along k they are compared, so these go together."""
    a, b = op.args[:2]
    meet(trace, channels(trace, a, -1), channels(trace, b, -1), "it is compared with numbers without channels")
    for tensor in (a, b):
        if (numbers := channels(trace, tensor, -1)) is not None and trace.weights(tensor):
            trace.read(tensor, numbers)
        trace.put(tensor, bare(trace, tensor, range(tensor.ndim - 2), SIZES))
    rows, columns = channels(trace, a, -2), channels(trace, b, -2)
    rank = op.made.ndim
    trace.put(op.made, ledger.cleaned([*single(rank - 2, rows), *single(rank - 1, columns)]))


def _bilinear(trace: Trace, op: Operator) -> None:
    """``nn.Bilinear``: a sum over the products of three tensors, each with axes put between its own."""
    factors, places, summed = op.args[:3], op.args[3:6], op.args[6]
    rank = factors[0].ndim + len(places[0])
    along: dict[int, list[tuple[Tensor, Numbers | None]]] = {axis: [] for axis in range(rank)}
    for tensor, new in zip(factors, places, strict=True):
        for at, axis in enumerate(axis for axis in range(rank) if axis not in new):
            along[axis].append((tensor, channels(trace, tensor, at)))
    outputs: Labels = ()
    for axis, given in along.items():
        first = given[0][1]
        for tensor, numbers in given:
            meet(trace, first, numbers, "it is multiplied with numbers without channels")
            if axis in summed and numbers is not None:
                trace.read(tensor, numbers)
        if axis not in summed and first is not None:
            outputs += single(axis - sum(gone < axis for gone in summed), first)
    trace.put(op.made, ledger.cleaned(outputs))


def _sampled(trace: Trace, op: Operator) -> None:
    """A map read at places that are computed."""
    x, grid = op.args[:2]
    ledger.fixed(trace.ledger, trace.labels(grid), "places in a map are no channels")
    labels = bare(trace, x, range(2, x.ndim), SIZES)
    trace.put(x, labels)
    trace.put(op.made, labels)


def _spatial(trace: Trace, op: Operator) -> None:
    """Pooling, resizing, padding with reflections: along the axes behind the channels."""
    x = op.args[0]
    for output in tensors(op.made):
        behind = (
            [axis for axis in range(x.ndim) if x.shape[axis] != output.shape[axis]] if x.ndim == output.ndim else []
        )
        behind = sorted({*behind, *range(2, x.ndim)}) if x.ndim > 2 else behind
        labels = bare(trace, x, behind, SIZES)
        trace.put(x, labels)
        trace.put(output, labels)


def _unpooled(trace: Trace, op: Operator) -> None:
    """Numbers put where the largest ones were: each channel has its own places."""
    x, at = op.args[:2]
    elementwise(trace, [x, at], [at])
    _spatial(trace, op)


def _embedding(trace: Trace, op: Operator) -> None:
    weight = op.args[0]
    trace.put(weight, bare(trace, weight, [0], "rows of a table are no channels"))
    output = next(tensors(op.made))
    trace.put(output, single(output.ndim - 1, channels(trace, weight, 1)))


def _attention(trace: Trace, op: Operator) -> None:
    """(B, H, N, E): of queries and keys the widths go together, those of the values come out."""
    query, key, value = op.args[:3]
    for tensor in (query, key, value):
        trace.put(tensor, bare(trace, tensor, range(tensor.ndim - 1), "heads and steps are no channels"))
    meet(trace, channels(trace, query, -1), channels(trace, key, -1), INPUTS)
    trace.put(next(tensors(op.made)), single(value.ndim - 1, channels(trace, value, -1)))


def _weight_norm(trace: Trace, op: Operator) -> None:
    direction, size = op.args[:2]
    output = next(tensors(op.made))
    elementwise(trace, [direction, size], [output])


RULES: dict[str, Rule] = {
    **views.RULES,
    **norms.RULES,
    "convolution": _convolution,
    "mm": _mm,
    "bmm": _mm,
    "addmm": _addmm,
    "baddbmm": _addmm,
    "mv": _mv,
    "addmv": _addmv,
    "_cdist_forward": _distances,
    "_euclidean_dist": _distances,
    "_trilinear": _bilinear,
    "grid_sampler_2d": _sampled,
    "grid_sampler_3d": _sampled,
    "max_unpool2d": _unpooled,
    "max_unpool3d": _unpooled,
    "embedding": _embedding,
    "_embedding_bag": _embedding,
    "_embedding_bag_forward_only": _embedding,
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
            "reflection_pad3d",
            "replication_pad1d",
            "replication_pad2d",
            "replication_pad3d",
            "_upsample_bilinear2d_aa",
            "mkldnn_max_pool2d",
        ],
        _spatial,
    ),
}
