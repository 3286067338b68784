"""Channels between two layers are given ranges alike, and the network's answers stay what they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from edgekd.base import plugins
from edgekd.compress._base import Context
from edgekd.compress._equalize import equalize
from edgekd.learn.student import Student, TensorSpec
from edgekd.spec import target

SHAPE = (4, 6, 6)
RELU6_BETWEEN = (nn.Conv2d(4, 8, 3, padding=1), nn.ReLU6(), nn.Conv2d(8, 5, 1))


def normed(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels)
    nn.init.uniform_(norm.weight, 0.01, 2.0)
    nn.init.uniform_(norm.bias, -1.0, 1.0)
    nn.init.uniform_(norm.get_buffer("running_var"), 0.1, 3.0)
    return norm


def separable() -> nn.Sequential:
    first = [nn.Conv2d(4, 8, 3, padding=1), normed(8), nn.ReLU()]
    depthwise = [nn.Conv2d(8, 16, 3, groups=8, bias=False), normed(16), nn.LeakyReLU(0.1)]
    return nn.Sequential(*first, *depthwise, nn.AvgPool2d(2), nn.Conv2d(16, 5, 1))


def grouped() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(4, 8, 1), nn.PReLU(8), nn.MaxPool2d(2), nn.Conv2d(8, 6, 3, groups=2), nn.ReLU())


def linear() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(144, 12), nn.ReLU(), nn.Dropout(0.5), nn.Linear(12, 5))


class Shared(nn.Module):
    """One layer, used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        once: Tensor = torch.relu(self.conv(x))
        return torch.as_tensor(self.conv(once))


class Residual(nn.Module):
    """What the second layer reads, the sum reads too."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.one(x))
        return x + torch.as_tensor(self.two(x))


def exported(network: nn.Module) -> torch.fx.GraphModule:
    dynamic = ({0: torch.export.Dim.DYNAMIC},)
    example = (torch.randn(2, *SHAPE),)
    return torch.export.export(network.eval(), example, dynamic_shapes=dynamic).module(check_guards=False)


@pytest.mark.parametrize(("make", "pairs"), [(separable, 2), (grouped, 1), (linear, 1)])
def test_answers_stay_and_ranges_come_together(make: Any, pairs: int) -> None:
    torch.manual_seed(1)
    network = make()
    first = next(layer for layer in network if isinstance(layer, nn.Conv2d | nn.Linear))
    norm = next((layer for layer in network if isinstance(layer, nn.BatchNorm2d)), None)
    with torch.no_grad():
        for parameter in (first if norm is None else norm).parameters():
            parameter[0] *= 50  # one channel far beyond the others
    graph, x = exported(network), torch.randn(16, *SHAPE)
    before, apart = graph(x), spread_behind_the_first_activation(graph, x)
    assert equalize(graph) == pairs
    torch.testing.assert_close(graph(x), before, rtol=1e-4, atol=1e-4)
    assert spread_behind_the_first_activation(graph, x) < apart / 4


def spread_behind_the_first_activation(graph: torch.fx.GraphModule, x: Tensor) -> float:
    """The largest channel's maximum over the median one's, of what the first ReLU or the like gives."""
    values: dict[str, Tensor] = {}

    class Watched(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node) -> Any:
            values[n.name] = value = super().run_node(n)
            return value

    with torch.no_grad():
        Watched(graph).run(x)
    name = next(name for name in values if name.startswith(("relu", "prelu")))
    largest = values[name].abs().transpose(0, 1).flatten(1).amax(dim=1)
    return float(largest.max() / largest.median())


@pytest.mark.parametrize(
    "network", [nn.Sequential(*RELU6_BETWEEN), Shared(), Residual()], ids=["relu6", "twice", "sum"]
)
def test_what_can_not_be_scaled_stays(network: nn.Module) -> None:
    assert equalize(exported(network)) == 0


def test_one_scale_serves_channels_of_unlike_ranges() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(4, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3, groups=16), nn.Flatten(), nn.Linear(64, 5)
    )
    with torch.no_grad():
        reach = torch.logspace(-2, 2, 16)
        network[0].get_parameter("weight").mul_(reach.reshape(-1, 1, 1, 1))
        network[0].get_parameter("bias").mul_(reach)
        network[2].get_parameter("weight").div_(reach.reshape(-1, 1, 1, 1))
    spec = TensorSpec("input", (None, *SHAPE))
    student = Student(network.eval(), (spec,), (TensorSpec("logits", (None, 5)),), ({"kind": "student"},))
    context = Context(target.load("ort-cpu").quantized, 1, [(torch.randn(32, *SHAPE),) for _ in range(2)])
    x = torch.randn(64, *SHAPE)
    errors = []
    for on in (False, True):
        change = plugins.build("compress", {"kind": "int8_ptq", "equalize": on}, "here")
        quantized = change.finish(change.apply(replace(student), context), context.numerics)
        with torch.no_grad():
            errors.append(float((quantized.module(x) - network(x)).abs().mean()))
    assert errors[1] < errors[0] / 3
