"""What a build says of how its data is read."""

from __future__ import annotations

import numpy as np
import pytest

from edgekd.base.errors import RecipeError
from edgekd.base.wordpiece import Vocabulary
from edgekd.build import reading
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.feed import Feed
from edgekd.spec.recipe import Augment

WORDS = Vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b"])
TEXT = [{"op": "wordpiece", "vocabulary": WORDS, "length": 5, "lower": True}]


def test_a_build_says_how_many_texts_are_cut() -> None:
    x = np.array(["a b", "a b a", "a b a b", "b b b b b"], dtype=object)
    split = Split(x, np.arange(4) % 2)
    data = Dataset(split, split, split, ("c", "d"), ())
    (told,) = reading.notes(Feed(data, TEXT, Augment(), 0))
    assert "2 of 4 training texts (50.0 %) are longer than the 5 tokens" in told
    assert reading.notes(Feed(data, [{**TEXT[0], "length": 7}], Augment(), 0)) == ()


def test_names_that_no_bundle_holds_are_told_before_anything_trains() -> None:
    x = np.zeros((4, 3), np.float32)
    split = Split(x, np.arange(4) % 2)
    feed = Feed(Dataset(split, split, split, ("c", "d"), ()), (), Augment(), 0)
    reading.check_room([f"item {i:030}" for i in range(100_000)], feed)
    with pytest.raises(
        RecipeError, match=r"data: more than a bundle holds; found '400,000 names.* MB'; allowed: at most 14.00 MB"
    ):
        reading.check_room([f"item {i:030}" for i in range(400_000)], feed)
