"""Which layers are looked at, and that any user's network survives being looked at."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgekd.analysis import layers
from edgekd.base import plugins
from edgekd.learn import taps
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.feed import Feed
from edgekd.learn.objective import make_terms
from edgekd.spec.recipe import Augment


def model(kind: str, **keys: Any) -> nn.Module:
    torch.manual_seed(0)
    made: nn.Module = plugins.build("models", {"kind": kind, **keys}, "test").build((1, 6, 6), 3)
    return made


def feed(limit: int | None = None) -> Feed:
    x = np.random.default_rng(0).standard_normal((30, 1, 6, 6)).astype(np.float32)
    split = Split(x, None)
    return Feed(Dataset(split, split, split, ("a", "b", "c"), ()), (), Augment(views=1), 0, limit)


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (lambda: model("convnet", width=8), ["features.0", "features.1", "features.2", "head"]),
        (lambda: model("resnet", depth=8, width=4), ["stem", "blocks.0", "blocks.1", "blocks.2", "head"]),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(36, 4), nn.ReLU(), nn.Linear(4, 3)), ["1", "3"]),
        (lambda: nn.Flatten(), []),
    ],
)
def test_blocks_are_what_a_person_would_name(made: Any, found: list[str]) -> None:
    assert taps.blocks(made()) == found


class Odd(nn.Module):
    """A list of parts, one that gives a pair, one that gives no tensor, one that is never run."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList([nn.Linear(36, 5), Pair(), Words()])
        self.never = nn.Linear(1, 1)
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        first, _ = self.parts[1](self.parts[0](x.flatten(1)))
        self.parts[2](first)
        return self.head(first)


class Pair(nn.Linear):
    def __init__(self) -> None:
        super().__init__(5, 5)

    def forward(self, x: Tensor) -> Any:
        return super().forward(x), "and more"


class Words(nn.Linear):
    def __init__(self) -> None:
        super().__init__(5, 5)

    def forward(self, x: Tensor) -> Any:
        return ["no", "tensor"]


def test_layers_that_tell_nothing_are_passed_over() -> None:
    student = Odd()
    found = layers.layer_similarity(student, model("convnet", width=8), (feed(), feed()), ())
    assert found["student"] == ["parts.0", "parts.1", "head"]
    assert [len(row) for row in found["cka"]] == [4, 4, 4]
    assert not student.parts[0]._forward_hooks, "the taps are off again"


def test_layers_of_a_loss_come_in_and_are_marked() -> None:
    net = model("resnet", depth=8, width=4)
    hint = {"kind": "hint", "student_layers": ["blocks.1.conv1"], "teacher_layers": ["stem"]}
    found = layers.layer_similarity(net, net, (feed(10), feed(10)), make_terms([{"kind": "kl"}, hint]))
    assert found["student"] == ["stem", "blocks.0", "blocks.1.conv1", "blocks.1", "blocks.2", "head"], "as they run"
    assert found["pairs"] == [[2, 0]]
    assert found["samples"] == 10
    assert [found["cka"][found["student"].index(p)][j] for j, p in enumerate(found["teacher"])] == pytest.approx(
        [1.0] * 5
    )


def test_at_most_eight_evenly() -> None:
    net = nn.Sequential(nn.Flatten(), *(nn.Linear(36, 36) for _ in range(20)))
    assert list(layers.features(net, feed(), np.arange(4), [])) == ["1", "4", "6", "9", "12", "15", "17", "20"]


def test_maps_and_sequences_count_by_their_means() -> None:
    value = torch.arange(24.0).reshape(2, 3, 4)
    assert torch.equal(layers._means(value), value.mean(1))
    assert torch.equal(layers._means(value, channels_first=True), value.mean(2))
    assert torch.equal(layers._means(value[..., None]), value.mean(2))
    assert torch.equal(layers._means(value[:, :, 0]), value[:, :, 0])


def test_channels_of_a_sequence_are_told_from_its_steps() -> None:
    """Both kinds of layers in one network, as of speech: convolutions along time, then a transformer's."""
    front = nn.Sequential(nn.Conv1d(1, 5, 3), nn.BatchNorm1d(5), nn.ReLU())
    rows = nn.Sequential(Swapped(), nn.Linear(5, 7), nn.LayerNorm(7))
    net = nn.Sequential(nn.Flatten(2), nn.Flatten(1), nn.Unflatten(1, (1, 36)), front, rows, Swapped(), nn.MaxPool1d(2))
    found = layers.features(net.eval(), feed(), np.arange(4), ["3", "4", "6"])
    assert {path: part.shape for path, part in found.items()} == {"3": (4, 5), "4": (4, 7), "6": (4, 7)}


class Swapped(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2)
