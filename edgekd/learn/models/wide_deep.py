"""Wide & Deep: what goes with what, learned by heart, beside a net that generalises."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class WideDeep:
    """scores = wide + deep (Cheng et al. 2016, arXiv:1606.07792), over a user's history.

    Wide is linear in the pairs (item of the history, item), by heart; deep is a net over the vectors of the history. In
    training each item of the history is left out at random: what is liked next has to follow from any part of what is
    known (a denoising autoencoder, Wu et al. 2016, doi:10.1145/2835776.2835837). The user's number is not looked at: a
    vector for each user learned its training items by heart.

    Attributes:
        width: of the vectors, 1 to 4096.
        hidden: widths of the deep part's layers; none: the vectors meet the items directly.
        dropout: share of the history that is left out, 0 to 0.95.
        wide: factor on the wide part, 0 to 1; small, it learns slowly and leaves the deep part what it can explain.
    """

    width: int = 64
    hidden: tuple[int, ...] = (256,)
    dropout: float = 0.5
    wide: float = 0.1

    def __post_init__(self) -> None:
        if not 1 <= self.width <= 4096:
            raise ValueError("width: allowed is 1 to 4096")
        if not all(1 <= h <= 16_384 for h in self.hidden):
            raise ValueError("hidden: allowed are widths of 1 to 16384")
        if not 0 <= self.wide <= 1:
            raise ValueError("wide: allowed is 0 to 1")
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
        return WideDeepModule(input_shape[1], classes, self)


class WideDeepModule(nn.Module):
    """The module of ``WideDeep``."""

    def __init__(self, items: int, classes: int, family: WideDeep) -> None:
        super().__init__()
        self.dropout, self.wide = family.dropout, family.wide
        self.item = nn.EmbeddingBag(items, family.width, mode="mean", padding_idx=items - 1)
        self.pairs = nn.EmbeddingBag(items, classes, mode="mean", padding_idx=items - 1)
        nn.init.normal_(self.item.weight, std=0.3)
        nn.init.zeros_(self.pairs.weight)
        widths = [family.width, *family.hidden]
        layers: list[nn.Module] = []
        for a, b in itertools.pairwise(widths):
            layers += [nn.Linear(a, b), nn.Tanh()]
        self.deep = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, user: Tensor, history: Tensor) -> Tensor:
        if self.training and self.dropout:
            gone = torch.rand(history.shape, device=history.device) < self.dropout
            history = history.masked_fill(gone, self.item.num_embeddings - 1)
        return self.wide * self.pairs(history) + self.head(self.deep(self.item(history)))
