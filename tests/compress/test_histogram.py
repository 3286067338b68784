"""Counts of a stream in fixed memory, and their percentiles."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgekd.compress._histogram import SIDE, Histogram

NUMBERS = arrays(np.float32, st.integers(1, 60), elements=st.floats(-1e4, 1e4, width=32, allow_subnormal=False)).map(
    torch.from_numpy
)


def counted(*batches: torch.Tensor) -> Histogram:
    histogram = Histogram()
    for batch in batches:
        histogram.add(batch)
    return histogram


@given(NUMBERS, st.sampled_from([50.0, 90.0, 99.0, 99.99, 100.0]))
def test_a_percentile_is_within_a_bin_of_numpys(x: torch.Tensor, percent: float) -> None:
    histogram = counted(x)
    low, high = histogram.percentile(percent)
    exact = x.double().numpy()
    wanted = np.percentile(exact, percent, method="inverted_cdf")
    assert wanted <= high <= wanted + histogram.width
    mirrored = -np.percentile(-exact, percent, method="inverted_cdf")
    assert mirrored - histogram.width <= low <= mirrored


@settings(max_examples=40, deadline=None)
@given(NUMBERS, st.data())
def test_neither_order_nor_batches_change_a_count(x: torch.Tensor, data: st.DataObject) -> None:
    order = torch.tensor(data.draw(st.permutations(range(len(x)))))
    cut = data.draw(st.integers(0, len(x)))
    one, other = counted(x), counted(x[order][:cut], x[order][cut:])
    assert one.exponent == other.exponent
    assert torch.equal(one.moments[0], other.moments[0])
    assert one.percentile(90.0) == other.percentile(90.0)


def test_the_memory_of_a_stream_is_constant() -> None:
    histogram = Histogram()
    for i in range(40):
        histogram.add(torch.randn(1000) * 2.0**i)
        assert histogram.moments.shape == (3, 2 * SIDE)
    assert float(histogram.moments[0].sum()) == 40_000
