"""WordPiece in the standard library alone: text to token numbers, as BERT's own tokenizers do it.

Cleaning, lower case, accents, punctuation and the greedy longest match give what the ``tokenizers`` library gives, on
every character of Unicode 14 (but U+11938, which it does not take apart); see ``benchmarks/wordpiece.py``.
"""

from __future__ import annotations

import re
import string
import sys
import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice

from edgekd.base import limits

UNKNOWN, FIRST, LAST, PADDING, MASKED = "[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"
NEEDED = (PADDING, UNKNOWN, FIRST, LAST)
CONTINUED = "##"
LONGEST_WORD = 100  # characters; what is longer is unknown
PIECE = 4096  # characters of a text that are looked at at once: of a long one the first tokens alone are read
CHARACTERS = 1 << 21  # that the first tokens, at most 16,384, are looked for in: of one word, or of blanks, no more are
MARKS = 64  # on one letter; no honest text has half as many
LONGEST_SPECIAL = max(map(len, (*NEEDED, MASKED)))
REMEMBERED = 50_000  # words of a vocabulary, and as many of each other kind of table

_CJK = (
    *((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2A6DF)),
    *((0x2A700, 0x2B81F), (0x2B920, 0x2CEAF), (0x2F800, 0x2FA1F)),
)
# What later Unicode put here is neither punctuation nor accent nor control: the library's tables are of version 8.
_LATER = (
    *((0x61D, 0x61D), (0x7FD, 0x7FD), (0x890, 0x8E2), (0x9FD, 0x9FE), (0xA76, 0xA76), (0xAFA, 0xAFF)),
    *((0xB55, 0xB55), (0xC04, 0xC3C), (0xC77, 0xC77), (0xC84, 0xC84), (0xD00, 0xD00), (0xD3B, 0xD3C)),
    *((0xD81, 0xD81), (0xEBA, 0xEBA), (0x180F, 0x1886), (0x1ABF, 0x1ACE), (0x1B7D, 0x1B7E), (0x1DF6, 0x1DFB)),
    *((0x2E43, 0x2E5D), (0xA82C, 0xA82C), (0xA8C5, 0xA8C5), (0xA8FF, 0xA8FF), (0xA9BD, 0xA9BD)),
    *((0x10D24, 0x10F89), (0x11070, 0x11074), (0x110C2, 0x110CD), (0x111CF, 0x111CF), (0x1123E, 0x1123E)),
    *((0x1133B, 0x1133B), (0x11438, 0x1145E), (0x11660, 0x1166C), (0x116B9, 0x116B9), (0x1182F, 0x11FFF)),
    *((0x12FF1, 0x13438), (0x16E97, 0x16F4F), (0x16FE2, 0x16FE4), (0x1CF00, 0x1CF46), (0x1E000, 0x1E2EF)),
    (0x1E944, 0x1E95F),
)
_PUNCTUATION_OF_8, _ACCENTS_OF_8 = frozenset("\u166d\U000111c9"), frozenset("\u1734")


