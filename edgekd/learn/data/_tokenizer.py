"""The tokens of a model's folder: ``vocab.txt`` or ``tokenizer.json``, read without the library that wrote them."""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Any

from edgekd.base import limits
from edgekd.base.errors import DataError
from edgekd.base.wordpiece import CONTINUED, LONGEST_WORD, UNKNOWN, Vocabulary
from edgekd.learn.data import _files

FILES = ("vocab.txt", "tokenizer.json")
# What a tokenizer.json must say where it says it: other settings would give other tokens than ours.
_OURS: tuple[tuple[str, str, object], ...] = (
    ("model", "continuing_subword_prefix", CONTINUED),
    ("model", "unk_token", UNKNOWN),
    ("model", "max_input_chars_per_word", LONGEST_WORD),
    ("normalizer", "clean_text", True),
    ("normalizer", "handle_chinese_chars", True),
)


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
