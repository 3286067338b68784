"""Which tokens stay: every text still encodes, the frequent words whole."""

from __future__ import annotations

import random

import pytest

from edgekd.base.errors import RecipeError
from edgekd.base.wordpiece import NEEDED, UNKNOWN, Vocabulary
from edgekd.compress._pieces import kept
from edgekd.learn.data._vocabulary import learned

LETTERS = "abcdefghij"


def texts(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    words = ["".join(draw.choices(LETTERS, k=draw.randint(1, 8))) for _ in range(150)]
    return [" ".join(draw.choices(words, weights=range(150, 0, -1), k=8)) for _ in range(count)]


WHOLE = learned([*texts(400, 0), "é è 水 x!"], 400, True)


def read(vocabulary: Vocabulary, text: str) -> str:
    """The letters that the tokens of a text spell."""
    return "".join(vocabulary[number].removeprefix("##") for number in vocabulary.tokens(text, True))


@pytest.mark.parametrize("size", [0, 60, 100])
def test_every_text_still_encodes_to_the_same_letters(size: int) -> None:
    fewer = kept(WHOLE, texts(50, 0), True, 62, size, "all")
    assert len(fewer) < len(WHOLE) and set(NEEDED) < set(fewer)
    assert not size or len(fewer) == size
    assert [token for token in WHOLE if token in set(fewer)] == list(fewer), "not in the order that they had"
    for text in [*texts(100, 7), "水x! jihgfedcba e"]:  # other words of the same letters
        assert UNKNOWN not in read(WHOLE, text)
        assert read(fewer, text) == read(WHOLE, text) == text.replace(" ", "")


def test_the_frequent_words_stay_whole_and_all_of_the_texts_without_a_limit() -> None:
    data = texts(50, 0)
    needed = kept(WHOLE, data, True, 62, 0, "all")
    for text in data:
        assert [needed[n] for n in needed.tokens(text, True)] == [WHOLE[n] for n in WHOLE.tokens(text, True)]
    scarce = kept(WHOLE, data, True, 62, 60, "all")
    times = {token: sum(WHOLE.tokens(text, True).count(n) for text in data) for n, token in enumerate(WHOLE)}
    long = [token for token in WHOLE if len(token.removeprefix("##")) > 1 and token not in NEEDED]
    lost, stayed = ([times[token] for token in long if (token in scarce) is is_in] for is_in in (False, True))
    assert stayed and max(lost) <= min(stayed)


def test_only_the_tokens_that_are_read_count() -> None:
    assert len(kept(WHOLE, texts(50, 0), True, 1, 0, "all")) < len(kept(WHOLE, texts(50, 0), True, 62, 0, "all"))


def test_the_data_s_alphabet_leaves_other_characters_out() -> None:
    fewer = kept(WHOLE, texts(50, 0), True, 62, 0, "data")
    assert "水" in WHOLE and "水" not in fewer and "!" in fewer, "ASCII stays"
    assert read(fewer, "abc 水") == f"abc{UNKNOWN}"


def test_a_size_below_the_pieces_of_one_character_is_told() -> None:
    with pytest.raises(RecipeError, match=r"vocabulary\.size: .*pieces of one character; found 10; allowed: 30 up"):
        kept(WHOLE, texts(5, 0), True, 62, 10, "all")
