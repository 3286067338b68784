"""A session over many samples, in batches of the size that an app runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from edgekd.base import limits
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import IntegrityError, UsageError
from edgekd.runtime.backend import Array, Session

Outputs = dict[str, AnyArray]


def filled(samples: Mapping[str, Array], batch: int, where: str) -> dict[str, Array]:
    """Golden inputs, by name (samples, ...) each, again and again until they fill a batch.

    Raises:
        IntegrityError: it would take more bytes than ``limits.GOLDEN_BYTES``.
    """
    size = batch * sum(array[:1].nbytes for array in samples.values())
    if size > limits.GOLDEN_BYTES:
        needed, allowed = f"{size:,} bytes, {batch} samples at once", f"at most {limits.GOLDEN_BYTES:,}"
        raise IntegrityError("golden inputs larger than any that is built", where=where, found=needed, allowed=allowed)
    return {name: array[np.arange(batch) % len(array)] for name, array in samples.items()}


def run(session: Session, inputs: Mapping[str, Array], batch: int, where: str = "run") -> Outputs:
    """Every output for many samples, by name, (samples, ...) each.

    Args:
        session: any.
        inputs: (samples, ...) each, with equal numbers of samples.
        batch: samples in one run, from 1; the last run has what is left. A session that takes one batch size alone is
            fed that.
        where: for the errors.

    Raises:
        UsageError: unequal numbers of samples, or a number that a fixed batch does not divide.
    """
    counts = {key: len(array) for key, array in inputs.items()}
    if len(set(counts.values())) != 1:
        raise UsageError("unequal numbers of samples", where=where, found=counts)
    samples = next(iter(counts.values()))
    fixed = next((port.shape[0] for port in session.inputs if port.shape), None)
    if fixed is not None and samples % fixed:
        raise UsageError(f"the model takes {fixed} samples at once", where=where, found=samples)
    rows = np.arange(samples)
    return over(session, lambda index: {name: array[index] for name, array in inputs.items()}, rows, fixed or batch)


def over(
    session: Session, inputs: Callable[[NDArray[np.int64]], Mapping[str, Array]], index: NDArray[np.int64], batch: int
) -> Outputs:
    """Every output for the samples of ``index``; ``inputs`` prepares those of a batch as an app would, just before.

    So texts are padded to the longest of their own batch, and one alone not at all.
    """
    parts = [session.run(inputs(index[start : start + batch])) for start in range(0, len(index), batch)]
    return {port.name: np.concatenate([part[port.name] for part in parts]) for port in session.outputs}
