"""The channels of a network that can only go together, and cutting some of them off.

What goes together is read from the operators that the network really calls: see ``tracing``. What was read is tried
before it is believed: see ``trials``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from edgekd.base.errors import ExportError
from edgekd.compress._base import Context
from edgekd.compress._channels import attention, surgery, trials
from edgekd.compress._channels.network import Network, read, still
from edgekd.compress._channels.surgery import Plan
from edgekd.compress._channels.traced import named_tensors
from edgekd.compress._channels.units import Family
from edgekd.compress._importance import Criterion, gradients, squares
from edgekd.learn import taps
from edgekd.learn.student import Student, evaluated

MOST = 0.95  # of a group's channels that may go
UNREAD = "no convolution or linear layer alone reads its channels"


@dataclass(frozen=True)
class Group:
    """Channels that several layers share.

    Attributes:
        path: of the layer that makes them; further groups of one layer have a number behind it.
        sets: (size / parts, parts) channels of that layer that can only go together: of a grouped convolution one of
            each of its groups.
        scores: (size / parts,) importance of each set.
        alike: groups of equal layers on maps of equal size have equal ones: they cost the same.
    """

    path: str
    sets: NDArray[np.int64]
    scores: Tensor
    alike: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many channels."""
        return int(self.sets.size)

    @property
    def parts(self) -> int:
        """How many channels a set has."""
        return int(self.sets.shape[1])

    def lost(self, kept: int) -> float:
        """The importance that goes where so many channels stay."""
        ranked: Tensor = self.scores.double().sort().values
        return float(ranked[: len(ranked) - kept // self.parts].sum())

    def fewest(self, keep: int, step: int) -> int:
        """How many channels must stay: ``keep``, and a share, up to a multiple of the step."""
        return min(self.size, -(-max(keep, math.ceil(self.size * (1 - MOST))) // step) * step)

    def least(self, kept: int) -> list[int]:
        """The channels to remove so that ``kept`` stay: the least important sets."""
        gone = torch.argsort(self.scores, stable=True)[: len(self.sets) - kept // self.parts].tolist()
        return sorted(self.sets[gone].ravel().tolist())


class Found(NamedTuple):
    """The groups that can lose channels, and why the others, by the path of their first layer, stay whole.

    ``network``: the student's as it was read, for ``refused`` and ``cut``: reading it takes two runs.
    """

    groups: list[Group]
    whole: dict[str, str]
    network: Network


def find(student: Student, context: Context, criterion: Criterion) -> Found:
    """Every group but those of the layers that make the outputs, with the importance of its channels.

    A group that loses channels must leave a network that runs and answers as if they were not read: see ``trials``.

    Raises:
        ExportError: nothing that could be pruned changes the loss; or no group can lose channels, and why none.
    """
    module = still(student)
    network = read(student)
    whole = dict(network.whole)
    families = network.families
    tried = {path: some for path, family in families.items() if (some := _some(family))}
    readers = {path: _readers(module, families[path]) for path in tried}
    if criterion != "magnitude":
        whole |= {path: UNREAD for path in tried if not readers[path]}
        tried = {path: some for path, some in tried.items() if readers[path]}
    whole |= trials.refused(student, tried, network)
    left = {path: families[path] for path in tried if path not in whole}
    scores: dict[str, Tensor] = {}
    if criterion == "magnitude":
        scores = {path: _magnitude(module, family) for path, family in left.items()}
    elif left:
        scores = _first_order(student, context, criterion, left, readers)
        whole |= {path: UNREAD for path in left if path not in scores}
        left = {path: family for path, family in left.items() if path in scores}
    if not left:
        raise ExportError(f"no layer can lose channels: {told(whole)}", where="channel_prune")
    alike = _alike(module, student, left)
    groups = [Group(path, family.positions, scores[path], alike[path]) for path, family in left.items()]
    return Found(groups, whole, network)


def _some(family: Family) -> list[int]:
    """The first third of a group's channels: whatever counts channels notices."""
    sets = len(family.positions)
    gone = min(max(1, sets // 3), sets - 1)
    return sorted(family.positions[:gone].ravel().tolist())


def refused(student: Student, gone: Mapping[str, Sequence[int]], network: Network) -> dict[str, str]:
    """Why some groups can't lose these very channels after all, by group; the network runs without the others'."""
    return trials.refused(student, {p: c for p, c in gone.items() if c}, network)


def told(whole: Mapping[str, str]) -> str:
    """Which layers stay whole, and why, in words."""
    return "; ".join(f"{path}: {why}" for path, why in whole.items()) or "no layer before the outputs"


def cut(student: Student, gone: Mapping[str, Sequence[int]], network: Network) -> tuple[nn.Module, Plan]:
    """A copy of the network without some channels of each group, and the plan: plain data that ``follow`` replays.

    The network's own calls are told their sizes only where it does not do without.
    """
    taken = {path: lost for path, lost in gone.items() if lost}
    plan, _ = trials.Trial(student, taken, network).plan(list(taken))
    return follow(student, plan), plan


def follow(student: Student, plan: Plan) -> nn.Module:
    """A copy of the network cut as a plan says."""
    return surgery.without(still(student), plan)


def _readers(module: nn.Module, family: Family) -> list[tuple[str, Tensor, Tensor]]:
    """The convolutions and linear layers that read a group: (path, which of its inputs, which set each of them is)."""
    readers = []
    for name, at in sorted(family.reads):
        path = name.removesuffix(".weight")
        layer = module.get_submodule(path) if name.endswith(".weight") else None
        if not isinstance(layer, _ConvNd | nn.Linear) or at != (0 if isinstance(layer, _ConvTransposeNd) else 1):
            continue
        places = family.places[name, at]
        inputs, sets = torch.tensor(places.ravel()), torch.arange(len(places)).repeat_interleave(places.shape[1])
        groups = 1 if isinstance(layer, nn.Linear | _ConvTransposeNd) else layer.groups
        width = layer.weight.shape[1]
        for group in range(groups):  # of a grouped convolution each group reads such inputs
            readers.append((path, inputs + group * width, sets))
    return readers


def _alike(module: nn.Module, student: Student, families: Mapping[str, Family]) -> dict[str, tuple[str, ...]]:
    """What tells the layers of a group apart in cost: kind, weights, stride, and the shape of what they are given."""
    shapes: dict[str, tuple[int, ...]] = {}

    def keep(path: str) -> Any:
        def hook(layer: nn.Module, args: tuple[Any, ...]) -> None:
            if args:
                shapes[path] = tuple(args[0].shape)

        return hook

    layers = {path: m for path, m in module.named_modules() if isinstance(m, _ConvNd | nn.Linear)}
    hooks = [layer.register_forward_pre_hook(keep(path)) for path, layer in layers.items()]
    try:
        with torch.no_grad():
            module(*student.example(1))
    finally:
        for hook in hooks:
            hook.remove()
    signatures = {}
    for path, family in families.items():
        about = []
        for name, at in family.places:
            path_of_layer, _, parameter = name.rpartition(".")
            if parameter == "weight" and path_of_layer in shapes:
                layer = layers[path_of_layer]
                about.append((at, tuple(layer.weight.shape), getattr(layer, "stride", 1), shapes[path_of_layer]))
        signatures[path] = tuple(sorted(map(str, about)))
    return signatures


def _magnitude(module: nn.Module, family: Family) -> Tensor:
    """Squared norms of the weights of each set over all layers of a group, over their mean (Li et al. 2017).

    Each layer counts alike. (sets,)
    """
    state, layers = named_tensors(module), []
    for (name, at), places in family.places.items():
        weight = state[name]
        if weight.ndim < 2 and not _scales(module, name):
            continue  # biases and running statistics
        rows = weight.detach().float().cpu().movedim(at, 0)
        rows = rows.reshape(len(rows), -1).square().sum(1)
        layers.append(rows[torch.tensor(places)].mean(1))
    scores = torch.stack(layers).mean(0)
    return scores / scores.mean().clamp_min(1e-30)


def _scales(module: nn.Module, name: str) -> bool:
    """Whether a parameter is the weight of a BatchNorm."""
    path, _, parameter = name.rpartition(".")
    return parameter == "weight" and isinstance(module.get_submodule(path), nn.modules.batchnorm._BatchNorm)


def _first_order(
    student: Student,
    context: Context,
    criterion: Criterion,
    families: Mapping[str, Family],
    readers: Mapping[str, list[tuple[str, Tensor, Tensor]]],
) -> dict[str, Tensor]:
    """The importance of each set of each group that a layer reads which the network calls; (sets,) a group."""
    layers = sorted({path for path_of in families for path, _, _ in readers[path_of]})
    sums: dict[str, Tensor] = {}
    samples = 0
    plain = student.with_module(still(student))
    for part in plain.module.modules():
        # Torch's own multiplies with the weight of ``out_proj`` and never calls it.
        if isinstance(part, nn.MultiheadAttention) and attention.can_be_freed(part):
            attention.freed(part)
    for batch in gradients(plain, context, criterion, layers, "channel_prune"):
        signed = {}
        samples_here = max((len(rows) for rows in batch.values()), default=0)
        for path, family in families.items():
            called = [(batch[reader], inputs, sets) for reader, inputs, sets in readers[path] if reader in batch]
            if not called:
                continue
            total = torch.zeros(samples_here, len(family.positions))
            for gradient, inputs, sets in called:
                total.index_add_(1, sets, gradient[:, inputs])
            signed[path] = total
        squares(signed, sums)
        samples += samples_here
    if not sums:
        return {}
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
            outputs = evaluated(network)(*student.example())
    finally:
        for hook in hooks:
            hook.remove()
    return order[-1 if isinstance(outputs, torch.Tensor) else -len(student.outputs) :]
