"""The tokens that a student reads by where a pass keeps some of the data's, and its table's rows in that order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgekd.base.preprocess import Ops
from edgekd.base.wordpiece import Vocabulary
from edgekd.compress import Pass, Rereads
from edgekd.learn import embeddings
from edgekd.learn.data import Samples
from edgekd.learn.predictions import Tensors
from edgekd.learn.student import Student

AT_ONCE = 4096  # texts

Order = tuple[int, ...]


def of_student(changes: Sequence[Pass], ops: Ops, samples: Samples) -> tuple[Ops, Order]:
    """The student's preprocessing, and for each of the data's tokens its number there, those that stay first.

    Args:
        changes: the passes of the recipe, in order.
        ops, samples: of the data, in training.

    Returns:
        ``ops`` and () where no pass changes how texts are read.
    """
    whole = ops
    for change in changes:
        if isinstance(change, Rereads):
            ops = change.reads(ops, _texts(samples))
    if ops is whole:
        return ops, ()
    numbers = {token: number for number, token in enumerate(Vocabulary.of(whole[-1]["vocabulary"]))}
    stay = [numbers.pop(token) for token in ops[-1]["vocabulary"]]
    return ops, (*stay, *numbers.values())


def _texts(samples: Samples) -> Iterator[str]:
    for start in range(0, len(samples), AT_ONCE):
        yield from samples[start : start + AT_ONCE].tolist()


def reordered(student: Student, inputs: Tensors, order: Order) -> Student:
    """A student whose table has a row for each of the data's tokens, with the rows in another order, in place.

    Raises:
        ExportError: no table is given the token numbers.
    """
    for table in embeddings.tables(student, inputs, "vocabulary").values() if order else ():
        embeddings.reorder(table, order)
    return student
