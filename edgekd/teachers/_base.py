"""What a kind of teacher is: one that brings a network, which is asked as any other, or one that brings answers.

A kind is a frozen dataclass whose fields are the keys of a recipe's ``teacher.model``. It is never trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from torch import nn

from edgekd.base.errors import RecipeError
from edgekd.base.preprocess import Spec
from edgekd.learn.data import Split
from edgekd.learn.feed import Feed
from edgekd.learn.teaching import AnswerSource
from edgekd.tasks import CLASSES, Task

SHOWN = 5  # of what does not fit, in an error


@runtime_checkable
class NetworkKind(Protocol):
    """A kind that brings a network: it can be asked whatever and as often as wanted."""

    def network(self, inputs: Sequence[Spec], where: str) -> nn.Module:
        """The network, to be called with the model's inputs in their order.

        Args:
            inputs: what the data gives it, after its preprocessing.
            where: its ``model`` table in the recipe, for errors.

        Returns:
            A module that gives one tensor of scores, or several by name.

        Raises:
            RecipeError: there is no such file, or it takes other inputs. IntegrityError: it is not to be opened.
        """


@dataclass(frozen=True)
class Asked:
    """What a teacher is asked.

    Attributes:
        feed: the samples, raw and prepared.
        splits: all samples of the data, and what each is called; of them the feed may show some.
        classes: the names of the classes that it tells apart, in our order.
        columns: for each of our classes the teacher's column, where the recipe says it.
        folder: where it may keep what must not be asked twice.
        code: the hash of the users' code that the table names.
        where: its ``model`` table in the recipe, for errors.
        note: what the user is to know of the answers, a sentence each, once.
        tell: what goes on, while it does.
        task: what the answers are.
    """

    feed: Feed
    splits: Mapping[str, Split]
    classes: tuple[str, ...]
    columns: tuple[int, ...] | None
    folder: Path
    code: str
    where: str
    note: Callable[[str], None]
    tell: Callable[[str], None]
    task: Task = CLASSES


@runtime_checkable
class AnswersKind(Protocol):
    """A kind that brings answers to the samples of the data, and can't be asked about anything else."""

    def answers(self, asked: Asked) -> AnswerSource:
        """The answers; what is recorded is held against the samples here, and nobody is asked yet.

        Raises:
            RecipeError, DataError: answers of other samples or classes, or a file that is none.
        """


def check_unknown(unknown: str, task: Task, where: str) -> None:
    """Raise RecipeError where labels of no name are to be passed over, and a row of labels would be another then."""
    if unknown == "skip" and not task.exclusive:
        allowed = "error: without one of its labels an answer is another"
        raise RecipeError("no classes to pass over", where=f"{where}.unknown", found=unknown, allowed=allowed)


def first(values: Iterable[object]) -> str:
    """The first five of some values, for an error: ``"a, b, c and 12 more"``."""
    every = list(map(str, values))
    return ", ".join(every[:SHOWN]) + (f" and {len(every) - SHOWN:,} more" if len(every) > SHOWN else "")


def file_of(path: str, where: str) -> Path:
    """A file that a kind reads.

    Raises:
        RecipeError: there is none.
    """
    if not Path(path).is_file():
        raise RecipeError("no such file", where=f"{where}.path", found=path)
    return Path(path)
