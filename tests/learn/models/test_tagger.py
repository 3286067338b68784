"""A BERT with an answer for each token, and one of the whole text beside it; narrowed, it answers on."""

from __future__ import annotations

import pytest
import torch

from edgekd.base import plugins
from edgekd.base.errors import RecipeError
from edgekd.base.preprocess import Spec
from edgekd.compress import Context
from edgekd.learn.flat import Form
from edgekd.learn.models.tagger import Tagger
from edgekd.learn.student import SplitHeads, Student
from edgekd.tasks import Heads
from edgekd.tasks.tagging import Tagging

TAGS = {"slots": Tagging()}
BOTH = Heads({"slots": (9, 5), "intent": 3}, TAGS)
INPUTS = (Spec("input_ids", (None, None), "int64", 30, 9), Spec("attention_mask", (None, None), "int64", 2, 9))


def student(heads: Heads = BOTH, **keys: object) -> Student:
    torch.manual_seed(0)
    net = plugins.build("models", {"kind": "tagger", "width": 16, "layers": 2, "heads": 2, **keys}, "m")
    module = Form(heads, texts=True).flat(net.build_heads((30, 2), heads), by_head=True)
    sizes = dict(heads)
    module = SplitHeads(module, list(sizes.values()), list(sizes)) if len(sizes) > 1 else module
    outputs = tuple(Spec(name, (None, size)) for name, size in sizes.items())
    return Student(module.eval(), INPUTS, outputs, ({"kind": "student"},))


def test_padding_says_nothing_and_changes_nothing() -> None:
    module, x = student().module, student().example(2, length=6)
    slots, intent = module(*x)
    assert slots.shape == (2, 45) and intent.shape == (2, 3)
    wide = [torch.nn.functional.pad(part, (0, 3)) for part in x]
    for padded, alone in zip(module(*wide), (slots, intent), strict=True):
        torch.testing.assert_close(padded, alone)
    assert not slots.reshape(2, 9, 5)[:, 6:].any() and slots.reshape(2, 9, 5)[:, :6].ne(0).all()


def test_its_layers_can_be_narrowed_and_shared() -> None:
    whole = student(BOTH.only("slots"))
    change = plugins.build("compress", {"kind": "width_prune", "heads": 0.5, "feed_forward": 0.5}, "c")
    narrow = change.apply(whole, Context(None, 8, [whole.example(4)]))
    assert narrow.params < whole.params
    x = whole.example(2, length=6)
    assert narrow.module(*x).shape == whole.module(*x).shape == (2, 45)
    assert student(shared=True).params < student().params


def test_places_that_are_no_tokens_are_refused() -> None:
    with pytest.raises(RecipeError, match="tagger reads texts"):
        Tagger().build_heads((3, 8, 8), BOTH)
    with pytest.raises(RecipeError, match="tagger has no such answer"):
        Tagger().build_heads((30, 2), Heads({"slots": (3, 4, 5)}, TAGS))
