"""The rules of recurrent networks, which are followed as a whole: a unit is a row of every gate."""

from __future__ import annotations

import numpy as np

from edgekd.compress._channels import ledger
from edgekd.compress._channels.asking import INPUTS, Operator, Rule, channels, meet
from edgekd.compress._channels.ledger import Block, Numbers
from edgekd.compress._channels.traced import Trace


def _recurrent(gates: int) -> Rule:
    """``torch.lstm`` (4 gates), ``torch.gru`` (3), ``torch.rnn_tanh`` and ``rnn_relu`` (1) of whole sequences.

    The sizes of all layers and directions are one number of the module, so a unit goes in all of them at once.
    """

    def rule(trace: Trace, op: Operator) -> None:
        x, _, weights, biased, layers, _, _, both = op.args[:8]
        directions, units = 2 if both else 1, None
        inputs = channels(trace, x, x.ndim - 1)
        if len(weights) != layers * directions * (4 if biased else 2):  # projections have one more
            ledger.fixed(trace.ledger, trace.labels(x), "it is read by a recurrent layer with projections")
            for weight in weights:
                ledger.fixed(trace.ledger, trace.labels(weight), "a recurrent layer with projections")
            return
        each = iter(weights)
        for _ in range(layers):
            outputs: list[Numbers] = []
            for _ in range(directions):
                into, back = next(each), next(each)
                rows = [channels(trace, into, 0), channels(trace, back, 0)]
                rows += [channels(trace, next(each), 0) for _ in range(2 if biased else 0)]
                state = channels(trace, back, 1)
                for numbers in rows:
                    if numbers is None or state is None:
                        continue
                    trace.ledger.join(numbers.reshape(gates, -1), state[None])
                meet(trace, inputs, channels(trace, into, 1), INPUTS)
                for weight in (into, back):
                    if (columns := channels(trace, weight, 1)) is not None:
                        trace.read(weight, columns)
                if state is None:
                    continue
                if units is None:
                    units = state
                trace.ledger.join(state, units)
                outputs.append(state)
            inputs = np.concatenate(outputs) if outputs else None
        output, last, *cells = op.made
        if inputs is not None:
            trace.put(output, (Block((output.ndim - 1,), inputs),))
            for state_tensor in (last, *cells):
                trace.put(state_tensor, (Block((state_tensor.ndim - 1,), np.asarray(units)),))

    return rule


CELLS: dict[str, Rule] = {
    "lstm": _recurrent(4),
    "gru": _recurrent(3),
    "rnn_tanh": _recurrent(1),
    "rnn_relu": _recurrent(1),
}
