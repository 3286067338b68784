"""A network whose answer to a sample depends on the other samples of its batch is seen, and the place is named."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from edgekd.build.independence import chance, dependence
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.feed import Feed
from edgekd.learn.quiet import quiet
from edgekd.spec.recipe import Augment


class Centred(nn.Module):
    """Subtracts the mean of the batch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(dim=0, keepdim=True)


class Largest(nn.Module):
    """Scales by the largest value of the whole batch."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x / x.abs().max())


class Texts(nn.Module):
    """A bag of tokens; ``masked``: without the padding."""

    def __init__(self, masked: bool) -> None:
        super().__init__()
        self.words, self.masked = nn.Embedding(20, 3), masked

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        found, mask = self.words(input_ids), attention_mask[..., None].float()
        return (found * mask).sum(1) / mask.sum(1) if self.masked else found.mean(1)


def numbers() -> Feed:
    rng = np.random.default_rng(0)
    split = Split(rng.normal(size=(40, 6)).astype(np.float32), np.arange(40) % 3)
    return Feed(Dataset(split, split, split, ("a", "b", "c"), ()), (), Augment(views=1), 0)


def texts() -> Feed:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghijklmnop"]
    rows = [" ".join("abcdefgh"[: 1 + i % 7]) for i in range(40)]
    split = Split(np.array(rows, dtype=object), np.arange(40) % 3)
    ops = ({"op": "wordpiece", "vocabulary": words, "length": 16, "lower": True},)
    return Feed(Dataset(split, split, split, ("a", "b", "c"), ops), ops, Augment(views=1), 0)


def net(*parts: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), *parts, nn.Linear(8, 3)).eval()


@pytest.mark.parametrize(
    ("part", "place"),
    [
        (nn.BatchNorm1d(8), None),
        (nn.LayerNorm(8), None),
        (nn.BatchNorm1d(8, track_running_stats=False), "1 (BatchNorm1d)"),
        (Centred(), "1 (Centred)"),
        (nn.Softmax(dim=0), "1 (Softmax)"),
        (nn.Sequential(nn.ReLU(), Centred()), "1.1 (Centred)"),
    ],
)
def test_the_place_is_named(part: nn.Module, place: str | None) -> None:
    assert dependence(net(part), numbers(), "student") == place


def test_what_no_module_computes_is_the_network_itself() -> None:
    torch.manual_seed(0)
    assert dependence(Largest().eval(), numbers(), "student") == "the network"


class Random(nn.Module):
    """Drops out in evaluation, too."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(x, 0.5, training=True)


class Moving(nn.Module):
    """Subtracts what it has seen so far."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(8))

    seen: torch.Tensor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen += x.mean(dim=0)
        return x - self.seen


def test_chance_is_no_dependence() -> None:
    assert dependence(net(Random()), numbers(), "student") is None


@pytest.mark.parametrize(
    ("part", "place"),
    [(nn.Dropout(0.5), None), (Random(), "1 (Random)"), (nn.Sequential(nn.ReLU(), Moving()), "1.1 (Moving)")],
)
def test_answers_that_differ_each_time_are_seen(part: nn.Module, place: str | None) -> None:
    assert chance(net(part), numbers(), "student") == place


def test_a_scripted_network_takes_no_hooks() -> None:
    with quiet():
        scripted = nn.Sequential(torch.jit.trace(net(nn.ReLU()), torch.zeros(2, 6)))
    assert dependence(scripted, numbers(), "teacher") is chance(scripted, numbers(), "teacher") is None


@pytest.mark.parametrize(("masked", "place"), [(True, None), (False, "the network")])
def test_padding_that_is_read_as_data(masked: bool, place: str | None) -> None:
    torch.manual_seed(0)
    assert dependence(Texts(masked).eval(), texts(), "student") == place
