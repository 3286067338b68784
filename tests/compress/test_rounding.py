"""What each group keeps is rounded so that the sum is as asked."""

from __future__ import annotations

import pytest

from edgekd.compress._rounding import Wish, spread


@pytest.mark.parametrize(
    ("wanted", "step", "kept"),
    [
        ([18.0, 18.0, 18.0, 18.0], 8, [24, 16, 16, 16]),
        ([28.8, 28.8, 28.8, 28.8, 28.8], 8, [32, 32, 32, 24, 24]),
        ([7.0, 21.0], 4, [8, 20]),
        ([1.0, 99.0], 8, [8, 40]),
        ([12.0], 8, [8]),
    ],
)
def test_the_sum_of_what_stays_is_nearest_to_what_was_asked(wanted: list[float], step: int, kept: list[int]) -> None:
    assert spread([Wish(w, 8 if step == 8 else 4, 40, step) for w in wanted]) == kept


@pytest.mark.parametrize(
    ("sizes", "step", "ratio"), [((16, 24, 40, 80), 16, 0.5), ((16, 24, 40, 80), 8, 0.75), ((12, 36, 96), 8, 0.7)]
)
def test_what_small_groups_cant_lose_others_lose(sizes: tuple[int, ...], step: int, ratio: float) -> None:
    kept = spread([Wish(size * (1 - ratio), step if size > step else size, size, step) for size in sizes])
    assert abs(sum(kept) - sum(sizes) * (1 - ratio)) <= step / 2, kept
