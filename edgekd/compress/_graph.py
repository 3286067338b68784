"""Torch-Pruning's dependency graph of a network, made to end: bounds on what its search for a group may take."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch_pruning
from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch_pruning.dependency import index_mapping

from edgekd.compress import _trial
from edgekd.learn.student import Student

Pruning = Any  # an object of torch-pruning, which has no types
INDICES = 1 << 15  # features that a group's channels become where they are flattened, in networks that read fewer
VISITS = 8000  # places that the search of a group passes: Swin 552, MobileViT 206, ResNets 20; FocalNet without end


def build(module: nn.Module, student: Student) -> Pruning:
    """Torch-Pruning's graph. A view or split whose channels it can't number (ZeroDivisionError on ShuffleNet's) counts
    as element-wise, so that the rest of the network can be cut: ``_trial`` finds who passes there.
    """
    graph = torch_pruning.DependencyGraph()
    try:
        return bounded(graph.build_dependency(module, student.example(1)))
    except _trial.FAILURES:
        for layer, node in dict(getattr(graph, "module2node", {})).items():
            alone = copy.copy(graph)
            alone.module2node = {layer: node}
            try:
                index_mapping.update_index_mapping(alone)
            except _trial.FAILURES:
                node.type = torch_pruning.ops.OPTYPE.ELEMENTWISE
        if not getattr(graph, "module2node", {}):
            raise
        return bounded(graph)


def layers(graph: Pruning) -> list[Pruning]:
    """The convolutions and linear layers of a graph."""
    return [m for m in graph.module2node if isinstance(m, _ConvNd | nn.Linear)]


def bounded(graph: Pruning) -> Pruning:
    """The graph, whose index mappings fail where a loop multiplies the indices without end: einsum of x with itself.

    Channels become at most the features that a layer reads, twice that where it is passed twice.
    """
    read = [m.in_features if isinstance(m, nn.Linear) else m.in_channels for m in layers(graph)]
    most = max([INDICES, *(2 * features for features in read)])
    visits, find_group = Visits(), graph.get_pruning_group
    for node in graph.module2node.values():
        for dep in node.dependencies:
            dep.index_mapping = _Bounded(most, visits, dep.index_mapping)

    def find(*args: object) -> Pruning:
        visits.count = 0
        return find_group(*args)

    graph.get_pruning_group = find
    return graph


@dataclass
class Visits:
    """How many places the search of a group has passed."""

    count: int = 0

    def add(self) -> None:
        """Count one more.

        Raises:
            RuntimeError: they are too many: parts of the channels that are added to one another again and again
                (FocalNet's gates) are as many as there are subsets, and the search would not end.
        """
        self.count += 1
        if self.count > VISITS:
            raise RuntimeError(f"they pass more than {VISITS:,} places")


class _Bounded(list[Pruning]):
    """Index mappings, which Torch-Pruning sets again and again, that take no more than so many indices; each use of
    them is a visit."""

    def __init__(self, most: int, visits: Visits, mappings: Sequence[Pruning]) -> None:
        super().__init__(mappings)
        self.most, self.visits = most, visits

    def __iter__(self) -> Iterator[Pruning]:
        self.visits.add()
        for mapping in super().__iter__():
            yield None if mapping is None else partial(_map, self.most, mapping)


def _map(most: int, mapping: Callable[[Pruning], Pruning], indices: Pruning) -> Pruning:
    if len(indices) > most:
        raise RuntimeError("a reshape leads back to itself")
    return mapping(indices)
