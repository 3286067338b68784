"""Structured pruning: whole channels go, so every runtime gets faster without knowing of it.

Which channels go together: see ``_channels``; what each is worth: ``_importance``. The accuracy comes back by
distillation afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from edgekd.base import plugins, units
from edgekd.base.errors import ExportError
from edgekd.compress import _latency
from edgekd.compress._base import Context, clock_of
from edgekd.compress._channels import pruning
from edgekd.compress._channels.network import Network
from edgekd.compress._channels.pruning import Group
from edgekd.compress._importance import Criterion
from edgekd.compress._rounding import Wish, spread, told
from edgekd.compress._structure import SAMPLES, Structural
from edgekd.learn.student import Record, Student

GRID = 96  # shares of the channels that are tried where a latency is wanted


@dataclass(frozen=True)
class ChannelPrune(Structural):
    """Remove a share of the channels, or so many that the network is so much faster.

    Attributes:
        ratio: share of the channels that goes, of the layers that can lose any, 0 < ratio < 1. A multiple of
            ``multiple`` stays in each layer, rounded up in some and down in others, so that the share of all together
            is as asked. 0.5 where there is no ``latency`` either.
        latency: or the share of the latency on the target (p50) that is left, 0 < latency < 1, by the target's clock.
        scope: ``uniform`` takes the share from every layer, ``global`` where the channels are worth least, ``latency``
            (which needs the key ``latency``) where least is lost for each millisecond that the target saves.
        criterion: what a channel is worth: the ``magnitude`` of its weights (Li et al. 2017, arXiv:1608.08710); to
            first order what the loss on the labels loses without it (``taylor``, Molchanov et al. 2019,
            arXiv:1906.10771); or what the recipe's losses against the ``teacher`` lose.
        keep: channels that stay in every layer at least.
        multiple: channels that stay are a multiple of this; 0: of the target's ``channel_multiple``, or of a half, a
            quarter ... of it in layers narrower than two of it.
        samples: of the training data, 1 or more, that ``taylor`` and ``teacher`` look at.
        steps: 1 to 16, each followed by a training of the table's ``epochs``; each leaves the same share of what the
            one before it left, and the last leaves what one step would. In ``from_teacher`` all is one step.
        step: which of the steps this is, from 1; the plan sets it. Both shares then count from the network
            before the first one.
    """

    ratio: float | None = None
    latency: float | None = None
    scope: Literal["uniform", "global", "latency"] = "uniform"
    criterion: Criterion = "magnitude"
    keep: int = 8
    multiple: int = 0
    samples: int = SAMPLES
    steps: int = 1
    step: int = 0

    def __post_init__(self) -> None:
        for name in ("ratio", "latency"):
            if getattr(self, name) is not None and not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name}: allowed is 0 < {name} < 1")
        if self.latency is not None and self.ratio is not None:
            raise ValueError("latency: allowed is either ratio or latency")
        if self.latency is None and self.scope == "latency":
            raise ValueError("scope: allowed is latency where the key latency is given, too")
        plugins.check_ranges(self, multiple=(0, 1024), steps=(1, 16), step=(0, self.steps))
        for name in ("keep", "samples"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: allowed is at least 1")

    @property
    def timed(self) -> bool:
        """Whether the target's clock decides."""
        return self.latency is not None

    def parts(self) -> tuple[Record, ...]:
        """The steps: the shares that stay after each are powers of the whole one."""
        if self.steps == 1 or self.step:
            return ()
        key, whole = ("ratio", 1 - self._gone) if self.latency is None else ("latency", self.latency)
        left = [whole ** (number / self.steps) for number in range(1, self.steps)] + [whole]
        return tuple(
            {"step": i + 1, key: round(1 - share if key == "ratio" else share, 6)} for i, share in enumerate(left)
        )

    @property
    def _gone(self) -> float:
        return 0.5 if self.ratio is None else self.ratio

    def requires(self, student: Student, context: Context) -> None:
        """Raise ExportError where there is nothing to prune (no weights before those of the head), or no clock."""
        scripted = [path for path, m in student.module.named_modules() if isinstance(m, torch.jit.ScriptModule)]
        if scripted:
            hint = "give the module that it was scripted from"
            raise ExportError("TorchScript can't lose channels", where="channel_prune", found=scripted[0], hint=hint)
        layers = [name for name, parameter in student.module.named_parameters() if parameter.ndim > 1]
        if len(layers) < 2:
            raise ExportError("nothing to prune before the head", where="channel_prune", found=layers)
        if self.timed:
            clock_of(context, "channel_prune.latency")

    def apply(self, student: Student, context: Context) -> Student:
        """The pruned student; its record holds the plan, plain data that ``replay`` follows, and what was measured."""
        groups, whole, network = pruning.find(student, context, self.criterion)
        first = self._first(student, groups)
        multiple = self.multiple or context.channel_multiple
        while True:
            if self.latency is not None:
                stay, about = self._in_time(student, context, groups, multiple, first, self.latency, network)
            else:
                stay, about = self._widths(groups, multiple, self._gone, first["widths"]), {}
            gone = {g.path: g.least(stay[g.path]) for g in groups}
            if not (bad := pruning.refused(student, gone, network)):
                break
            whole |= bad
            groups = [g for g in groups if g.path not in bad]
        module, plan = pruning.cut(student, gone, network)
        before = {g.path: first["widths"].get(g.path, g.size) for g in groups}
        if (
            not plan["parameters"]
            and self.step in (0, self.steps)
            and all(stay[path] == size for path, size in before.items())
        ):
            raise self._nothing(groups, multiple, whole)
        wanted = {} if self.timed else {path: round(size * (1 - self._gone), 2) for path, size in before.items()}
        record = {"kind": "channel_prune", "plan": plan, "first": first, **about}
        summary = told("channels", before, stay, wanted if self.scope == "uniform" else {}, whole)
        asked = {} if self.timed else {"asked": self._gone}
        return student.with_module(module, {**record, **asked, **summary})

    def _nothing(self, groups: Sequence[Group], multiple: int, whole: Mapping[str, str]) -> ExportError:
        """Why no layer loses a channel."""
        sizes = ", ".join(f"{g.path} {g.size}" for g in groups)
        others = f"; {pruning.told(whole)}" if whole else ""
        return ExportError(
            f"no layer can lose {units.share(self._gone, 0)} of its channels ({sizes}): where they keep a multiple of "
            f"{multiple}, and {self.keep} at least, all of them is the nearest{others}",
            where="channel_prune",
            hint="a larger ratio, or a smaller multiple or keep",
        )

    def _first(self, student: Student, groups: Sequence[Group]) -> Record:
        """How wide the network was before the first of the steps, and which share of its latency is left."""
        last = student.lineage[-1] if student.lineage and self.step > 1 else {}
        first: dict[str, object] = last.get("first", {"widths": {g.path: g.size for g in groups}, "share": 1.0})
        times = last.get("latency_ms")
        return {**first, "share": first["share"] * times["pruned"] / times["dense"]} if times else first

    def _step_of(self, group: Group, multiple: int) -> int:
        """What a group's channels are a multiple of: a layer narrower than two of the target's would stay whole."""
        while not self.multiple and multiple % 2 == 0 and group.size < 2 * multiple:
            multiple //= 2
        return math.lcm(multiple, group.parts)

    def _widths(
        self, groups: Sequence[Group], multiple: int, gone: float, first: Mapping[str, int] | None = None
    ) -> dict[str, int]:
        """How many channels of each group stay without a share of them, which counts from the ``first`` widths."""
        sizes = {g.path: (first or {}).get(g.path, g.size) for g in groups}
        steps = [self._step_of(g, multiple) for g in groups]
        fewest = [g.fewest(self.keep, step) for g, step in zip(groups, steps, strict=True)]
        wanted = {path: size * (1 - gone) for path, size in sizes.items()}
        if self.scope != "uniform":
            wanted = _worth(groups, sum(wanted.values()), fewest)
        wishes = [Wish(wanted[g.path], low, g.size, step) for g, low, step in zip(groups, fewest, steps, strict=True)]
        return dict(zip(sizes, spread(wishes), strict=True))

    def _in_time(
        self,
        student: Student,
        context: Context,
        groups: Sequence[Group],
        multiple: int,
        first: Mapping[str, Any],
        latency: float,
        network: Network,
    ) -> tuple[dict[str, int], Record]:
        """Widths that are as fast as wanted, and what was measured: milliseconds before, after, and of each group."""
        clock = clock_of(context, "channel_prune.latency")
        whole, share = {g.path: g.size for g in groups}, latency / first["share"]
        if share >= 1:
            return whole, {}

        def cut(stay: Mapping[str, int]) -> Student:
            return student.with_module(
                pruning.cut(student, {g.path: g.least(stay.get(g.path, g.size)) for g in groups}, network)[0]
            )

        about: dict[str, object] = {}
        if self.scope == "latency":
            allowed = {
                g.path: sorted({*range(g.fewest(self.keep, step), g.size, step), g.size})
                for g in groups
                if (step := self._step_of(g, multiple))
            }
            table = _latency.costs(student, groups, allowed, clock, cut)
            states = _latency.order(groups, allowed, table)
            about["costs"] = {path: {str(n): ms for n, ms in sorted(row.items())} for path, row in table.items()}
        else:
            states = [whole, *(self._widths(groups, multiple, i / GRID) for i in range(1, GRID))]
        states = _latency.distinct(states)
        stay, dense, pruned = _latency.fit(student, states, share, clock, cut, "channel_prune.latency")
        return stay, {"latency_ms": {"dense": dense, "pruned": pruned}, **about}

    def replay(self, student: Student, record: Record) -> Student:
        """The same structure from the plan; the weights are the caller's to load."""
        return student.with_module(pruning.follow(student, record["plan"]), record)

    def ensures(self, before: Student, after: Student) -> None:
        """As everywhere; of several steps one may find that the one before it went as far already."""
        if after.lineage[-1]["plan"]["parameters"] or not self.step:
            super().ensures(before, after)


def _worth(groups: Sequence[Group], total: float, fewest: Sequence[int]) -> dict[str, float]:
    """How many channels of each group stay where those go that are worth least, and ``total`` stay of all."""
    stay = {g.path: g.size for g in groups}
    scores = torch.cat([g.scores.double() for g in groups])
    owners = [i for i, g in enumerate(groups) for _ in range(len(g.scores))]
    over = sum(stay.values()) - total
    for at in torch.argsort(scores, stable=True).tolist():
        group = groups[owners[at]]
        if over < group.parts - 1e-4:
            break
        if stay[group.path] - group.parts >= fewest[owners[at]]:
            stay[group.path] -= group.parts
            over -= group.parts
    return dict(stay)
