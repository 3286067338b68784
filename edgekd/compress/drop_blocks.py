"""Shallower networks: whole blocks go whose input could be their output, those that are missed least."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from edgekd.base import plugins
from edgekd.base.errors import ExportError
from edgekd.compress import _latency
from edgekd.compress._base import Context, clock_of
from edgekd.compress._importance import distillation
from edgekd.compress._rounding import told
from edgekd.compress._structure import SAMPLES, Structural, leave_out
from edgekd.learn import nets, taps
from edgekd.learn.student import Record, Student, evaluated, joined
from edgekd.learn.teacher import bare

STACKS = (nn.Sequential, nn.ModuleList)


@dataclass(frozen=True)
class DropBlocks(Structural):
    """Leave out residual blocks, or layers of a transformer: parts of a ``Sequential`` or ``ModuleList`` that give a
    tensor of their input's shape. Each is left out once on the calibration samples, and what the distillation loss
    then loses is what it is worth (Veit et al. 2016, arXiv:1605.06431: nets of residual blocks bear that).

    Attributes:
        ratio: share of those blocks that goes, 0 < ratio < 1; one at least. 0.5 where nothing else is given.
        count: or how many go, 1 to 1024.
        latency: or the share of the latency on the target (p50) that is left, 0 < latency < 1, by the target's clock;
            the blocks then go in the order of loss for each millisecond saved.
        samples: of the training data, 1 or more, that it looks at.
    """

    suffix: ClassVar[str] = "shallow"
    ratio: float | None = None
    count: int | None = None
    latency: float | None = None
    samples: int = SAMPLES

    def __post_init__(self) -> None:
        for name in ("ratio", "latency"):
            if getattr(self, name) is not None and not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name}: allowed is 0 < {name} < 1")
        if self.count is not None and not 1 <= self.count <= 1024:
            raise ValueError("count: allowed is 1 to 1024")
        if sum(value is not None for value in (self.ratio, self.count, self.latency)) > 1:
            raise ValueError("ratio: allowed is one of ratio, count and latency")
        if self.samples < 1:
            raise ValueError("samples: allowed is at least 1")

    @property
    def timed(self) -> bool:
        """Whether the target's clock decides."""
        return self.latency is not None

    def requires(self, student: Student, context: Context) -> None:
        """Raise ExportError where no block can be left out, or fewer than ``count``, or there is no clock."""
        droppable = _in_turn(student, blocks(student))
        if len(droppable) < (self.count or 1):
            raise ExportError(
                "too few blocks give what they are given",
                where="drop_blocks",
                found=droppable,
                allowed=str(self.count or 1),
            )
        if self.timed:
            clock_of(context, "drop_blocks.latency")

    def apply(self, student: Student, context: Context) -> Student:
        """The shallower student; its record holds the blocks that are gone, and what was measured."""
        candidates = blocks(student)
        lost = _losses(student, context, candidates)
        record: dict[str, object] = {"kind": "drop_blocks", "lost": lost}
        if self.latency is None:
            count = self.count or max(1, math.ceil(len(candidates) * (self.ratio or 0.5) - 0.5))  # to the nearest
            gone = _in_turn(student, sorted(candidates, key=lost.__getitem__))[:count]
        else:
            gone, about = _in_time(student, context, lost, self.latency)
            record |= about
        before, kept = dict.fromkeys(candidates, 1), {path: int(path not in gone) for path in candidates}
        record |= told("blocks", before, kept, {}, {})
        if self.count is None and self.latency is None:
            record["asked"] = self.ratio or 0.5
        return self.replay(student, {**record, "blocks": sorted(gone, key=candidates.index)})

    def replay(self, student: Student, record: Record) -> Student:
        """The same blocks gone, the others with the weights that they have."""
        return student.with_module(_without(student, record["blocks"]).module, record)


def blocks(student: Student) -> list[str]:
    """Paths of the blocks that can be left out, front to back; of stacks in stacks the outer ones, where they have any.

    A block is a part made of several.
    """
    network = bare(taps.network(module := _still(student)))
    same: set[nn.Module] = set()

    def look(part: nn.Module, args: tuple[object, ...], out: object) -> None:
        given, output = (args or (None,))[0], _tensor(out)
        if (
            isinstance(given, Tensor)
            and output is not None
            and given.shape == output.shape
            and given.dtype == output.dtype
        ):
            same.add(part)

    with ExitStack() as hooks, torch.no_grad():
        for part in network.modules():
            if any(True for _ in part.children()) and any(True for _ in part.parameters()):
                hooks.callback(part.register_forward_hook(look).remove)
        plugins.call_user(module, "drop_blocks", *student.example())
    return list(_candidates(network, "", same))


