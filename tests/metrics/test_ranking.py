"""The rank of the label, against a plain loop."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekd.metrics._ranking import ranks


def plain(scores: list[float], label: int, known: list[int]) -> int:
    """How many items that the user does not know score at least as high."""
    others = [i for i in range(len(scores)) if i != label and i not in known]
    return sum(scores[i] >= scores[label] for i in others)


@settings(deadline=None)
@given(st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=2, max_size=9), st.data())
def test_ranks_are_those_of_a_loop(scores: list[float], data: st.DataObject) -> None:
    label = data.draw(st.integers(0, len(scores) - 1))
    known = data.draw(st.lists(st.integers(-1, len(scores) + 2), min_size=3, max_size=3))
    row, raw = np.array([scores]), np.array([[7, *known]])
    assert ranks(row, np.array([label]), raw).tolist() == [plain(scores, label, known)]
    assert ranks(row, np.array([label]), raw.astype(np.float32)).tolist() == [plain(scores, label, [])]
