"""Outputs of any shape as one flat row a sample."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from edgekd.learn.flat import FlatScores, Form
from edgekd.learn.teacher import bare
from edgekd.tasks import Heads
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
