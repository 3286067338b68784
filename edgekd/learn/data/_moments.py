"""Mean and standard deviation of float32 numbers, exact: the same however many are added at a time, in which order."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_DIGITS = 24  # of the mantissa of a float32
_LEAST = 148  # numpy's exponent of the smallest one is the negative of it
_UNIT = _LEAST + _DIGITS  # every float32 is a whole number of 2**-_UNIT


class Moments:
    """Sums of numbers and of their squares as whole numbers of Python, which lose no digit.

    Attributes:
        count: of numbers that were added.
        low, high: the least and the largest of them.
    """

    def __init__(self) -> None:
        self.count, self.low, self.high = 0, math.inf, -math.inf
        self._sum, self._squares = 0, 0

    def add(self, numbers: NDArray[np.float32]) -> None:
        """Count in some finite numbers, (N,) of at most 2**29: the sums below stay exact in float64."""
        if not len(numbers):
            return
        self.count += len(numbers)
        self.low, self.high = min(self.low, float(numbers.min())), max(self.high, float(numbers.max()))
        fractions, exponents = np.frexp(numbers.astype(np.float64))
        mantissas, places = fractions * 2.0**_DIGITS, exponents + _LEAST
        squares = mantissas * mantissas
        upper = np.floor(squares * 2.0**-_DIGITS)
        for place, (of_sum, of_upper, of_lower) in enumerate(
            zip(
                np.bincount(places, mantissas).tolist(),
                np.bincount(places, upper).tolist(),
                np.bincount(places, squares - upper * 2.0**_DIGITS).tolist(),
                strict=True,
            )
        ):
            self._sum += int(of_sum) << place
            self._squares += ((int(of_upper) << _DIGITS) + int(of_lower)) << (2 * place)

    @property
    def mean(self) -> float:
        """Of one number or more; rounded once."""
        return self._sum / (self.count << _UNIT)

    @property
    def std(self) -> float:
        """Of one number or more, over their count; its square is rounded once."""
        return math.sqrt((self.count * self._squares - self._sum**2) / (self.count**2 << 2 * _UNIT))
