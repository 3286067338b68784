"""What a network loses with a channel, to first order: gates of 1 on the inputs of layers, and the loss's slope there.

A channel is gone when everything that reads it reads zeros. With a gate g on every such input, the loss changes by
about -dL/dg, signed, which sums over several readers; its square, averaged over samples, is the importance (Molchanov
et al. 2019, arXiv:1906.10771, with the gates before the readers, where the activation function is counted in).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.conv import _ConvNd

from edgekd.base import plugins
from edgekd.compress._base import Context
from edgekd.compress._channels.asking import tensors
from edgekd.compress._channels.traced import OTHERS, SAMPLES, Arguments, Keywords
from edgekd.learn import nets
from edgekd.learn.student import Student, evaluated, joined
from edgekd.tasks import Heads

Criterion = Literal["magnitude", "taylor", "teacher"]
SOFTER = 2.0  # where there is no teacher, the student's own answers are divided by this: else there is no gradient


def gradients(
    student: Student, context: Context, criterion: Criterion, layers: Sequence[str], where: str
) -> Iterator[dict[str, Tensor]]:
    """For each calibration batch, by layer: (N, C) gradients of each sample's loss by gates on the layer's C inputs.

    The network is a copy in evaluation mode: BatchNorm keeps its statistics, dropout lets everything through. Memory
    does not grow with the number of batches. A layer that is called several times gives the sum; one that is never
    called, because other code multiplies with its weight, is left out.

    Args:
        criterion: ``taylor`` for the task's loss, ``teacher`` for that of distillation; both are the recipe's where
            answers are no classes of which one is right.
        layers: paths in ``student.module``, of convolutions (channels in dimension 1) and linear layers (in the last).
        where: the pass, for errors of the network.
    """
    module = evaluated(nets.twin(student.module)).requires_grad_(False)
    gates: dict[str, list[Gate]] = {}
    axes = _sample_axes(student.with_module(module), layers, where)
    handles = [
        module.get_submodule(path).register_forward_pre_hook(_put(gates, path, axes), with_kwargs=True)
        for path in layers
    ]
    heads = Heads({spec.name: int(spec.shape[1] or 1) for spec in student.outputs})
    try:
        for number, x in enumerate(context.calibration):
            gates.clear()
            with torch.enable_grad():
                logits = joined(plugins.call_user(module, where, *x))
                if criterion == "taylor" and context.exclusive:
                    loss = _task(logits, heads, _at(context.labels, number), _at(context.teacher, number))
                else:
                    loss = distillation(context, number, logits, logits.detach() / SOFTER)
                met = {path: list(gates.get(path, [])) for path in layers}  # checkpoints call layers once more below
                flat = [gate.factors for layer_gates in met.values() for gate in layer_gates]
                # A loss is a mean over its batch: times N, samples count alike in batches of all sizes.
                slopes: Sequence[Tensor | None] = [None] * len(flat)
                if flat and loss.requires_grad:
                    slopes = torch.autograd.grad(loss * len(logits), flat, allow_unused=True)
                gate_gradients = iter(slopes)
            yield {path: _summed(some, gate_gradients, len(logits)) for path, some in met.items() if some}
    finally:
        for handle in handles:
            handle.remove()


def distillation(context: Context, number: int, logits: Tensor, fallback: Tensor) -> Tensor:
    """What the recipe's losses on answers say of a batch; without any such loss, the divergence from the teacher.

    Args:
        number: which of the calibration's batches.
        fallback: what is learned from where there is no teacher yet.
    """
    target = _at(context.teacher, number)
    target = fallback if target is None else target
    if context.loss is not None:
        return context.loss(logits, target, _at(context.labels, number))
    if not context.exclusive:
        return functional.mse_loss(logits, target)
    return functional.kl_div(logits.log_softmax(1), target.log_softmax(1), log_target=True, reduction="batchmean")


class Gate(NamedTuple):
    """Ones that a layer's input is multiplied with: a number for each channel, and each position along another axis.

    Attributes:
        factors: (.., rows, .., C, ..); 1 along all other axes. Each sample has as many rows, the first one's first; or
            there is one row for the whole batch.
        channels: the axis of the C.
    """

    factors: Tensor
    channels: int


def _put(gates: dict[str, list[Gate]], path: str, axes: Mapping[tuple[str, int], int | None]) -> Any:
    def put(layer: nn.Module, args: Arguments, kwargs: Keywords) -> tuple[Arguments, Keywords]:
        x = next(tensors([args, kwargs]))
        shape, channels, samples = [1] * x.ndim, _channels(layer, x), axes.get((path, x.ndim))
        for axis in (channels, *(() if samples is None else (samples,))):
            shape[axis] = x.shape[axis]
        factors = torch.ones(shape, dtype=x.dtype, device=x.device, requires_grad=True)
        gates.setdefault(path, []).append(Gate(factors, channels))
        return ((x * factors, *args[1:]), kwargs) if args else (args, {**kwargs, "input": x * factors})

    return put


def _channels(layer: nn.Module, x: Tensor) -> int:
    """The axis of a layer's input that has its channels: a convolution's stand before as many axes as it has sizes."""
    sizes = len(layer.kernel_size) if isinstance(layer, _ConvNd) else 0
    return x.ndim - 1 - sizes


def _sample_axes(student: Student, layers: Sequence[str], where: str) -> dict[tuple[str, int], int | None]:
    """Along which axis samples lie in what each layer is given, by its path and the number of axes.

    It is the first that is longer with more samples, as much as they are more: of windows, and of steps that are rows
    of one table, there are many to a sample; where steps come first the samples are the second axis. None: no axis
    before that of the channels does, or another one in another call.
    """
    runs = [_shapes(student, count, layers, where) for count in (SAMPLES, OTHERS)]
    axes: dict[tuple[str, int], int | None] = {}
    for path in layers:
        for (one, channels), (other, _) in zip(*(run.get(path, []) for run in runs), strict=False):
            grow = (axis for axis in range(channels) if one[axis] * OTHERS == other[axis] * SAMPLES)
            axis = next(grow, None) if len(one) == len(other) else None
            key = path, len(one)
            axes[key] = axis if axes.get(key, axis) == axis else None
    return axes


def _shapes(
    student: Student, count: int, layers: Sequence[str], where: str
) -> dict[str, list[tuple[tuple[int, ...], int]]]:
    """By layer, for each call with so many samples: the shape of what it is given, and the axis of its channels."""
    shapes: dict[str, list[tuple[tuple[int, ...], int]]] = {}

    def look(path: str, layer: nn.Module, args: Arguments, kwargs: Keywords) -> None:
        x = next(tensors([args, kwargs]))
        shapes.setdefault(path, []).append((tuple(x.shape), _channels(layer, x)))

    with ExitStack() as hooks, torch.no_grad():
        for path in layers:
            part = student.module.get_submodule(path)
            hooks.callback(part.register_forward_pre_hook(partial(look, path), with_kwargs=True).remove)
        plugins.call_user(student.module, where, *student.example(count))
    return shapes


def _summed(gates: Sequence[Gate], gate_gradients: Iterator[Tensor | None], samples: int) -> Tensor:
    """The gradients of one layer's gates as one (N, C)."""
    rows = [  # the gates first: zip must not take a gradient that belongs to the next layer
        _rows(gate, torch.zeros_like(gate.factors) if grad is None else grad, samples).detach()
        for gate, grad in zip(gates, gate_gradients, strict=False)
    ]
    return torch.stack(rows).sum(0)


