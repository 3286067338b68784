"""What a training steps by: the optimizer of a schedule, and its rate at each step."""

from __future__ import annotations

import math

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from edgekd.spec.recipe import Schedule


def make_optimizer(module: nn.Module, schedule: Schedule) -> Optimizer:
    """AdamW, or SGD with Nesterov momentum. BatchNorm and biases (vectors) are not decayed."""
    named = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in named if p.ndim > 1], "weight_decay": schedule.weight_decay},
        {"params": [p for p in named if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if schedule.optimizer == "sgd":
        return SGD(groups, lr=schedule.lr, momentum=0.9, nesterov=True)
    return AdamW(groups, lr=schedule.lr)


def learning_rate(schedule: Schedule, step: int, steps: int) -> float:
    """The rate of a step: a linear warm-up over the first share of the steps, then the chosen shape.

    cosine falls to zero; one_cycle rises over the first 30 % and falls to zero; constant stays.
    """
    warm = 0.3 if schedule.schedule == "one_cycle" else schedule.warmup
    done = (step + 1) / steps
    if done < warm:
        return schedule.lr * done / warm
    if schedule.schedule == "constant":
        return schedule.lr
    share = (step / steps - warm) / (1 - warm) if warm < 1 else 0.0
    return schedule.lr * 0.5 * (1 + math.cos(math.pi * min(max(share, 0.0), 1.0)))
