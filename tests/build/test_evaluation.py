"""What candidates are scored on: as an app asks, and where that takes long a part, the same one for everybody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from edgekd.base.errors import RecipeError
from edgekd.build.evaluation import EvaluationSet, counted
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.feed import Feed
from edgekd.metrics._evaluator import Evaluator
from edgekd.metrics.accuracy import Accuracy
from edgekd.metrics.spearman import Spearman
from edgekd.runtime.backend import Port
from edgekd.spec.recipe import Augment
from edgekd.tasks import Heads
from edgekd.tasks.embedding import Embedding


class Session:
    """Says of each sample its first two numbers, and remembers how many it was given at once."""

    inputs = (Port("input", (None, 3), "float32"),)
    outputs = (Port("logits", (None, 2), "float32"),)

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def run(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        self.sizes.append(len(arrays["input"]))
        return {"logits": arrays["input"][:, :2]}


def evaluation(count: int) -> EvaluationSet:
    def split(seed: int) -> Split:
        x = np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)
        return Split(x, x[:, :2].argmax(1))

    feed = Feed(Dataset(split(0), split(1), split(2), ("a", "b"), ()), (), Augment(views=1), 0)
    return EvaluationSet.of(feed, lambda name: feed.raw(name)[:, 1::-1], Evaluator(Accuracy(), Heads({"logits": 2})))


@pytest.mark.parametrize(
    ("total", "seconds", "count"),
    [
        (10_000, 0.001, 10_000),
        (10_000, 0.006, 10_000),
        (10_000, 0.0061, 9_000),
        (10_000, 0.02, 3_000),
        (10_000, 5.0, 1_000),
        (400, 5.0, 400),
        (1_500, 0.05, 1_000),
    ],
)
def test_a_minute_or_a_thousand(total: int, seconds: float, count: int) -> None:
    assert counted(total, seconds) == count


@pytest.mark.parametrize(("batch", "sizes"), [(1, [1] * 10), (4, [4, 4, 2]), (64, [10])])
def test_a_shipped_batch_at_a_time(batch: int, sizes: list[int]) -> None:
    session, asked = Session(), evaluation(10)
    scores = asked.scores(session, "test", batch)  # type: ignore[arg-type]
    assert session.sizes == sizes and np.array_equal(scores, asked.raw("test")[:, :2])
    assert asked.value("test", scores) == 1.0 and asked.teacher_value("test") == 0.0


def test_a_part_is_the_same_for_candidate_teacher_and_labels() -> None:
    whole = evaluation(3_000)
    part = whole.within(0.03)
    assert [part.length(split) for split in ("train", "validation", "test")] == [2_000] * 3
    assert whole.within(0.001).length("test") == 3_000 and not whole.left_out("here")
    rows = part.rows["test"]
    assert (np.diff(rows) > 0).all() and np.array_equal(rows, whole.within(0.03).rows["test"])
    scores = part.scores(Session(), "test", 1)  # type: ignore[arg-type]
    assert np.array_equal(scores, whole.raw("test")[rows, :2])
    assert part.value("test", scores) == 1.0 and part.teacher_value("test") == 0.0
    assert np.array_equal(part.teacher("test"), whole.teacher("test")[rows])
    assert part.number("test", 7) == rows[7]
    assert part.left_out("here")[1].startswith("here: 2,000 of 3,000 test samples are scored")


def test_what_the_teacher_does_not_answer_is_in_no_figure() -> None:
    whole = evaluation(3_000)
    says = {name: whole.said(name).astype(np.float32).copy() for name in ("train", "validation", "test")}
    says["test"][[0, 7]] = says["train"][:] = np.nan
    some = EvaluationSet.of(whole.feed, says.__getitem__, whole.evaluator)
    assert some.length("train") == some.length("validation") == 3_000
    assert some.length("test") == 2_998 and some.number("test", 0) == 1 and not some.left_out("here")
    assert some.unanswered() == ["2 of 3,000 test samples have no answer of the teacher: no figure is of them"]
    assert np.isfinite(some.teacher_value("test")) and not whole.unanswered()
    drawn = some.within(0.03)
    assert set(drawn.rows["test"]) <= set(some.rows["test"]) and drawn.left_out("x")[1].startswith("x: 2,000 of 2,998")
    says["validation"][:] = np.nan
    with pytest.raises(RecipeError, match="answers no sample of validation"):
        EvaluationSet.of(whole.feed, says.__getitem__, whole.evaluator)


def test_samples_that_are_alike_are_drawn_together() -> None:
    """Twenty videos of fifty frames each, right or wrong as a whole: twenty answers, and not a thousand."""
    video = np.random.default_rng(0).permutation(np.repeat(np.arange(20), 50))
    x, y = np.where(video[:, None] < 5, [[0.0, 1.0]], [[1.0, 0.0]]).astype(np.float32), np.zeros(1_000, np.int64)
    raw, width = dict.fromkeys(("train", "validation", "test"), x), {}
    for group in (None, video):
        part = Split(x, y, group=group)
        feed = Feed(Dataset(part, part, part, ("a", "b"), ()), (), Augment(views=1), 0)
        one = EvaluationSet.of(feed, raw.__getitem__, Evaluator(Accuracy(), Heads({"y": 2})))
        low, high = one.intervals("test", x)["value_ci95"]
        assert low <= 0.75 <= high
        width[group is not None] = high - low
    assert 0.3 < width[True] < 0.45 and 0.04 < width[False] < 0.07


def test_pairs_are_scored_and_resampled_whole() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2_000, 3)).astype(np.float32)
    pair = rng.permutation(1_000).repeat(2)
    y = np.stack([pair, rng.uniform(size=1_000)[pair]], axis=1).astype(np.float32)
    part = Split(x, y, together=pair.astype(np.int64))
    feed = Feed(Dataset(part, part, part, ("a", "b", "c"), ()), (), Augment(views=1), 0)
    heads = Heads({"vector": 3}, {"vector": Embedding(size=3)})
    whole = EvaluationSet.of(feed, lambda name: np.asarray(feed.raw(name)), Evaluator(Spearman(), heads))
    some = whole.within(0.06)
    assert some.length("test") == 1_000 and np.unique(pair[some.rows["test"]]).size == 500
    scores = some.of_rows("test", x)
    ends = some.intervals("test", scores)
    assert ends["value_ci95"][0] < some.value("test", scores) < ends["value_ci95"][1]
    assert ends["drop_ci95"] == [0.0, 0.0], "of the teacher's own vectors"
    first = next(iter(some.draws("test", scores)))
    of = pair[some.rows["test"]][first].reshape(-1, 2)
    assert (of[:, 0] == of[:, 1]).all() and len(np.unique(of)) < 500
