"""Means and standard deviations that lose no digit, and so know no order."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from edgekd.learn.data._moments import Moments

TINY, HUGE = float(np.finfo(np.float32).smallest_subnormal), float(np.finfo(np.float32).max)


def numbers_of(kind: str) -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    if kind == "bits":
        bits = rng.integers(0, 2**32, 3000, dtype=np.uint32).view(np.float32)
        return bits[np.isfinite(bits)]
    kinds = {
        "normal": rng.standard_normal(1000) * 3 + 1e6,
        "ends": np.array([TINY, -TINY, 0.0, -0.0, HUGE, -HUGE, 1.0]),
        "alike": np.full(1000, 0.1),
        "one": np.array([-7.25]),
        "large": np.full(9, HUGE),
    }
    return kinds[kind].astype(np.float32)


@pytest.mark.parametrize("kind", ["bits", "normal", "ends", "alike", "one", "large"])
def test_against_fractions_in_any_order_and_any_parts(kind: str) -> None:
    numbers = numbers_of(kind)
    exact = [Fraction(float(number)) for number in numbers]
    mean = sum(exact) / len(exact)
    std = math.sqrt(sum((number - mean) ** 2 for number in exact) / len(exact))
    for parts in (1, 2, 7, len(numbers)):
        for order in (numbers, numbers[::-1]):
            moments = Moments()
            for part in np.array_split(order, parts):
                moments.add(part)
            assert (moments.count, moments.mean, moments.std) == (len(numbers), float(mean), std)
            assert (moments.low, moments.high) == (numbers.min(), numbers.max())


def test_what_is_alike_does_not_vary() -> None:
    moments = Moments()
    moments.add(numbers_of("alike"))
    assert moments.std == 0 and moments.mean == np.float32(0.1)
