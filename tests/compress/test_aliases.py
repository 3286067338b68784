"""Second names of operators."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from edgekd.compress._aliases import OVERLOADS, use_first_names
from edgekd.compress._graph import op

SPELLED: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "concat": (lambda x: torch.concat([x, x], 1), "cat"),
    "concatenate": (lambda x: torch.concatenate([x, x], dim=1), "cat"),
    "clip": (lambda x: x.clip(-1, 1), "clamp"),
    "clip_": (lambda x: (x + 0).clip_(-1, 1), "clamp"),
    "multiply": (lambda x: torch.multiply(x, x), "mul"),
    "divide": (lambda x: torch.divide(x, 2.0, rounding_mode="floor"), "div"),
    "subtract": (lambda x: torch.subtract(x, x, alpha=2), "sub"),
    "swapaxes": (lambda x: x.swapaxes(1, 2), "transpose"),
    "swapdims": (lambda x: x.swapdims(0, -1), "transpose"),
    "moveaxis": (lambda x: x.moveaxis(1, 0), "movedim"),
    "matmul": (lambda x: torch.linalg.matmul(x, x), "matmul"),
    "max": (lambda x: torch.max(x, 0.1 * x), "maximum"),
    "min": (lambda x: torch.min(x, 0.1 * x), "minimum"),
    "expit": (torch.special.expit, "sigmoid"),
    "softmax": (lambda x: torch.special.softmax(x, dim=-1), "softmax"),
    "mT": (lambda x: x.mT, "transpose"),
    "adjoint": (lambda x: x.adjoint(), "transpose"),
    "T": (lambda x: x.flatten(1).T, "transpose"),
}


class Of(nn.Module):
    """A network of one function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@pytest.mark.parametrize("name", SPELLED)
def test_an_operator_is_called_by_its_first_name(name: str) -> None:
    function, first = SPELLED[name]
    x = torch.randn(2, 4, 4)
    graph = torch.export.export(Of(function), (x,)).module(check_guards=False)
    (shape,) = {node.meta["val"].shape for node in graph.graph.output_node().all_input_nodes}
    use_first_names(graph)
    graph.recompile()
    (last,) = graph.graph.output_node().all_input_nodes
    assert op(last) == first
    assert last.meta["val"].shape == shape
    assert torch.equal(graph(x), function(x))


def test_a_maximum_over_an_axis_and_more_axes_than_two_stay() -> None:
    for function in (lambda x: x.max(1).values, lambda x: x.permute(*range(x.ndim)).permute(2, 1, 0)):
        graph = torch.export.export(Of(function), (torch.randn(2, 4, 4),)).module(check_guards=False)
        before = [node.target for node in graph.graph.nodes]
        use_first_names(graph)
        assert [node.target for node in graph.graph.nodes] == before


def test_both_names_take_the_same_arguments() -> None:
    """By place, by type and by default; those of ``swapaxes`` alone are called otherwise."""
    assert len(OVERLOADS) > 30
    for second, first in OVERLOADS.items():
        here, there = (
            [(str(argument.type), argument.default_value) for argument in overload._schema.arguments]
            for overload in (second, first)
        )
        assert here == there, second
