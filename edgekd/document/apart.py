"""The samples that a page shows: those on which a student and its teacher part. They never go into a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from edgekd.base.marks import Marks


class Answer(NamedTuple):
    """What the two say of one class (or value): the teacher's share and the student's, and whether it is their best."""

    name: str
    said: tuple[float, float]
    best: tuple[bool, ...]
    label: bool


class Marked(NamedTuple):
    """What somebody marks in the sample: ``who`` is the label, the teacher or the student, with the output's name."""

    who: str
    marks: Marks


@dataclass(frozen=True)
class Sample:
    """A test sample on which teacher and student part.

    Attributes:
        number: in the test split, from 0; raw: as the user gave it.
        distance: of the two, in bits where the answers are classes, else of their values.
        answers: those worth a line.
        shares: whether answers are classes, with probabilities.
        marked: what is drawn over the sample, where an answer marks something in it.
    """

    number: int
    distance: float
    raw: object
    answers: tuple[Answer, ...]
    shares: bool = True
    marked: tuple[Marked, ...] = ()
