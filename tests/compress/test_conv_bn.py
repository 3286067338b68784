"""Networks are prepared for int8 as torchao does by itself, from fewer patterns."""

from __future__ import annotations

import contextlib

import pytest
import torch
from torch import nn
from torch.fx import GraphModule
from torchao.quantization.pt2e import qat_utils

from edgekd.compress import _conv_bn, _prepared
from edgekd.compress._prepared import prepare
from edgekd.compress._specs import Ranging
from edgekd.learn.student import Student, TensorSpec
from edgekd.spec import target

NETWORKS = {
    "two kinds, with and without bias": (
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, bias=False)),
        nn.Sequential(nn.BatchNorm2d(4), nn.Flatten(2), nn.Conv1d(4, 4, 1), nn.BatchNorm1d(4), nn.Flatten()),
    ),
    "turned around": (nn.ConvTranspose2d(1, 4, 2, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten()),
    "no convolution": (nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8)),
    "no BatchNorm": (nn.Conv2d(1, 4, 3), nn.Flatten()),
}


def prepared(name: str) -> GraphModule:
    torch.manual_seed(0)
    module = nn.Sequential(*NETWORKS[name]).eval()
    student = Student(module, (TensorSpec("x", (None, 1, 8, 8)),), (TensorSpec("logits", (None, 1)),))
    numerics = next(one for one in target.load("ort-cpu").numerics if one.quantized)
    return prepare(student, numerics, Ranging()).graph


def without_bodies(graph: GraphModule) -> list[str]:
    return [f"{node.op} {node.target} {node.args} {node.kwargs}" for node in graph.graph.nodes]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_network_by_fewer_patterns(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_conv_bn, "_traced", {})
    traced: list[object] = []
    trace = qat_utils._get_aten_graph_module_for_pattern

    def counted(*given: object) -> GraphModule:
        traced.append(given)
        return trace(*given)

    monkeypatch.setattr(qat_utils, _conv_bn.TRACE, counted)
    ours = [without_bodies(prepared(name)) for _ in range(2)]
    few, kinds = len(traced), {"two kinds, with and without bias": 2, "turned around": 1}.get(name, 0)
    assert few == 3 * kinds, "each of a kind that is there once, in both preparations"
    monkeypatch.setattr(_prepared, "few_patterns", contextlib.nullcontext)
    assert ours == [without_bodies(prepared(name))] * 2
    assert len(traced) - few == (0 if name == "no BatchNorm" else 12)


def test_torchao_is_as_it_was_after_it_and_where_it_has_no_such_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    before = vars(qat_utils)[_conv_bn.TRACE]
    with pytest.raises(KeyError), _conv_bn.few_patterns():
        assert vars(qat_utils)[_conv_bn.TRACE] is not before
        raise KeyError
    assert vars(qat_utils)[_conv_bn.TRACE] is before
    monkeypatch.delattr(qat_utils, _conv_bn.FUSE)
    with _conv_bn.few_patterns():
        assert vars(qat_utils)[_conv_bn.TRACE] is before


def test_transposed_convolutions_of_groups_keep_their_norm_and_train() -> None:
    torch.manual_seed(0)
    layers = (
        nn.Conv2d(1, 8, 3),
        nn.ConvTranspose2d(8, 8, 4, 2, 1, groups=8),
        nn.BatchNorm2d(8),
        nn.ConvTranspose2d(8, 4, 3),
    )
    module = nn.Sequential(*layers, nn.BatchNorm2d(4), nn.Flatten()).eval()
    student = Student(module, (TensorSpec("x", (None, 1, 8, 8)),), (TensorSpec("logits", (None, 784)),))
    numerics = next(one for one in target.load("ort-cpu").numerics if one.quantized)
    graph = prepare(student, numerics, Ranging()).graph
    (x,) = student.example(4)
    loss = graph(x).square().mean()
    loss.backward()
    assert torch.isfinite(loss) and all(p.grad is None or torch.isfinite(p.grad).all() for p in graph.parameters())
