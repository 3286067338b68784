"""Texts and their labels from tab-separated files, in plain or gzip."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgekd.errors import DataError
from edgekd.learn.data import _vocabulary
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.data._split import carved, check_carving, checked

SPLITS = {"train": ("train",), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}
ENDINGS = (".tsv", ".tsv.gz")
DIGITS = 6  # of a label; longer ones number something else than classes


@dataclass(frozen=True)
class Rows:
    """A file's samples: ``line[i]`` is the number of sample i's line, from 1."""

    file: str
    texts: list[str]
    labels: list[str]
    lines: list[int]


@dataclass(frozen=True)
class Text:
    """UTF-8 files with a header line and a sample a line, tabs between the columns, nothing quoted.

    Attributes:
        path: a file, off which validation and test are carved; or a folder with ``<prefix>train.tsv`` and, where they
            are there, ``<prefix>validation.tsv`` (or valid, val, dev) and ``<prefix>test.tsv``; or each with ``.gz``.
        prefix: what the names of a folder's files begin with, such as ``sst2_``.
        sentence, label: names of the columns; without a label ("") the data has none.
        classes: names, in the order of their numbers; without them those that the training split has, or numbers.
        vocab: at most so many tokens, learned from the training split, 100 to 1,000,000.
        tokenizer: or a folder with the vocabulary of a model: ``vocab.txt`` or ``tokenizer.json``.
        length: tokens of a text at most, [CLS] and [SEP] counted, 3 to 16384; the rest is cut off.
        lower: lower case, without accents.
        validation, test: what is carved off where no file is there: a share below 1, or a count from 1.
        limit: use only the first so many training samples; 0: all.
        split_seed: of the carving.
    """

    path: str
    prefix: str = ""
    sentence: str = "sentence"
    label: str = "label"
    classes: tuple[str, ...] = ()
    vocab: int = 8000
    tokenizer: str = ""
    length: int = 64
    lower: bool = True
    validation: float = 0.1
    test: float = 0.1
    limit: int = 0
    split_seed: int = 0

    def __post_init__(self) -> None:
        for name, low, high in (("vocab", 100, 1_000_000), ("length", 3, 16_384)):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name}: allowed is {low} to {high}")
        check_carving({"validation": self.validation, "test": self.test}, self.limit)

    def fingerprint(self) -> str:
        """SHA-256 over every file that is read, and the fields."""
        files = self._files()
        if self.tokenizer:
            files["tokenizer"] = _vocabulary.file_in(self.tokenizer)
        digest = hashlib.sha256(repr(replace(self, path="", tokenizer="")).encode())
        for role, path in files.items():
            with path.open("rb") as file:
                digest.update(f"{role} {hashlib.file_digest(file, 'sha256').hexdigest()}".encode())
        return digest.hexdigest()

    def load(self) -> Dataset:
        """Read, check, carve off what has no file, and learn the vocabulary from the training split."""
        files = self._files()
        rows = {role: self._read(path, self.limit if role == "train" else 0) for role, path in files.items()}
        names, numbers = self._classes(rows)
        splits = {role: self._split(found, numbers) for role, found in rows.items()}
        for role in ("test", "validation"):
            if role not in splits:
                share = self.test if role == "test" else self.validation
                splits["train"], splits[role], _ = carved(splits["train"], share, self.split_seed, role)
        train = splits["train"]
        vocabulary = (
            _vocabulary.read(self.tokenizer, self.lower)
            if self.tokenizer
            else _vocabulary.learned(train.x.tolist(), self.vocab, self.lower)
        )
        op = {"op": "wordpiece", "vocabulary": vocabulary, "length": self.length, "lower": self.lower}
        dataset = Dataset(train, splits["validation"], splits["test"], names, (op,))
        return checked(dataset, f"data.path: {Path(self.path).name}")

    def _files(self) -> dict[str, Path]:
        """The file of each split that has one."""
        place = Path(self.path)
        if place.is_file():
            return {"train": place}
        if not place.is_dir():
            raise DataError("no such file or folder", where="data.path", found=self.path)
        found: dict[str, Path] = {}
        for role, names in SPLITS.items():
            paths = [place / f"{self.prefix}{name}{ending}" for name in names for ending in ENDINGS]
            there = [path for path in paths if path.is_file()]
            if len(there) > 1:
                raise DataError("two files for one split", where=f"data.path: {role}", found=[p.name for p in there])
            if there:
                found[role] = there[0]
        if "train" not in found:
            others = [path.name for path in place.iterdir() if path.name.endswith(ENDINGS)]
            wanted = f"{self.prefix}train.tsv"
            raise DataError("no training file in this folder", where="data.prefix", found=wanted, allowed=others)
        return found

    def _read(self, path: Path, limit: int) -> Rows:
        where = f"data.path: {path.name}"
        try:
            data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            lines = data.decode("utf-8-sig").removesuffix("\n").split("\n")
        except (OSError, EOFError, zlib.error, UnicodeDecodeError) as err:
            raise DataError(f"can't be read ({err})", where=where) from err
        header = lines[0].rstrip("\r").split("\t")
        columns = [self._column(header, key, where) for key in ("sentence", "label") if getattr(self, key)]
        rows = Rows(path.name, [], [], [])
        for number, line in enumerate(lines[1 : limit + 1 if limit else None], start=2):
            cells = line.rstrip("\r").split("\t")
            place = f"{where}, line {number}"
            if len(cells) != len(header):
                raise DataError("another number of columns than the header", where=place, found=len(cells))
            text, *label = (cells[column] for column in columns)
            if not text.strip():
                raise DataError("an empty text", where=place, allowed="at least one word")
            if label == [""]:
                raise DataError("no label", where=place)
            rows.texts.append(text)
            rows.labels.extend(label)
            rows.lines.append(number)
        return rows

    def _column(self, header: list[str], key: str, where: str) -> int:
        name = getattr(self, key)
        if name not in header:
            raise DataError("no such column", where=f"{where}, line 1, data.{key}", found=name, allowed=header)
        if header.count(name) > 1:
            raise DataError("two columns of this name", where=f"{where}, line 1, data.{key}", found=name)
        return header.index(name)

    def _classes(self, rows: dict[str, Rows]) -> tuple[tuple[str, ...], dict[str, int]]:
        """Class names, and the number of each label as it is spelled; every label of every file is held against it."""
        if not self.label:
            if not self.classes:
                raise DataError("without labels the class names are needed", where="data.classes", found="none")
            return self.classes, {}
        every = {label for found in rows.values() for label in found.labels}
        if all(label.isascii() and label.isdigit() for label in every):
            numbers = {label: int(label) for label in every if len(label) <= DIGITS}
            names = self.classes or tuple(str(i) for i in range(max(numbers.values(), default=-1) + 1))
            numbers = {label: number for label, number in numbers.items() if number < len(names)}
        else:
            names = self.classes or tuple(sorted(set(rows["train"].labels)))
            numbers = {name: i for i, name in enumerate(names)}
        for found in rows.values():
            for label, line in zip(found.labels, found.lines, strict=True):
                if label not in numbers:
                    where = f"data.path: {found.file}, line {line}"
                    allowed = names if len(names) <= 100 else f"0 to {len(names) - 1}"
                    raise DataError("a label that is no class", where=where, found=label, allowed=allowed)
        return names, numbers

    def _split(self, rows: Rows, numbers: dict[str, int]) -> Split:
        y: Any = np.array([numbers[label] for label in rows.labels], dtype=np.int64) if self.label else None
        return Split(np.array(rows.texts, dtype=object), y)
