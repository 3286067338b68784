"""From which score on a sample is an anomaly: so that normal samples seldom are.

A conformal p-value of a new sample is (1 + the normal samples that score at least as much) / (n + 1); an alarm where it
is at most the rate is false at most that often, over draws of the normal samples and the new one alike (Laxhammar and
Falkman 2010, doi:10.1109/ICIF.2010.5711957; Bates et al. 2023, arXiv:2104.08279, section 2).
"""

from __future__ import annotations

import math

import numpy as np

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError

ROUNDING = 1e-9  # 0.05 times 20 is one alarm, whatever its last bit says


def allowed(count: int, rate: float, where: str) -> int:
    """How many of ``count`` normal samples may score at least as much as an anomaly does.

    Raises:
        DataError: too few to tell any threshold, or none.
    """
    alarms = math.floor(rate * (count + 1) + ROUNDING) - 1
    if alarms < 0:
        least = math.ceil(1 / rate - 1 - ROUNDING)
        what = f"too few normal samples to have at most {rate:g} of false alarms"
        hint = "a larger task.false_alarms, or a task.threshold of your own, needs fewer"
        raise DataError(what, where=where, found=count, allowed=f"at least {least} with the label 0", hint=hint)
    return alarms


def threshold(scores: AnyArray, rate: float, where: str) -> float:
    """The least score of an anomaly: a float32 number, above all normal scores but those that are allowed.

    Between two scores it stands in the middle, so that rounding decides nothing; above the highest one as close as it
    can be.

    Args:
        scores: (N,) of normal samples.

    Raises:
        DataError: as ``allowed``.
    """
    alarms = allowed(len(scores), rate, where)
    falling = np.sort(scores.astype(np.float32))[::-1]
    below = falling[alarms]
    above = np.nextafter(below, np.float32(np.inf))
    if alarms and falling[alarms - 1] > below:
        above = max(above, np.float32((float(below) + float(falling[alarms - 1])) / 2))
    return float(above)
