"""A pretrained body under a new head. What one that stays as it is gives is computed once, and its head is trained."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from edgekd.learn import predictions
from edgekd.learn.data import Dataset, Split
from edgekd.learn.feed import Feed
from edgekd.spec.recipe import Augment

Pool = Literal["mean", "first"]


class PooledBody(nn.Module):
    """A linear layer over what a body gives, a vector a sample.

    Args:
        body: from the model's inputs to (N, L, D) sequences, (N, C, H, W) maps or (N, D) vectors, or what holds one of
            these as ``last_hidden_state``.
        example: a batch of inputs, which tells how wide its vectors are.
        classes: of the head.
        pool: of a sequence the mean over its tokens, or the first of them.
    """

    def __init__(self, body: nn.Module, example: tuple[Tensor, ...], classes: int, pool: Pool) -> None:
        super().__init__()
        self.body, self._pool = body, pool
        with torch.no_grad():
            width = self.embed(*example).shape[1]
        self.head = nn.Linear(width, classes)

    def embed(self, *inputs: Tensor) -> Tensor:
        """(N, D) what the body gives of each sample."""
        returned = self.body(*inputs)
        hidden: Tensor = returned if isinstance(returned, Tensor) else returned.last_hidden_state
        if hidden.ndim == 4:
            return hidden.mean(dim=(2, 3))
        if hidden.ndim == 2:
            return hidden
        if self._pool == "first":
            return hidden[:, 0]
        if len(inputs) < 2:
            return hidden.mean(dim=1)
        mask = inputs[1][:, :, None].to(hidden.dtype)
        return (hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp_min(1.0)

    def forward(self, *inputs: Tensor) -> Tensor:
        """(N, classes) logits."""
        scores: Tensor = self.head(self.embed(*inputs))
        return scores


class FrozenBody(PooledBody):
    """One whose body neither trains nor draws by chance; arguments as there."""

    def __init__(self, body: nn.Module, example: tuple[Tensor, ...], classes: int, pool: Pool) -> None:
        super().__init__(body.requires_grad_(False).eval(), example, classes, pool)

    def train(self, mode: bool = True) -> FrozenBody:
        """The head trains; the body stays in evaluation mode."""
        super().train(mode)
        self.body.eval()
        return self


class _Embeds(nn.Module):
    """The body alone."""

    def __init__(self, whole: FrozenBody) -> None:
        super().__init__()
        self.whole = whole

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.whole.embed(*inputs)


def embedded(whole: FrozenBody, feed: Feed, seed: int) -> Feed:
    """Training and validation samples as the body gives them: what its head is trained on.

    Args:
        feed: of one view.
        seed: of the order of samples.
    """
    module = _Embeds(whole)
    with predictions.accelerated(module), torch.no_grad():
        vectors = {split: predictions.predict(module, feed, split) for split in ("train", "validation")}
    splits = {
        split: Split(x, feed.labels(split), together=feed.together(split), group=feed.group(split))
        for split, x in vectors.items()
    }
    dataset = Dataset(splits["train"], splits["validation"], splits["validation"], (), ())
    return Feed(dataset, (), Augment(views=1), seed)
