"""Answers that are fetched when they are asked for, and several teachers' as one."""

from __future__ import annotations

import numpy as np

from edgekd.learn.answers import BLOCK, Combined, have_answer, whole


class OnDisk:
    """Rows that are copied when they are fetched."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.shape = values, (len(values), values.shape[1])

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: np.ndarray | slice) -> np.ndarray:
        return self.values[index].copy()

    def answered(self) -> np.ndarray:
        return ~np.isnan(self.values).any(1)


def test_rows_of_several_are_combined_when_they_are_fetched() -> None:
    a, b = np.random.default_rng(0).standard_normal((2, BLOCK + 5, 2)).astype(np.float32)
    b[[1, BLOCK + 1]] = np.nan
    both = Combined([OnDisk(a), b], lambda parts: np.concatenate(parts, axis=1), 4)
    index = np.array([BLOCK, 3, 3])
    np.testing.assert_array_equal(both[index], np.concatenate([a, b], 1)[index])
    np.testing.assert_array_equal(whole(both), np.concatenate([a, b], 1))
    assert np.flatnonzero(~have_answer(both)).tolist() == [1, BLOCK + 1]
    assert both.shape == (BLOCK + 5, 4) == (len(both), 4)


def test_an_array_is_answers_already() -> None:
    values = np.array([[1, 2], [np.nan, np.nan]], np.float32)
    assert whole(values) is values and have_answer(values).tolist() == have_answer(OnDisk(values)).tolist() == [1, 0]


def test_one_head_of_several_may_have_an_answer_alone() -> None:
    values = np.array([[1, 2, np.nan], [np.nan, 1, 2], [1, 2, 3]], np.float32)
    for answers in (values, OnDisk(values)):
        assert have_answer(answers, slice(0, 2)).tolist() == [True, False, True]
        assert have_answer(answers, slice(2, 3)).tolist() == [False, True, True]
        assert have_answer(answers, slice(None)).tolist() == [False, False, True]
