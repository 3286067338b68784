"""Golden inputs and outputs: how they are made, and how far from them a file may answer later."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import IntegrityError
from edgekd.base.preprocess import MASK, Inputs, Spec
from edgekd.runtime import batches
from edgekd.runtime.backend import Session
from edgekd.runtime.batches import Outputs
from edgekd.tasks import CLASSES, Heads

MARGIN, LENGTH = 0.1, 16


def make(
    session: Session,
    specs: Sequence[Spec],
    seed: int = 0,
    want: int = 8,
    given: Inputs | None = None,
    length: int = LENGTH,
    batch: int = 1,
    heads: Heads | None = None,
) -> tuple[Inputs, Outputs]:
    """Golden inputs and what a session says to them.

    Only inputs whose decision is at least 10 % of each output's score range away from another one are kept (else the
    clearest one), so that another CPU's rounding can't change it.

    Args:
        specs: the model's inputs.
        want: at most so many.
        given: inputs to choose from; else synthetic ones, seeded.
        length: of synthetic sequences, without padding.
        batch: as the session ships: the answers are those that an app gets.
        heads: what the outputs mean; None: classes.
    """
    synthetic = {spec.name: _synthetic(spec, seed + i, 64 * want, length) for i, spec in enumerate(specs)}
    x = synthetic if given is None else given
    outputs = batches.run(session, x, batch, "golden inputs")
    y = {name: scores.astype(np.float32) for name, scores in outputs.items()}
    if heads is None:
        heads = Heads({name: scores.shape[-1] for name, scores in y.items()})
    margins = np.min([heads.tasks[name].margin(heads.natural(name, scores)) for name, scores in y.items()], axis=0)
    clearest = np.argsort(-margins, kind="stable")[:want]
    keep = np.sort([i for i in clearest if margins[i] >= MARGIN] or clearest[:1])
    return {name: array[keep] for name, array in x.items()}, {name: scores[keep] for name, scores in y.items()}


def _synthetic(spec: Spec, seed: int, count: int, length: int) -> AnyArray:
    """Coarse patterns of many strengths: white noise alone would look the same to most networks."""
    rng = np.random.default_rng(seed)
    shape = [min(length, spec.longest or length) if size is None else size for size in spec.shape[1:]]
    if spec.name == MASK:
        return np.ones((count, *shape), spec.dtype)
    if spec.high is not None:
        return rng.integers(0, spec.high, (count, *shape)).astype(spec.dtype)
    coarse = [d if i == 0 or d < 4 else -(-d // 2) for i, d in enumerate(shape)]
    x = rng.uniform(-1, 1, (count, *coarse))
    for axis, (small, full) in enumerate(zip(coarse, shape, strict=True), start=1):
        if small != full:
            x = x.repeat(2, axis=axis).take(range(full), axis=axis)
    return (x * rng.uniform(0.5, 3, (count, *[1] * len(shape)))).astype(np.float32)


def difference(
    got: AnyArray | None,
    wanted: AnyArray,
    tolerance: float,
    where: str,
    of: AnyArray | None = None,
    head: str = "",
    heads: Heads | None = None,
) -> float:
    """The largest difference of one output from the golden one.

    Args:
        tolerance: the largest that is allowed, as a share of the score range, see ``Task.span``.
        of: the scores whose range that is, where ``wanted`` is a part of them.
        heads: what outputs mean, of which this is ``head``; None: classes.

    Raises:
        IntegrityError: more than that, another answer, another shape.
    """
    if got is None or got.shape != wanted.shape:
        shape = None if got is None else got.shape
        raise IntegrityError("another output shape", where=where, found=shape, allowed=str(wanted.shape))
    if wanted.ndim < 2 or not wanted.size:
        raise IntegrityError("no scores of samples", where=where, found=wanted.shape, allowed="(samples, scores)")
    every = (wanted if of is None else of).astype(np.float64)  # whose range may be beyond float32
    if not np.isfinite(every).all():
        raise IntegrityError("golden scores that are not finite", where=where)
    same, span = CLASSES.same(got, wanted), CLASSES.span(every)
    if heads is not None:
        held = heads.only(head)
        span = heads.tasks[head].span(heads.natural(head, every))
        # Of the thousands of places of a sample some are always in doubt: these another CPU may decide otherwise.
        same = ~held.differs(got, wanted, tolerance) if held.dense else held.same(got, wanted)
    if same is not None and not same.all():
        raise IntegrityError("other answers than when it was built", where=where)
    gaps = np.abs(got.astype(np.float64) - wanted)
    limits = np.broadcast_to(tolerance * span, gaps.shape)
    if not (gaps <= limits).all():
        worst = np.unravel_index(int((gaps - limits).argmax()), gaps.shape)
        allowed = f"{limits[worst]:.3g}"
        raise IntegrityError(
            "other scores than when it was built", where=where, found=float(gaps[worst]), allowed=allowed
        )
    return float(gaps.max())
