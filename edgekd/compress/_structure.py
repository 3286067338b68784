"""What passes share that make a network smaller and need nothing while it trains."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

import torch
from torch import nn

from edgekd.base import plugins
from edgekd.base.errors import ExportError
from edgekd.learn import nets
from edgekd.learn.student import Record, Student, evaluated, joined
from edgekd.spec.target import Numerics

SAMPLES = 256  # of calibration


class Structural:
    """The part of a ``Pass`` that is alike in all of them."""

    quantizes: ClassVar[bool] = False
    trains: ClassVar[bool] = True
    suffix: ClassVar[str] = "pruned"
    samples: int = SAMPLES  # a pass with such a key of its own has a field of this name

    @property
    def timed(self) -> bool:
        """It asks no clock."""
        return False

    def parts(self) -> tuple[Record, ...]:
        """One step."""
        return ()

    def begin_epoch(self, student: Student, epoch: int, epochs: int) -> None:
        """Nothing to do."""

    def finish(self, student: Student, numerics: Numerics | None = None) -> Student:
        """A copy in evaluation mode."""
        return student.with_module(evaluated(nets.twin(student.module)))

    def ensures(self, before: Student, after: Student) -> None:
        """Output shape unchanged, parameters finite, fewer of them."""
        where = type(self).__module__.rpartition(".")[2]
        after.module.eval()
        with torch.no_grad():
            wanted = joined(evaluated(before.module)(*before.example())).shape
            got = joined(plugins.call_user(after.module, f"the network after {where}", *after.example())).shape
        if wanted != got:
            raise ExportError("the output's shape changed", where=where, found=tuple(got), allowed=str(tuple(wanted)))
        if after.params >= before.params:
            raise ExportError("nothing became smaller", where=where, found=after.params)
        for name, parameter in after.module.named_parameters():
            if not torch.isfinite(parameter).all():
                raise ExportError("a parameter is not finite", where=f"{where}: {name}")


def check_kept(every: int, keep: tuple[int, ...]) -> None:
    """The keys ``every`` and ``keep`` of a pass that leaves layers out."""
    if not 2 <= every <= 64:
        raise ValueError("every: allowed is 2 to 64")
    if list(keep) != sorted({max(i, 0) for i in keep}):
        raise ValueError("keep: allowed are layers from 0, rising, each once")


def kept(count: int, every: int, keep: tuple[int, ...], where: str) -> tuple[int, ...]:
    """Which of ``count`` layers stay, from 0.

    Raises:
        ExportError: none would stay, or all, or one that is not there.
    """
    stay = keep or tuple(range(every - 1, count, every))
    if not stay or len(stay) == count or stay[-1] >= count:
        asked, allowed = f"layers {list(stay)} of {count}", f"some of 0 to {count - 1}"
        raise ExportError("nothing to leave out", where=where, found=asked, allowed=allowed)
    return stay


def leave_out(stack: nn.Sequential | nn.ModuleList, gone: Collection[int]) -> None:
    """Take some layers off a stack, in place: it stays of its class, which may have code of its own.

    Layers that are numbered are numbered anew; names stay.
    """
    numbered = all(name == str(place) for place, name in enumerate(stack._modules))
    left = [(name, part) for place, (name, part) in enumerate(stack._modules.items()) if place not in gone]
    stack._modules.clear()
    stack._modules.update({str(i) if numbered else name: part for i, (name, part) in enumerate(left)})


def computes_as(part: nn.Module, *kinds: type[nn.Module]) -> bool:
    """Whether a layer computes what one of torch's classes does: a subclass may scale its answer, or pad its input."""
    return "forward" not in vars(part) and any(
        isinstance(part, kind)
        and all(getattr(type(part), name, None) is getattr(kind, name, None) for name in ("forward", "_conv_forward"))
        for kind in kinds
    )