def _rows(gate: Gate, grad: Tensor, samples: int) -> Tensor:
    """A gate's gradient as (N, C); one that can't be told apart by samples counts as if they had equal shares of it."""
    rows = grad.reshape(-1, grad.shape[gate.channels])
    if len(rows) % samples:
        return rows.sum(0, keepdim=True).expand(samples, -1) / samples
    return rows.reshape(samples, -1, rows.shape[1]).sum(1)


def _task(logits: Tensor, heads: Heads, labels: Tensor | None, teacher: Tensor | None) -> Tensor:
    """Cross entropy, summed over the heads; without a label what the teacher answers counts, or the student itself.

    Args:
        heads: of classes of which one is right.
    """
    targets = logits.detach() if teacher is None else teacher
    answers = torch.as_tensor(heads.answers(targets.cpu().numpy()), device=logits.device).reshape(len(logits), -1)
    if labels is not None and not labels.is_floating_point():
        known = labels.reshape(len(logits), -1).long()
        if known.shape == answers.shape:  # else some head has none
            answers = torch.where(known >= 0, known, answers)
    parts = zip(logits.split(list(heads.values()), 1), answers.unbind(1), strict=True)
    return logits.sum() * 0.0 + sum(functional.cross_entropy(ours, answer) for ours, answer in parts)


def _at(batches: Sequence[Tensor] | None, number: int) -> Tensor | None:
    return None if batches is None else batches[number]


def squares(signed: Mapping[str, Tensor], sums: dict[str, Tensor]) -> None:
    """Add each name's (N, C) signed contributions to its (C,) sum of squares, in place."""
    for name, value in signed.items():
        squared = value.double().square().sum(0)
        sums[name] = sums[name] + squared if name in sums else squared
