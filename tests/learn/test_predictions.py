"""Predictions over a split of texts: those of like length together, in the order of the split."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterator

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from edgekd.base.wordpiece import Vocabulary
from edgekd.learn import predictions
from edgekd.learn.answers import Logits
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.feed import Feed
from edgekd.learn.lengths import LEAST
from edgekd.spec.recipe import Augment

WORDS = Vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefgh"])
LONGEST = 40
TEXT = {"op": "wordpiece", "vocabulary": WORDS, "length": LONGEST, "lower": True}


class Mean(nn.Module):
    """The mean of the tokens' vectors; it remembers how many tokens, and how many places, each batch had."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(len(WORDS), 3)
        self.tokens: list[list[int]] = []
        self.widths: list[int] = []

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        self.tokens.append(attention_mask.sum(1).tolist())
        self.widths.append(input_ids.shape[1])
        mask = attention_mask[..., None].float()
        return (self.table(input_ids) * mask).sum(1) / mask.sum(1)


def feed(lengths: list[int]) -> Feed:
    """Texts of so many words; 0: of a character that becomes no token."""
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(list("abcdefgh"), length)) or "\u200b" for length in lengths]
    split = Split(np.array(texts, dtype=object), np.zeros(len(texts), np.int64))
    return Feed(Dataset(split, split, split, ("c", "d"), ()), [TEXT], Augment(), 0)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=150))
def test_texts_are_answered_with_those_of_like_length_and_told_in_their_order(lengths: list[int]) -> None:
    shown, module = feed(lengths), Mean()
    scores = predictions.predict(module, shown, "test", batch_size=100)
    alone = [module(*predictions.tensors(shown.plain("test", np.array([i])))) for i in range(len(lengths))]
    np.testing.assert_allclose(scores, torch.cat(alone).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_no_text_is_padded_beyond_the_longest_that_it_is_answered_with() -> None:
    module = Mean()
    predictions.predict(module, feed([*range(62, 0, -1)]), "test")
    assert [width - max(tokens) for width, tokens in zip(module.widths, module.tokens, strict=True)] == [0, 0]
    every = list(itertools.chain(*module.tokens))
    assert sorted(every) == every, "the shortest come first"
    assert max(map(len, module.tokens)) == predictions.ALIKE


def test_a_text_of_no_token_is_as_long_as_the_shortest_that_networks_read() -> None:
    module, shown = Mean(), feed([*[30] * predictions.ALIKE, *[0] * predictions.ALIKE])
    predictions.predict(module, shown, "test")
    assert module.widths == [LEAST, 32]
    assert {*module.tokens[0]} == {2}


def test_no_batchs_scores_are_held_beside_the_next_ones() -> None:
    """Each would keep a place of the heap, and large arrays need new room: 60,000 pictures took 280 MB more."""
    answered, held = list[weakref.ref[Logits]](), list[int]()

    def batches() -> Iterator[Logits]:
        for number in range(10):
            held.append(sum(one() is not None for one in answered))
            scores = np.full((32, 2), number, np.float32)
            answered.append(weakref.ref(scores))
            yield scores

    scores = predictions._stacked(batches(), 320)
    assert scores is not None and scores[:, 0].tolist() == np.arange(10).repeat(32).tolist()
    assert max(held) <= 1
