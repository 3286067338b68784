"""A shorter list of tokens: those that the data needs, so that the table of their vectors has fewer rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import nn

from edgekd.base import wordpiece
from edgekd.base.errors import ExportError, RecipeError
from edgekd.base.preprocess import Ops
from edgekd.compress._base import Context
from edgekd.compress._pieces import Alphabet, kept
from edgekd.compress._rounding import told
from edgekd.compress._structure import Structural
from edgekd.learn import embeddings, nets
from edgekd.learn.student import Record, Student, TensorSpec


@dataclass(frozen=True)
class Vocabulary(Structural):
    """Keep the tokens that the training texts need, and every piece of one character, so that all texts still encode.

    The student reads texts by the shorter list from its first batch on (``reads``), and its table begins with those
    tokens' rows; this pass takes the other rows off, which nothing gives a number of, and those of places behind the
    longest text (``data.length``). So it changes no answer, and needs no fine-tuning. A teacher goes on to read by the
    whole list. Which tokens stay, ``_pieces.kept`` says.

    Attributes:
        size: at most so many tokens, 0 or 100 to 1,000,000; 0: all that the texts have. With fewer, the rarest words
            fall apart into pieces.
        file: texts or words, a line each, that are needed instead of the training texts.
        alphabet: of which characters every piece stays: ``all`` that the vocabulary has, so that no text gets an
            [UNK] that it had not before; or those of the ``data``, and ASCII.
    """

    trains: ClassVar[bool] = False
    suffix: ClassVar[str] = "vocabulary"
    size: int = 0
    file: str = ""
    alphabet: Alphabet = "all"

    def __post_init__(self) -> None:
        if self.size and not 100 <= self.size <= 1_000_000:
            raise ValueError("size: allowed is 0, or 100 to 1000000")

    def reads(self, ops: Ops, texts: Iterable[str]) -> Ops:
        """The preprocessing with the tokens that stay.

        Args:
            ops: of the data.
            texts: of training.

        Raises:
            RecipeError: the student reads no texts, the file can't be read, or ``size`` is too small.
        """
        if not ops or ops[-1]["op"] != "wordpiece":
            names = [op["op"] for op in ops]
            raise RecipeError("keeps tokens of texts", where="vocabulary", found=names, allowed="the op wordpiece")
        *before, op = ops
        whole, lower, most = wordpiece.Vocabulary.of(op["vocabulary"]), op["lower"], op["length"] - 2
        needed = self._lines() if self.file else texts
        return (*before, {**op, "vocabulary": kept(whole, needed, lower, most, self.size, self.alphabet)})

    def requires(self, student: Student, context: Context) -> None:
        """Raise ExportError where no table has rows that no token of the student's has the number of."""
        self._rows(student)

    def apply(self, student: Student, context: Context) -> Student:
        """The student with shorter tables; its record holds how many rows each had."""
        rows = self._rows(student)
        before, after = ({path: counts[i] for path, counts in rows.items()} for i in (0, 1))
        return self.replay(student, {"kind": "vocabulary", **told("rows", before, after, {}, {})})

    def replay(self, student: Student, record: Record) -> Student:
        """The same rows again."""
        module = nets.twin(student.module)
        for path, rows in record["groups"].items():
            embeddings.shorten(module, path, rows["kept"])
        return student.with_module(module, record)

    def _rows(self, student: Student) -> dict[str, tuple[int, int]]:
        """Of each table that has more rows than there are tokens, or places: how many, and how many stay."""
        spec, example = _ids(student), student.example()
        tables = embeddings.tables(student, example, "vocabulary")
        longer = _longer(tables, spec.high or 0)
        if not longer:
            shown = ", ".join(f"{path} of {table.num_embeddings:,}" for path, table in tables.items())
            allowed = f"a table of more than the {spec.high or 0:,} tokens that stay"
            raise ExportError("no token to leave out", where="vocabulary", found=shown, allowed=allowed)
        return longer | _longer(embeddings.positions(student, example, "vocabulary"), spec.longest or 0)

    def _lines(self) -> list[str]:
        try:
            lines = Path(self.file).read_text("utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as err:
            raise RecipeError(f"can't be read ({err})", where="vocabulary.file", found=self.file) from err
        if not any(line.strip() for line in lines):
            raise RecipeError("an empty file", where="vocabulary.file", found=self.file, allowed="a text a line")
        return lines


def _ids(student: Student) -> TensorSpec:
    """The input of token numbers.

    Raises:
        ExportError: the student reads no texts.
    """
    return student.inputs[embeddings.place(student, "vocabulary")]


def _longer(tables: Mapping[str, nn.Embedding], rows: int) -> dict[str, tuple[int, int]]:
    """By path of each table with more than so many rows: its rows, and these."""
    return {path: (table.num_embeddings, rows) for path, table in tables.items() if table.num_embeddings > rows}
