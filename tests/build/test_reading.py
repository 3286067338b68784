"""What a build says of how its data is read."""

from __future__ import annotations

import numpy as np

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
