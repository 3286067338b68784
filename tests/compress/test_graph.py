"""What passes ask of an exported graph, over graphs as torch exports them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node
from torch.nn import functional as F

from edgekd.compress import _graph
from edgekd.learn.quiet import quiet


class Net(nn.Module):
    def __init__(self, compute: Callable[[nn.Module, Tensor], Tensor | tuple[Tensor, ...]]) -> None:
        super().__init__()
        self.compute, self.conv = compute, nn.Conv2d(4, 4, 3, padding=1)
        self.inner = nn.Sequential(nn.Linear(6, 4), nn.Dropout(0.5))
        self.table = nn.Embedding(5, 4)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        return self.compute(self, x)


def exported(compute: Callable[[nn.Module, Tensor], Tensor | tuple[Tensor, ...]]) -> GraphModule:
    with quiet():
        exported_program = torch.export.export(Net(compute).eval(), (torch.randn(2, 4, 6, 6),))
        return exported_program.module(check_guards=False)


def nodes(graph: GraphModule, name: str) -> list[Node]:
    return [node for node in graph.graph.nodes if _graph.op(node) == name]


def test_an_operator_is_named_alike_in_place_and_not() -> None:
    graph = exported(lambda net, x: F.relu_(F.relu(x)))
    assert [_graph.op(node) for node in graph.graph.nodes if node.op == "call_function"] == ["relu", "relu"]
    assert {_graph.op(node) for node in graph.graph.nodes if node.op != "call_function"} == {""}


MOVES: dict[str, tuple[Callable[[nn.Module, Tensor], Tensor], bool]] = {
    "a flatten": (lambda net, x: x.flatten(1), True),
    "a shuffle": (lambda net, x: F.pixel_shuffle(x, 2), True),
    "a maximum": (lambda net, x: F.max_pool2d(x, 2), True),
    "nearest neighbours": (lambda net, x: F.interpolate(x, size=[12, 12], mode="nearest"), True),
    "zeros around": (lambda net, x: F.pad(x, (1, 1)), True),
    "zeros that are given": (lambda net, x: F.pad(x, (1, 1), value=0.0), True),
    "ones around": (lambda net, x: F.pad(x, (1, 1), value=1.0), False),
    "a mirror": (lambda net, x: F.pad(x, (1, 1, 0, 0), mode="reflect"), True),
    "what lies between": (lambda net, x: F.interpolate(x, size=[12, 12], mode="bilinear"), False),
    "an average": (lambda net, x: F.avg_pool2d(x, 2), False),
    "an activation": (lambda net, x: torch.tanh(x), False),
}


@pytest.mark.parametrize("name", MOVES)
def test_what_only_moves_numbers(name: str) -> None:
    compute, moves = MOVES[name]
    (node,) = (node for node in exported(compute).graph.nodes if node.op == "call_function")
    assert _graph.passes_on(node) == moves


def test_zeros_around_what_no_convolution_reads() -> None:
    def compute(net: nn.Module, x: Tensor) -> Tensor:
        around = (1, 1, 1, 1)
        pooled = F.max_pool2d(F.pad(torch.tanh(x), around), 3)
        convolved = net.conv(F.pad(torch.sigmoid(x), around))  # type: ignore[operator]
        mirrored = F.max_pool2d(F.pad(torch.relu(x), around, "reflect"), 3)
        return pooled.sum() + convolved.sum() + mirrored.sum()

    graph = exported(compute)
    padded = {name for name in ("tanh", "sigmoid", "relu") if _graph.is_padded(nodes(graph, name)[0])}
    assert padded == {"tanh"}


def test_readers_are_seen_through_what_moves_and_parts() -> None:
    def compute(net: nn.Module, x: Tensor) -> Tensor:
        a, b = F.dropout(torch.tanh(x), training=False).flatten(2).chunk(2, 1)
        return torch.sigmoid(a) + b.transpose(1, 2).transpose(1, 2)

    graph = exported(compute)
    (tanh,) = nodes(graph, "tanh")
    assert {_graph.op(reader) for reader in _graph.readers_of(tanh)} == {"sigmoid", "add"}
    assert not _graph.answers(tanh)
    parts = [node for node in graph.graph.nodes if _graph.is_part(node)]
    assert len(parts) == 2 and not _graph.is_part(tanh)


def test_what_is_moved_into_the_output_is_the_answer() -> None:
    graph = exported(lambda net, x: (torch.tanh(x).flatten(1), torch.relu(torch.sigmoid(x))))
    assert _graph.answers(nodes(graph, "tanh")[0]) and not _graph.answers(nodes(graph, "sigmoid")[0])


def test_sizes_are_one_an_axis() -> None:
    assert _graph.sizes_of([2, 3], 2, 1) == (2, 3)
    assert _graph.sizes_of([2], 3, 1) == _graph.sizes_of(2, 3, 1) == (2, 2, 2)
    assert _graph.sizes_of(None, 2, 7) == (7, 7)
    assert _graph.sizes_of([], 2, 1) == (), "of no sizes there is none"


def test_where_tensors_and_weights_come_from() -> None:
    def compute(net: nn.Module, x: Tensor) -> Tensor:
        rows = net.table((x[:, 0, 0] > 0).long())  # type: ignore[operator]
        return net.inner(x.flatten(2).transpose(1, 2).reshape(2, -1, 6)).sum() + rows.sum() + net.conv(x).sum()  # type: ignore[operator]

    graph = exported(compute)
    (linear,), (conv,), (lookup,) = (nodes(graph, name) for name in ("linear", "conv2d", "embedding"))
    assert [str(_graph.weight_of(node).target) for node in (linear, conv, lookup)] == [
        *("inner.0.weight", "conv.weight", "table.weight")
    ]
    assert [_graph.path_of(node) for node in (linear, conv, lookup)] == ["inner.0", "conv", "table"]
    x = _graph.source_of(linear)
    assert x is not None and _graph.behind(x, _graph.PASSING).op == "placeholder"
    assert _graph.behind(x, frozenset()) is x


def test_what_is_written_over_before_others_read_it() -> None:
    def compute(net: nn.Module, x: Tensor) -> Tensor:
        y, z = torch.tanh(x), torch.sigmoid(x)
        y[:, :2] = 0
        z.relu_()
        y += z
        return y + x

    graph = exported(compute)
    (tanh,), (sigmoid,) = nodes(graph, "tanh"), nodes(graph, "sigmoid")
    assert tanh in _graph.written_over(graph) and sigmoid not in _graph.written_over(graph)
    assert _graph.is_written(sigmoid) and not _graph.is_written(nodes(graph, "add")[1])
    assert not _graph.is_written(nodes(graph, "relu")[0]), "what is added into another tensor stays as it is"
