"""What goes in and out of a network, and what its answers are in training and as probabilities."""

from __future__ import annotations

from collections import namedtuple
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from edgekd.base.preprocess import MASK
from edgekd.learn import student
from edgekd.learn.quiet import quiet
from edgekd.learn.student import LENGTH, SplitHeads, Student, TensorSpec

A, B = torch.ones(2, 3), torch.zeros(2, 2)


def test_examples_are_seeded_of_the_types_that_are_said_and_without_padding() -> None:
    inputs = (
        TensorSpec("tokens", (None, None), "int64", 7, 4),
        TensorSpec(MASK, (None, None), "int64", 2, 4),
        TensorSpec("x", (None, 2), "float32"),
    )
    of = Student(nn.Identity(), inputs, ())
    tokens, mask, x = of.example(batch=3)
    assert tokens.shape == mask.shape == (3, 4) and x.shape == (3, 2)
    assert int(tokens.max()) < 7 and bool((mask == 1).all()) and x.dtype == torch.float32
    assert all(torch.equal(a, b) for a, b in zip(of.example(batch=3), (tokens, mask, x), strict=True))
    assert not torch.equal(of.example(batch=3, seed=1)[2], x) and of.example(length=2)[0].shape == (2, 2)


@pytest.mark.parametrize(
    ("said", "heads", "wanted"),
    [
        (A, ["logits"], A),
        ((A, B), ["logits"], A),
        ((A, B), ["a", "b"], torch.cat([A, B], dim=1)),
        ({"aux": B, "logits": A}, ["logits"], A),
        ({"b": B, "extra": A, "a": A}, ["a", "b"], torch.cat([A, B], dim=1)),
        (SimpleNamespace(logits=A, loss=B), ["logits"], A),
    ],
)
def test_auxiliary_answers_of_training_are_left_out(said: Any, heads: list[str], wanted: Tensor) -> None:
    assert torch.equal(student.of_training(said, heads), wanted)


def test_log_probabilities_give_the_probabilities_back() -> None:
    shares = torch.tensor([[0.25, 0.75], [1.0, 0.0]])
    assert student.are_probabilities(shares, (2,)) and not student.are_probabilities(shares * 2, (2,))
    assert torch.allclose(student.as_logits(shares, training=False).softmax(1), shares)
    assert torch.equal(student.as_logits(shares * 2, training=True), shares * 2), "logits already"


def test_scores_are_parted_by_head_and_told_by_name() -> None:
    class Named(nn.Module):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"b": B, "a": A}

    parted = SplitHeads(nn.Identity(), (3, 2))(torch.cat([A, B], dim=1))
    assert [tuple(part.shape) for part in parted] == [(2, 3), (2, 2)]
    by_name = SplitHeads(Named(), (3, 2), ("a", "b"))(A)
    assert torch.equal(by_name[0], A) and torch.equal(by_name[1], B)
    Pair = namedtuple("Pair", ["b", "a"])
    by_field = SplitHeads(Gives(Pair(B, A)), (3, 2), ("a", "b"))(A)
    assert torch.equal(by_field[0], A) and torch.equal(by_field[1], B)


def test_one_value_and_points_of_a_head_are_rows() -> None:
    given = (A[:, 0], B.reshape(2, 1, 2), None, torch.ones(2, 2, 2))
    parted = SplitHeads(Gives(given), (1, 2, 4), ("value", "kind", "at"), ["at"])(A)
    assert [tuple(part.shape) for part in parted] == [(2, 1), (2, 2), (2, 4)]


class Gives(nn.Module):
    """Always the same."""

    def __init__(self, given: object) -> None:
        super().__init__()
        self.given = given

    def forward(self, x: Tensor) -> object:
        return self.given


def test_a_pass_adds_its_record_and_changes_no_signature() -> None:
    before = Student(
        nn.Linear(2, 3), (TensorSpec("x", (None, 2)),), (TensorSpec("logits", (None, 3)),), ({"kind": "student"},)
    )
    after = before.with_module(nn.Linear(2, 3, bias=False), {"kind": "p"})
    assert (before.params, after.params) == (9, 6)
    assert after.lineage == ({"kind": "student"}, {"kind": "p"}) and after.inputs == before.inputs
    assert before.with_module(nn.Identity()).lineage == before.lineage


class Neighbours(nn.Module):
    """Each token beside the one before and the one behind: of two tokens ``x[:, 1:]`` is one."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.head = nn.Embedding(20, 4), nn.Linear(12, 2)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.words(ids)
        x = torch.cat([pad(x[:, 1:], (0, 0, 0, 1)), x, pad(x[:, :-1], (0, 0, 1, 0))], 2)
        return torch.as_tensor(self.head(x).mean(1))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.lstm = nn.Embedding(20, 4), nn.LSTM(4, 2, batch_first=True)

    def forward(self, ids: Tensor) -> Tensor:
        return torch.as_tensor(self.lstm(self.words(ids))[0].mean(1))


@pytest.mark.parametrize(
    ("kind", "length", "lengths"), [(Neighbours, None, (2, 3, 30)), (Recurrent, LENGTH, (LENGTH, LENGTH, LENGTH))]
)
def test_an_export_leaves_free_what_an_app_chooses(
    kind: type[nn.Module], length: int | None, lengths: tuple[int, ...]
) -> None:
    of = Student(kind().eval(), (TensorSpec("ids", (None, length), "int64", 20, 30),), ())
    with quiet():
        graph = of.exported().module(check_guards=False)
    for batch, size in zip((1, 3, 2), lengths, strict=True):
        x = of.example(batch, length=size)
        assert torch.allclose(graph(*x), of.module(*x), atol=1e-6)


def test_a_length_that_a_network_counts_with_is_refused_as_before() -> None:
    class Counting(Neighbours):
        def forward(self, ids: Tensor) -> Tensor:
            return super().forward(ids) * (1 if ids.shape[1] == LENGTH else 2)

    of = Student(Counting().eval(), (TensorSpec("ids", (None, None), "int64", 20, 30),), ())
    with pytest.raises(torch._dynamo.exc.UserError, match=r"Constraints violated \(length\)"):
        of.exported()
