"""Operators that no integer kernel computes as a whole are spelled in those that some do."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.fx import GraphModule

from edgekd.compress._graph import op
from edgekd.compress._rewrites import rewrite
from edgekd.learn.quiet import quiet


def exported(module: nn.Module, x: Tensor) -> GraphModule:
    with quiet():
        return torch.export.export(module.eval(), (x,)).module(check_guards=False)


def operators(graph: GraphModule) -> list[str]:
    return [op(node) for node in graph.graph.nodes if op(node)]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-60, 60, width=32), min_size=1, max_size=40), st.booleans())
def test_silu_is_its_input_times_its_sigmoid(numbers: list[float], inplace: bool) -> None:
    class Swish(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.silu(x + 0, inplace=inplace)

    x = torch.tensor([numbers])
    graph = exported(Swish(), x)
    rewrite(graph)
    assert operators(graph) == ["add", "sigmoid", "mul"]
    assert torch.allclose(graph(x), nn.functional.silu(x), rtol=1e-6, atol=1e-7)


def test_what_is_written_has_the_shape_and_the_place_of_the_silu() -> None:
    """The annotator and the report read both."""
    graph = exported(nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU()), torch.randn(2, 3, 6, 6))
    (silu,) = (node for node in graph.graph.nodes if op(node) == "silu")
    shape, stack = silu.meta["val"].shape, silu.meta["nn_module_stack"]
    rewrite(graph)
    for node in graph.graph.nodes:
        if op(node) in ("sigmoid", "mul"):
            assert node.meta["val"].shape == shape and node.meta["nn_module_stack"] == stack


def test_everything_else_stays() -> None:
    layers = (nn.Sigmoid(), nn.GELU(), nn.Hardswish(), nn.ELU(), nn.Tanh(), nn.ReLU())
    graph = exported(nn.Sequential(*layers), torch.randn(2, 3))
    rewrite(graph)
    assert operators(graph) == ["sigmoid", "gelu", "hardswish", "elu", "tanh", "relu"]
