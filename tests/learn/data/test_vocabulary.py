"""A vocabulary: learned from texts, or read from a folder."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import BertWordPieceTokenizer

from edgekd.base.errors import DataError
from edgekd.learn.data._vocabulary import learned, read
from edgekd.learn.data.text import Text

ROWS = [(f"{'fine' if i % 2 else 'poor'} film of number {i}", str(i % 2)) for i in range(30)]


def save(path: Path, rows: list[tuple[str, str]] = ROWS, header: str = "sentence\tlabel") -> Path:
    text = "\n".join([header, *("\t".join(row) for row in rows)]) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def test_a_vocabulary_is_learned_alike_and_read_from_both_files(tmp_path: Path) -> None:
    texts = [text for text, _ in ROWS]
    found = learned(texts, 100, True)
    assert found == learned(texts[::-1], 100, True) and len(found) <= 100 and "film" in found
    (tmp_path / "vocab.txt").write_bytes(found.written())
    path = str(save(tmp_path / "t.tsv"))
    assert Text(path, tokenizer=str(tmp_path)).load().preprocess[0]["vocabulary"] == found
    (tmp_path / "vocab.txt").unlink()
    table: dict[str, Any] = {
        "model": {"type": "WordPiece", "vocab": {token: i for i, token in enumerate(found)}},
        "normalizer": {"type": "BertNormalizer", "lowercase": True, "strip_accents": None},
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(table))
    assert Text(path, tokenizer=str(tmp_path)).load().preprocess[0]["vocabulary"] == found
    with pytest.raises(DataError, match="does not go with lower = false"):
        Text(path, tokenizer=str(tmp_path), lower=False).load()
    for part, changed, said in (
        ("model", {"continuing_subword_prefix": "@@"}, r"model\.continuing_subword_prefix: not BERT's.*allowed: '##'"),
        ("normalizer", {"handle_chinese_chars": False}, r"normalizer\.handle_chinese_chars"),
        ("model", {"vocab": {"a": "0", "b": 1}}, "not a WordPiece tokenizer"),
    ):
        other = {**table, part: {**table[part], **changed}}
        (tmp_path / "tokenizer.json").write_text(json.dumps(other))
        with pytest.raises(DataError, match=said):
            Text(path, tokenizer=str(tmp_path)).load()
    (tmp_path / "tokenizer.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match="can't be read"):
        Text(path, tokenizer=str(tmp_path)).load()
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"type": "BPE", "vocab": {}}}))
    with pytest.raises(DataError, match="not a WordPiece tokenizer"):
        Text(path, tokenizer=str(tmp_path)).load()


def test_a_tokenizer_is_read_as_its_library_writes_it_and_none_of_other_settings(tmp_path: Path) -> None:
    words = learned([text for text, _ in ROWS], 100, True)
    alone, beside = tmp_path / "alone", tmp_path / "beside"
    for folder in (alone, beside):
        folder.mkdir()
        numbers = {token: number for number, token in enumerate(words)}
        BertWordPieceTokenizer(numbers, lowercase=True).save(str(folder / "tokenizer.json"))
    (beside / "vocab.txt").write_bytes(words.written())
    (beside / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True, "strip_accents": None}))
    table = json.loads((alone / "tokenizer.json").read_text())
    assert len(table["added_tokens"]) == 5
    more = {"id": len(words), "content": "[NAME]", "special": True}
    changes: list[tuple[dict[str, Any], str]] = [
        ({"pre_tokenizer": {"type": "Whitespace"}}, r"pre_tokenizer\.type: not BERT's .*; found 'Whitespace'"),
        ({"added_tokens": [*table["added_tokens"], more]}, r"added_tokens: tokens beyond .*; found '\[NAME\]'"),
    ]
    for folder in (alone, beside):
        file = folder / "tokenizer.json"
        assert read(str(folder), True) == words
        with pytest.raises(DataError, match=r"tokenizer\.json: does not go with lower = false"):
            read(str(folder), False)
        for changed, message in changes:
            file.write_text(json.dumps({**table, **changed}))
            with pytest.raises(DataError, match=message):
                read(str(folder), True)
    file.write_text("[" * 100_000)
    assert read(str(beside), True) == words, "what can't be read says nothing"
    file.unlink()
    for settings in ({"do_lower_case": False}, {"strip_accents": False}):
        (beside / "tokenizer_config.json").write_text(json.dumps(settings))
        with pytest.raises(DataError, match=r"tokenizer_config\.json: does not go with lower = true"):
            read(str(beside), True)
