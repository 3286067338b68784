"""Texts of some of their words: which, how many, and where that is refused."""

from __future__ import annotations

import numpy as np
import pytest

from edgekd.base.errors import RecipeError
from edgekd.learn import moved_labels
from edgekd.learn.views import Draws, Views
from edgekd.learn.views.word_drop import WordDrop
from edgekd.learn.views.word_span import WordSpan
from edgekd.spec.recipe import Augment
from edgekd.tasks import Heads
from edgekd.tasks.tagging import Tagging

COUNT, WORDS = 400, 20
DRAWS = Draws(np.arange(COUNT, dtype=np.uint64) * np.uint64(2**53 + 12345))
TEXTS = np.array([" ".join(f"w{i}" for i in range(WORDS))] * COUNT, dtype=object)


def places(shown: np.ndarray) -> list[list[int]]:
    return [[int(word[1:]) for word in text.split()] for text in shown]


@pytest.mark.parametrize("probability", [0.1, 0.7])
def test_each_word_is_left_out_as_often_as_asked_and_the_others_keep_their_order(probability: float) -> None:
    stay = places(WordDrop(probability)(TEXTS, DRAWS))
    assert all(text == sorted(set(text)) for text in stay)
    left = np.array([[i in text for i in range(WORDS)] for text in stay])
    spread = np.sqrt(probability * (1 - probability) / COUNT)
    assert np.abs(1 - left.mean(axis=0) - probability).max() < 4 * spread, "no place of a text is favoured"
    assert abs(np.corrcoef(left[:, 0], left[:, 1])[0, 1]) < 0.2, "of one word nothing follows for the next"


def test_one_word_always_stays() -> None:
    stay = places(WordDrop(1.0)(TEXTS, DRAWS))
    assert {len(text) for text in stay} == {1}
    assert len({text[0] for text in stay}) == WORDS, "any of them"


def test_a_part_is_of_neighbours_anywhere_and_as_long_as_asked() -> None:
    stay = places(WordSpan(probability=1.0, shortest=0.3)(TEXTS, DRAWS))
    assert all(text == [*range(text[0], text[-1] + 1)] for text in stay)
    assert {len(text) for text in stay} == {*range(6, WORDS + 1)}
    assert {text[0] for text in stay} >= {0, 1, 2} and {text[-1] for text in stay} >= {WORDS - 1, WORDS - 2}


def test_as_many_parts_as_asked_are_shown() -> None:
    stay = places(WordSpan(probability=0.25, shortest=0.5)(TEXTS, DRAWS))
    assert abs(np.mean([len(text) < WORDS for text in stay]) - 0.25) < 0.08


@pytest.mark.parametrize("view", [WordDrop(0.9), WordSpan(1.0, 0.01)])
def test_texts_without_words_or_of_one_stay_and_spaces_are_kept_where_all_is_shown(view: WordDrop | WordSpan) -> None:
    odd = np.array(["", "  ", "one", " one\t"], dtype=object)
    assert view(odd, Draws(DRAWS.bits[:4])).tolist() == odd.tolist()
    assert WordDrop(0.0)(np.array(["two  words "]), Draws(DRAWS.bits[:1])).tolist() == ["two  words "]


def test_answers_about_tokens_would_not_fit() -> None:
    heads = Heads({"tags": (12, 9)}, {"tags": Tagging()})
    views = Views.of(Augment(ops=({"kind": "word_drop"},)), 0)
    with pytest.raises(RecipeError, match=r"augment\.ops\[0\].*word_drop"):
        moved_labels.check(None, heads, views, TEXTS)
    moved_labels.check(None, heads, Views.of(Augment(), 0), TEXTS)
