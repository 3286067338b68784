"""The channels of a network that can only go together, and cutting some of them off.

Torch-Pruning's dependency graph (Fang et al. 2023, arXiv:2301.12900) says which layers share channels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch_pruning
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import parametrize

from edgekd.base.errors import ExportError
from edgekd.compress import _graph, _trial
from edgekd.compress._base import Context
from edgekd.compress._graph import Pruning
from edgekd.compress._importance import Criterion, gradients, squares
from edgekd.learn import nets, taps
from edgekd.learn.quiet import quiet
from edgekd.learn.student import Student, evaluated

MOST = 0.95  # of a group's channels that may go
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

    def fewest(self, keep: int, step: int) -> int:
        """How many channels must stay: ``keep``, and a share, up to a multiple of the step."""
        return min(self.size, -(-max(keep, math.ceil(self.size * (1 - MOST))) // step) * step)

    def least(self, kept: int) -> list[int]:
        """The channels to remove so that ``kept`` stay: the least important sets."""
        sets = self.size // self.parts
        gone = torch.argsort(self.scores, stable=True)[: sets - kept // self.parts].tolist()
        return sorted(i + part * sets for i in gone for part in range(self.parts))


class Found(NamedTuple):
    """The groups that can lose channels, and why the others, by the path of their first layer, stay whole."""

    groups: list[Group]
    whole: dict[str, str]


def find(student: Student, context: Context, criterion: Criterion) -> Found:
    """Every group but those of the layers that make the outputs, with the importance of its channels.

    A group that loses channels must leave a network that runs and answers as if they were not read: see ``_trial``.

    Raises:
        ExportError: nothing that could be pruned changes the loss; or no group can lose channels, and why none.
    """
    module = still(student)
    with quiet():
        found, whole = _groups(module, student)
        readers = {path: _readers(module, group) for path, group in found.items()}
        sizes = {path: (len(group[0].idxs), _parts(group)) for path, group in found.items()}
        tried = {path: _trial.some(*size) for path, size in sizes.items()}
        tried = {path: gone for path, gone in tried.items() if gone}
        whole |= _trial.refused(student, tried, readers, {path for path in tried if _normed(found[path])}, cut)
        found = {path: found[path] for path in tried if path not in whole}
        scores, unknown = _magnitudes(found)
        whole |= unknown
        found = {path: found[path] for path in scores}
        if not found:
            raise ExportError(f"no layer can lose channels: {told(whole)}", where="channel_prune")
        if criterion != "magnitude":
            scores = _first_order(student, context, criterion, found, readers)
        alike = _alike(module, student, found)
    groups = [Group(path, *sizes[path], scores[path], alike[path]) for path in found]
    return Found(groups, whole)


def refused(student: Student, gone: Mapping[str, Sequence[int]]) -> dict[str, str]:
    """Why some groups can't lose these very channels after all, by group; the network runs without the others'."""
    return _trial.refused(student, {p: c for p, c in gone.items() if c}, {}, set(gone), cut)


def told(whole: Mapping[str, str]) -> str:
    """Which layers stay whole, and why, in words."""
    return "; ".join(f"{path}: {why}" for path, why in whole.items()) or "no layer before the outputs"


def still(student: Student) -> nn.Module:
    """A copy of the network in evaluation mode, whose graph can be walked: frozen layers have none."""
    module = evaluated(nets.twin(student.module))
    for parameter in module.parameters():
        parameter.requires_grad_(parameter.is_floating_point())
    return module


def cut(student: Student, gone: Mapping[str, Sequence[int]]) -> tuple[nn.Module, History]:
    """A copy of the network without some channels of each group, and the plan: plain data that ``follow`` replays."""
    module = still(student)
    with quiet():
        graph = _graph.build(module, student)
        for path, channels in gone.items():
            layer = module.get_submodule(path)
            group = graph.get_pruning_group(layer, graph.get_pruner_of_module(layer).prune_out_channels, list(channels))
            if channels and graph.check_pruning_group(group):
                group.prune()
    plan = [(name, bool(out), [int(i) for i in index]) for name, out, index in graph.pruning_history()]
    return _frozen_as(student, module), plan


def follow(student: Student, plan: Sequence[Sequence[Any]]) -> nn.Module:
    """A copy of the network cut as a plan says."""
    module = still(student)
    with quiet():
        _graph.build(module, student).load_pruning_history([(name, out, list(index)) for name, out, index in plan])
    return _frozen_as(student, module)


def _frozen_as(student: Student, module: nn.Module) -> nn.Module:
    frozen = {name for name, parameter in student.module.named_parameters() if not parameter.requires_grad}
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name not in frozen and parameter.is_floating_point())
    return module


def _groups(module: nn.Module, student: Student) -> tuple[dict[str, Pruning], dict[str, str]]:
    """Torch-Pruning's groups by the path of their first layer, without those that make the outputs; and why others
    can't be had. One layer that it can't follow must not hide all others, as in its own list of all groups.
    """
    try:
        graph = _graph.build(module, student)
    except _trial.FAILURES as err:
        why = f"the channels can't be followed through the network: {_trial.words(err)}"
        raise ExportError(why, where="channel_prune") from err
    names = {layer: path for path, layer in module.named_modules()}
    ignored = set(heads(student.with_module(module)))
    seen: set[nn.Module] = set()
    found: dict[str, object] = {}
    whole: dict[str, str] = {}
    for layer in _graph.layers(graph):
        if layer in seen | ignored or layer not in names:
            continue
        path, pruner = names[layer], graph.get_pruner_of_module(layer)
        try:
            channels = list(range(pruner.get_out_channels(layer)))
            group = graph.get_pruning_group(layer, pruner.prune_out_channels, channels)
        except _trial.FAILURES as err:
            whole[path] = f"its channels can't be followed ({_trial.words(err)})"
            continue
        members = {dep.target.module for dep, _ in group if graph.is_out_channel_pruning_fn(dep.handler)}
        seen |= members
        if members & ignored:
            continue
        if (unfit := _unfit(module, group)) is None:
            found[path] = group
        else:
            whole[path] = unfit
    order = [path for path in names.values() if path in found]
    return {path: found[path] for path in order}, {path: whole[path] for path in names.values() if path in whole}


def _unfit(module: nn.Module, group: Pruning) -> str | None:
    """Why a group can't lose channels, as far as its layers tell."""
    for dep, _ in group:
        layer = dep.target.module
        if isinstance(layer, nn.Module) and (
            parametrize.is_parametrized(layer) or {"weight_g", "weight_orig"} & {n for n, _ in layer.named_parameters()}
        ):
            return "a weight is computed from others (weight_norm or another parametrization)"
    if len(group[0].idxs) % _parts(group):
        return "its channels don't divide into the groups of a layer that reads them"
    if not _readers(module, group):
        return "no convolution or linear layer alone reads its channels"
    return None


