"""Sums of convolutions of one tensor are one convolution; what is anything else stays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.fx import GraphModule

from edgekd.compress._branches import merge_branches
from edgekd.compress._graph import CONVS, op
from edgekd.learn.quiet import quiet

CONV: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
NORM: dict[int, Any] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
CHANNELS = 4


class Sum(nn.Module):
    """What branches make of one tensor, added up."""

    def __init__(self, branches: Sequence[nn.Module], add: Callable[..., Tensor] | None = None) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.add = add or (lambda x, *made: torch.relu(sum(made[1:], start=made[0])))

    def forward(self, x: Tensor) -> Tensor:
        return self.add(x, *[branch(x) for branch in self.branches])


def spread(module: nn.Module) -> nn.Module:
    """In evaluation mode, its BatchNorms with statistics and factors as a training leaves them."""
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            assert part.running_mean is not None and part.running_var is not None
            part.running_mean.normal_(0, 0.3)
            part.running_var.uniform_(0.5, 2)
            nn.init.uniform_(part.weight, -1.5, 1.5)
            nn.init.normal_(part.bias)
    return module.eval()


def exported(module: nn.Module, x: Tensor) -> GraphModule:
    with quiet():
        return torch.export.export(spread(module), (x,)).module(check_guards=False)


def far(graph: GraphModule, module: nn.Module, x: Tensor) -> float:
    """The largest difference, as a share of the largest answer."""
    with torch.no_grad():
        wanted = module(x)
        return float((graph(x) - wanted).abs().max()) / max(1.0, float(wanted.abs().max()))


def convolutions(graph: GraphModule) -> int:
    return sum(op(node) in CONVS for node in graph.graph.nodes)


def normed(conv: nn.Module) -> nn.Module:
    rank = len(conv.kernel_size)  # type: ignore[arg-type]
    return nn.Sequential(conv, NORM[rank](CHANNELS))


def conv(size: int = 3, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(CHANNELS, CHANNELS, size, padding=size // 2, **options)


@st.composite
def sums(draw: st.DrawFn) -> tuple[nn.Module, Tensor]:
    """RepVGG's blocks and their kin: kernels of any sizes with one middle, groups, strides, BatchNorms or none."""
    rank = draw(st.sampled_from([1, 2, 2, 2, 3]))
    torch.manual_seed(draw(st.integers(0, 1000)))
    groups, stride = draw(st.sampled_from([1, 2, CHANNELS])), draw(st.sampled_from([1, 1, 2]))
    evens = [draw(st.booleans()) for _ in range(rank)]
    branches: list[nn.Module] = []
    for _ in range(draw(st.integers(2, 4))):
        sizes = [draw(st.sampled_from([2, 4] if even else [1, 3, 5])) for even in evens]
        pads = tuple((size - 1) // 2 for size in sizes)
        one = CONV[rank](CHANNELS, CHANNELS, tuple(sizes), stride, pads, groups=groups, bias=draw(st.booleans()))
        branches.append(normed(one) if draw(st.booleans()) else one)
    if stride == 1 and not any(evens) and draw(st.booleans()):
        branches.insert(draw(st.integers(0, len(branches))), NORM[rank](CHANNELS))
    return Sum(branches), torch.randn(2, CHANNELS, *(7, 6, 5)[:rank])


def pixels() -> tuple[nn.Module, Tensor]:
    """A BatchNorm before kernels as large as its own: of one number."""
    branches = [NORM[1](CHANNELS), *(nn.Conv1d(CHANNELS, CHANNELS, 1, bias=False) for _ in range(2))]
    return Sum(branches), torch.randn(2, CHANNELS, 7)


@settings(max_examples=60, deadline=None)
@given(sums())
@example(pixels())
def test_one_convolution_answers_what_its_branches_did(net: tuple[nn.Module, Tensor]) -> None:
    module, x = net
    graph = exported(module, x)
    merge_branches(graph)
    assert convolutions(graph) == 1
    assert not any(op(node) in ("batch_norm", "add") for node in graph.graph.nodes)
    assert far(graph, module, x) <= 1e-5


SUMS: dict[str, tuple[Callable[..., Tensor], int]] = {
    "of a sum that Python begins with zero": (lambda x, a, b, c: torch.as_tensor(sum([a, b, c])), 1),
    "with a number": (lambda x, a, b, c: a + (b + 0.75) + c, 1),
    "in another order": (lambda x, a, b, c: a + (b + c), 1),
    "in place": (lambda x, a, b, c: a.add_(b).add_(c), 1),
    "one of them twice": (lambda x, a, b, c: a + b + c + a, 3),
    "some of which is weighed": (lambda x, a, b, c: a + b + torch.add(c, x, alpha=2), 3),
    "all of which is weighed": (lambda x, a, b, c: torch.add(a, b + c, alpha=2), 3),
    "with the tensor itself": (lambda x, a, b, c: a + b + c + x, 3),
    "one of them read elsewhere": (lambda x, a, b, c: (a + b + c) * b, 3),
    "behind an activation": (lambda x, a, b, c: a + torch.relu(b) + c, 3),
    "two sums": (lambda x, a, b, c: torch.relu(a + b) * c, 2),
}


@pytest.mark.parametrize("name", SUMS)
def test_sums_of_every_form(name: str) -> None:
    torch.manual_seed(0)
    add, left = SUMS[name]
    x = torch.randn(2, CHANNELS, 6, 6)
    module = Sum([normed(conv(3)), conv(1), normed(conv(5, bias=False))], add)
    graph = exported(module, x)
    merge_branches(graph)
    assert far(graph, module, x) <= 1e-5
    assert convolutions(graph) == left


class Apart(nn.Module):
    """Convolutions of two tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = conv(3), conv(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.a(x) + self.b(x.abs())


STAY: dict[str, Callable[[], nn.Module]] = {
    "other sources": Apart,
    "other strides": lambda: Sum([nn.Conv2d(4, 4, 1, stride=2), nn.Conv2d(4, 4, 4)]),
    "other groups": lambda: Sum([conv(3), conv(3, groups=2)]),
    "another middle": lambda: Sum([nn.Conv2d(4, 4, 1, stride=2), nn.Conv2d(4, 4, 2, stride=2)]),
    "places left out": lambda: Sum([conv(3), nn.Conv2d(4, 4, 3, padding=2, dilation=2)]),
    "a padding by name": lambda: Sum([conv(3), nn.Conv2d(4, 4, 3, padding="same")]),
    "padded otherwise": lambda: Sum([conv(3), conv(3, padding_mode="circular")]),
    "one convolution and its input's BatchNorm": lambda: Sum([conv(3), nn.BatchNorm2d(4)]),
    "channels that are repeated": lambda: Sum([conv(3), nn.Conv2d(4, 1, 3, padding=1)]),
    "a BatchNorm of other channels": lambda: Sum(
        [nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(1, 4, 1), nn.BatchNorm2d(1)], lambda x, a, b, c: a + b + c
    ),
}


@pytest.mark.parametrize("name", STAY)
def test_what_is_no_sum_of_one_tensors_convolutions_stays(name: str) -> None:
    torch.manual_seed(0)
    module = STAY[name]()
    x = torch.randn(2, 1 if "other channels" in name else CHANNELS, 6, 6)
    graph = exported(module, x)
    before = convolutions(graph)
    merge_branches(graph)
    assert convolutions(graph) == before
    assert far(graph, module, x) <= 1e-6
