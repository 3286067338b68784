"""Pruning takes what is asked, and leaves whole what it can't follow."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils import checkpoint

from edgekd.base import plugins, units
from edgekd.base.errors import ExportError
from edgekd.build import taken
from edgekd.compress._base import Context
from edgekd.compress._channels import pruning, rules
from edgekd.compress._channels.asking import Operator
from edgekd.compress._channels.network import read
from edgekd.compress._channels.traced import Trace
from edgekd.compress.low_rank import Factors, LowRank
from edgekd.learn.student import Student, TensorSpec


def of(module: nn.Module, shape: tuple[int, ...] = (3, 8, 8)) -> Student:
    torch.manual_seed(0)
    outputs = (TensorSpec("logits", (None, 4)),)
    return Student(module.eval(), (TensorSpec("input", (None, *shape)),), outputs, ({"kind": "student"},))


def pruned(student: Student, **keys: Any) -> dict[str, Any]:
    change = plugins.build("compress", {"kind": "channel_prune", **keys}, "compress[0]")
    change.requires(student, Context(None, 4, [student.example(4)]))
    after = change.apply(student, Context(None, 4, [student.example(4)]))
    change.ensures(student, after)
    assert torch.isfinite(after.module.train()(*student.example())).all()
    return dict(after.lineage[-1])


@pytest.mark.parametrize("scope", ["uniform", "global"])
@pytest.mark.parametrize("ratio", [0.1, 0.2, 0.3, 0.45])
def test_the_share_of_all_channels_is_as_asked_to_half_a_step(ratio: float, scope: str) -> None:
    widths = [3, 24, 40, 24, 32, 40]
    layers = [part for i, o in pairwise(widths) for part in (nn.Conv2d(i, o, 3, 1, 1), nn.ReLU())]
    student = of(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(40, 4)))
    record = pruned(student, ratio=ratio, multiple=8, scope=scope)
    total = sum(widths[1:])
    assert abs(record["taken"] - ratio) <= 4 / total + 1e-4, record["groups"]
    asked, share = (units.share(value) for value in (ratio, record["taken"]))
    assert f"{asked} asked, {share} of the channels taken" in (taken.sentence(record) or "")
    if scope == "uniform":
        assert all(abs(group["kept"] - group["asked"]) < 8 for group in record["groups"].values())


class Counted(nn.Module):
    """What its first layer makes goes through an operator on all of its channels."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.a, self.b, self.c = (nn.Conv2d(i, o, 3, padding=1) for i, o in ((3, 32), (16, 24), (24, 24)))
        self.fc = nn.Linear(24, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.a(x))
        if self.how == "topk":
            x = x.flatten(2).topk(4, dim=2)[0].mean(2).topk(16, dim=1)[0][..., None, None]
        elif self.how == "index":
            x = x[:, torch.arange(0, 32, 2)]
        elif self.how == "one":
            x = torch.cat([x[:, :8], x[:, :1].expand(-1, 8, -1, -1)], 1)
        else:
            x = x[:, :16] * x.shape[1] if x.shape[1] == 32 else x[:, -16:]
        return self.fc(self.c(self.b(x)).mean((2, 3)))


@pytest.mark.parametrize(
    ("how", "why"),
    [("topk", "operator topk"), ("index", "picked by"), ("branch", "mixed or counted"), ("one", "expanded size")],
)
def test_what_counts_channels_stays_whole_and_the_rest_is_pruned_as_asked(how: str, why: str) -> None:
    record = pruned(of(Counted(how)), ratio=0.5, multiple=4)
    assert set(record["groups"]) == {"b", "c"} and record["taken"] == 0.5, record
    assert list(record["whole"]) == ["a"] and why in record["whole"]["a"]
    assert taken.notes(record)[0].startswith("channel_prune leaves a whole: ")