def _candidates(part: nn.Module, path: str, same: set[nn.Module]) -> Iterator[str]:
    """Below a stack that has candidates nobody looks: what stands inside a block goes with it or stays."""
    inner = {f"{path}.{name}".lstrip("."): child for name, child in part.named_children()}
    candidates = [name for name, child in inner.items() if child in same] if isinstance(part, STACKS) else []
    if candidates:
        yield from candidates
        return
    for name, child in inner.items():
        yield from _candidates(child, name, same)


def _in_turn(student: Student, order: Sequence[str]) -> list[str]:
    """The blocks in this order, but for those that would leave their stack empty."""
    network = bare(taps.network(student.module))
    left = {stack: len(list(network.get_submodule(stack).children())) for stack in {_stack(path) for path in order}}
    droppable = []
    for path in order:
        left[_stack(path)] -= 1
        if left[_stack(path)] > 0:
            droppable.append(path)
    return droppable


def _stack(path: str) -> str:
    return path.rpartition(".")[0]


def _still(student: Student) -> nn.Module:
    return evaluated(nets.twin(student.module)).requires_grad_(False)


def _tensor(out: object) -> Tensor | None:
    first = out[0] if isinstance(out, tuple) and out else out
    return first if isinstance(first, Tensor) else None


def _skip(block: nn.Module, args: tuple[object, ...], out: object) -> Any:
    """What a block that is not there would give: what it is given."""
    return (args[0], *out[1:]) if isinstance(out, tuple) else args[0]


def _losses(student: Student, context: Context, paths: Sequence[str]) -> dict[str, float]:
    """By block: how much larger the distillation loss is without it, a mean over the calibration samples.

    Without a teacher the student's own answers stand in for it.
    """
    module = _still(student)
    network = bare(taps.network(module))
    sums, samples = dict.fromkeys(paths, 0.0), 0
    with torch.no_grad():
        for number, x in enumerate(context.calibration):
            answers = joined(plugins.call_user(module, "drop_blocks", *x))
            whole = float(distillation(context, number, answers, answers))
            for path in paths:
                handle = network.get_submodule(path).register_forward_hook(_skip)
                logits = joined(plugins.call_user(module, f"drop_blocks: without {path}", *x))
                handle.remove()
                sums[path] += len(answers) * (float(distillation(context, number, logits, answers)) - whole)
            samples += len(answers)
    return {path: value / max(samples, 1) for path, value in sums.items()}


def _in_time(student: Student, context: Context, lost: Mapping[str, float], share: float) -> tuple[list[str], Record]:
    """The blocks that go so that the network is as fast as wanted, and what was measured."""
    clock = clock_of(context, "drop_blocks.latency")

    def cut(stay: Mapping[str, int]) -> Student:
        return _without(student, [path for path in lost if not stay.get(path, 1)])

    dense, *took = clock([student, *(cut({path: 0}) for path in lost)])
    saved = {path: dense - ms for path, ms in zip(lost, took, strict=True)}
    worth = [path for path in lost if saved[path] > _latency.NOISE * dense]
    ranked = _in_turn(student, sorted(worth, key=lambda path: lost[path] / saved[path]))
    states = [{path: int(path not in ranked[:gone]) for path in lost} for gone in range(len(ranked) + 1)]
    stay, dense, ms = _latency.fit(student, states, share, clock, cut, "drop_blocks.latency")
    return [path for path in lost if not stay[path]], {"latency_ms": {"dense": dense, "pruned": ms}, "saved_ms": saved}


def _without(student: Student, gone: Sequence[str]) -> Student:
    """The same network without some blocks; those behind them are numbered anew, where they have numbers."""
    module = nets.twin(student.module)
    network = bare(taps.network(module))
    for path in dict.fromkeys(_stack(path) for path in gone):
        stack = network.get_submodule(path)
        if not isinstance(stack, STACKS):
            raise ExportError("a block in no stack", where=f"drop_blocks: {path}", found=type(stack).__name__)
        names = list(stack._modules)
        leave_out(stack, [names.index(block.rpartition(".")[2]) for block in gone if _stack(block) == path])
    return student.with_module(module)
