"""What a network loses with a channel, to first order: gates of 1 on the inputs of layers, and the loss's slope there.

A channel is gone when everything that reads it reads zeros. With a gate g on every such input, the loss changes by
about -dL/dg, signed, which sums over several readers; its square, averaged over samples, is the importance (Molchanov
et al. 2019, arXiv:1906.10771, with the gates before the readers, where the activation function is counted in).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekd.base import plugins
from edgekd.compress._base import Context
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
    does not grow with the number of batches. A layer that is called several times gives the sum.

    Args:
        criterion: ``taylor`` for the task's loss, ``teacher`` for that of distillation; both are the recipe's where
            answers are no classes of which one is right.
        layers: paths in ``student.module``, of convolutions (channels in dimension 1) and linear layers (in the last).
        where: the pass, for errors of the network.
    """
    module = evaluated(nets.twin(student.module)).requires_grad_(False)
    gates: dict[str, list[Tensor]] = {}
    handles = [module.get_submodule(path).register_forward_pre_hook(_gate(gates, path)) for path in layers]
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
                flat = [gate for layer_gates in met.values() for gate in layer_gates]
                # A loss is a mean over its batch: times N, samples count alike in batches of all sizes.
                gate_gradients = iter(torch.autograd.grad(loss * len(logits), flat, allow_unused=True))
            yield {path: _summed(layer_gates, gate_gradients) for path, layer_gates in met.items()}
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


def _gate(gates: dict[str, list[Tensor]], path: str) -> Any:
    def put(layer: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        x, *rest = args
        shape = [len(x), *[1] * (x.ndim - 1)]
        at = x.ndim - 1 if isinstance(layer, nn.Linear) else 1
        shape[at] = x.shape[at]
        gate = torch.ones(shape, dtype=x.dtype, device=x.device, requires_grad=True)
        gates.setdefault(path, []).append(gate)
        return (x * gate, *rest)

    return put


def _summed(gates: Sequence[Tensor], gate_gradients: Iterator[Tensor | None]) -> Tensor:
    """The gradients of one layer's gates, each (N, ..1.., C, ..1..), as one (N, C)."""
    parts = [
        torch.zeros_like(gate) if grad is None else grad for gate, grad in zip(gates, gate_gradients, strict=False)
    ]  # the gates first: zip must not take a gradient that belongs to the next layer
    return torch.stack([part.detach().flatten(1) for part in parts]).sum(0) if parts else torch.zeros(0, 0)


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