class Words(nn.Module):
    """Kim's convolutions over words (arXiv:1408.5882): each kernel is as wide as they are."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.fc = nn.Embedding(200, 16), nn.Linear(24, 4)
        self.convs = nn.ModuleList(nn.Conv2d(1, 12, (k, 16)) for k in (2, 3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.words(x).unsqueeze(1)
        maps = [functional.relu(conv(x)).squeeze(3) for conv in self.convs]
        return self.fc(torch.cat([functional.max_pool1d(y, y.shape[2]).squeeze(2) for y in maps], 1))


def test_words_lose_width_with_the_kernels_that_are_as_wide() -> None:
    torch.manual_seed(0)
    inputs, outputs = TensorSpec("ids", (None, 6), "int64", high=200), TensorSpec("logits", (None, 4))
    student = Student(Words().eval(), (inputs,), (outputs,), ({"kind": "student"},))
    change = plugins.build("compress", {"kind": "channel_prune", "ratio": 0.5, "multiple": 4, "keep": 4}, "compress[0]")
    after = change.apply(student, Context(None, 4, [student.example(4)]))
    change.ensures(student, after)
    record = after.lineage[-1]
    assert not record["whole"] and record["groups"]["words"]["kept"] == 8, record
    convs = [after.module.get_submodule(f"convs.{i}") for i in (0, 1)]
    assert [(conv.weight.shape[2:], conv.kernel_size) for conv in convs] == [((k, 8), (k, 8)) for k in (2, 3)]
    # What a channel of theirs does to first order is not what an input of a layer does.
    assert list(pruning.find(student, Context(None, 4, [student.example(4)]), "taylor").whole) == ["words"]


class Sized(nn.Module):
    """Heads whose channels stay are as wide as the network's stream, whose channels can go, says."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.a, self.heads, self.out, self.fc = (nn.Linear(i, o) for i, o in ((8, 32), (32, 32), (32, 32), (32, 4)))

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.a(x))
        n, steps, width = x.shape
        y = self.heads(x).sort(-1)[0]
        if self.how == "reshape":
            y = y.reshape(n, steps, 4, width // 4)
        elif self.how == "unflatten":
            y = y.unflatten(2, (4, width // 4))
        else:
            y = torch.stack(y.split(width // 4, 2), 2)
        y = torch.tanh(y * y.amax(-1, keepdim=True))
        return self.fc((x + self.out(y.reshape(n, steps, 32))).mean(1))


@pytest.mark.parametrize("how", ["reshape", "unflatten", "split"])
def test_sizes_that_follow_from_the_width_of_another_tensor_stay_as_they_were(how: str) -> None:
    record = pruned(of(Sized(how), (8, 8)), ratio=0.5, multiple=4)
    assert list(record["groups"]) == ["a"] and record["groups"]["a"]["kept"] == 16, record
    assert list(record["whole"]) == ["heads"]


class Recomputed(nn.Module):
    """A block that runs again for its gradients, whose own code holds a number of channels."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 32, 3, padding=1), nn.Conv2d(32, 32, 3, padding=1), nn.Linear(2048, 32)
        self.fc = nn.Linear(32, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(checkpoint.checkpoint(self.block, self.a(x).relu(), use_reentrant=False))

    def block(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.c(self.b(x).relu().view(-1, 2048)).relu())


def test_a_number_in_a_block_that_is_recomputed_stays_as_it_is_told_only_on_the_way_there() -> None:
    student = of(Recomputed())
    change = plugins.build("compress", {"kind": "channel_prune", "ratio": 0.5, "multiple": 4}, "compress[0]")
    after = change.apply(student, Context(None, 4, [student.example(4)]))
    record = after.lineage[-1]
    assert set(record["groups"]) == {"a", "c"} and "training" in record["whole"]["b"], record
    after.module.train()(*student.example()).sum().backward()


def test_one_rule_that_fails_costs_its_own_channels_and_names_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(trace: Trace, op: Operator) -> None:
        np.broadcast_arrays(np.zeros(2), np.zeros(3))

    monkeypatch.setitem(rules.RULES, "topk", failing)
    record = pruned(of(Counted("topk")), ratio=0.5, multiple=4)
    assert set(record["groups"]) == {"b", "c"}
    assert record["whole"]["a"].startswith("the operator topk can't be followed (ValueError: shape mismatch")


def test_where_nothing_can_be_pruned_the_error_says_why_by_layer() -> None:
    alone = nn.Sequential(nn.Conv2d(3, 16, 3), nn.Flatten(), nn.Softmax(1), Order(), nn.Linear(16, 4))
    with pytest.raises(ExportError, match=r"no layer can lose channels: 0: the operator sort counts or orders"):
        pruned(of(alone), ratio=0.5)
    few = nn.Sequential(nn.Flatten(), nn.Linear(192, 16), nn.ReLU(), nn.Linear(16, 4))
    with pytest.raises(ExportError, match="keep a multiple of 16"):
        pruned(of(few), ratio=0.25, multiple=16)


class Order(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.sort(dim=1)[0][:, :16]


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_torchscript_is_refused_with_what_to_give() -> None:
    scripted = torch.jit.trace(nn.Sequential(nn.Conv2d(3, 16, 3), nn.Conv2d(16, 4, 1)).eval(), torch.zeros(2, 3, 8, 8))
    with pytest.raises(ExportError, match=r"TorchScript can't lose channels.*scripted from"):
        pruned(of(nn.Sequential(scripted, nn.AdaptiveAvgPool2d(1), nn.Flatten())), ratio=0.5)


def test_frozen_layers_are_followed_and_stay_frozen() -> None:
    net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.Flatten(), nn.Linear(256, 4))
    net[0].requires_grad_(False)
    module, plan = pruning.cut(student := of(net), {"0": [1, 2]}, read(student))
    assert plan and len(next(iter(module.parameters()))) == 14
    assert [p.requires_grad for p in module.parameters()] == [False, False, True, True, True, True]


@pytest.mark.parametrize("norm_first", [True, False])
def test_attention_layers_of_torch_run_with_factors(norm_first: bool) -> None:
    layer = nn.TransformerEncoderLayer(32, 4, 48, batch_first=True, norm_first=norm_first, dropout=0.0)
    net = nn.Sequential(nn.TransformerEncoder(layer, 1, enable_nested_tensor=False), nn.Flatten(), nn.Linear(160, 4))
    student = of(net, (5, 32))
    change, here = LowRank(ratio=0.5), Context(None, 4, [student.example(8)])
    after = change.apply(student, here)
    change.ensures(student, after)
    pair = after.module.get_submodule("0.layers.0.linear1")
    assert (
        isinstance(pair, Factors)
        and pair.weight.shape == (48, 32)
        and (pair.in_features, pair.out_features) == (32, 48)
    )
    x = torch.randn(3, 32)
    assert torch.allclose(pair(x), functional.linear(x, pair.weight, pair.bias), atol=1e-5)
    record = after.lineage[-1]
    assert abs(record["taken"] - 0.5) < 0.1 and list(record["groups"])
