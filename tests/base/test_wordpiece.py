"""Our WordPiece is the ``tokenizers`` library's, and a vocabulary is checked."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import BertWordPieceTokenizer

from edgekd.base.wordpiece import LONGEST_WORD, MASKED, NEEDED, Vocabulary

LETTERS = "abcdefgehilmnorstuzßéöя日本"
TOKENS = Vocabulary(
    dict.fromkeys(
        [*NEEDED, MASKED, *LETTERS, *(f"##{c}" for c in LETTERS), *"!?'.,-[]#$", "the", "##ing", "un", "##able", "lo"]
    )
)


def theirs(lower: bool) -> BertWordPieceTokenizer:
    return BertWordPieceTokenizer({token: i for i, token in enumerate(TOKENS)}, lowercase=lower)


THEIRS = {lower: theirs(lower) for lower in (True, False)}
# What Unicode 14 knows, and of words that the vocabulary can spell more than chance gives.
ANY = st.characters(min_codepoint=0, max_codepoint=0x10FFFF, exclude_categories=("Cs", "Cn"))
TEXT = st.text(st.one_of(st.sampled_from(LETTERS + LETTERS.upper() + " !#\t\u0301\u200b\xa0"), ANY), max_size=40)


@given(text=TEXT, lower=st.booleans())
@example("", True)
@example("  \n\t\u2028 ", True)
@example("Loing THE unable,Üböß-İ ΑΣ Σ", True)
@example("日本語 は、東京a b", False)
@example("zero\0width\u200b soft\xadhy\ufffdphen \u007f", True)
@example("[CLS] a [SEP][PAD] [cls] [MASK]. [UNK", True)
@example("##ing #able a##ing", True)
@example("a" * LONGEST_WORD + " " + "a" * (LONGEST_WORD + 1), True)
@example("e\u0301 \u1e69 \ufb01 \u212b \u037e", True)
@example("ab\u166dcd\U000111c9ef\u1734", True)
@settings(max_examples=400, deadline=None)
def test_equals_the_tokenizers_library(text: str, lower: bool) -> None:
    if "\U00011938" in unicodedata.normalize("NFC", text):
        return
    wanted = THEIRS[lower].encode(text, add_special_tokens=False).ids
    assert TOKENS.tokens(text, lower) == wanted


@given(texts=st.lists(TEXT, min_size=1, max_size=4), length=st.integers(3, 12))
@settings(max_examples=60, deadline=None)
def test_batches_are_padded_and_cut_as_the_library_does(texts: list[str], length: int) -> None:
    tokenizer = theirs(True)
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(pad_id=0)
    ids, mask = TOKENS.encode(texts, length, True)
    found = tokenizer.encode_batch(texts)
    assert (ids, mask) == ([e.ids for e in found], [e.attention_mask for e in found])


def test_a_vocabulary_survives_its_file() -> None:
    assert Vocabulary.read(TOKENS.written()) == TOKENS
    assert Vocabulary.read(TOKENS.written().replace(b"\n", b"\r\n")) == TOKENS
    assert Vocabulary.of(TOKENS) is TOKENS and Vocabulary.of(list(TOKENS)) == TOKENS


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (NEEDED[1:], r"needs \[PAD\]"),
        ((*NEEDED, "a", "a"), "token twice: 'a'"),
        ((*NEEDED, ""), "empty token"),
        ((*NEEDED, "a\nb"), "two lines"),
    ],
)
def test_a_vocabulary_is_checked(tokens: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Vocabulary(tokens)


def test_a_word_without_an_end_is_not_remembered() -> None:
    vocabulary = Vocabulary(TOKENS)
    assert vocabulary.encode(["a" * 10_000, "the"], 9, True)[0][0][1] == vocabulary.index("[UNK]")
    assert list(vocabulary._known) == ["the"]


def test_a_token_twice_is_found_in_a_long_list() -> None:
    with pytest.raises(ValueError, match="a token twice: 't199999'"):
        Vocabulary([*NEEDED, *(f"t{i}" for i in range(200_000)), "t199999"])
