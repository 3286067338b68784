"""A shallower copy of the same network: every k-th layer of a stack stays, with its weights."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from edgekd.base.errors import ExportError
from edgekd.compress._base import Context
from edgekd.compress._rounding import told
from edgekd.compress._structure import Structural, check_kept, kept, leave_out
from edgekd.learn import nets, taps
from edgekd.learn.student import Record, Student
from edgekd.learn.teacher import bare


@dataclass(frozen=True)
class KeepLayers(Structural):
    """Keep some layers of a ``ModuleList`` or ``Sequential`` (Sanh et al. 2019, arXiv:1910.01108, section 3).

    Attributes:
        layers: path of the stack, such as ``bert.encoder.layer``.
        every: keep the every-th, the 2 every-th, ... layer; 2 to 64.
        keep: or the very layers that stay, counted from 0.
    """

    layers: str
    every: int = 2
    keep: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_kept(self.every, self.keep)

    def requires(self, student: Student, context: Context) -> None:
        """Raise ExportError where there is no such stack, or it has too few layers."""
        kept(len(self._stack(student.module)), self.every, self.keep, "keep_layers")

    def apply(self, student: Student, context: Context) -> Student:
        """The shallower student; its record holds the layers that stay."""
        stay = kept(len(self._stack(student.module)), self.every, self.keep, "keep_layers")
        count = len(self._stack(student.module))
        summary = told("layers", {self.layers: count}, {self.layers: len(stay)}, {}, {})
        asked = {} if self.keep else {"asked": round(1 - 1 / self.every, 4)}
        return self.replay(student, {"kind": "keep_layers", "keep": list(stay), **asked, **summary})

    def replay(self, student: Student, record: Record) -> Student:
        """The same layers again, with the weights that they have."""
        module = nets.twin(student.module)
        stack = self._stack(module)
        leave_out(stack, set(range(len(stack))) - set(record["keep"]))
        return student.with_module(module, record)

    def _stack(self, module: nn.Module) -> nn.ModuleList | nn.Sequential:
        parts = bare(taps.network(module)).named_modules()
        stacks = {n: m for n, m in parts if n and isinstance(m, nn.ModuleList | nn.Sequential)}
        if self.layers not in stacks:
            raise ExportError("no such stack of layers", where="keep_layers.layers", found=self.layers, allowed=stacks)
        return stacks[self.layers]
