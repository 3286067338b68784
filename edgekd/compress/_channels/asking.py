"""What rules ask of labelled tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from edgekd.compress._channels import ledger
from edgekd.compress._channels.ledger import Block, Labels, Numbers
from edgekd.compress._channels.traced import Arguments, Trace


@dataclass(frozen=True)
class Operator:
    """One call of an operator: its arguments, and what it made."""

    args: Arguments
    kwargs: Mapping[str, Any]
    made: Any


Rule = Callable[[Trace, Operator], None]
INPUTS = "it reads the inputs"
SIZES = "the sizes of its kernels, pictures or steps are no channels"


def tensors(value: object) -> Iterator[Tensor]:
    """Every tensor of nested arguments."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from tensors(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from tensors(inner)


def channels(trace: Trace, tensor: Tensor, axis: int) -> Numbers | None:
    """The numbers along an axis that carries its channels by itself."""
    labels, numbers = ledger.alone(trace.ledger, trace.labels(tensor), axis % tensor.ndim)
    if labels is not trace.labels(tensor):
        trace.put(tensor, labels)
    return numbers


def bare(trace: Trace, tensor: Tensor, axes: Sequence[int], why: str) -> Labels:
    """The labels of a tensor whose channels lie along none of some axes: those that do must stay."""
    labels = trace.labels(tensor)
    for axis in axes:
        axis %= tensor.ndim
        block = ledger.block_of(labels, axis)
        if block is not None and len(block.axes) == 1:
            trace.ledger.fix(block.numbers, why)
            labels = tuple(b for b in labels if b is not block)
        labels = ledger.without(trace.ledger, labels, axis)
    return labels


def meet(trace: Trace, one: Numbers | None, other: Numbers | None, why: str) -> None:
    """Positions of two axes go together; where one has no channels the other's must stay."""
    if one is not None and other is not None:
        trace.ledger.join(one, other)
    elif one is not None or other is not None:
        trace.ledger.fix(one if one is not None else other, why)  # type: ignore[arg-type]  # one of them is some


def single(axis: int, numbers: Numbers | None) -> Labels:
    return () if numbers is None else (Block((axis,), numbers),)
