"""A vocabulary for texts: learned from them by the ``tokenizers`` library, or read from a folder."""

from __future__ import annotations

import codecs
import json
from collections import Counter
from collections.abc import Iterable
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from edgekd.base import limits
from edgekd.base.errors import DataError
from edgekd.base.wordpiece import CONTINUED, LONGEST_WORD, MASKED, NEEDED, UNKNOWN, Vocabulary, words
from edgekd.learn.data import _files

ALPHABET = 1000  # characters; words with rarer ones are not learned from
FILES = ("vocab.txt", "tokenizer.json")
# What a tokenizer.json must say where it says it: other settings would give other tokens than ours.
_OURS: tuple[tuple[str, str, object], ...] = (
    ("model", "continuing_subword_prefix", CONTINUED),
    ("model", "unk_token", UNKNOWN),
    ("model", "max_input_chars_per_word", LONGEST_WORD),
    ("normalizer", "clean_text", True),
    ("normalizer", "handle_chinese_chars", True),
)


def learned(texts: Iterable[str], size: int, lower: bool) -> Vocabulary:
    """A WordPiece vocabulary of at most ``size`` tokens; equal texts give equal ones.

    The library numbers characters in the order of a hash table, so that each run would learn another vocabulary. Here
    it is given the whole alphabet, sorted.

    Raises:
        DataError: the characters alone are more than ``size``.
    """
    count = Counter(word for text in texts for word in words(text, lower) if len(word) <= LONGEST_WORD)
    chars: Counter[str] = Counter()
    for word, times in count.items():
        for char in word:
            chars[char] += times
    common = sorted(sorted(chars, key=lambda char: (-chars[char], char))[:ALPHABET])
    known = set(common)
    given = [*NEEDED, MASKED, *common, *(CONTINUED + char for char in common)]
    if len(given) > size:
        raise DataError(
            "too small for the characters alone", where="data.vocab", found=size, allowed=f"{len(given)} up"
        )
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, min_frequency=2, special_tokens=given, show_progress=False, continuing_subword_prefix=CONTINUED
    )
    learnable = (word for word in sorted(count) if known.issuperset(word))
    tokenizer.train_from_iterator(chain.from_iterable(repeat(word, count[word]) for word in learnable), trainer)
    numbers = tokenizer.get_vocab()
    return Vocabulary(sorted(numbers, key=numbers.__getitem__))


def file_in(folder: str) -> Path:
    """The file of a tokenizer's folder that holds its tokens."""
    if not Path(folder).is_dir():
        raise DataError("no such folder", where="data.tokenizer", found=folder)
    for name in FILES:
        if (path := Path(folder, name)).is_file():
            return path
    raise DataError("no tokenizer in this folder", where="data.tokenizer", found=folder, allowed=" or ".join(FILES))


def read(folder: str, lower: bool) -> Vocabulary:
    """The tokens of a folder with ``vocab.txt`` or ``tokenizer.json``.

    Raises:
        DataError: neither is there, or it is no WordPiece vocabulary, or ``lower`` is not what it was made with.
    """
    path = file_in(folder)
    where = f"data.tokenizer: {path.name}"
    try:
        if path.name == "vocab.txt":
            return Vocabulary.read(_files.content(path, where).removeprefix(codecs.BOM_UTF8))
        return _of_json(_files.content(path, where), lower, where)
    except (ValueError, OSError, RecursionError) as err:
        raise DataError(f"can't be read ({err})", where=where) from err


def _of_json(data: bytes, lower: bool, where: str) -> Vocabulary:
    table: Any = json.loads(data.decode("utf-8-sig"))
    model = table.get("model") if isinstance(table, dict) else None
    vocab = model.get("vocab") if isinstance(model, dict) and model.get("type") == "WordPiece" else None
    if isinstance(vocab, dict) and len(vocab) > limits.TOKENS:
        raise DataError("too many tokens", where=where, found=len(vocab), allowed=f"at most {limits.TOKENS:,}")
    if not isinstance(vocab, dict) or {*map(repr, vocab.values())} != {*map(repr, range(len(vocab)))}:
        allowed = "a model of type WordPiece, its tokens numbered from 0"
        raise DataError("not a WordPiece tokenizer", where=where, allowed=allowed)
    normalizer = table.get("normalizer") or {}
    for part, key, wanted in _OURS:
        of = model if part == "model" else normalizer
        if not isinstance(of, dict) or of.get(key, wanted) != wanted:
            setting = of.get(key) if isinstance(of, dict) else of
            raise DataError("not BERT's WordPiece", where=f"{where}: {part}.{key}", found=setting, allowed=repr(wanted))
    accents = normalizer.get("strip_accents")
    if normalizer.get("lowercase") is not lower or accents not in (None, lower):
        settings = {key: normalizer.get(key) for key in ("lowercase", "strip_accents")}
        raise DataError(f"does not go with lower = {str(lower).lower()}", where=where, found=settings)
    return Vocabulary(sorted(vocab, key=vocab.__getitem__))
