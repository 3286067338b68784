"""Which groups of channels really can lose some: tried, not believed.

Torch-Pruning takes what it doesn't know for an element-wise op. Where channels are counted, mixed or cut apart by it
(chunk, PixelShuffle, topk, a view with sizes in numbers), the narrower network fails, or runs on the wrong channels and
nobody notices. So some channels are cut for a trial: the network must run, and answer as the whole one does whose
layers read zeros in their place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn

from edgekd.base import plugins
from edgekd.base.errors import EdgekdError
from edgekd.learn import nets
from edgekd.learn.student import Student, evaluated, joined

Gone = Mapping[str, Sequence[int]]  # channels that go, by group
Readers = Mapping[str, Sequence[tuple[str, Tensor, Tensor]]]
Cut = Callable[[Student, Gone], tuple[nn.Module, object]]

# What Torch-Pruning raises on networks that it can't follow.
FAILURES = (
    RuntimeError,
    ValueError,
    TypeError,
    AttributeError,
    IndexError,
    KeyError,
    AssertionError,
    ZeroDivisionError,
)
MIXED = "its channels are mixed or counted on the way to the layers that read them"
ALIKE = 0.02  # of what the channels do to the answers: this far two ways to take them out may lie apart
ROUNDING = 1e-5  # of the answers' range, what other kernels make of it


def some(size: int, parts: int) -> list[int]:
    """The first third of a group's channels, of each part: whatever counts channels notices."""
    sets = size // parts
    gone = min(max(1, sets // 3), sets - 1)
    return [part * sets + i for part in range(parts) for i in range(gone)]


def words(err: Exception) -> str:
    """The first line of an error, with its kind; of one in the network's own code what that raised."""
    if isinstance(err, EdgekdError) and isinstance(err.__cause__, Exception):
        err = err.__cause__
    return f"{type(err).__name__}: {str(err).strip().splitlines()[0] if str(err).strip() else 'no words'}"


def refused(student: Student, gone: Gone, readers: Readers, normed: Set[str], cut: Cut) -> dict[str, str]:
    """Why groups can't lose these channels, by group; those that are left can, all of them together.

    Args:
        readers: the layers that read a group: path, which of its inputs, which channel each of them is.
        normed: groups whose channels are normalised together: the answers move, and only must have their shape.
        cut: makes the network without the channels.
    """
    return _sift(list(gone), _Trial(student, gone, readers, normed, cut).fault)


def _sift(paths: Sequence[str], fault: Callable[[Sequence[str]], str | None]) -> dict[str, str]:
    """Halved until the culprits stand alone; what only fails together is left out one after the other."""
    if not paths or (why := fault(paths)) is None:
        return {}
    if len(paths) == 1:
        return {paths[0]: why}
    middle = len(paths) // 2
    found = {**_sift(paths[:middle], fault), **_sift(paths[middle:], fault)}
    left: list[str] = [path for path in paths if path not in found]
    if left and (len(found) == 0 or fault(left) is not None):
        good: list[str] = []
        for path in left:
            if (why := fault([*good, path])) is None:
                good.append(path)
            else:
                found[path] = why
    return found


@dataclass
class _Trial:
    """What every trial of a network is held against; see ``refused``. The whole network is asked once for all."""

    student: Student
    gone: Gone
    readers: Readers
    normed: Set[str]
    cut: Cut

    @cached_property
    def whole(self) -> Tensor:
        """(N, C) what the network says with all of its channels."""
        return joined(plugins.call_user(_eval(self.student.module), "channel_prune", *self.student.example()))

    @cached_property
    def trains(self) -> bool:
        """Whether the whole network runs in training."""
        return self._in_training(self.student.module) is None

    def fault(self, paths: Sequence[str]) -> str | None:
        """What is wrong with the network without the channels of these groups."""
        taken = {path: self.gone[path] for path in paths}
        try:
            module, plan = self.cut(self.student, taken)
        except FAILURES as err:
            return f"its channels can't be cut ({words(err)})"
        if not plan:
            return "a layer would be left without channels"
        with torch.no_grad():
            whole = self.whole
            try:
                found = joined(plugins.call_user(module, "channel_prune", *self.student.example()))
            except (EdgekdError, *FAILURES) as err:
                return f"the network can't do without some of its channels ({words(err)})"
            if found.shape != whole.shape:
                return "its channels become the outputs"
            if self.trains and (why := self._in_training(module)) is not None:
                return f"training can't do without some of its channels ({why})"
            if self.normed & set(paths):
                return None
            try:
                masked = joined(_masked(self.student, taken, self.readers)(*self.student.example()))
            except FAILURES:
                return MIXED
        off, effect = (float((other - masked).abs().max()) for other in (found, whole))
        if off <= ALIKE * effect + ROUNDING * float(masked.abs().max()):
            return None
        return MIXED

    def _in_training(self, module: nn.Module) -> str | None:
        """What a training step raises: heads that only train may count channels, too."""
        training = nets.twin(module)
        training.train()
        try:
            plugins.call_user(training, "channel_prune: training", *self.student.example())
        except (EdgekdError, *FAILURES) as err:
            return words(err)
        return None


def _eval(module: nn.Module) -> nn.Module:
    return evaluated(nets.twin(module))


def _masked(student: Student, gone: Gone, readers: Readers) -> nn.Module:
    """The whole network, whose layers read zeros where the channels were."""
    module = _eval(student.module)
    hidden: dict[str, set[int]] = {}
    for path, channels in gone.items():
        for reader, inputs, rows in readers[path]:
            lost = torch.isin(rows, torch.tensor(list(channels)))
            hidden.setdefault(reader, set()).update(inputs[lost].tolist())
    for reader, lost_inputs in hidden.items():
        layer = module.get_submodule(reader)
        layer.register_forward_pre_hook(partial(_zeros, -1 if isinstance(layer, nn.Linear) else 1, sorted(lost_inputs)))
    return module


def _zeros(at: int, inputs: Sequence[int], layer: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    x, *rest = args
    return (x.index_fill(at, torch.tensor(list(inputs), dtype=torch.int64), 0.0), *rest)
