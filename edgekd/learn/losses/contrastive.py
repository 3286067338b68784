"""Contrastive distillation: of many samples, the student's vector finds the teacher's vector of the same one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekd.learn.losses._base import check_temperature
from edgekd.learn.losses._features import OnOutputs, vectors


@dataclass(frozen=True)
class Contrastive(OnOutputs):
    """mean over layers and n of  -log  exp(s_n . t_n / T) / sum over m of exp(s_n . t_m / T)

    over the batch and a memory of the teacher's last vectors; s and t are learned projections of length 1 (InfoNCE, van
    den Oord et al. 2018, arXiv:1807.03748; in place of the memory bank of Tian et al. 2020, arXiv:1910.10699, a queue
    as in He et al. 2020, arXiv:1911.05722). The projections and the memory are dropped afterwards. A sample has one
    vector: of texts that is one behind the pooling, and no row for each token.

    Attributes:
        width: of the projections, 2 to 4096.
        memory: vectors that are kept, 0 to 65536: memory x width x 4 bytes a layer.
        temperature: T, 0 < T <= 100.
    """

    one_size: ClassVar[bool] = True
    width: int = 64
    memory: int = 1024
    temperature: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_temperature(self.temperature)
        if not 2 <= self.width <= 4096:
            raise ValueError("width: allowed is 2 to 4096")
        if not 0 <= self.memory <= 65_536:
            raise ValueError("memory: allowed is 0 to 65536")

    def adapter(self, student: Sequence[torch.Size], teacher: Sequence[torch.Size]) -> nn.Module:
        """Two projections and a memory for each pair."""
        return nn.ModuleList(
            _Space(s[1:].numel(), t[1:].numel(), self.width, self.memory) for s, t in zip(student, teacher, strict=True)
        )

    def pair(self, student: Tensor, teacher: Tensor, part: _Space) -> Tensor:
        """student, teacher: (N, ...). A scalar >= 0; at chance log(N + what the memory holds)."""
        ours = F.normalize(part.student(vectors(student)))
        theirs = F.normalize(part.teacher(vectors(teacher)))
        known = torch.cat([theirs, part.known()])
        positives = torch.arange(len(ours), device=ours.device)
        loss = F.cross_entropy(ours @ known.T / self.temperature, positives)
        if part.training:
            part.keep(theirs.detach())
        return loss


class _Space(nn.Module):
    """The projections of one pair, and a ring of the teacher's last vectors."""

    queue: Tensor
    count: Tensor

    def __init__(self, student: int, teacher: int, width: int, memory: int) -> None:
        super().__init__()
        self.student, self.teacher = nn.Linear(student, width), nn.Linear(teacher, width)
        self.register_buffer("queue", torch.zeros(memory, width))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def known(self) -> Tensor:
        """What the memory holds by now; a copy, for the gradient that comes later."""
        return self.queue[: int(self.count)].clone()

    def keep(self, vectors: Tensor) -> None:
        """Put the last vectors in, the oldest out."""
        size = len(self.queue)
        merged = torch.cat([vectors.to(self.queue.dtype), self.queue[: int(self.count)]])[:size]
        self.queue[: len(merged)] = merged
        self.count.fill_(len(merged))
