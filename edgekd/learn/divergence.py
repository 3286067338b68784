"""What a training's loss says of whether there is anything left to train."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from edgekd.base.errors import DivergedError
from edgekd.learn.checkpoint import EpochLosses
from edgekd.learn.terms import Term
from edgekd.spec.recipe import Schedule

DIVERGED = 1e4
RAN_AWAY = 20.0


def check_finite(
    total: Tensor, parts: dict[str, Tensor], where: str, most: float, place: tuple[int, int, float]
) -> None:
    """Raise DivergedError where the loss of a step is none.

    Args:
        total: of all losses; parts: each by name.
        most: the schedule's learning rate.
        place: the epoch, the step and its learning rate.
    """
    if bool(torch.isfinite(total)) and float(total.detach()) < DIVERGED:
        return
    epoch, step, lr = place
    values = {name: float(part.detach()) for name, part in parts.items()}
    bad = [name for name, value in values.items() if not math.isfinite(value)] or [max(values, key=lambda k: values[k])]
    too_large = epoch == step == 0 and math.isfinite(values[bad[0]])
    smaller_lr = f"try a smaller lr than {most:g}"
    raise DivergedError(
        f"training diverged in epoch {epoch + 1}, step {step + 1}, at lr {lr:.2g}: {bad[0]} is {values[bad[0]]:.3g}",
        where=where,
        hint="nothing is trained yet: scale the outputs, or give the loss a weight" if too_large else smaller_lr,
    )


def check_sane(
    history: Sequence[EpochLosses], terms: Sequence[Term], schedule: Schedule, batches: int, where: str
) -> None:
    """A finite loss that is many times what it was in the first epoch in which it counted is divergence as well.

    Each for itself: one that begins later, or counts for more and more, adds to a sum that never held it.

    Args:
        history: of the epochs so far; the last is looked at.
        batches: of an epoch.

    Raises:
        DivergedError: one ran away; names it.
    """
    last = history[-1]
    for term in terms:
        weights = [_most(term, record["epoch"], schedule.epochs, batches) for record in history]
        if not (weight := weights[-1]):
            continue
        first = next(record for record, counts in zip(history, weights, strict=True) if counts)["losses"][term.name]
        value = last["losses"][term.name]
        if not weight * value <= RAN_AWAY * max(weight * first, 1.0):  # NaN is not, either
            raise DivergedError(
                f"training diverged in epoch {last['epoch'] + 1}: {term.name} is {value:.3g}, "
                f"in the first epoch in which it counted it was {first:.3g}",
                where=where,
                hint=f"try a smaller lr than {schedule.lr:g}",
            )


def _most(term: Term, epoch: int, epochs: int, batches: int) -> float:
    """The largest weight of a term in an epoch: it goes in a straight line."""
    first, last = (step / (epochs * batches) for step in (epoch * batches, (epoch + 1) * batches - 1))
    begin, end = max(first, term.start), min(last, term.stop)
    return max(map(term.weight_at, (begin, end))) if begin <= end else 0.0
