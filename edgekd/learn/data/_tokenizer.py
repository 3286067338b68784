"""The tokens of a model's folder: ``vocab.txt`` or ``tokenizer.json``, read without the library that wrote them."""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Any

from edgekd.base import limits
from edgekd.base.errors import DataError
from edgekd.base.wordpiece import CONTINUED, LONGEST_WORD, MASKED, NEEDED, UNKNOWN, Vocabulary
from edgekd.learn.data import _files

FILES, CONFIG = ("vocab.txt", "tokenizer.json"), "tokenizer_config.json"
SPECIAL = (*NEEDED, MASKED)  # what a text may hold as such
# What a tokenizer.json must say where it says it: other settings would give other tokens than ours.
_OURS: tuple[tuple[str, str, object], ...] = (
    ("model", "continuing_subword_prefix", CONTINUED),
    ("model", "unk_token", UNKNOWN),
    ("model", "max_input_chars_per_word", LONGEST_WORD),
    ("normalizer", "type", "BertNormalizer"),
    ("normalizer", "clean_text", True),
    ("normalizer", "handle_chinese_chars", True),
    ("pre_tokenizer", "type", "BertPreTokenizer"),
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
        DataError: neither is there, it is no WordPiece vocabulary, or ``lower`` or another setting is not what it was
            made with: as ``tokenizer.json`` says, or what lies beside ``vocab.txt``.
    """
    path = file_in(folder)
    where = f"data.tokenizer: {path.name}"
    try:
        if path.name == "tokenizer.json":
            return _of_json(_files.content(path, where), lower, where)
        vocabulary = Vocabulary.read(_files.content(path, where).removeprefix(codecs.BOM_UTF8))
    except (ValueError, OSError, RecursionError) as err:
        raise DataError(f"can't be read ({err})", where=where) from err
    _check_beside(Path(folder), lower)
    return vocabulary


def _of_json(data: bytes, lower: bool, where: str) -> Vocabulary:
    table: Any = json.loads(data.decode("utf-8-sig"))
    model = table.get("model") if isinstance(table, dict) else None
    vocab = model.get("vocab") if isinstance(model, dict) and model.get("type") == "WordPiece" else None
    if isinstance(vocab, dict) and len(vocab) > limits.TOKENS:
        raise DataError("too many tokens", where=where, found=len(vocab), allowed=f"at most {limits.TOKENS:,}")
    if not isinstance(vocab, dict) or {*map(repr, vocab.values())} != {*map(repr, range(len(vocab)))}:
        allowed = "a model of type WordPiece, its tokens numbered from 0"
        raise DataError("not a WordPiece tokenizer", where=where, allowed=allowed)
    _check_settings(table, where)
    _check_lower(table.get("normalizer") or {}, lower, where)
    return Vocabulary(sorted(vocab, key=vocab.__getitem__))


def _check_settings(table: dict[str, object], where: str) -> None:
    """Raise DataError where a tokenizer.json says what gives other tokens than ours."""
    for part, key, wanted in _OURS:
        of = table.get(part) or {}
        if not isinstance(of, dict) or of.get(key, wanted) != wanted:
            setting = of.get(key) if isinstance(of, dict) else of
            raise DataError("not BERT's WordPiece", where=f"{where}: {part}.{key}", found=setting, allowed=repr(wanted))
    added = table.get("added_tokens") or []
    tokens = added if isinstance(added, list) else [added]
    names = [token.get("content") if isinstance(token, dict) else token for token in tokens]
    if more := [name for name in names if name not in SPECIAL]:
        place, allowed = f"{where}: added_tokens", f"{', '.join(SPECIAL)} alone"
        raise DataError("tokens beyond those of its model", where=place, found=more[0], allowed=allowed)


def _check_lower(settings: dict[str, object], lower: bool, where: str, *, silent: bool = False) -> None:
    """Raise DataError where texts are lowered, or lose their accents, otherwise than ``lower`` says.

    Args:
        silent: nothing need be said of it.
    """
    lowercase, accents = settings.get("lowercase"), settings.get("strip_accents")
    fits = lowercase is lower or (silent and lowercase is None)
    if not fits or accents not in (None, lower):
        pair = {"lowercase": lowercase, "strip_accents": accents}
        raise DataError(f"does not go with lower = {str(lower).lower()}", where=where, found=pair)


def _check_beside(folder: Path, lower: bool) -> None:
    """Raise DataError where what lies beside a ``vocab.txt`` says that its tokens are found otherwise."""
    where = f"data.tokenizer: {FILES[1]}"
    table = _table(folder / FILES[1], where)
    _check_settings(table, where)
    normalizer = table.get("normalizer")
    _check_lower(normalizer if isinstance(normalizer, dict) else {}, lower, where, silent=True)
    where = f"data.tokenizer: {CONFIG}"
    table = _table(folder / CONFIG, where)
    if table.get("tokenize_chinese_chars") is False:
        raise DataError("not BERT's WordPiece", where=f"{where}: tokenize_chinese_chars", found=False, allowed="True")
    names = {"lowercase": "do_lower_case", "strip_accents": "strip_accents"}
    settings = {key: table.get(name) for key, name in names.items() if isinstance(table.get(name), bool)}
    _check_lower(settings, lower, where, silent=True)


def _table(path: Path, where: str) -> dict[str, object]:
    """A JSON file beside the tokens; empty where there is none, or no table in it."""
    if not path.is_file():
        return {}
    try:
        table = json.loads(_files.content(path, where).decode("utf-8-sig"))
    except (ValueError, OSError, RecursionError):
        return {}
    return table if isinstance(table, dict) else {}