class Vocabulary(tuple[str, ...]):
    """Tokens in the order of their numbers.

    It is a plain tuple, so that it hashes and prints as one; it also finds a token's number and remembers words.

    Raises:
        ValueError: a token twice, an empty one, or one of ``NEEDED`` missing.
    """

    def __new__(cls, tokens: Iterable[str]) -> Vocabulary:
        vocabulary = super().__new__(cls, islice(tokens, limits.TOKENS + 1))
        if len(vocabulary) > limits.TOKENS:
            raise ValueError(f"more than {limits.TOKENS:,} tokens")
        known = set(vocabulary)
        if missing := [token for token in NEEDED if token not in known]:
            raise ValueError(f"a WordPiece vocabulary needs {missing[0]}")
        if len(known) < len(vocabulary):
            raise ValueError(f"a token twice: {Counter(vocabulary).most_common(1)[0][0]!r}")
        if bad := [token for token in vocabulary if not token or "\n" in token or token[-1] == "\r"]:  # see ``read``
            raise ValueError(f"an empty token, or one of two lines: number {vocabulary.index(bad[0])}")
        return vocabulary

    @classmethod
    def of(cls, tokens: Iterable[str]) -> Vocabulary:
        """The tokens themselves where they are a Vocabulary, which remembers."""
        return tokens if isinstance(tokens, Vocabulary) else cls(tokens)

    @classmethod
    def read(cls, data: bytes) -> Vocabulary:
        """From the bytes of a ``vocab.txt``: a token a line.

        Raises:
            ValueError: not UTF-8 (UnicodeDecodeError), or no vocabulary.
        """
        if data.count(b"\n") > limits.TOKENS:
            raise ValueError(f"more than {limits.TOKENS:,} tokens")
        return cls(line.removesuffix("\r") for line in data.decode("utf-8").removesuffix("\n").split("\n"))

    def written(self) -> bytes:
        """The bytes of its ``vocab.txt``."""
        return "".join(f"{token}\n" for token in self).encode()

    def tokens(self, text: str, lower: bool, most: int | None = None) -> list[int]:
        """The numbers of a text's tokens, without [CLS] and [SEP]. A special token in the text is itself.

        Args:
            most: enough tokens; what comes behind them in a text is not looked at.
        """
        numbers: list[int] = []
        text = text if most is None else text[:CHARACTERS]
        begun = ""  # a word that a piece of the text ended in
        for piece in self._pieces_of(text):
            for i, part in enumerate(self._special.split(piece)):
                if i % 2:
                    numbers += self._word(begun) if begun else ()
                    numbers.append(self._numbers[part])
                    begun = ""
                else:
                    spread = begun + spaced(part, lower)
                    whole = spread.split()
                    begun = whole.pop()[: LONGEST_WORD + 1] if whole and not spread[-1].isspace() else ""
                    for word in whole:
                        numbers += self._word(word)
                if most is not None and len(numbers) >= most:
                    return numbers[:most]
        numbers += self._word(begun) if begun else ()
        return numbers[:most]

    def _pieces_of(self, text: str) -> Iterator[str]:
        """A text, a long one in pieces; none ends inside a special token, or between a letter and its accents."""
        if len(text) <= PIECE:
            yield text
            return
        start = 0
        while start < len(text):
            end = start + PIECE
            while end < len(text) and end < start + PIECE + MARKS and unicodedata.combining(nfd(text[end])[0]):
                end += 1
            special = self._special.search(text, max(start, end - LONGEST_SPECIAL + 1), end + LONGEST_SPECIAL)
            if special is not None and special.start() < end < special.end():
                end = special.end()
            yield text[start:end]
            start = end

    def encode(self, texts: Sequence[str], length: int, lower: bool) -> tuple[list[list[int]], list[list[int]]]:
        """Rows as long as the longest text, at most ``length``: token numbers, and 1 for tokens, 0 for padding.

        Each row is [CLS], tokens, [SEP]; a text that is too long loses its last tokens.
        """
        first, last, padding = (self._numbers[name] for name in (FIRST, LAST, PADDING))
        rows = [[first, *self.tokens(text, lower, length - 2), last] for text in texts]
        width = max(map(len, rows), default=2)
        masks = [[1] * len(row) + [0] * (width - len(row)) for row in rows]
        return [row + [padding] * (width - len(row)) for row in rows], masks

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {token: i for i, token in enumerate(self)}

    @cached_property
    def _special(self) -> re.Pattern[str]:
        names = [name for name in (*NEEDED, MASKED) if name in self._numbers]
        return re.compile(f"({'|'.join(map(re.escape, names))})")

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self))

    @cached_property
    def _known(self) -> dict[str, tuple[int, ...]]:
        return {}

    def _word(self, word: str) -> tuple[int, ...]:
        if len(word) > LONGEST_WORD:  # not remembered: nothing bounds its length
            return (self._numbers[UNKNOWN],)
        pieces = self._known.get(word)
        if pieces is None:
            pieces = self._pieces(word)
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[word] = pieces
        return pieces

    def _pieces(self, word: str) -> tuple[int, ...]:
        """The longest token that begins the word, then the longest that continues it, and so on."""
        pieces: list[int] = []
        start = 0
        while start < len(word):
            prefix = CONTINUED if start else ""
            for end in range(min(len(word), start + self._longest), start, -1):
                if (number := self._numbers.get(prefix + word[start:end])) is not None:
                    pieces.append(number)
                    start = end
                    break
            else:
                start = len(word) + 1
        return tuple(pieces) if start == len(word) else (self._numbers[UNKNOWN],)


def words(text: str, lower: bool) -> list[str]:
    """Cleaned words: control characters gone, CJK and punctuation for themselves; ``lower`` also takes off accents."""
    return spaced(text, lower).split()


def spaced(text: str, lower: bool) -> str:
    """The same with white space between them."""
    text = text.translate(_CLEAN)
    if lower and not text.isascii():
        text = nfd(text)
    return text.translate(_LOWER if lower else _PLAIN)


def nfd(text: str) -> str:
    """A text with its letters and their accents apart."""
    return unicodedata.normalize("NFD", text)


def is_cjk(char: str) -> bool:
    """Whether a character is a word of its own, as an ideograph."""
    return _within(ord(char), _CJK)


def spelled(char: str, lower: bool) -> str:
    """What ``words`` makes of a character alone, white space as one space: other languages' tables are made of it."""
    text = char.translate(_CLEAN)
    text = nfd(text) if lower else text
    return "".join(" " if c.isspace() else c for c in text.translate(_LOWER if lower else _PLAIN))


class _Table(dict[int, str]):
    """For ``str.translate``: what becomes of a character, worked out when it is first seen."""

    def __missing__(self, code: int) -> str:
        if len(self) >= REMEMBERED:
            self.clear()
        spelling = self[code] = self.become(chr(code))
        return spelling

    def become(self, char: str) -> str:
        raise NotImplementedError


class _Clean(_Table):
    def become(self, char: str) -> str:
        if char in "\t\n\r":
            return " "
        if char == "\ufffd" or _category(char) in ("Cc", "Cf", "Co"):
            return ""
        return f" {char} " if is_cjk(char) else char


class _Split(_Table):
    """Punctuation apart; with ``lower``, what NFD left of accents gone and lower case letter by letter."""

    def __init__(self, lower: bool) -> None:
        super().__init__()
        self._lower = lower

    def become(self, char: str) -> str:
        category = _category(char)
        if category[0] == "P" or char in string.punctuation:
            return f" {char} "
        if not self._lower:
            return char
        return "" if category == "Mn" else char.lower()


def _category(char: str) -> str:
    """The character's category as far as the library knows it; "Lo", a letter, for what came later."""
    if char in _PUNCTUATION_OF_8:
        return "Po"
    if char in _ACCENTS_OF_8:
        return "Mn"
    return "Lo" if _within(ord(char), _LATER) else unicodedata.category(char)


def _within(code: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    """Whether a character lies in one of the ranges, which are in order; ``unicode_tables`` asks for a million."""
    before = bisect_right(ranges, (code, sys.maxunicode))
    return before > 0 and code <= ranges[before - 1][1]


_CLEAN, _LOWER, _PLAIN = _Clean(), _Split(True), _Split(False)
