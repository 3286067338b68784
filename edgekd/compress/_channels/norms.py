"""The rules of normalisations and reductions: channels that share their statistics."""

from __future__ import annotations

from torch import Tensor

from edgekd.compress._channels import ledger
from edgekd.compress._channels.asking import INPUTS, Operator, Rule, bare, channels, meet, tensors
from edgekd.compress._channels.ledger import Block
from edgekd.compress._channels.traced import Trace


def _batch_norm(trace: Trace, op: Operator) -> None:
    numbers = channels(trace, op.args[0], 1)
    for parameter in op.args[1:5]:
        if isinstance(parameter, Tensor):
            meet(trace, channels(trace, parameter, 0), numbers, INPUTS)
    for block in trace.labels(op.args[0]):
        for axis in block.axes if 1 not in block.axes else ():  # each filter is standardised over what it reads
            trace.over(axis, block)
    trace.put(next(tensors(op.made)), trace.labels(op.args[0]))


def _layer_norm(trace: Trace, op: Operator) -> None:
    x, shape = op.args[0], op.args[1]
    first = x.ndim - len(shape)
    for axis in range(first, x.ndim):
        numbers = channels(trace, x, axis)
        for parameter in op.args[2:4]:
            if isinstance(parameter, Tensor) and parameter.shape[axis - first] > 1:
                meet(trace, channels(trace, parameter, axis - first), numbers, INPUTS)
        if numbers is not None:
            trace.over(axis, Block((axis,), numbers))
    trace.put(next(tensors(op.made)), trace.labels(x))


def _group_norm(trace: Trace, op: Operator) -> None:
    x, groups = op.args[0], int(op.args[6])
    numbers = channels(trace, x, 1)
    for parameter in op.args[1:3]:
        if isinstance(parameter, Tensor):
            meet(trace, channels(trace, parameter, 0), numbers, INPUTS)
    if numbers is not None and groups < len(numbers):  # else each channel has its own statistics
        parted = numbers.reshape(groups, -1)
        trace.ledger.join(parted, parted[:1])
        trace.over(1, Block((1,), numbers))
    trace.put(next(tensors(op.made)), trace.labels(x))


def _reduced(normed: bool) -> Rule:
    """Over some axes, kept as size 1 or gone; ``normed``: without some of the channels the others give another one."""

    def rule(trace: Trace, op: Operator) -> None:
        x = op.args[0]
        given = next((a for a in op.args[1:] if isinstance(a, list | tuple) and a), None)
        if given is None and len(op.args) > 1 and isinstance(op.args[1], int) and not isinstance(op.args[1], bool):
            given = [op.args[1]]
        gone = {axis % x.ndim for axis in (range(x.ndim) if given is None else given)} if x.ndim else set()
        if normed:
            for axis in gone:
                if (block := ledger.block_of(trace.labels(x), axis)) is not None:
                    trace.over(axis, block)
        labels = tuple(block for block in trace.labels(x) if not set(block.axes) <= gone)
        for axis in gone:
            labels = ledger.without(trace.ledger, labels, axis)
        for output in tensors(op.made):
            keeps = output.ndim == x.ndim
            stays = [axis for axis in range(x.ndim) if keeps or axis not in gone]
            where = [None if axis in gone else stays.index(axis) for axis in range(x.ndim)]
            trace.put(output, ledger.moved(labels, where))

    return rule


def _softmax(trace: Trace, op: Operator) -> None:
    x, axis = op.args[0], int(op.args[1]) % max(op.args[0].ndim, 1)
    if (numbers := channels(trace, x, axis)) is not None:
        trace.over(axis, Block((axis,), numbers))
    trace.put(op.made, trace.labels(x))


def _along_one(name: str, place: int) -> Rule:
    """Running sums, sorting and the like along one axis, the argument at a ``place``: channels along it stay."""

    def rule(trace: Trace, op: Operator) -> None:
        x = op.args[0]
        axis = op.args[place] if len(op.args) > place else op.kwargs.get("dim", -1)
        if x.ndim == 0:
            return
        every = range(x.ndim) if axis is None else [axis]
        labels = bare(trace, x, list(every), f"the operator {name} counts or orders its channels")
        axis = x.ndim - 1 if axis is None else axis % x.ndim
        for output in tensors(op.made):
            if output.ndim == x.ndim:
                trace.put(output, labels)
            elif output.ndim == x.ndim - 1:
                trace.put(output, ledger.moved(labels, [None if a == axis else a - (a > axis) for a in range(x.ndim)]))

    return rule


# Of several channels at once: without some of them the others are answered otherwise.
STATISTICS: dict[str, Rule] = {
    "native_batch_norm": _batch_norm,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "_native_batch_norm_legit": _batch_norm,
    "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm,
    **dict.fromkeys(["mean", "var", "var_mean", "std", "std_mean", "linalg_vector_norm", "norm"], _reduced(True)),
    "_softmax": _softmax,
    "_log_softmax": _softmax,
}
RULES: dict[str, Rule] = {
    **STATISTICS,
    **dict.fromkeys(
        ["sum", "nansum", "prod", "logsumexp", "amax", "amin", "aminmax", "max", "min", "all", "any", "median"],
        _reduced(False),
    ),
    **{
        name: _along_one(name, 1)
        for name in ("cumsum", "cumprod", "logcumsumexp", "cummax", "cummin", "sort", "argmax", "argmin")
    },
    **{name: _along_one(name, 2) for name in ("topk", "kthvalue")},
}
