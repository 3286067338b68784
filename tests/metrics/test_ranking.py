"""The rank of the label, against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekd.base.errors import RecipeError
from edgekd.metrics._ranking import ranks
from edgekd.metrics.hit_rate import HitRate
from edgekd.metrics.ndcg import Ndcg


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
    assert ranks(row, np.array([label])).tolist() == [plain(scores, label, [])]


def test_whole_numbers_are_a_history_where_the_recipe_says_so() -> None:
    """Else they may be codes of categories, or the pixels of a picture: rivals were struck out by their numbers."""
    scores, labels, codes = np.array([[3.0, 2.0, 1.0]]), np.array([1]), np.array([[5, 0, 0]])
    assert HitRate(k=1)(scores, labels, codes) == 0 and HitRate(k=1, leave_seen=True)(scores, labels, codes) == 1
    assert Ndcg(k=1)(scores, labels, codes) == 0 and Ndcg(k=1, leave_seen=True)(scores, labels, codes) == 1
    for raw in (codes.astype(np.float32), codes[:, :, None]):
        with pytest.raises(RecipeError, match=r"metric\.leave_seen: no history to leave out"):
            Ndcg(leave_seen=True)(scores, labels, raw)
