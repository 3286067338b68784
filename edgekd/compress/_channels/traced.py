"""What a run of a network told: labels of its tensors, its weights' axes that are read, its calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from edgekd.compress._channels.ledger import Block, Labels, Ledger, Numbers

Place = tuple[object, ...]  # a storage, and where in it a tensor lies
Arguments = tuple[Any, ...]  # tensors among numbers, nested as torch has them
Keywords = Mapping[str, Any]
OUTPUTS = "its channels become the outputs"
SAMPLES, OTHERS = 2, 3  # of a trace, and of the run that tells which sizes grow with them


@dataclass(frozen=True)
class Call:
    """One call of a function in ``SIZED``: arguments as they were, and the labels of what went in and came out.

    ``others``: the shapes that came out of the same call with ``OTHERS`` samples; () where it was not made then.
    """

    name: str
    args: Arguments
    kwargs: Mapping[str, Any]
    inside: Labels
    outside: tuple[tuple[tuple[int, ...], Labels], ...]
    others: tuple[tuple[int, ...], ...] = ()

    def grows(self, output: int, axis: int) -> bool:
        """Whether an axis of what came out is longer with more samples, or with longer texts."""
        return output < len(self.others) and self.others[output][axis] != self.outside[output][0][axis]

    def of_one(self, output: int, axis: int, size: int) -> int | None:
        """One sample's share of a size along an axis that grows; None where it grows with the texts, too."""
        by_samples = self.others[output][axis] * SAMPLES == self.outside[output][0][axis] * OTHERS
        return size // SAMPLES if by_samples and size % SAMPLES == 0 else None


@dataclass(frozen=True)
class Attribute:
    """A whole number that a user's module holds, and that is the size of an axis of what it was given.

    ``numbers``: along that axis.
    """

    path: str
    name: str
    numbers: Numbers


@dataclass
class Trace:
    """What a run of a network told.

    Attributes:
        parameters: the numbers along each axis of each parameter and buffer; None: an axis of size 1 or less.
        reads: axes of parameters along which a layer reads, by (name, axis).
        calls: of evaluation and of training, by their ``Sites``; see ``SIZED``.
        attributes: of users' modules, which may compare with what they are given.
        blocks: every block of several axes that there was: in the end one of them must carry the channels.
        operators: how many there were so far in this run that may take means, norms or shares over channels.
        statistics: of those in evaluation that do, by their place among them: of each axis along which they do, the
            block that it is in.
    """

    ledger: Ledger = field(default_factory=Ledger)
    parameters: dict[str, list[Numbers | None]] = field(default_factory=dict)
    reads: set[tuple[str, int]] = field(default_factory=set)
    calls: dict[str, dict[str, Call]] = field(default_factory=lambda: {"eval": {}, "train": {}})
    attributes: list[Attribute] = field(default_factory=list)
    blocks: list[Numbers] = field(default_factory=list)
    operators: int = 0
    statistics: dict[int, dict[int, Block]] = field(default_factory=dict)
    _labels: dict[Place, Labels] = field(default_factory=dict)
    _weights: dict[Place, frozenset[str]] = field(default_factory=dict)
    _alive: list[Tensor] = field(default_factory=list)

    def labels(self, tensor: Tensor) -> Labels:
        """Of a tensor that was seen; () of others."""
        return self._labels.get(_place(tensor), ())

    def put(self, tensor: Tensor, labels: Labels) -> None:
        """Label a tensor."""
        self._alive.append(tensor)
        self._labels[_place(tensor)] = labels
        self.blocks += [block.numbers for block in labels if len(block.axes) > 1]

    def weights(self, tensor: Tensor) -> frozenset[str]:
        """The parameters that a tensor was made of, where nothing else is in it."""
        return self._weights.get(_place(tensor), frozenset())

    def inherit(self, tensor: Tensor, names: frozenset[str]) -> None:
        """Note what ``weights`` says."""
        if names:
            self._weights[_place(tensor)] = names

    def over(self, axis: int, block: Block) -> None:
        """The operator that is seen takes statistics along an axis that is in a block."""
        self.statistics.setdefault(self.operators, {})[axis] = block

    def read(self, weight: Tensor, numbers: Numbers) -> None:
        """A layer reads along an axis of its weight, which has these numbers."""
        for name in self.weights(weight):
            for axis, span in enumerate(self.parameters[name]):
                if span is not None and numbers.size and span[0] <= numbers.min() and numbers.max() <= span[-1]:
                    self.reads.add((name, axis))


def _place(tensor: Tensor) -> Place:
    """Views of the same numbers in the same shape are one tensor."""
    storage = tensor.untyped_storage()._cdata
    return storage, tensor.storage_offset(), tuple(tensor.shape), tensor.stride(), tensor.dtype


def named_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Every parameter and buffer by its name, those that are not stored included."""
    return dict((*module.named_parameters(), *module.named_buffers()))
