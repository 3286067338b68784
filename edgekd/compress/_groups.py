"""The channels of a network that can only go together, and cutting some of them off.

Torch-Pruning's dependency graph (Fang et al. 2023, arXiv:2301.12900) says which layers share channels.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch_pruning
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from edgekd.compress._base import Context
from edgekd.compress._importance import Criterion, gradients, squares
from edgekd.errors import ExportError
from edgekd.learn import taps
from edgekd.learn.quiet import quiet
from edgekd.learn.student import Student

History = list[tuple[str, bool, list[int]]]


@dataclass(frozen=True)
class Group:
    """Channels that several layers share.

    Attributes:
        path: of the layer that stands for all of them.
        size: how many channels.
        parts: they go in sets of so many, one from each part: the groups of a convolution stay alike.
        scores: (size / parts,) importance of each set.
        alike: groups of equal layers on maps of equal size have equal ones: they cost the same.
    """

    path: str
    size: int
    parts: int
    scores: Tensor
    alike: tuple[str, ...] = ()

    def lost(self, kept: int) -> float:
        """The importance that goes where so many channels stay."""
        ranked: Tensor = self.scores.double().sort().values
        return float(ranked[: len(ranked) - kept // self.parts].sum())

    def least(self, kept: int) -> list[int]:
        """The channels to remove so that ``kept`` stay: the least important sets."""
        sets = self.size // self.parts
        gone = torch.argsort(self.scores, stable=True)[: sets - kept // self.parts].tolist()
        return sorted(i + part * sets for i in gone for part in range(self.parts))


def find(student: Student, context: Context, criterion: Criterion) -> list[Group]:
    """Every group but those of the layers that make the outputs, with the importance of its channels.

    Raises:
        ExportError: nothing that could be pruned changes the loss.
    """
    module = copy.deepcopy(student.module).train(False)
    with quiet():
        found = _groups(module, student)
        readers = {path: _readers(module, group) for path, group in found.items()}
        found = {path: group for path, group in found.items() if readers[path]}
        if criterion == "magnitude":
            scores = {path: _magnitude(group) for path, group in found.items()}
        else:
            scores = _first_order(student, context, criterion, found, readers)
        alike = _alike(module, student, found)
    return [Group(p, len(group[0].idxs), _parts(group), scores[p], alike[p]) for p, group in found.items()]


def cut(student: Student, gone: Mapping[str, Sequence[int]]) -> tuple[nn.Module, History]:
    """A copy of the network without some channels of each group, and the plan: plain data that ``follow`` replays."""
    module = copy.deepcopy(student.module).train(False)
    with quiet():
        graph = _graph(module, student)
        for path, channels in gone.items():
            layer = module.get_submodule(path)
            group = graph.get_pruning_group(layer, graph.get_pruner_of_module(layer).prune_out_channels, list(channels))
            if channels and graph.check_pruning_group(group):
                group.prune()
    return module, [(name, bool(out), [int(i) for i in index]) for name, out, index in graph.pruning_history()]


def follow(student: Student, plan: Sequence[Sequence[Any]]) -> nn.Module:
    """A copy of the network cut as a plan says."""
    module = copy.deepcopy(student.module).train(False)
    with quiet():
        _graph(module, student).load_pruning_history([(name, out, list(index)) for name, out, index in plan])
    return module


def _graph(module: nn.Module, student: Student) -> Any:
    return torch_pruning.DependencyGraph().build_dependency(module, student.example(1))


def _groups(module: nn.Module, student: Student) -> dict[str, Any]:
    """Torch-Pruning's groups by the path of their first layer, without those that make the outputs."""
    graph = _graph(module, student)
    names = {layer: path for path, layer in module.named_modules()}
    ignored = heads(student.with_module(module))
    found = {names[group[0].dep.target.module]: group for group in graph.get_all_groups(ignored_layers=ignored)}
    return {path: found[path] for path in names.values() if path in found}


def _readers(module: nn.Module, group: Any) -> list[tuple[str, Tensor, Tensor]]:
    """Who reads a group's channels: (path, which of its inputs, which channel each of them is)."""
    names, found = {layer: path for path, layer in module.named_modules()}, []
    for i, (dep, indices) in enumerate(group):
        layer, rows = dep.target.module, group[i].root_idxs
        depthwise = isinstance(layer, _ConvNd) and layer.groups == layer.in_channels > 1
        reads = torch_pruning.prune_conv_in_channels, torch_pruning.prune_linear_in_channels
        if isinstance(layer, _ConvNd | nn.Linear) and dep.handler in reads and not depthwise and None not in rows:
            found.append((names[layer], torch.tensor(indices), torch.tensor(rows)))
    return found


def _alike(module: nn.Module, student: Student, found: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """What tells the layers of a group apart in cost: kind, weights, stride, and the shape of what they are given."""
    shapes: dict[nn.Module, tuple[int, ...]] = {}

    def keep(layer: nn.Module, args: tuple[Any, ...]) -> None:
        shapes[layer] = tuple(args[0].shape)

    hooks = [m.register_forward_pre_hook(keep) for m in module.modules() if isinstance(m, _ConvNd | nn.Linear)]
    try:
        with torch.no_grad():
            module(*student.example(1))
    finally:
        for hook in hooks:
            hook.remove()
    made = {}
    for path, group in found.items():
        layers = [(dep.target.module, dep.handler.__name__) for dep, _ in group if dep.target.module in shapes]
        about = [(how, tuple(m.weight.shape), getattr(m, "stride", 1), shapes[m]) for m, how in layers]
        made[path] = tuple(sorted(map(str, about)))
    return made


def _parts(group: Any) -> int:
    """Of the grouped convolutions and GroupNorms that a group's channels pass, the most groups; depthwise is none."""
    found = [1]
    for dep, _ in group:
        layer = dep.target.module
        if isinstance(layer, nn.GroupNorm):
            found.append(layer.num_groups)
        if isinstance(layer, _ConvNd) and layer.groups != layer.out_channels:
            found.append(layer.groups)
    return max(found)


def _magnitude(group: Any) -> Tensor:
    """Squared norms of the weights of each channel over all layers of a group, over their mean (Li et al. 2017)."""
    found: Tensor = torch_pruning.importance.GroupMagnitudeImportance(p=2)(group)
    return found.view(_parts(group), -1).mean(0).cpu()


def _first_order(
    student: Student,
    context: Context,
    criterion: Criterion,
    found: Mapping[str, Any],
    readers: Mapping[str, list[tuple[str, Tensor, Tensor]]],
) -> dict[str, Tensor]:
    layers = sorted({path for group in readers.values() for path, _, _ in group})
    sums: dict[str, Tensor] = {}
    samples = 0
    for batch in gradients(student, context, criterion, layers, "channel_prune"):
        signed = {}
        for path, group in found.items():
            samples_here = len(next(iter(batch.values())))
            total = torch.zeros(samples_here, len(group[0].idxs))
            for reader, inputs, channels in readers[path]:
                total.index_add_(1, channels, batch[reader][:, inputs])
            signed[path] = total.view(samples_here, _parts(group), -1).sum(1)
        squares(signed, sums)
        samples += samples_here
    if not any(bool(value.any()) for value in sums.values()):
        raise ExportError(
            "no channel changes the loss", where="channel_prune.criterion", found=criterion, allowed="magnitude"
        )
    return {path: value / samples for path, value in sums.items()}


def heads(student: Student) -> list[nn.Module]:
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
