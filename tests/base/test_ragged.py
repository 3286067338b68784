"""Entries of different lengths in one array."""

from __future__ import annotations

import numpy as np
import pytest

from edgekd.base.ragged import Ragged

WHOLE = Ragged.of([np.array([[1, 1]]), np.empty((0, 2), int), np.array([[2, 0], [2, 1], [2, 2]])])


def test_entries_are_read_one_by_one_and_in_any_order() -> None:
    assert len(WHOLE) == 3 and WHOLE.lengths.tolist() == [1, 0, 3]
    assert WHOLE[2].tolist() == WHOLE[-1].tolist() == [[2, 0], [2, 1], [2, 2]] and WHOLE[1].shape == (0, 2)
    taken = WHOLE.take(np.array([2, 1, 0, 2]))
    assert taken.values.tolist() == [[2, 0], [2, 1], [2, 2], [1, 1], [2, 0], [2, 1], [2, 2]]
    assert taken.offsets.tolist() == [0, 3, 3, 4, 7]
    assert len(WHOLE.take(np.array([], int))) == 0
    with pytest.raises(IndexError):
        WHOLE[3]


@pytest.mark.parametrize(
    ("offsets", "message"),
    [
        ([1, 4], "begins with 0"),
        ([], "begins with 0"),
        ([0, 3, 2, 4], "entry 1 ends before"),
        ([0, 3], "end with row 3"),
    ],
)
def test_offsets_that_cannot_be(offsets: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Ragged(np.zeros((4, 2)), np.array(offsets, np.int64))


def test_labels_are_one_an_entry_or_one_a_row() -> None:
    assert WHOLE.of_rows(np.array([7, 8, 9])).tolist() == [7, 9, 9, 9]
    assert WHOLE.of_rows(Ragged(np.array([5, 6, 7, 8]), WHOLE.offsets)).tolist() == [5, 6, 7, 8]
    with pytest.raises(ValueError, match="labels of 2 entries, and there are 3"):
        WHOLE.of_rows(np.array([7, 8]))
    with pytest.raises(ValueError, match="entry 1 has 0 rows and 1 labels"):
        WHOLE.of_rows(Ragged(np.arange(4), np.array([0, 1, 2, 4])))
