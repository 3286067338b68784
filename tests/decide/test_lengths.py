"""For which lengths a model of texts is compiled."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgekd.decide import lengths


def test_a_quarter_of_the_texts_each_and_the_longest_not_at_all() -> None:
    texts = [*[5] * 30, *[14] * 30, *[24] * 30, *[60] * 9, 500]
    assert lengths.chosen(texts, 512) == (8, 16, 24, 64)


def test_none_is_longer_than_the_model_reads() -> None:
    assert lengths.chosen([3, 9, 21], 21) == (8, 16, 21)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=200), st.integers(0, 100))
def test_nearly_all_texts_fit(texts: list[int], above: int) -> None:
    longest = max(texts) + above
    found = lengths.chosen(texts, longest)
    assert list(found) == sorted(set(found)) and 1 <= len(found) <= 4 and found[-1] <= longest
    assert all(length % lengths.MULTIPLE == 0 or length == longest for length in found)
    assert np.mean([text <= found[-1] for text in texts]) >= 0.99
