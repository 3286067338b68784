"""What a compression pass is: it changes structure and never trains; the pipeline trains between apply and finish."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from edgekd.base.errors import ExportError
from edgekd.base.preprocess import Ops
from edgekd.learn.student import Record, Student
from edgekd.spec.recipe import Table
from edgekd.spec.target import Numerics

Clock = Callable[[Sequence[Student]], list[float]]
Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]


@dataclass(frozen=True)
class Context:
    """What the target and the data tell a pass, as plain values.

    Attributes:
        numerics: the int8 (or other) scheme of the target, for passes that quantize.
        channel_multiple: channel counts are rounded to multiples of this.
        calibration: batches of model inputs, each a tuple in the module's order, for ranges and importances. Each is
            made when it is asked for, so that many samples take no more memory than a few.
        teacher: (n, C) logits of the teacher for each batch; None where there is no teacher yet.
        labels: those of each batch, see ``tasks.Heads``; None without labels.
        loss: ``loss(logits, teacher, labels)``, what the recipe's losses on answers say: what training will minimise.
        exclusive: whether every output is of classes of which one is right.
        clock: median milliseconds of each student's shape on the target, timed in turns; for passes that are ``timed``.
    """

    numerics: Numerics | None
    channel_multiple: int
    calibration: Sequence[tuple[torch.Tensor, ...]]
    teacher: Sequence[torch.Tensor] | None = None
    labels: Sequence[torch.Tensor] | None = None
    loss: Loss | None = None
    exclusive: bool = True
    clock: Clock | None = None


def clock_of(context: Context, where: str) -> Clock:
    """The target's clock, for a pass that asks it.

    Args:
        where: the pass and its key, for the error.

    Raises:
        ExportError: there is none, as where a student is made of its teacher before any target is known.
    """
    if context.clock is None:
        raise ExportError("there is no target to time it on here", where=where, allowed="ratio; or [[compress]]")
    return context.clock


class Pass(Protocol):
    """One file of ``compress/``: a frozen dataclass whose fields are TOML keys.

    Attributes:
        quantizes: the result depends on the target's numerics: the plan forks there; later passes go on before it.
        trains: a fine-tuning follows.
        suffix: what a candidate is called after the pass, behind the name of its numerics.
        samples: how many calibration samples it wants.
        timed: it asks the target's clock.
    """

    quantizes: bool
    trains: bool

    @property
    def suffix(self) -> str: ...

    @property
    def samples(self) -> int: ...

    @property
    def timed(self) -> bool: ...

    def parts(self) -> Sequence[Record]:
        """The tables of the passes that this one is made of, trained one after the other; none: it is one."""

    def requires(self, student: Student, context: Context) -> None:
        """Raise ExportError, naming the module, where this student can't be compressed like this."""

    def apply(self, student: Student, context: Context) -> Student:
        """A new Student (the input is left as it was) whose last lineage record replays the change."""

    def replay(self, student: Student, record: Record) -> Student:
        """The structure that ``apply`` gave, from its record; weights are loaded afterwards by the caller."""

    def begin_epoch(self, student: Student, epoch: int, epochs: int) -> None:
        """Called before each epoch of the fine-tuning that follows ``apply``."""

    def finish(self, student: Student, numerics: Numerics | None = None) -> Student:
        """After the fine-tuning: the Student that is exported; ``numerics``: of the target that it is exported for."""

    def ensures(self, before: Student, after: Student) -> None:
        """Raise ExportError where the result breaks a promise (output shape, finite parameters)."""


@runtime_checkable
class Rereads(Protocol):
    """A pass that also changes how a student's texts are read, from its first batch on: there is one tokenizer a build,
    which every candidate of a bundle reads by. A table of the student's that has a row for each token of the data is
    put in the new order, the tokens that stay first.
    """

    def reads(self, ops: Ops, texts: Iterable[str]) -> Ops:
        """The student's preprocessing, where ``ops`` is the data's; ``texts``: of training."""


@dataclass(frozen=True)
class TablePass:
    """A pass, and the keys of its table that made it: what its record in a student's lineage is known by."""

    table: Table
    change: Pass

    @property
    def kind(self) -> str:
        return str(self.table["kind"])
