"""How far a session's answers are from the reference's. numpy alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgekd.base.errors import IntegrityError, UsageError
from edgekd.base.scores import span
from edgekd.document import report as documents
from edgekd.runtime import batches
from edgekd.runtime.backend import Array, Session
from edgekd.tasks import SINGLE, Heads

BATCH = 64


@dataclass(frozen=True)
class Parity:
    """Two sets of scores for the same samples.

    Attributes:
        max_abs_diff: the largest absolute difference; infinite where one of them is not finite.
        argmax_agreement: share of decisions, 0..1, that are alike, one a sample or a pixel; None: nothing is decided.
        samples: how many were compared.
        mean_abs_diff: the mean absolute difference; None where one of them is not finite.
        relative: the largest difference as a share of the reference's range, see ``Task.span``, of the output or
            column where that is largest: what a target's ``tolerance`` limits of a float file; infinite as above.
        mean_relative: the mean difference so, which it limits of an int8 file.
    """

    max_abs_diff: float
    argmax_agreement: float | None
    samples: int
    mean_abs_diff: float | None
    relative: float
    mean_relative: float

    def as_dict(self) -> documents.Parity:
        """The ``parity`` of report.json. JSON knows no infinity: such a difference is None."""
        diff = self.max_abs_diff if math.isfinite(self.max_abs_diff) else None
        return {"argmax_agreement": self.argmax_agreement, "max_abs_diff": diff, "samples": self.samples}


def compare(
    got: NDArray[np.generic], want: NDArray[np.generic], *, classes: bool = True, heads: Heads | None = None
) -> Parity:
    """Hold scores against the reference's.

    Args:
        got: scores, (samples, ...).
        want: the reference's, of the same shape.
        classes: whether the last axis holds the scores of classes, 2 or more.
        heads: what the columns of (samples, C) scores mean; None: classes. Answers agree where all heads' do.

    Raises:
        IntegrityError: another shape, or no samples.
    """
    if got.shape != want.shape or not want.size:
        raise IntegrityError("the output's shape is not the reference's", found=got.shape, allowed=str(want.shape))
    a, b = got.astype(np.float64), want.astype(np.float64)
    agreement = _agreement(a, b, heads) if classes else None
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return Parity(math.inf, agreement, len(want), None, math.inf, math.inf)
    gaps = np.abs(a - b)
    return Parity(
        max_abs_diff=float(gaps.max()),
        argmax_agreement=agreement,
        samples=len(want),
        mean_abs_diff=float(gaps.mean()),
        relative=_relative("largest", gaps, b, heads),
        mean_relative=_relative("mean", gaps, b, heads),
    )


def _relative(
    of: Literal["largest", "mean"], gaps: NDArray[np.float64], want: NDArray[np.float64], heads: Heads | None
) -> float:
    """The largest or the mean difference as a share of the range, of the output and column where it is most."""
    pairs = [(gaps, span(want), False)]
    if heads is not None:
        parts, tasks = heads.split(want), heads.tasks
        pairs = [
            (part, tasks[name].span(parts[name]), tasks[name].by_column) for name, part in heads.split(gaps).items()
        ]
    shares = []
    for part, spans, by_column in pairs:
        axis = 0 if by_column else None
        figures = part.max(axis=axis) if of == "largest" else part.mean(axis=axis)
        shares.append(float(_shares(figures, spans).max()))
    return max(shares)


def _shares(gaps: NDArray[np.float64], spans: NDArray[np.float64]) -> NDArray[np.float64]:
    """Differences over ranges; none is none, also of what is 0 throughout."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(gaps == 0, 0.0, gaps / spans)


def _agreement(a: NDArray[np.float64], b: NDArray[np.float64], heads: Heads | None) -> float | None:
    if heads is None:  # classes in the last axis, whatever stands before it
        size = b.shape[-1] if b.ndim > 1 else 1
        heads, a, b = Heads({SINGLE: size}), a.reshape(-1, size), b.reshape(-1, size)
    same = heads.agreement(a, b) if heads.decides else None
    return None if same is None else float(np.mean(same))


def clearly_differs(
    got: NDArray[np.generic], want: NDArray[np.generic], tolerance: float, heads: Heads | None = None
) -> float:
    """Share of decisions, 0..1, that are others where the reference was in no doubt; see ``Task.differing``.

    Args:
        tolerance: a share of the score range.
        got, want: scores, (samples, classes), finite.
        heads: what the columns mean, None: classes. Of several one that differs is enough.
    """
    return float(np.mean((heads or Heads({SINGLE: want.shape[-1]})).differing(got, want, tolerance)))


def check(
    session: Session, inputs: Mapping[str, Array], want: Array, *, output: str | None = None, classes: bool = True
) -> Parity:
    """Run a session over all samples and compare one output, by default the first, with the reference's."""
    return compare(run_all(session, inputs, output=output), want, classes=classes)


def run_all(session: Session, inputs: Mapping[str, Array], *, output: str | None = None, batch: int = BATCH) -> Array:
    """One output for many samples, in batches; a session that takes one batch size alone is fed that.

    Args:
        session: any.
        inputs: (samples, ...) each, with equal numbers of samples.
        output: the output's name; by default the first.
        batch: the most samples in one run.

    Raises:
        UsageError: no such output, unequal numbers of samples, or a number that a fixed batch does not divide.
    """
    names = [port.name for port in session.outputs]
    name = names[0] if output is None else output
    if name not in names:
        raise UsageError("no such output", where="parity", found=name, allowed=names)
    return batches.run(session, inputs, batch, "parity")[name]
