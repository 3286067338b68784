"""Whether a network answers in probabilities already, and not in logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from edgekd.learn.student import are_probabilities

IN_LOGITS = {"softmax": "the logarithm", "sigmoid": "the log odds"}  # of probabilities are logits


def ends_in(link: str, outputs: object, sizes: Sequence[int], ask: Callable[[], Sequence[Tensor]] | None) -> bool:
    """Whether a network ends in what makes probabilities of scores.

    Rows that sum to 1 are a softmax's. Numbers of 0 to 1 may be logits as well: where torch runs the network, it is
    seen to compute their sigmoid.

    Args:
        link: ``softmax`` or ``sigmoid``; "": nothing does.
        outputs: what it says to some samples; sizes: how many numbers each head has.
        ask: says the same once more; None: no operator of it can be seen.
    """
    if link != "sigmoid":
        return bool(link) and are_probabilities(outputs, sizes)
    parts = outputs if isinstance(outputs, list | tuple) else [outputs]
    if not all(isinstance(part, Tensor) and bool(((part >= 0) & (part <= 1)).all()) for part in parts):
        return False
    if ask is None:
        return True
    with _Sigmoids() as seen:
        again = ask()
    return all(part.data_ptr() in seen.places for part in again)


class _Sigmoids(TorchDispatchMode):
    """Notes where the results of sigmoids lie; they are held, so that nothing else comes to lie there."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[Tensor] = []

    @property
    def places(self) -> set[int]:
        return {result.data_ptr() for result in self.held}

    def __torch_dispatch__(
        self,
        func: Callable[..., Tensor],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> Tensor:
        result = func(*args, **(kwargs or {}))
        if func in (torch.ops.aten.sigmoid.default, torch.ops.aten.sigmoid_.default):
            self.held.append(result)
        return result
