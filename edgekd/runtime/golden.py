"""Golden inputs: what ``verify`` replays, and what a file said to it when it was built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekd.preprocess import MASK, Inputs, Spec
from edgekd.runtime.backends._base import Session

MARGIN, LENGTH = 0.1, 16


def make(
    session: Session,
    specs: Sequence[Spec],
    seed: int = 0,
    want: int = 8,
    given: Inputs | None = None,
    length: int = LENGTH,
) -> tuple[Inputs, NDArray[np.float32]]:
    """Golden inputs and what a session says to them.

    Only inputs where the two best scores lie at least 10 % of the score range apart are kept (else the clearest one),
    so that another CPU's rounding can't change an answer.

    Args:
        specs: the model's inputs.
        want: at most so many.
        given: inputs to choose from; else synthetic ones, seeded.
        length: of synthetic sequences, without padding.
    """
    made = {spec.name: _synthetic(spec, seed + i, 64 * want, length) for i, spec in enumerate(specs)}
    x = made if given is None else given
    y = session.run(x)[session.outputs[0].name].astype(np.float32)
    best = np.sort(y, axis=1)
    margin = (best[:, -1] - best[:, -2]) / max(float(y.max() - y.min()), 1e-12)
    clearest = np.argsort(-margin, kind="stable")[:want]
    keep = np.sort([i for i in clearest if margin[i] >= MARGIN] or clearest[:1])
    return {name: array[keep] for name, array in x.items()}, y[keep]


def _synthetic(spec: Spec, seed: int, count: int, length: int) -> NDArray[Any]:
    """Coarse patterns of many strengths: white noise alone would look the same to most networks."""
    rng = np.random.default_rng(seed)
    shape = [min(length, spec.longest or length) if size is None else size for size in spec.shape[1:]]
    if spec.name == MASK:
        return np.ones((count, *shape), np.int64)
    if spec.high is not None:
        return rng.integers(0, spec.high, (count, *shape))
    coarse = [d if i == 0 or d < 4 else -(-d // 2) for i, d in enumerate(shape)]
    x = rng.uniform(-1, 1, (count, *coarse))
    for axis, (small, full) in enumerate(zip(coarse, shape, strict=True), start=1):
        if small != full:
            x = x.repeat(2, axis=axis).take(range(full), axis=axis)
    return (x * rng.uniform(0.5, 3, (count, *[1] * len(shape)))).astype(np.float32)
