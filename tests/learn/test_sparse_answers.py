"""Answers of a few classes each: the rows are those of the whole table, however they are fetched."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekd.base.ragged import Ragged, ends
from edgekd.learn.answers import Picked, have_answer, whole
from edgekd.learn.sparse_answers import Sparse


def both(seed: int, samples: int, columns: int, most: int) -> tuple[Sparse, np.ndarray]:
    """Rows that name 0 to ``most`` classes each, some of which are no answer; and the same as a table."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, min(most, columns) + 1, samples)
    classes = [rng.permutation(columns)[:length].astype(np.int32) for length in lengths]
    values = rng.standard_normal(int(lengths.sum())).astype(np.float32)
    rest = rng.standard_normal(samples).astype(np.float32)
    rest[(lengths == 0) & (np.arange(samples) % 2 == 0)] = np.nan
    table = np.tile(rest[:, None], (1, columns))
    for row, named, given_values in zip(table, classes, np.split(values, np.cumsum(lengths)[:-1]), strict=True):
        row[named] = given_values
    flat = np.concatenate([np.empty(0, np.int32), *classes])
    return Sparse(Ragged(flat, ends(lengths)), values, rest, columns), table


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 12), st.integers(1, 9), st.integers(0, 9), st.data())
def test_rows_are_those_of_the_table_bit_by_bit(
    seed: int, samples: int, columns: int, most: int, data: st.DataObject
) -> None:
    sparse, table = both(seed, samples, columns, most)
    index = np.array(data.draw(st.lists(st.integers(-samples, samples - 1), max_size=15)), np.int64)
    assert sparse[index].tobytes() == table[index].tobytes() and sparse[index].dtype == np.float32
    part = slice(*sorted(data.draw(st.tuples(st.integers(0, samples), st.integers(0, samples)))))
    assert sparse[part].tobytes() == table[part].tobytes() and whole(sparse).tobytes() == table.tobytes()
    assert have_answer(sparse).tolist() == have_answer(table).tolist()
    assert sparse.shape == table.shape == (len(sparse), columns)


def test_a_number_of_no_row_is_an_error() -> None:
    sparse, _ = both(0, 4, 3, 2)
    for number in (4, -5):
        with pytest.raises(IndexError, match="of 4"):
            sparse[np.array([0, number])]


def test_rows_of_several_answers_are_picked_and_those_of_none_are_not_there() -> None:
    sparse, table = both(1, 5, 3, 2)
    dense = np.arange(6, dtype=np.float32).reshape(2, 3)
    picked = Picked([sparse, dense], np.array([6, -1, 0, 4, 5]), 3)
    expected = np.concatenate([dense[1:], np.full((1, 3), np.nan, np.float32), table[[0, 4]], dense[:1]])
    np.testing.assert_array_equal(whole(picked), expected)
    np.testing.assert_array_equal(picked[np.array([3, 3, 1, -1])], expected[[3, 3, 1, 4]])
    assert picked.answered().tolist() == [True, False, True, True, True] and picked.shape == (5, 3) == (len(picked), 3)