def _normed(group: Pruning) -> bool:
    """Whether channels are normalised together: without some of them the others answer otherwise."""
    return any(isinstance(dep.target.module, nn.GroupNorm | nn.LayerNorm | nn.RMSNorm) for dep, _ in group)


def _readers(module: nn.Module, group: Pruning) -> list[tuple[str, Tensor, Tensor]]:
    """Who reads a group's channels: (path, which of its inputs, which channel each of them is)."""
    names, found = {layer: path for path, layer in module.named_modules()}, []
    for i, (dep, indices) in enumerate(group):
        layer, rows = dep.target.module, group[i].root_idxs
        depthwise = isinstance(layer, _ConvNd) and layer.groups == layer.in_channels > 1
        reads = torch_pruning.prune_conv_in_channels, torch_pruning.prune_linear_in_channels
        if isinstance(layer, _ConvNd | nn.Linear) and dep.handler in reads and not depthwise and None not in rows:
            found.append((names[layer], torch.tensor(indices), torch.tensor(rows)))
    return found


def _alike(module: nn.Module, student: Student, found: Mapping[str, Pruning]) -> dict[str, tuple[str, ...]]:
    """What tells the layers of a group apart in cost: kind, weights, stride, and the shape of what they are given."""
    shapes: dict[nn.Module, tuple[int, ...]] = {}

    def keep(layer: nn.Module, args: tuple[Tensor, ...]) -> None:
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


def _parts(group: Pruning) -> int:
    """Of the grouped convolutions, GroupNorms and attention heads that a group passes, the most; depthwise is none."""
    found = [1]
    for dep, _ in group:
        layer = dep.target.module
        if isinstance(layer, nn.GroupNorm):
            found.append(layer.num_groups)
        if isinstance(layer, nn.MultiheadAttention):
            found.append(layer.num_heads)
        if isinstance(layer, _ConvNd) and layer.groups != layer.out_channels:
            found.append(layer.groups)
    return max(found)


def _magnitudes(found: Mapping[str, object]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Of each group; and why others have none: numbered past their end (a shortcut padded with channels), or with a
    norm over more than channels.
    """
    scores: dict[str, Tensor] = {}
    unknown = {}
    for path, group in found.items():
        try:
            scores[path] = _magnitude(group)
        except _trial.FAILURES as err:
            unknown[path] = f"its channels can't be told apart in all layers that share them ({_trial.words(err)})"
    return scores, unknown


def _magnitude(group: object) -> Tensor:
    """Squared norms of the weights of each channel over all layers of a group, over their mean (Li et al. 2017)."""
    found: Tensor = torch_pruning.importance.GroupMagnitudeImportance(p=2)(group)
    return found.view(_parts(group), -1).mean(0).cpu()


def _first_order(
    student: Student,
    context: Context,
    criterion: Criterion,
    found: Mapping[str, Pruning],
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
        if isinstance(m, _ConvNd | nn.Linear)
    ]
    try:
        with torch.no_grad():
            made = evaluated(network)(*student.example())
    finally:
        for hook in hooks:
            hook.remove()
    return order[-1 if isinstance(made, torch.Tensor) else -len(student.outputs) :]
