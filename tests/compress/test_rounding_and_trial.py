"""Pruning takes what is asked, and leaves whole what it can't follow."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekd.base import plugins, units
from edgekd.base.errors import ExportError
from edgekd.build import taken
from edgekd.compress import _groups
from edgekd.compress._base import Context
from edgekd.compress._rounding import Wish, spread
from edgekd.compress.low_rank import Factors, LowRank
from edgekd.learn.student import Student, TensorSpec


def of(module: nn.Module, shape: tuple[int, ...] = (3, 8, 8)) -> Student:
    torch.manual_seed(0)
    outputs = (TensorSpec("logits", (None, 4)),)
    return Student(module.eval(), (TensorSpec("input", (None, *shape)),), outputs, ({"kind": "student"},))


def pruned(student: Student, **keys: Any) -> dict[str, Any]:
    change = plugins.build("compress", {"kind": "channel_prune", **keys}, "compress[0]")
    after = change.apply(student, Context(None, 4, [student.example(4)]))
    change.ensures(student, after)
    assert torch.isfinite(after.module.train()(*student.example())).all()
    return dict(after.lineage[-1])


@pytest.mark.parametrize(
    ("wanted", "step", "kept"),
    [
        ([18.0, 18.0, 18.0, 18.0], 8, [24, 16, 16, 16]),
        ([28.8, 28.8, 28.8, 28.8, 28.8], 8, [32, 32, 32, 24, 24]),
        ([7.0, 21.0], 4, [8, 20]),
        ([1.0, 99.0], 8, [8, 40]),
        ([12.0], 8, [8]),
    ],
)
def test_the_sum_of_what_stays_is_nearest_to_what_was_asked(wanted: list[float], step: int, kept: list[int]) -> None:
    assert spread([Wish(w, 8 if step == 8 else 4, 40, step) for w in wanted]) == kept


@pytest.mark.parametrize(
    ("sizes", "step", "ratio"), [((16, 24, 40, 80), 16, 0.5), ((16, 24, 40, 80), 8, 0.75), ((12, 36, 96), 8, 0.7)]
)
def test_what_small_groups_cant_lose_others_lose(sizes: tuple[int, ...], step: int, ratio: float) -> None:
    kept = spread([Wish(size * (1 - ratio), step if size > step else size, size, step) for size in sizes])
    assert abs(sum(kept) - sum(sizes) * (1 - ratio)) <= step / 2, kept


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


class Halves(nn.Module):
    """Its first layer is cut in two by position, its second goes through an op on all of its channels."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.a, self.b, self.c = (nn.Conv2d(i, o, 3, padding=1) for i, o in ((3, 32), (16, 24), (24, 24)))
        self.fc = nn.Linear(24, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.a(x))
        if self.how == "split":
            left, right = x.split(16, 1)
            x = left * right
        elif self.how == "chunk":
            x = x.chunk(2, dim=1)[1]
        elif self.how == "view":
            x = x.view(len(x), 2, 16, 8, 8).sum(1)
        elif self.how == "topk":
            x = x.flatten(2).topk(4, dim=2)[0].mean(2).topk(16, dim=1)[0][..., None, None]
        else:
            x = x.flip(1)[:, :16]
        return self.fc(self.c(self.b(x)).mean((2, 3)))


@pytest.mark.parametrize("how", ["split", "chunk", "view", "topk", "flip"])
def test_what_counts_channels_stays_whole_and_the_rest_is_pruned_as_asked(how: str) -> None:
    record = pruned(of(Halves(how)), ratio=0.5, multiple=4)
    assert set(record["groups"]) == {"b", "c"} and record["taken"] == 0.5, record
    assert list(record["whole"]) == ["a"]
    assert taken.notes(record)[0].startswith("channel_prune leaves a whole: ")


class Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 16, 3))
        self.fc = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.a(x).mean((2, 3)))


def test_where_nothing_can_be_pruned_the_error_says_why_by_layer() -> None:
    with pytest.raises(ExportError, match=r"no layer can lose channels: a: a weight is computed"):
        pruned(of(Normed()), ratio=0.5)
    few = nn.Sequential(nn.Flatten(), nn.Linear(192, 16), nn.ReLU(), nn.Linear(16, 4))
    with pytest.raises(ExportError, match="keep a multiple of 16"):
        pruned(of(few), ratio=0.25, multiple=16)


def test_frozen_layers_are_followed_and_stay_frozen() -> None:
    net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.Flatten(), nn.Linear(256, 4))
    net[0].requires_grad_(False)
    module, plan = _groups.cut(of(net), {"0": [1, 2]})
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
