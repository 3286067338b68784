"""A whole network whose statistics over channels are taken over some of them, as in a network without the others.

Means, norms and shares over channels change with their number, so that a network whose weights are zero where another
lost them answers otherwise. Here the operators that a trace saw (``Trace.statistics``) read the channels that are left,
and give zeros for the others.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from edgekd.compress._channels.asking import tensors
from edgekd.compress._channels.norms import STATISTICS
from edgekd.compress._channels.resized import Left
from edgekd.compress._channels.traced import Arguments, Trace

Places = Mapping[int, Tensor]  # of each axis the positions that are left


@contextlib.contextmanager
def over(trace: Trace, left: Left) -> Iterator[None]:
    """While the block runs, the network of a trace takes its statistics over the channels that are left.

    It must be run as it was traced: in evaluation mode, once.
    """
    places = {
        operator: some
        for operator, axes in trace.statistics.items()
        if (some := {axis: at for axis, block in axes.items() if (at := _left(left.along(block, axis))) is not None})
    }
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with _Some(places) if places else contextlib.nullcontext():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _left(stays: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] | None) -> Tensor | None:
    """The positions that are left along an axis; None where all are."""
    return None if stays is None or stays.all() else torch.from_numpy(np.flatnonzero(stays))


class _Some(TorchDispatchMode):
    """Operators by their place among those that may read some positions of their axes."""

    def __init__(self, places: Mapping[int, Places]) -> None:
        super().__init__()
        self.places, self.operators = places, 0

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: object,
        args: Arguments = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        name = func.overloadpacket.__name__
        self.operators += name in STATISTICS
        places = self.places.get(self.operators) if name in STATISTICS else None
        if places is None:
            return func(*args, **(kwargs or {}))
        x = args[0]
        output = func(*_some(name, args, places), **(kwargs or {}))
        first = next(tensors(output))
        if first.ndim != x.ndim or any(first.shape[axis] != len(at) for axis, at in places.items()):
            return output  # the axes are reduced
        for axis, at in places.items():
            shape = [x.shape[a] if a == axis else size for a, size in enumerate(first.shape)]
            first = first.new_zeros(shape).index_copy(axis, at, first)
        return first if isinstance(output, Tensor) else (first, *output[1:])


def _some(name: str, args: Arguments, places: Places) -> Arguments:
    """The arguments of such an operator with the positions that are left alone."""
    x, *rest = args
    for axis, at in places.items():
        x = x.index_select(axis, at)
    if name == "native_layer_norm":
        shape, *parameters = rest
        first = args[0].ndim - len(shape)
        for axis, at in places.items():
            parameters[:2] = [_cut(parameter, axis - first, at) for parameter in parameters[:2]]
        rest = [list(x.shape[first:]), *parameters]
    elif name == "native_group_norm":
        at = places[1]
        rest = [*(_cut(parameter, 0, at) for parameter in rest[:2]), rest[2], len(at), *rest[4:]]
    return (x, *rest)


def _cut(parameter: Tensor | None, axis: int, at: Tensor) -> Tensor | None:
    return None if parameter is None or parameter.shape[axis] == 1 else parameter.index_select(axis, at)
