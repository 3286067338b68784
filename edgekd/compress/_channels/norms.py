"""The rules of normalisations and reductions: channels that share their statistics."""

from __future__ import annotations

from torch import Tensor

from edgekd.compress._channels import ledger
from edgekd.compress._channels.asking import INPUTS, Operator, Rule, channels, meet, tensors
from edgekd.compress._channels.traced import Trace


def _batch_norm(trace: Trace, op: Operator) -> None:
    numbers = channels(trace, op.args[0], 1)
    for parameter in op.args[1:5]:
        if isinstance(parameter, Tensor):
            meet(trace, channels(trace, parameter, 0), numbers, INPUTS)
    for block in trace.labels(op.args[0]):
        if 1 not in block.axes:  # over weights: each filter is standardised over what it reads
            trace.ledger.norm(block.numbers)
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
            trace.ledger.norm(numbers, function=True)
    trace.put(next(tensors(op.made)), trace.labels(x))


def _group_norm(trace: Trace, op: Operator) -> None:
    x, groups = op.args[0], int(op.args[6])
    numbers = channels(trace, x, 1)
    for parameter in op.args[1:3]:
        if isinstance(parameter, Tensor):
            meet(trace, channels(trace, parameter, 0), numbers, INPUTS)
    if numbers is not None:
        parted = numbers.reshape(groups, -1)
        trace.ledger.join(parted, parted[:1])
        trace.ledger.norm(numbers, function=True)
    trace.put(next(tensors(op.made)), trace.labels(x))


def _reduced(normed: bool) -> Rule:
    """Over some axes, kept as size 1 or gone."""

    def rule(trace: Trace, op: Operator) -> None:
        x = op.args[0]
        given = next((a for a in op.args[1:] if isinstance(a, list | tuple) and a), None)
        if given is None and len(op.args) > 1 and isinstance(op.args[1], int) and not isinstance(op.args[1], bool):
            given = [op.args[1]]
        gone = {axis % x.ndim for axis in (range(x.ndim) if given is None else given)} if x.ndim else set()
        if normed:
            for axis in gone:
                if (block := ledger.block_of(trace.labels(x), axis)) is not None:
                    trace.ledger.norm(block.numbers)
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
    x, axis = op.args[0], int(op.args[1])
    if (numbers := channels(trace, x, axis)) is not None:
        trace.ledger.norm(numbers)
    trace.put(op.made, trace.labels(x))


RULES: dict[str, Rule] = {
    "native_batch_norm": _batch_norm,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "_native_batch_norm_legit": _batch_norm,
    "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm,
    **dict.fromkeys(["mean", "var", "var_mean", "std", "linalg_vector_norm", "norm"], _reduced(True)),
    **dict.fromkeys(["sum", "amax", "amin", "max"], _reduced(False)),
    "_softmax": _softmax,
    "_log_softmax": _softmax,
}
