"""What a training's loss says of whether there is anything left to train."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from edgekd.base.errors import DivergedError
from edgekd.learn.checkpoint import EpochLosses

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


def check_sane(record: EpochLosses, first: float, where: str, most: float) -> None:
    """A finite loss that is many times what the first epoch began with is divergence as well: DivergedError."""
    if record["loss"] > RAN_AWAY * max(first, 1.0):
        raise DivergedError(
            f"training diverged in epoch {record['epoch'] + 1}: the loss is {record['loss']:.3g}, "
            f"in the first epoch it was {first:.3g}",
            where=where,
            hint=f"try a smaller lr than {most:g}",
        )
