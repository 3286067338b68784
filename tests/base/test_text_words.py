"""Words between white space, and the tokens that begin them: as the tokenizer itself reads the text."""

from __future__ import annotations

import string

from hypothesis import given, settings
from hypothesis import strategies as st

from edgekd.base.text_words import spans, words_of
from edgekd.base.wordpiece import NEEDED, Vocabulary

PIECES = Vocabulary([*NEEDED, *string.ascii_lowercase, *(f"##{c}" for c in string.ascii_lowercase), "the", "!"])
TEXTS = st.text(alphabet=[*"abTé! \t\n\x1c\u200b\u00a0\u2028中"], max_size=30)


@given(text=TEXTS, length=st.integers(3, 40))
@settings(max_examples=200, deadline=None)
def test_every_word_begins_at_the_token_that_it_begins_with(text: str, length: int) -> None:
    rows, _ = PIECES.encode([text], length, True)
    words = words_of(text, PIECES, length, True)
    assert [text[word.start : word.stop] for word in words] == [text[a:b] for a, b in spans(text)]
    for word in words:
        pieces = PIECES.tokens(text[word.start : word.stop], True)
        if word.token is not None:
            stop = min(word.token + len(pieces), length - 1)
            assert rows[0][word.token : stop] == pieces[: stop - word.token] and stop > word.token
    if len(rows[0]) < length:
        assert sum(len(PIECES.tokens(text[w.start : w.stop], True)) for w in words) == len(rows[0]) - 2


def test_what_is_cut_off_or_is_no_token_has_none() -> None:
    words = words_of("the cat \u200b sat!", PIECES, 7, True)
    assert [word.token for word in words] == [1, 2, None, 5]
    assert [word.token for word in words_of("the cat sat", PIECES, 5, True)] == [1, 2, None]
    assert list(spans("  a\u00a0bc ")) == [(2, 3), (4, 6)]
