"""Which tokens of a WordPiece vocabulary some texts need, so that every other text still is made of tokens."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterable
from typing import Literal

from edgekd.base.errors import RecipeError
from edgekd.base.wordpiece import CONTINUED, NEEDED, Vocabulary, words

Alphabet = Literal["all", "data"]


def kept(
    vocabulary: Vocabulary, texts: Iterable[str], lower: bool, most: int, size: int, alphabet: Alphabet
) -> Vocabulary:
    """The tokens that stay, in the order that they had.

    These are [PAD], [UNK], [CLS] and [SEP], every piece of one character of the alphabet, beginning a word and
    continuing it, and then the tokens of the texts, the most frequent first. A word whose token is gone falls apart
    into shorter pieces, at last into characters: it becomes [UNK] only where it was before, or where it holds a
    character outside the alphabet, or one without both pieces of its own (BERT's vocabulary has none such).

    Args:
        lower, most: of ``Vocabulary.tokens``.
        size: at most so many tokens; 0: all of the texts'.
        alphabet: ``all``: every character that the vocabulary has a piece for; ``data``: those of the texts, and ASCII.

    Raises:
        RecipeError: the pieces of one character alone are more than ``size``.
    """
    counts: Counter[int] = Counter()
    characters = set(string.printable)
    for text in texts:
        counts.update(vocabulary.tokens(text, lower, most))
        if alphabet == "data":
            characters.update(*words(text, lower))
    pieces = [token.removeprefix(CONTINUED) for token in vocabulary]
    stay = {
        number
        for number, (token, piece) in enumerate(zip(vocabulary, pieces, strict=True))
        if token in NEEDED or (len(piece) == 1 and (alphabet == "all" or piece in characters))
    }
    if size and size < len(stay):
        raise RecipeError(
            "fewer tokens than there are pieces of one character",
            where="vocabulary.size",
            found=size,
            allowed=f"{len(stay):,} up; alphabet = 'data' needs fewer" if alphabet == "all" else f"{len(stay):,} up",
        )
    frequent = sorted(counts.keys() - stay, key=lambda number: (-counts[number], number))
    stay.update(frequent[: size - len(stay)] if size else frequent)
    return Vocabulary(token for number, token in enumerate(vocabulary) if number in stay)
