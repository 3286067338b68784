"""Transposed convolutions are convolutions and a shuffle, whatever their kernel, stride and padding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.fx import GraphModule

from edgekd.compress._graph import op
from edgekd.compress._prepared import _whole_batchnorm
from edgekd.compress._upsampling import rewrite_upsampling
from edgekd.learn.quiet import quiet

TRANSPOSED: dict[int, Any] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d}
NORM: dict[int, Any] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}
ACTIVATIONS: list[Callable[[], nn.Module]] = [nn.ReLU, nn.SiLU, lambda: nn.LeakyReLU(0.3), lambda: nn.ELU(0.5), nn.GELU]


def exported(module: nn.Module, x: Tensor) -> GraphModule:
    """Of any batch, in evaluation mode; BatchNorms with statistics as a training leaves them."""
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            assert part.running_mean is not None and part.running_var is not None
            part.running_mean.normal_(0, 0.3)
            part.running_var.uniform_(0.5, 2)
            if part.affine:
                nn.init.uniform_(part.weight, -1.5, 1.5)
                nn.init.normal_(part.bias)
    with quiet():
        graph = torch.export.export(module.eval(), (x,), dynamic_shapes=({0: torch.export.Dim.AUTO},))
        exported_graph = graph.module(check_guards=False)
    _whole_batchnorm(exported_graph)
    return exported_graph


def left(graph: GraphModule) -> list[str]:
    return [op(node) for node in graph.graph.nodes if "conv" in op(node)]


def far(graph: GraphModule, module: nn.Module, x: Tensor) -> float:
    """The largest difference, as a share of the largest answer."""
    with torch.no_grad():
        wanted = module(x)
        return float((graph(x) - wanted).abs().max()) / max(1.0, float(wanted.abs().max()))


@st.composite
def nets(draw: st.DrawFn) -> tuple[int, nn.Sequential, Tensor]:
    """Of one or two axes, kernels and paddings that differ by axis; with and without what stands behind it."""
    torch.manual_seed(draw(st.integers(0, 1000)))
    rank, stride = draw(st.sampled_from([1, 2])), draw(st.integers(2, 4))
    kernels = tuple(draw(st.integers(1, 6)) for _ in range(rank))
    pads = tuple(draw(st.integers(0, size - 1)) for size in kernels)
    more = tuple(draw(st.integers(0, stride - 1)) for _ in range(rank))
    sizes = tuple(draw(st.integers(2, 6)) for _ in range(rank))
    spread = zip(sizes, kernels, pads, more, strict=True)
    assume(all((size - 1) * stride - 2 * pad + kernel + extra > 0 for size, kernel, pad, extra in spread))
    bias = draw(st.booleans())
    layers: list[nn.Module] = [TRANSPOSED[rank](3, 5, kernels, stride, pads, more, bias=bias)]
    if draw(st.booleans()):
        layers.append(NORM[rank](5, affine=draw(st.booleans())))
    if draw(st.booleans()):
        layers.append(draw(st.sampled_from(ACTIVATIONS))())
    return stride, nn.Sequential(*layers), torch.randn(2, 3, *sizes)


@settings(max_examples=60, deadline=None)
@given(nets())
def test_the_rewritten_network_answers_alike_at_any_batch(net: tuple[int, nn.Sequential, Tensor]) -> None:
    stride, module, x = net
    graph = exported(module, x)
    rewrite_upsampling(graph, frozen=True)
    for batch in (x, torch.randn(3, *x.shape[1:])):
        assert far(graph, module, batch) <= 1e-5
    with torch.no_grad():
        whole = all(size % stride == 0 for size in module(x).shape[2:])
    assert left(graph) == [f"conv{x.ndim - 2}d" if whole else f"conv_transpose{x.ndim - 2}d"]
    if whole:
        assert not any(op(node) == "batch_norm" for node in graph.graph.nodes)


def test_what_is_the_same_on_each_channel_comes_before_the_shuffle() -> None:
    """So the convolution's kernel computes it, and the rounding behind it is that of the small map."""
    module = nn.Sequential(nn.ConvTranspose2d(3, 4, 4, 2, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))
    x = torch.randn(2, 3, 4, 4)
    graph = exported(module, x)
    rewrite_upsampling(graph, frozen=True)
    order = [op(node) for node in graph.graph.nodes if op(node)]
    assert order == ["conv2d", "relu", "pixel_shuffle", "conv2d"]
    assert far(graph, module, x) <= 1e-5


