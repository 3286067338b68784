"""Several questions about one sample: a network's scores are (N, C), and each head has its own columns of them.

Heads are an ordered mapping from name to number of classes, such as ``{"garment": 10, "kind": 4}``. Most tasks have
one, called ``logits``. Labels are (N,) for one head, else (N, H), a column a head.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import overload

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray

Heads = Mapping[str, int]
SINGLE = "logits"


def columns(heads: Heads) -> dict[str, slice]:
    """Where each head's scores stand."""
    ends = np.cumsum(list(heads.values())).tolist()
    return {name: slice(end - heads[name], end) for name, end in zip(heads, ends, strict=True)}


def split(scores: AnyArray, heads: Heads) -> dict[str, AnyArray]:
    """(N, C) scores by head."""
    return {name: scores[:, where] for name, where in columns(heads).items()}


def answers(scores: AnyArray, heads: Heads) -> NDArray[np.int64]:
    """The best class of each head: (N,) for one head, else (N, H)."""
    best = [part.argmax(1) for part in split(scores, heads).values()]
    return best[0] if len(best) == 1 else np.stack(best, axis=1)


@overload
def labels_of(labels: NDArray[np.int64], heads: Heads, name: str) -> NDArray[np.int64]: ...
@overload
def labels_of(labels: NDArray[np.int64] | None, heads: Heads, name: str) -> NDArray[np.int64] | None: ...


def labels_of(labels: NDArray[np.int64] | None, heads: Heads, name: str) -> NDArray[np.int64] | None:
    """(N,) labels of one head."""
    return labels if labels is None or len(heads) == 1 else labels[:, list(heads).index(name)]
