"""The words of a text as its tags count them, and which token of a row begins each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from edgekd.base.wordpiece import Vocabulary, spelled


class Word(NamedTuple):
    """A word of a text: its characters ``start`` to ``stop``, and the place of its first token in the row.

    ``token``: [CLS] has place 0; None where nothing of the word is a token (control characters alone) or where it lies
    behind the last token that is read.
    """

    start: int
    stop: int
    token: int | None


def words_of(text: str, vocabulary: Vocabulary, length: int, lower: bool) -> list[Word]:
    """What stands between white space, punctuation with it, as ``Vocabulary.encode`` reads it.

    Args:
        length: tokens of a row at most, [CLS] and [SEP] counted; lower: as of the wordpiece op.
    """
    words, token = [], 1
    for start, stop in spans(text):
        pieces = len(vocabulary.tokens(text[start:stop], lower, length)) if token < length - 1 else 0
        words.append(Word(start, stop, token if pieces and token < length - 1 else None))
        token += pieces
    return words


def spans(text: str) -> Iterator[tuple[int, int]]:
    """(first character, the one behind the last) of each word."""
    start = None
    for place, char in enumerate(text):
        if _parts(char):
            if start is not None:
                yield start, place
            start = None
        elif start is None:
            start = place
    if start is not None:
        yield start, len(text)


def _parts(char: str) -> bool:
    """Whether a character is white space to the tokenizer: other control characters it leaves out."""
    return char.isspace() and (char == " " or spelled(char, lower=False).isspace())
