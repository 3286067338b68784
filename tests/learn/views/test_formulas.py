"""Each augmentation does what its page says, held against the formula written out."""

from __future__ import annotations

import numpy as np
import pytest

from edgekd.learn.views import Draws
from edgekd.learn.views.colour import GREY, Colour
from edgekd.learn.views.erase import Erase

X = np.random.default_rng(0).integers(0, 256, (300, 12, 16, 3), dtype=np.uint8)
DRAWS = Draws(np.arange(300, dtype=np.uint64) * np.uint64(2**53 + 12345))


@pytest.mark.parametrize(("fill", "probability"), [("mean", 1.0), ("zero", 0.3)])
def test_a_square_is_erased_where_it_is_drawn(fill: str, probability: float) -> None:
    shown = Erase(probability, 0.5, fill)(X, DRAWS)  # type: ignore[arg-type]
    changed = (shown != X).any(axis=3)
    views = changed.any(axis=(1, 2))
    assert abs(views.mean() - probability) < 0.1
    for image, before, where in zip(shown[views], X[views], changed[views], strict=True):
        rows, columns = (np.flatnonzero(where.any(axis=axis)) for axis in (1, 0))
        inside = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].reshape(-1, 3)
        assert np.ptp(rows) < 6 and np.ptp(columns) < 6, "half of the shorter side, or what lies inside of the image"
        wanted = before.reshape(-1, 3).mean(axis=0) if fill == "mean" else np.zeros(3)
        assert np.abs(inside - wanted).max() <= 0.51
    assert {int(where.sum()) for where in changed[views]} >= {36}, "whole ones among them"


def test_another_light_is_three_factors_in_turn() -> None:
    strengths = (0.3, 0.6, 0.9)
    shown = Colour(*strengths)(X.astype(np.float32), DRAWS)
    b, c, s = (1 + t * (2 * DRAWS.uniform(i) - 1) for i, t in enumerate(strengths, start=1))
    b, c, s = (factor[:, None, None, None] for factor in (b, c, s))

    def grey(x: np.ndarray) -> np.ndarray:
        return (x @ np.array(GREY))[..., None]

    x = b * X
    x = c * x + (1 - c) * grey(x).mean(axis=(1, 2, 3), keepdims=True)
    x = s * x + (1 - s) * grey(x)
    assert np.allclose(shown, x, rtol=1e-4, atol=1e-2)
    whole = Colour(*strengths)(X, DRAWS)
    assert np.abs(whole - x.clip(0, 255)).max() < 0.51, "whole numbers are rounded, and stay in their range"


def test_a_fourth_channel_stays_and_one_channel_has_no_saturation() -> None:
    four = np.concatenate([X, X[..., :1]], axis=3)
    shown = Colour()(four, DRAWS)
    assert np.array_equal(shown[..., 3], four[..., 3]) and np.array_equal(shown[..., :3], Colour()(X, DRAWS))
    assert np.array_equal(Colour(0, 0, 1.0)(X[..., :1], DRAWS), X[..., :1])
