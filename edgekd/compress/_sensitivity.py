"""How much each layer's rounding alone moves the answers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from edgekd.compress._prepared import QatModule
from edgekd.learn.student import joined

SAMPLES = 64


def sensitivity(
    module: QatModule,
    batches: Sequence[tuple[Tensor, ...]],
    heads: Sequence[int],
    teacher: Sequence[Tensor] | None = None,
    *,
    exclusive: bool = True,
) -> dict[str, float]:
    """Of each quantized layer, what rounding its weight and its input, and nothing else, does to the answers.

    The mean over samples and heads of the Kullback-Leibler divergence, in nats, of the answers from the float
    student's; with a teacher: by how much they are farther from the teacher's than the float student's, which may be
    below zero. A head with one value, or that is of no classes: the squared difference instead.

    Args:
        batches: of model inputs, of which the first are used.
        heads: how many columns of the answers each has.
        teacher: (n, C) logits of each batch.
        exclusive: whether answers are of classes of which one is right.
    """
    module.eval()
    some: list[tuple[Tensor, ...]] = []
    for batch in batches:
        some.append(batch)
        if sum(len(x[0]) for x in some) >= SAMPLES:
            break
    try:
        exact = _answers(module, some, ())
        wanted = exact if teacher is None else torch.cat([teacher[i] for i in range(len(some))])
        measure = partial(_distance, heads=heads, exclusive=exclusive)
        base = measure(wanted, exact)
        sensitivities = {path: measure(wanted, _answers(module, some, (path,))) - base for path in module.layers}
    finally:
        module.round_only(None)
    return {path: float(f"{value:.4g}") for path, value in sensitivities.items()}


def most_sensitive(sensitivities: dict[str, float], count: int) -> list[str]:
    """The paths of so many layers, the most sensitive first; of equals the one that comes first in the network."""
    return sorted(sensitivities, key=lambda path: -sensitivities[path])[:count]


def _answers(module: QatModule, batches: Sequence[tuple[Tensor, ...]], layers: Sequence[str]) -> Tensor:
    module.round_only(layers)
    with torch.no_grad():
        return torch.cat([joined(module(*batch)) for batch in batches])


def _distance(wanted: Tensor, got: Tensor, heads: Sequence[int], exclusive: bool) -> float:
    total = 0.0
    for size, p, q in zip(heads, wanted.split(list(heads), dim=1), got.split(list(heads), dim=1), strict=True):
        if size == 1 or not exclusive:
            total += float(F.mse_loss(q, p))
        else:
            p, q = F.log_softmax(p.double(), dim=1), F.log_softmax(q.double(), dim=1)
            total += float(F.kl_div(q, p, reduction="batchmean", log_target=True))
    return total / len(heads)
