"""Ranges from a stream in fixed memory, and step sizes that are learned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgekd.base import plugins
from edgekd.compress._histogram import Histogram
from edgekd.compress._observers import BALANCED, Rounding

NUMBERS = arrays(np.float32, st.integers(1, 60), elements=st.floats(-1e4, 1e4, width=32, allow_subnormal=False)).map(
    torch.from_numpy
)
AFFINE = {"dtype": torch.uint8, "quant_min": 0, "quant_max": 255, "qscheme": torch.per_tensor_affine}
SIGNED = {**AFFINE, "dtype": torch.int8, "quant_min": -128, "quant_max": 127}
SIDES = st.one_of(st.just(0.0), st.floats(2**-10, 2**13, width=32))  # of a range, from zero
ROWS = {"dtype": torch.int8, "quant_min": -63, "quant_max": 63, "qscheme": torch.per_channel_symmetric}


def rounding(ranges: str, learned: bool = False, **given: Any) -> Rounding:
    constant = given.get("qscheme") == torch.per_channel_symmetric
    return Rounding(ranges, 99.0, learned, constant, False, 2**-24, **{**AFFINE, **given})


def settled(ranges: str, *batches: torch.Tensor, **given: Any) -> Rounding:
    fake = rounding(ranges, **given)
    for batch in batches:
        fake(batch)
    fake.settle()
    fake.enable_observer(False)
    return fake


def counted(*batches: torch.Tensor) -> Histogram:
    histogram = Histogram()
    for batch in batches:
        histogram.add(batch)
    return histogram


@settings(max_examples=60, deadline=None)
@given(NUMBERS, NUMBERS)
def test_rounding_is_that_of_torchs_own_kernel_to_the_bit(seen: torch.Tensor, x: torch.Tensor) -> None:
    fake = settled("min_max", seen)
    scale, zero = fake.calculate_qparams()
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    torch.autograd.backward(fake(ours), torch.ones_like(x))
    wanted = torch.fake_quantize_per_tensor_affine(theirs, scale, zero, 0, 255)
    torch.autograd.backward(wanted, torch.ones_like(x))
    assert torch.equal(fake(x), wanted.detach())
    inside = (x / scale + zero > -0.49) & (x / scale + zero < 255.49)
    outside = (x / scale + zero < -0.51) | (x / scale + zero > 255.51)
    assert ours.grad is not None and theirs.grad is not None
    assert torch.equal(ours.grad[inside | outside], theirs.grad[inside | outside])


@settings(max_examples=60, deadline=None)
@given(NUMBERS)
def test_the_least_error_is_never_above_that_of_the_whole_range(x: torch.Tensor) -> None:
    def error(ranges: str) -> float:
        return float((settled(ranges, x)(x).double() - x.double()).square().sum())

    whole = error("min_max")
    assert error("mse") <= whole * (1 + 1e-3) + 1e-9 * float(x.double().square().sum())


@settings(max_examples=200, deadline=None)
@given(SIDES, SIDES, st.sampled_from([AFFINE, SIGNED]))
def test_a_range_of_two_like_sides_has_its_zero_in_the_middle(below: float, high: float, form: dict[str, Any]) -> None:
    """At most 60 % of a step's size are given away for it, and nothing is cut off."""
    low = -below
    fake = settled("min_max", torch.tensor([low, high]), **form)
    scale, zero = (float(v) for v in fake.calculate_qparams())
    least, most = form["quant_min"], form["quant_max"]
    middle, tight = (least + most + 1) // 2, max((high - low) / (most - least), 2**-24)
    sides = sorted((-low, high))
    if sides[1] > 0 and sides[0] > BALANCED * sides[1] * (1 + 1e-5):
        assert zero == middle
        assert (least - zero) * scale <= low + 1e-6 * sides[1] and (most - zero) * scale >= high - 1e-6 * sides[1]
    elif sides[0] < BALANCED * sides[1] * (1 - 1e-5):
        assert abs(zero - (least - low / tight)) <= 0.51
        assert scale == pytest.approx(tight, rel=1e-5)
    assert scale <= tight * 2 / (1 + BALANCED) * 1.01


def test_ranges_of_one_sign_and_those_that_lie_far_to_one_side_stay() -> None:
    one_sided = (([0.0, 4.0], 0), ([-4.0, 0.0], 255), ([-0.9, 4.0], 47))
    for seen, zero in (*one_sided, ([-1.1, 4.0], 128), ([-4.0, 1.1], 128)):
        assert int(settled("min_max", torch.tensor(seen)).zero_point) == zero


def test_outliers_are_cut_where_that_pays() -> None:
    torch.manual_seed(0)
    x = torch.cat([torch.randn(1_000_000), torch.tensor([12.0])])
    whole, best = settled("min_max", x), settled("mse", x)
    assert float((best(x) - x).square().sum()) < 0.7 * float((whole(x) - x).square().sum())
    weights = torch.randn(8, 4000) * torch.linspace(0.1, 10, 8).unsqueeze(1)
    weights[:, 0] *= 4
    whole, best = settled("min_max", weights, **ROWS), settled("mse", weights, **ROWS)
    errors = [(fake(weights) - weights).square().sum(dim=1) for fake in (whole, best)]
    assert bool((errors[1] < errors[0]).all())


def test_ranges_follow_a_training_in_proportion() -> None:
    x = torch.linspace(0, 1, 100)
    fake = settled("percentile", x)
    before = float(fake.scale)
    fake.enable_observer(True)
    for _ in range(2000):
        fake(3 * x)
    assert before * 2.9 < float(fake.scale) < before * 3.01


@pytest.mark.parametrize("form", [AFFINE, ROWS], ids=["activation", "weight"])
def test_the_gradient_of_a_step_size_is_that_of_the_paper(form: dict[str, Any]) -> None:
    """Esser et al. 2020, equation 3, with a zero point; g = 1 / sqrt(n q)."""
    torch.manual_seed(0)
    x = torch.randn(6, 50)
    fake = settled("mse", x, learned=True, **form)
    assert fake.log_step is not None
    with torch.no_grad():
        fake.log_step.sub_(0.5)  # so that some numbers are out of range
    scale, zero = (v.double().reshape(-1, 1) for v in fake.calculate_qparams())
    upstream = torch.randn_like(x)
    seen = x.clone().requires_grad_()
    out = fake(seen)
    out.backward(upstream)
    level, low, high = torch.round(x.double() / scale), fake.quant_min - zero, fake.quant_max - zero
    inside = (level >= low) & (level <= high)
    slope = torch.where(inside, level - x.double() / scale, level.clamp(low, high))
    total = (slope * upstream.double()).sum(dim=1)
    wanted = (total if fake.per_channel else total.sum().reshape(1)) / np.sqrt(50 * float(torch.maximum(high, -low)[0]))
    assert fake.log_step.grad is not None and seen.grad is not None
    assert torch.allclose(fake.log_step.grad.double() * scale.reshape(-1), wanted, rtol=1e-3, atol=1e-5)
    assert not bool(inside.all()) and torch.equal(seen.grad, upstream * inside)
    with torch.no_grad():
        assert torch.equal(out, fake(x)), "training and evaluation round alike"


def test_bad_keys_are_told() -> None:
    for table in ({"ranges": "max"}, {"percentile": 20.0}, {"step_sizes": "free"}):
        with pytest.raises(Exception, match=next(iter(table))):
            plugins.build("compress", {"kind": "int8_qat", **table}, "c")
