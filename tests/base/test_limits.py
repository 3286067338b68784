"""How far data may go, and who may say otherwise: the user's environment, and no recipe."""

from __future__ import annotations

import math

import pytest

from edgekd.base import limits
from edgekd.base.errors import DataError, UsageError


def test_the_environment_moves_a_limit_and_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    limits.check("pixels", limits.MOST["pixels"], "large", "a.png")
    with pytest.raises(DataError, match="EDGEKD_MOST_PIXELS in the environment allows more"):
        limits.check("pixels", limits.MOST["pixels"] + 1, "large", "a.png")
    monkeypatch.setenv("EDGEKD_MOST_PIXELS", "9")
    with pytest.raises(DataError, match=r"^a.png: large; found '?10'?; allowed: at most 9 pixels"):
        limits.check("pixels", 10, "large", "a.png")


@pytest.mark.parametrize("value", ["", "0", "-1", "1.5", "many", "\u0663", "9" * 19])
def test_what_is_no_limit_is_told(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKD_MOST_BYTES", value)
    with pytest.raises(UsageError, match="EDGEKD_MOST_BYTES: not a limit"):
        limits.most("bytes")


def test_small_files_may_be_packed_as_they_like_and_large_ones_as_honest_data_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert limits.most_unpacked(1) == limits.SMALL
    assert limits.most_unpacked(limits.SMALL) == limits.PACKED * limits.SMALL
    assert limits.most_unpacked(2**40) == limits.MOST["bytes"]
    monkeypatch.setenv("EDGEKD_MOST_BYTES", "7")
    assert limits.most_unpacked(2**40) == 7


@pytest.mark.parametrize("value", [-1.0, math.inf, math.nan, limits.FOREVER + 1])
def test_seconds_without_end_are_refused(value: float) -> None:
    limits.finite(None, "--seconds")
    limits.finite(0.0, "--seconds")
    with pytest.raises(UsageError, match="--seconds: out of range"):
        limits.finite(value, "--seconds")
