"""A vocabulary: learned from texts, or read from a folder."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from edgekd.base.errors import DataError
from edgekd.learn.data._vocabulary import learned
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
