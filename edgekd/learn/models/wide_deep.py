"""Wide & Deep: what goes with what, learned by heart, beside a net that generalises."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class WideDeep:
    """scores = wide + deep (Cheng et al. 2016, arXiv:1606.07792), over a user and its history.

    Wide is linear in the pairs (item of the history, item), by heart; deep is a net over the vectors of the user and of
    its history.

    Attributes:
        width: of the vectors, 1 to 4096.
        hidden: widths of the deep part's layers.
        dropout: in the deep part and of the history, 0 to 0.95.
    """

    width: int = 64
    hidden: tuple[int, ...] = (256, 128)
    dropout: float = 0.3

    def __post_init__(self) -> None:
        if not 1 <= self.width <= 4096:
            raise ValueError("width: allowed is 1 to 4096")
        if not self.hidden or not all(1 <= h <= 16_384 for h in self.hidden):
            raise ValueError("hidden: allowed is at least one width, 1 to 16384")
        if not 0 <= self.dropout <= 0.95:
            raise ValueError("dropout: allowed is 0 to 0.95")

    def build(self, input_shape: tuple[int, ...], classes: int) -> nn.Module:
        """(N,) users and (N, K) items -> (N, classes) scores.

        Args:
            input_shape: how many users, how many items (with the padding).

        Raises:
            ValueError: not two inputs of whole numbers.
        """
        if len(input_shape) != 2:
            raise ValueError("wide_deep needs a user and a history: two inputs of whole numbers")
        return WideDeepModule(input_shape[0], input_shape[1], classes, self)


class WideDeepModule(nn.Module):
    """The module of ``WideDeep``."""

    def __init__(self, users: int, items: int, classes: int, family: WideDeep) -> None:
        super().__init__()
        self.dropout = family.dropout
        self.user = nn.Embedding(users, family.width)
        self.item = nn.EmbeddingBag(items, family.width, mode="mean", padding_idx=items - 1)
        self.pairs = nn.EmbeddingBag(items, classes, mode="mean", padding_idx=items - 1)
        for table, spread in ((self.user, 0.1), (self.item, 0.1), (self.pairs, 0.01)):
            nn.init.normal_(table.weight, std=spread)
        widths = [2 * family.width, *family.hidden]
        layers: list[nn.Module] = []
        for a, b in itertools.pairwise(widths):
            layers += [nn.Linear(a, b), nn.ReLU(), nn.Dropout(family.dropout)]
        self.deep = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, user: Tensor, history: Tensor) -> Tensor:
        if self.training and self.dropout:
            gone = torch.rand(history.shape, device=history.device) < self.dropout
            history = history.masked_fill(gone, self.item.num_embeddings - 1)
        deep = self.deep(torch.cat([self.user(user), self.item(history)], dim=1))
        return self.pairs(history) + self.head(deep)
