"""Structured pruning: whole channels go, so every runtime gets faster without knowing of it.

Which channels go together: see ``_groups``; what each is worth: ``_importance``. The accuracy comes back by
distillation afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from edgekd.compress import _groups
from edgekd.compress._base import Context
from edgekd.compress._groups import Group
from edgekd.compress._importance import Criterion
from edgekd.compress._structure import SAMPLES, Structural
from edgekd.errors import ExportError
from edgekd.learn.student import Student

MOST = 0.95  # of a layer's channels that may go


@dataclass(frozen=True)
class ChannelPrune(Structural):
    """Remove a share of the channels.

    Attributes:
        ratio: share of the channels that goes, 0 < ratio < 1; rounded so that a multiple of ``multiple`` stays.
        scope: ``uniform`` takes the share from every layer, ``global`` where the channels are worth least.
        criterion: what a channel is worth: the ``magnitude`` of its weights (Li et al. 2017, arXiv:1608.08710); to
            first order what the loss on the labels loses without it (``taylor``, Molchanov et al. 2019,
            arXiv:1906.10771); or what the recipe's losses against the ``teacher`` lose.
        keep: channels that stay in every layer at least.
        multiple: channels that stay are a multiple of this; 0: of the target's ``channel_multiple``.
        samples: of the training data, 1 or more, that ``taylor`` and ``teacher`` look at.
    """

    ratio: float = 0.5
    scope: Literal["uniform", "global"] = "uniform"
    criterion: Criterion = "magnitude"
    keep: int = 8
    multiple: int = 0
    samples: int = SAMPLES

    def __post_init__(self) -> None:
        if not 0 < self.ratio < 1:
            raise ValueError("ratio: allowed is 0 < ratio < 1")
        if not 0 <= self.multiple <= 1024:
            raise ValueError("multiple: allowed is 0 to 1024")
        for name in ("keep", "samples"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: allowed is at least 1")

    def requires(self, student: Student, context: Context) -> None:
        """Raise ExportError where there is nothing to prune: no Conv2d or Linear before the head."""
        layers = [name for name, m in student.module.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        if len(layers) < 2:
            raise ExportError("nothing to prune before the head", where="channel_prune", found=layers)

    def apply(self, student: Student, context: Context) -> Student:
        """The pruned student; its record holds the plan, plain data that ``replay`` follows."""
        groups = _groups.find(student, context, self.criterion)
        multiple = self.multiple or context.channel_multiple
        stay = self._widths(groups, multiple)
        module, plan = _groups.cut(student, {g.path: g.least(stay[g.path]) for g in groups})
        if not plan:
            raise ExportError(
                f"no layer can lose {self.ratio:.0%} of its channels and keep a multiple of {multiple}",
                where="channel_prune",
            )
        return student.with_module(module, {"kind": "channel_prune", "plan": [list(entry) for entry in plan]})

    def _widths(self, groups: Sequence[Group], multiple: int) -> dict[str, int]:
        """How many channels of each group stay."""
        sets = torch.cat([g.scores for g in groups]) if groups else torch.zeros(0)
        count = len(sets) - int(len(sets) * (1 - self.ratio))
        worst = float(sets.sort().values[count - 1]) if count else -1.0
        stay = {}
        for g in groups:
            share = int(len(g.scores) * (1 - self.ratio))
            kept = share if self.scope == "uniform" else int((g.scores > worst).sum())
            stay[g.path] = _rounded(g, kept * g.parts, multiple, self.keep)
        return stay

    def replay(self, student: Student, record: dict[str, Any]) -> Student:
        """The same structure from the plan; the weights are the caller's to load."""
        return student.with_module(_groups.follow(student, record["plan"]), record)


def _rounded(group: Group, kept: int, multiple: int, keep: int) -> int:
    """So many channels of a group, down to a multiple, but never fewer than what has to stay."""
    step = math.lcm(multiple, group.parts)
    least = max(keep, math.ceil(group.size * (1 - MOST)))
    return min(group.size, max(kept // step * step, -(-least // step) * step))
