"""The best few and votes are held sparse, and say what whole rows of every class said, bit by bit."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekd.base.errors import DataError
from edgekd.base.scores import log_softmax
from edgekd.learn.answers import whole
from edgekd.learn.sparse_answers import Sparse
from edgekd.teachers import _few
from edgekd.teachers._classes import Classes
from edgekd.teachers._columns import Columns
from edgekd.teachers._few import Few, means, spread, votes
from edgekd.teachers._forms import Reader
from edgekd.teachers._matching import _mean

TINY = float(np.finfo(np.float32).tiny)


def dense_log(shares: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.log(np.maximum(shares, TINY)).astype(np.float32)


def dense_spread(table: np.ndarray) -> np.ndarray:
    """The plain formula over (N, K) shares, NaN where nothing is said."""
    unsaid = np.isnan(table)
    known = ~unsaid.all(axis=1)
    shares = np.where(unsaid, 0.0, table)
    left = np.clip(1 - shares.sum(axis=1), 0.0, None) / np.maximum(unsaid.sum(axis=1), 1)
    return dense_log(np.where(known[:, None], np.where(unsaid, left[:, None], shares), np.nan))


def dense_votes(counts: np.ndarray, smoothing: float) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        shares = (1 - smoothing) * counts / counts.sum(axis=1, keepdims=True) + smoothing / counts.shape[1]
    return dense_log(shares)


def shares_of_some(seed: int, samples: int, count: int, said: int) -> np.ndarray:
    """(N, K) shares of 0 to ``said`` classes a row, of which some are 0 and some leave nothing; NaN of the others."""
    rng = np.random.default_rng(seed)
    table = np.full((samples, count), np.nan)
    for row in table:
        named = rng.permutation(count)[: rng.integers(0, min(said, count) + 1)]
        shares = rng.random(len(named)) * (rng.random(len(named)) > 0.2)
        row[named] = shares / max(shares.sum(), 1e-9) * rng.choice([1.0, 0.9, 0.3])
    return table


def rows(table: np.ndarray) -> list[dict[str, float]]:
    return [{f"c{k}": row[k] for k in np.flatnonzero(~np.isnan(row))[::-1]} for row in table]


SIZES = st.sampled_from([1, 2, 7, 8, 9, 100, 128, 129, 300, 1100])  # numpy adds in another order from 8, from 128


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 9), SIZES, st.integers(1, 20))
def test_the_best_few_are_those_of_whole_rows_bit_by_bit(seed: int, samples: int, count: int, said: int) -> None:
    table = shares_of_some(seed, samples, count, said)
    expected = dense_spread(table)
    for few in (Few.of_table(table), Few.of(((np.arange(count), row) for row in table), count)):
        answers = spread(few, Columns({"top": []}, "a.jsonl"))
        assert whole(answers).tobytes() == expected.tobytes()
    reader = Reader(Classes(tuple(f"c{k}" for k in range(count))))
    named = rows(table)
    top: dict[str, Any] = {
        "top_labels": [list(row) for row in named],
        "top_probabilities": [list(row.values()) for row in named],
    }
    read = reader.read(Columns(top, "a.jsonl")).logits
    assert isinstance(read, Sparse) and whole(read).tobytes() == expected.tobytes()
    np.testing.assert_array_equal(read.answered(), ~np.isnan(table).all(axis=1))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 9), st.sampled_from([9, 130]), st.booleans())
def test_so_are_shares_by_name_of_which_some_are_absent(seed: int, samples: int, count: int, are_logs: bool) -> None:
    table = shares_of_some(seed, samples, count, 5)
    table[0] = 1 / count  # a row of all
    stored = np.log(np.maximum(table, 1e-30)) if are_logs else table
    values: list[Any] = [row or None for row in rows(stored)]
    if samples > 1:
        values[1], table[1], stored[1] = [1 / count] * count, 1 / count, 1 / count
        values[1] = np.log(values[1]).tolist() if are_logs else values[1]
        stored[1] = values[1]
    name = "log_probabilities" if are_logs else "probabilities"
    reader = Reader(Classes(tuple(f"c{k}" for k in range(count))))
    read = reader.read(Columns({name: values}, "a.jsonl")).logits
    assert whole(read).tobytes() == dense_spread(np.exp(stored) if are_logs else stored).tobytes()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 9), SIZES, st.integers(0, 12), st.sampled_from([0.0, 0.1, 0.3]))
def test_votes_are_those_of_whole_rows_bit_by_bit(
    seed: int, samples: int, count: int, given_votes: int, smoothing: float
) -> None:
    rng = np.random.default_rng(seed)
    voters, classes = rng.integers(0, samples, given_votes), rng.integers(0, count, given_votes)
    counts = np.zeros((samples, count))
    np.add.at(counts, (voters, classes), 1)
    answers = votes(voters, classes, (samples, count), smoothing)
    assert whole(answers).tobytes() == dense_votes(counts, smoothing).tobytes()
    assert answers.answered().tolist() == (counts.sum(axis=1) > 0).tolist()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), SIZES, st.integers(1, 4))
def test_the_mean_of_several_answers_is_that_of_whole_rows_bit_by_bit(seed: int, count: int, size: int) -> None:
    table = shares_of_some(seed, 12, count, 4)
    table[np.isnan(table).all(axis=1), 0] = 0.5
    answers = spread(Few.of_table(table), Columns({"top": []}, "a.jsonl"))
    groups = [list(range(start, start + size)) for start in range(0, 12 - size, 3)]
    expected = np.stack([_mean(whole(answers)[group]) for group in groups])
    assert whole(means(answers, groups, _mean)).tobytes() == expected.tobytes()


def test_a_mean_that_tells_more_classes_apart_names_them_all() -> None:
    answers = spread(Few.of_table(np.array([[0.5, np.nan, np.nan]])), Columns({"top": []}, "a.jsonl"))
    mean = means(answers, [[0]], lambda logits: np.arange(3, dtype=np.float32))
    assert whole(mean).tolist() == [[0, 1, 2]]


def test_sums_are_of_whole_rows_a_block_of_which_is_there_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    table = shares_of_some(0, 50, 300, 60)
    monkeypatch.setattr(_few, "SUMMED", 7 * 300)
    assert Few.of_table(table).sums().tobytes() == np.where(np.isnan(table), 0.0, table).sum(axis=1).tobytes()


def test_rows_of_many_classes_take_what_they_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of 2,000 rows names 4 of 3,000 classes: as whole rows of float32 they are 24 MB."""
    monkeypatch.setattr(_few, "SUMMED", 30_000)
    labels, shares = np.arange(8_000).reshape(2_000, 4) % 3_000, np.full((2_000, 4), 0.2)
    top, voted = {"top_labels": labels, "top_probabilities": shares}, {"labels": labels}
    for form, columns in (("top", Columns(top, "a.npz")), ("labels", Columns(voted, "a.npz"))):
        reader = Reader(Classes(tuple(f"c{k}" for k in range(3_000))))
        tracemalloc.start()
        try:
            answers = reader.read(columns).logits
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert answers.shape == (2_000, 3_000) and peak < 4e6
        shown = np.exp(log_softmax(answers[np.array([5])]))[0]
        np.testing.assert_allclose(shown[labels[5]], 0.2 if form == "top" else 0.25, rtol=1e-5)


@pytest.mark.parametrize("bad", [{"c0": 0.9, "c1": 0.3}, {"c0": -0.1}])
def test_shares_that_are_none_are_named(bad: dict[str, float]) -> None:
    columns = Columns({"probabilities": [{"c0": 0.5}, bad]}, "a.jsonl")
    with pytest.raises(DataError, match=r"a\.jsonl: shares that are none, or don't sum to 1; found 'row 1: "):
        Reader(Classes(("c0", "c1", "c2"))).read(columns)
