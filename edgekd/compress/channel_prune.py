"""Structured pruning: whole channels go, so every runtime gets faster without knowing of it.

Torch-Pruning's dependency graph (Fang et al. 2023, arXiv:2301.12900) says which channels go together; the policy is
the group's weight magnitude (Li et al. 2017, arXiv:1608.08710). The accuracy comes back by distillation afterwards.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch_pruning
from torch import nn

from edgekd.compress._base import Context
from edgekd.compress._structure import Structural
from edgekd.errors import ExportError
from edgekd.learn import taps
from edgekd.learn.quiet import quiet
from edgekd.learn.student import Student


@dataclass(frozen=True)
class ChannelPrune(Structural):
    """Remove a share of the channels.

    Attributes:
        ratio: share of the channels that goes, 0 < ratio < 1; rounded so that a multiple of the target's
            ``channel_multiple`` stays.
        scope: ``uniform`` takes the share from every layer, ``global`` where the weights are smallest.
        keep: channels that stay in every layer at least.
    """

    ratio: float = 0.5
    scope: Literal["uniform", "global"] = "uniform"
    keep: int = 8

    def __post_init__(self) -> None:
        if not 0 < self.ratio < 1:
            raise ValueError("ratio: allowed is 0 < ratio < 1")
        if self.keep < 1:
            raise ValueError("keep: allowed is at least 1")

    def requires(self, student: Student, context: Context) -> None:
        """Raise ExportError where there is nothing to prune: no Conv2d or Linear before the head."""
        layers = [name for name, m in student.module.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        if len(layers) < 2:
            raise ExportError("nothing to prune before the head", where="channel_prune", found=layers)

    def apply(self, student: Student, context: Context) -> Student:
        """The pruned student; its record holds the plan, plain data that ``replay`` follows."""
        module = copy.deepcopy(student.module).train(False)
        with quiet():
            pruner = torch_pruning.BasePruner(
                module,
                student.example(1),
                importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
                global_pruning=self.scope == "global",
                pruning_ratio=self.ratio,
                max_pruning_ratio=0.95,
                ignored_layers=_heads(student.with_module(module)),
                round_to=context.channel_multiple,
            )
            for group in pruner.step(interactive=True):
                if self._allowed(group):
                    group.prune()
        history = [[name, bool(out), [int(i) for i in index]] for name, out, index in pruner.pruning_history()]
        if not history:
            raise ExportError(
                f"no layer can lose {self.ratio:.0%} of its channels and keep a multiple of {context.channel_multiple}",
                where="channel_prune",
            )
        return student.with_module(module, {"kind": "channel_prune", "plan": history})

    def _allowed(self, group: Any) -> bool:
        layer = group[0].dep.target.module
        outputs = layer.out_channels if isinstance(layer, nn.Conv2d) else getattr(layer, "out_features", 0)
        return bool(outputs - len(group[0].idxs) >= self.keep)

    def replay(self, student: Student, record: dict[str, Any]) -> Student:
        """The same structure from the plan; the weights are the caller's to load."""
        module = copy.deepcopy(student.module).train(False)
        with quiet():
            graph = torch_pruning.DependencyGraph().build_dependency(module, student.example(1))
            graph.load_pruning_history([(name, out, list(index)) for name, out, index in record["plan"]])
        return student.with_module(module, record)


def _heads(student: Student) -> list[nn.Module]:
    """The layers that make the outputs: the last convolutions or linear layers of the forward pass.

    One for each output, but for scores of several heads that are parted afterwards: one layer makes them all.
    """
    order: list[nn.Module] = []
    network = taps.network(student.module)
    hooks = [
        m.register_forward_hook(lambda module, args, out: order.append(module))
        for m in student.module.modules()
        if isinstance(m, nn.Conv2d | nn.Linear)
    ]
    try:
        with torch.no_grad():
            made = network.eval()(*student.example())
    finally:
        for hook in hooks:
            hook.remove()
    return order[-1 if isinstance(made, torch.Tensor) else -len(student.outputs) :]