def test_a_batchnorm_whose_statistics_move_is_not_folded() -> None:
    module = nn.Sequential(nn.ConvTranspose2d(3, 4, 2, 2), nn.BatchNorm2d(4), nn.ReLU())
    x = torch.randn(2, 3, 4, 4)
    graph = exported(module, x)
    rewrite_upsampling(graph, frozen=False)
    assert [op(node) for node in graph.graph.nodes if op(node)] == ["conv2d", "pixel_shuffle", "batch_norm", "relu"]
    assert far(graph, module, x) <= 1e-5


def test_every_new_tensor_has_a_shape() -> None:
    """No rounding is put on what has none."""
    for module, x in (
        (nn.Sequential(nn.ConvTranspose2d(3, 4, 3, 2, 1, 1), nn.ReLU()), torch.randn(2, 3, 4, 4)),
        (nn.Sequential(nn.ConvTranspose1d(3, 4, 4, 2, 1), nn.Tanh()), torch.randn(2, 3, 4)),
    ):
        graph = exported(module, x)
        rewrite_upsampling(graph, frozen=True)
        calls = [node for node in graph.graph.nodes if node.op == "call_function"]
        assert calls and all(isinstance(node.meta.get("val"), Tensor) for node in calls)


class TwoReaders(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.norm = nn.ConvTranspose2d(3, 4, 2, 2), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        large = self.up(x)
        return self.norm(large) + torch.relu(large)


def test_what_two_read_is_rewritten_alone() -> None:
    module, x = TwoReaders(), torch.randn(2, 3, 4, 4)
    graph = exported(module, x)
    rewrite_upsampling(graph, frozen=True)
    assert [op(node) for node in graph.graph.nodes if op(node)] == [
        *("conv2d", "pixel_shuffle", "batch_norm", "relu", "add")
    ]
    assert far(graph, module, x) <= 1e-5


STAY: dict[str, Callable[[], nn.Module]] = {
    "of groups": lambda: nn.ConvTranspose2d(4, 4, 2, 2, groups=2),
    "with places left out": lambda: nn.ConvTranspose2d(4, 4, 3, 2, padding=2, output_padding=1, dilation=2),
    "of stride one": lambda: nn.ConvTranspose2d(4, 4, 3),
    "of unequal strides": lambda: nn.ConvTranspose2d(4, 4, (2, 3), (2, 3)),
    "of an odd size": lambda: nn.ConvTranspose2d(4, 4, 3, 2),
    "of three axes": lambda: nn.ConvTranspose3d(4, 4, 2, 2),
}


@pytest.mark.parametrize("name", STAY)
def test_what_has_no_such_form_stays(name: str) -> None:
    module = STAY[name]()
    x = torch.randn(2, 4, *[4] * (3 if "three" in name else 2))
    graph = exported(module, x)
    before = left(graph)
    rewrite_upsampling(graph, frozen=True)
    assert left(graph) == before and before[0].startswith("conv_transpose")


def test_a_free_size_stays() -> None:
    class Up(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.ConvTranspose1d(4, 4, 2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.up(x)

    with quiet():
        free = {0: torch.export.Dim.AUTO, 2: torch.export.Dim.AUTO}
        graph = torch.export.export(Up(), (torch.randn(2, 4, 5),), dynamic_shapes=(free,)).module(check_guards=False)
    rewrite_upsampling(graph, frozen=True)
    assert left(graph) == ["conv_transpose1d"]
