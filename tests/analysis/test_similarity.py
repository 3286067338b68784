"""Calibration, divergence and CKA: against plain implementations, and their laws."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekd.analysis import similarity
from edgekd.base import bootstrap
from edgekd.base.scores import divergence

SEEDS = st.integers(0, 10_000)


def answers(seed: int, count: int = 60, classes: int = 4, scale: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return (scale * rng.standard_normal((count, classes))).astype(np.float32), rng.integers(0, classes, count)


def plain_ece(scores: Any, labels: Any, bins: int = 15) -> float:
    """Guo et al. 2017, eq. 3 and 5, sample by sample."""
    groups: dict[int, list[tuple[float, bool]]] = {}
    for row, label in zip(scores.tolist(), labels.tolist(), strict=True):
        e = [math.exp(v - max(row)) for v in row]
        p = [v / sum(e) for v in e]
        best = p.index(max(p))
        m = next(m for m in range(bins) if m / bins < p[best] <= (m + 1) / bins or m == bins - 1)
        groups.setdefault(m, []).append((p[best], best == label))
    gaps = [abs(sum(h for _, h in g) / len(g) - sum(c for c, _ in g) / len(g)) * len(g) for g in groups.values()]
    return sum(gaps) / len(labels)


@given(seed=SEEDS, classes=st.integers(2, 9), scale=st.floats(0.1, 20))
@settings(max_examples=40, deadline=None)
def test_ece_is_the_papers(seed: int, classes: int, scale: float) -> None:
    scores, labels = answers(seed, classes=classes, scale=scale)
    found = similarity.calibration(scores, labels)
    assert found["ece"] == pytest.approx(plain_ece(scores, labels), abs=1e-9)
    assert 0 <= found["ece"] <= 1 and 1 / classes - 1e-9 <= found["confidence"] <= 1
    assert sum(b["count"] for b in found["bins"]) == len(labels)
    # The mean gap never exceeds the mean of gaps.
    assert abs(found["confidence"] - found["accuracy"]) <= found["ece"] + 1e-9


@given(seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_the_order_of_samples_is_no_matter(seed: int) -> None:
    scores, labels = answers(seed)
    order = np.random.default_rng(seed).permutation(len(labels))
    one, two = similarity.calibration(scores, labels), similarity.calibration(scores[order], labels[order])
    assert all(one[key] == pytest.approx(two[key], abs=1e-12) for key in ("ece", "confidence", "accuracy", "nll"))


def test_who_is_as_sure_as_right_is_calibrated() -> None:
    """Of every ten answers of 70 % seven are right, of every ten of 90 % nine."""
    rows, labels = [], []
    for share in (0.7, 0.9):
        rows += [[math.log(share), math.log(1 - share)]] * 10
        labels += [0] * round(10 * share) + [1] * round(10 - 10 * share)
    found = similarity.calibration(np.array(rows), np.array(labels))
    assert found["ece"] == pytest.approx(0, abs=1e-12)
    assert found["nll"] == pytest.approx(-sum(s * math.log(s) + (1 - s) * math.log(1 - s) for s in (0.7, 0.9)) / 2)


def test_who_is_sure_and_wrong_has_all_of_it() -> None:
    found = similarity.calibration(np.array([[1000.0, 0.0]] * 3), np.array([1, 1, 1]))
    assert (found["ece"], found["confidence"], found["accuracy"], found["nll"]) == (1.0, 1.0, 0.0, 1000.0)


@given(seed=SEEDS, classes=st.integers(2, 9))
@settings(max_examples=30, deadline=None)
def test_divergence_is_plain_jensen_shannon(seed: int, classes: int) -> None:
    (one, _), (other, _) = answers(seed, 5, classes), answers(seed + 1, 5, classes)
    found = divergence(one, other)
    for row, a, b in zip(found, one.astype(float), other.astype(float), strict=True):
        p, q = np.exp(a) / np.exp(a).sum(), np.exp(b) / np.exp(b).sum()
        entropy = [-(v * np.log2(v)).sum() for v in ((p + q) / 2, p, q)]
        assert row == pytest.approx(entropy[0] - (entropy[1] + entropy[2]) / 2, abs=1e-9)
    assert found == pytest.approx(divergence(other, one), abs=1e-12)
    assert divergence(one, one + 3) == pytest.approx(0, abs=1e-9)


def test_nothing_shared_is_one_bit() -> None:
    assert divergence(np.array([[900.0, 0.0]]), np.array([[0.0, 900.0]])) == pytest.approx(1)


def test_the_furthest_come_first_and_noise_does_not_reorder() -> None:
    teacher = np.zeros((5, 2))
    student = np.array([[0, 0], [3, 0], [0, 3], [9, 0], [0, 0.1]], float)
    found = similarity.furthest(divergence(teacher, student), 3)
    assert [i for i, _ in found] == [3, 1, 2], "of equal ones the lower number"
    moved = student + 1e-9 * np.arange(10).reshape(5, 2)
    assert similarity.furthest(divergence(teacher, moved), 3) == found
    assert len(similarity.furthest(divergence(teacher, student), 12)) == 5


@given(seed=SEEDS, width=st.integers(1, 12), other=st.integers(1, 12), scale=st.floats(1e-3, 1e3))
@settings(max_examples=40, deadline=None)
def test_cka_keeps_its_laws(seed: int, width: int, other: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((20, width)), rng.standard_normal((20, other))
    turn, _ = np.linalg.qr(rng.standard_normal((width, width)))
    found = similarity.linear_cka(x, y)
    assert found is not None and 0 <= found <= 1
    assert similarity.linear_cka(x, x) == pytest.approx(1)
    assert similarity.linear_cka(x @ turn * scale + 5, y) == pytest.approx(found, abs=1e-6)
    assert similarity.linear_cka(y, x) == pytest.approx(found, abs=1e-12)
    a, b = x - x.mean(0), y - y.mean(0)
    plain = np.linalg.norm(b.T @ a) ** 2 / (np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b))
    assert found == pytest.approx(plain, abs=1e-9)


def test_cka_of_a_layer_that_says_nothing_is_none() -> None:
    x = np.random.default_rng(0).standard_normal((9, 3))
    assert similarity.linear_cka(np.full((9, 4), 0.1), x) is None
    assert similarity.cka_table([x, np.zeros((9, 2))], [x]) == [[pytest.approx(1)], [None]]


def test_a_bootstrap_finds_the_error_of_a_mean() -> None:
    values = np.random.default_rng(0).standard_normal(400)
    low, high = bootstrap.interval([float(values[index].mean()) for index in bootstrap.draws(400)])
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 / 20, rel=0.15)
    assert [len(bootstrap.draws(10, values)) for values in (1, 50_000, 10**9)] == [1000, 400, 200]
