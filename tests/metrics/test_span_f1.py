"""Spans are counted as conlleval and seqeval do, held against a plain reading of their rules."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekd.metrics import Evaluator
from edgekd.metrics.span_f1 import SpanF1
from edgekd.tasks import IGNORED, Heads
from edgekd.tasks.tagging import Tagging

ROWS = st.lists(st.lists(st.integers(0, 4), min_size=6, max_size=6), min_size=1, max_size=5)


def plain(tags: list[int]) -> set[tuple[int, int, int]]:
    """(first word, the one behind the last, kind), word by word."""
    spans, begun, kind = set(), None, 0
    for i, tag in enumerate([*tags, 0]):
        this = (tag + 1) // 2
        if begun is not None and (this != kind or tag % 2 == 1):
            spans.add((begun, i, kind))
            begun = None
        if this and begun is None:
            begun, kind = i, this
    return spans


def score(said: np.ndarray, right: np.ndarray) -> float:
    heads = Heads({"tags": (said.shape[1], 5)}, {"tags": Tagging()})
    scores = np.eye(5, dtype=np.float32)[said].reshape(len(said), -1)
    return Evaluator(SpanF1(), heads)(scores, right, None, np.zeros(len(said)))


@given(said=ROWS, right=ROWS, hidden=st.integers(0, 2**6 - 1))
@settings(max_examples=200, deadline=None)
def test_is_that_of_a_plain_count(said: list[list[int]], right: list[list[int]], hidden: int) -> None:
    count = min(len(said), len(right))
    mine, labels = np.array(said[:count]), np.array(right[:count])
    shown = [i for i in range(6) if not hidden >> i & 1]
    hits = spoken = wanted = 0
    for a, b in zip(mine, labels, strict=True):
        one, other = plain([int(a[i]) for i in shown]), plain([int(b[i]) for i in shown])
        hits, spoken, wanted = hits + len(one & other), spoken + len(one), wanted + len(other)
    labels[:, [i for i in range(6) if i not in shown]] = IGNORED
    expected = 2 * hits / (spoken + wanted) if spoken + wanted else 1.0
    assert score(mine, labels) == pytest.approx(expected)


def test_a_span_that_is_too_long_or_of_another_kind_is_wrong() -> None:
    right = np.array([[1, 2, 0, 3]])
    assert score(right, right) == 1
    assert score(np.array([[1, 2, 2, 3]]), right) == 0.5
    assert score(np.array([[3, 4, 0, 3]]), right) == 0.5
    assert score(np.array([[1, 1, 0, 3]]), right) == pytest.approx(0.4)
