"""Outputs of any shape as one flat row a sample."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from edgekd.learn.flat import FlatScores, Form, in_words
from edgekd.learn.teacher import bare
from edgekd.tasks import Heads
from edgekd.tasks.regression import Regression
from tests.tasks.test_dense import Grid, Line

SCORES = torch.arange(1.0, 25.0).reshape(2, 3, 2, 2)
WORDS = torch.arange(1.0, 13.0).reshape(2, 3, 2)


class Gives(nn.Module):
    def __init__(self, give: Callable[..., object]) -> None:
        super().__init__()
        self.give = give

    def forward(self, *inputs: Tensor) -> object:
        return self.give(*inputs)


def test_a_map_is_a_row_and_a_row_stays_one() -> None:
    form = Form(Heads({"map": (3, 2, 2)}, {"map": Grid()}))
    for give in (lambda x: x, lambda x: x.flatten(1)):
        flat = form.flat(Gives(give))(SCORES)
        assert torch.equal(flat, SCORES.flatten(1))
        assert (form.heads.natural("map", flat.numpy()) == SCORES.numpy()).all()
    net = Gives(lambda x: x)
    assert bare(form.flat(net)) is net
    assert Form(Heads({"a": 3})).flat(net) is net


def test_padding_and_what_is_missing_of_a_text_are_0() -> None:
    form = Form(Heads({"tags": (4, 2)}, {"tags": Line()}), texts=True)
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    flat = form.flat(Gives(lambda ids, mask: {"logits": WORDS, "hidden": torch.ones(2, 3, 7)}))(mask, mask)
    rows = flat["logits"].reshape(2, 4, 2)
    assert torch.equal(rows[0, :3], WORDS[0]) and torch.equal(rows[1, :2], WORDS[1, :2])
    assert not rows[0, 3:].any() and not rows[1, 2:].any()
    assert flat["hidden"].shape == (2, 3, 7)


@pytest.mark.parametrize("joined", [False, True])
def test_several_outputs_by_name_or_in_order_are_side_by_side_where_they_are_joined(joined: bool) -> None:
    heads = Heads({"map": (3, 2, 2), "a": 2}, {"map": Grid()})
    single = torch.ones(2, 2)
    wide = torch.cat([SCORES.flatten(1), single], dim=1)
    named = FlatScores(Gives(lambda x: {"a": single, "map": x}), heads.shapes, False, joined)(SCORES)
    if joined:
        assert torch.equal(named, wide)
        return
    assert list(named) == ["a", "map"] and torch.equal(named["map"], SCORES.flatten(1))
    ordered = FlatScores(Gives(lambda x: (x, single)), heads.shapes, False)(SCORES)
    assert torch.equal(torch.cat(ordered, dim=1), wide)
    assert torch.equal(FlatScores(Gives(lambda x: wide), heads.shapes, False)(SCORES), wide)


def test_axes_of_length_1_and_one_value_are_what_they_are_without() -> None:
    form = Form(Heads({"map": (3, 2, 2), "a": 1}, {"map": Grid()}), joined=True)
    one = torch.arange(2.0)
    for parts in ((SCORES[:, None], one), {"a": one, "map": SCORES}):
        wide = form.flat(Gives(lambda x, parts=parts: parts))(SCORES)
        assert torch.equal(wide, torch.cat([SCORES.flatten(1), one[:, None]], dim=1))
    swapped = form.flat(Gives(lambda x: (one, SCORES)))(SCORES)
    assert isinstance(swapped, tuple), "whose shapes are told by who asks"


def test_shapes_in_words() -> None:
    heads = Heads({"map": (3, 2, 2), "at": 4}, {"map": Grid(), "at": Regression(points=True)})
    assert in_words(heads).startswith("map (N, 3, 2, 2), at (N, 4) or (N, 2, 2), in this order")
    tags = Heads({"tags": (4, 2)}, {"tags": Line()})
    assert (in_words(tags), in_words(tags, texts=True)) == ("(N, 4, 2)", "(N, L, 2)")
