"""Texts: vocabularies, tokens, class names and labels, tables, and what a terminal or a program shows."""

from __future__ import annotations

import ast
import json
from typing import Any

import numpy as np

from edgekd.base import preprocess
from edgekd.base.printable import all_printable, in_json, is_printable, printable
from edgekd.base.wordpiece import MASKED, NEEDED, Vocabulary
from edgekd.learn.data import _vocabulary
from edgekd.learn.data.text import Text
from edgekd.publish.examples import literals
from edgekd.report import markdown
from edgekd.tasks import _classes
from fuzzing import _mutate, harness, room

WORDS = Vocabulary((*NEEDED, MASKED, *"abc1.中é", "##b", "##c", "ab", "##\u0301", "👩"))


@harness(_mutate.of_words)
def vocabulary(data: bytes) -> None:
    """A ``vocab.txt``; the first line is a text that is read with it."""
    line, _, tokens = data.partition(b"\n")
    written = [{"op": "wordpiece", "vocabulary": "vocab.txt", "length": 8, "lower": True}]
    ops = preprocess.resolved(written, lambda name: tokens)
    found = ops[0]["vocabulary"]
    assert isinstance(found, Vocabulary)
    assert Vocabulary.read(found.written()) == found
    inputs = preprocess.apply(ops, np.array([line.decode("utf-8", "replace")], dtype=object))
    assert inputs[preprocess.TOKENS].shape == inputs[preprocess.MASK].shape
    assert 0 <= inputs[preprocess.TOKENS].min() <= inputs[preprocess.TOKENS].max() < len(found)


@harness(_mutate.of_json)
def tokenizer_json(data: bytes) -> None:
    """A model's tokenizer."""
    folder = room("tokenizer")
    (folder / "tokenizer.json").write_bytes(data)
    lower = b'"lowercase": true' in data
    _vocabulary.read(str(folder), lower).encode(["ab é"], 8, lower)


@harness(_mutate.of_words, most=256)
def tokens(data: bytes) -> None:
    """A text that a student is asked about: as many tokens as are asked for, the same however they are asked for."""
    text = data.decode("utf-8", "surrogateescape")
    for lower in (True, False):
        found = WORDS.tokens(text, lower)
        assert all(0 <= number < len(WORDS) for number in found)
        assert WORDS.tokens(text, lower, 5) == found[:5]
        ids, mask = WORDS.encode([text, ""], 6, lower)
        assert len({len(row) for row in (*ids, *mask)}) == 1


def _labels(kind: bytes, line: bytes) -> Any:
    parts = line.split(b"\t")
    if kind == b"S":
        return np.array(parts)
    texts = [part.decode("utf-8", "surrogateescape") for part in parts]
    if kind in (b"i", b"u", b"f"):
        numbers = [part for part in texts if part.lstrip("-").isascii() and part.lstrip("-").isdigit()]
        return np.array([float(part) for part in numbers if len(part) < 18]).astype(kind.decode() + "8")
    return np.array(texts, dtype=object if kind == b"O" else None)


@harness(_mutate.of_words)
def class_names(data: bytes) -> None:
    """Labels of two splits and class names, a line each, tabs between them; first their type as numpy has it."""
    kind, names, *lines = [*data.split(b"\n"), b"", b"", b""][:4]
    given = _classes.named(_labels(b"S" if kind == b"S" else b"U", names), "names") if names else None
    labels = {split: _labels(kind, line) for split, line in zip(("train", "test"), lines, strict=False)}
    found = _classes.numbered(labels, given, lambda split, i: f"{split} {i}", "labels")
    for split, made in found.labels.items():
        assert made.shape == labels[split].shape and all(0 <= i < len(found.names) for i in made.tolist())


@harness(_mutate.of_words)
def tsv(data: bytes) -> None:
    """A table of texts, packed or not."""
    folder = room("tsv")
    (folder / "vocab.txt").write_bytes(WORDS.written())
    for file in folder.glob("*.tsv*"):
        file.unlink()
    (folder / ("train.tsv.gz" if data.startswith(b"\x1f\x8b") else "train.tsv")).write_bytes(data)
    groups = "writer" if b"writer" in data else ""
    found = Text(str(folder), tokenizer=str(folder), validation=0.3, test=0.3, groups=groups).load()
    assert all(len(split) for split in found.splits.values())


@harness(_mutate.of_words, most=128)
def shown(data: bytes) -> None:
    """A text on a terminal, in JSON, in a card and in programs: it comes back as it was, and does nothing."""
    odd = data.decode("utf-8", "surrogateescape")
    assert is_printable(printable(odd)) and is_printable(all_printable({odd: [odd]})[printable(odd)][0])
    text = data.decode("utf-8", "replace")
    document = json.dumps({text: text}, ensure_ascii=False)
    assert json.loads(in_json(document)) == {text: text} and is_printable(in_json(document).replace("\n", ""))
    foreign = literals.Foreign(text)
    assert ast.literal_eval(literals.literal(foreign)) == text
    assert '"' not in literals.cpp(foreign)[1:-2].replace('\\"', "") and literals.cpp(foreign).isprintable()
    assert literals.comment(foreign).isprintable() and not set(literals.page(foreign)) & set("<>\"'")
    assert is_printable(markdown.escaped(text)) and is_printable(markdown.code(text))
