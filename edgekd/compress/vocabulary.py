"""A shorter list of tokens: those that the data needs, so that the table of their vectors has fewer rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from edgekd.base import wordpiece
from edgekd.base.errors import ExportError, RecipeError
from edgekd.base.preprocess import TOKENS, Ops
from edgekd.compress._base import Context
from edgekd.compress._pieces import Alphabet, kept
from edgekd.compress._rounding import told
from edgekd.compress._structure import Structural
from edgekd.learn import embeddings, nets
from edgekd.learn.student import Record, Student


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
        self._tables(student)

    def apply(self, student: Student, context: Context) -> Student:
        """The student with shorter tables; its record holds how many rows each had."""
        before, after = self._tables(student), {}
        places = embeddings.positions(student, student.example(), "vocabulary")
        for path in before:
            after[path] = _longest(student) if path in places else _tokens(student)
        return self.replay(student, {"kind": "vocabulary", **told("rows", before, after, {}, {})})

    def replay(self, student: Student, record: Record) -> Student:
        """The same rows again."""
        module = nets.twin(student.module)
        for path, rows in record["groups"].items():
            embeddings.shorten(module, path, rows["kept"])
        return student.with_module(module, record)

    def _tables(self, student: Student) -> dict[str, int]:
        """The rows of each table that has more than there are tokens, or places."""
        example = student.example()
        tables = embeddings.tables(student, example, "vocabulary")
        places = embeddings.positions(student, example, "vocabulary")
        longer = {path: t.num_embeddings for path, t in tables.items() if t.num_embeddings > _tokens(student)}
        if not longer:
            shown = ", ".join(f"{path} of {table.num_embeddings:,}" for path, table in tables.items())
            allowed = f"a table of more than the {_tokens(student):,} tokens that stay"
            raise ExportError("no token to leave out", where="vocabulary", found=shown, allowed=allowed)
        return longer | {
            path: table.num_embeddings for path, table in places.items() if table.num_embeddings > _longest(student)
        }

    def _lines(self) -> list[str]:
        try:
            lines = Path(self.file).read_text("utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as err:
            raise RecipeError(f"can't be read ({err})", where="vocabulary.file", found=self.file) from err
        if not any(line.strip() for line in lines):
            raise RecipeError("an empty file", where="vocabulary.file", found=self.file, allowed="a text a line")
        return lines


def _tokens(student: Student) -> int:
    """How many tokens a student's texts are made of."""
    return next((spec.high or 0 for spec in student.inputs if spec.name == TOKENS), 0)


def _longest(student: Student) -> int:
    """The most tokens that a text has."""
    return next((spec.longest or 0 for spec in student.inputs if spec.name == TOKENS), 0)
