"""The rules of functions that are followed as a whole: recurrent networks, a unit of which is a row of every gate, and
norms over neighbouring channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from edgekd.compress._channels.asking import INPUTS, Operator, Rule, channels, meet, tensors
from edgekd.compress._channels.ledger import Block, Numbers
from edgekd.compress._channels.traced import Trace


@dataclass
class _Layer:
    """One direction of one layer: its weights (gates x units, inputs), (gates x units, outputs) and its biases.

    ``projects``: (outputs, units), of an LSTM with projections: what it gives is this of its units.
    """

    into: Tensor
    back: Tensor
    biases: list[Tensor]
    projects: Tensor | None


def _recurrent(gates: int) -> Rule:
    """``torch.lstm`` (4 gates), ``torch.gru`` (3), ``torch.rnn_tanh`` and ``rnn_relu`` (1) of whole sequences.

    The sizes of all layers and directions are one number of the module, so a unit goes in all of them at once; so do
    the outputs of its projections.
    """

    def rule(trace: Trace, op: Operator) -> None:
        x, states, weights, biased, layers, _, _, both = op.args[:8]
        directions = 2 if both else 1
        inputs = channels(trace, x, x.ndim - 1)
        of_all: list[tuple[Numbers | None, Numbers | None]] = []
        each = _layers(iter(weights), biased, len(weights) // (layers * directions))
        for _ in range(layers):
            outputs = []
            for _ in range(directions):
                of_all.append(_one(trace, next(each), inputs, gates))
                outputs.append(of_all[-1][1])
            inputs = np.concatenate(outputs) if outputs[0] is not None else None  # type: ignore[arg-type]
        units, given = of_all[0]
        for layer_units, layer_given in of_all:
            meet(trace, layer_units, units, INPUTS)
            meet(trace, layer_given, given, INPUTS)
        first_states = list(tensors(states))
        output, *last_states = op.made
        if inputs is not None:
            trace.put(output, (Block((output.ndim - 1,), inputs),))
        for number, state in enumerate([*first_states, *last_states]):
            cell = number in (1, len(first_states) + 1)  # (hidden, cell) of an LSTM
            numbers = units if cell else given
            if number < len(first_states):
                meet(trace, channels(trace, state, state.ndim - 1), numbers, INPUTS)
            elif numbers is not None:
                trace.put(state, (Block((state.ndim - 1,), numbers),))

    return rule


def _layers(weights: Iterator[Tensor], biased: bool, count: int) -> Iterator[_Layer]:
    """The parameters of each direction of each layer: ``count`` tensors."""
    while (into := next(weights, None)) is not None:
        back, *others = (next(weights) for _ in range(count - 1))
        biases, projections = (others[:2], others[2:]) if biased else ([], others)
        yield _Layer(into, back, biases, projections[0] if projections else None)


def _one(trace: Trace, layer: _Layer, inputs: Numbers | None, gates: int) -> tuple[Numbers | None, Numbers | None]:
    """The units of one direction of a layer, and what it gives: these, or their projections."""
    back = channels(trace, layer.back, 1)
    if layer.projects is None:
        units = given = back
    else:
        units, given = channels(trace, layer.projects, 1), channels(trace, layer.projects, 0)
        meet(trace, back, given, INPUTS)
    for tensor in (layer.into, layer.back, *layer.biases):
        rows = channels(trace, tensor, 0)
        if rows is not None and units is not None:
            trace.ledger.join(rows.reshape(gates, -1), units[None])
    meet(trace, inputs, channels(trace, layer.into, 1), INPUTS)
    for weight in (layer.into, layer.back, layer.projects):
        if weight is not None and (columns := channels(trace, weight, 1)) is not None:
            trace.read(weight, columns)
    return units, given


def _neighbours(trace: Trace, op: Operator) -> None:
    """``local_response_norm``: each channel by those beside it, which a cut network is told (``neighbours``)."""
    x = op.args[0]
    numbers = channels(trace, x, 1)
    trace.put(op.made, () if numbers is None else (Block((1,), numbers),))


CELLS: dict[str, Rule] = {
    "local_response_norm": _neighbours,
    "lstm": _recurrent(4),
    "gru": _recurrent(3),
    "rnn_tanh": _recurrent(1),
    "rnn_relu": _recurrent(1),
}
