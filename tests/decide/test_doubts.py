"""What a split can't decide is said in one sentence; advice is made of the very miss."""

from __future__ import annotations

import numpy as np
import pytest

from edgekd.build.evaluation import EvaluationSet
from edgekd.decide.choose import Contender
from edgekd.decide.doubts import Drop, about_drop, advice, resolution
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.feed import Feed
from edgekd.metrics._evaluator import Evaluator
from edgekd.metrics.accuracy import Accuracy
from edgekd.metrics.macro_f1 import MacroF1
from edgekd.spec.recipe import Augment, Budget
from edgekd.tasks import Heads


@pytest.mark.parametrize(
    ("value", "samples", "points"), [(0.95, 411, 2.1), (0.9, 411, 2.9), (0.99, 360, 1.0), (1.0, 200, 0.5)]
)
def test_the_resolution_is_computed(value: float, samples: int, points: float) -> None:
    assert round(100 * resolution(value, samples), 1) == points


@pytest.mark.parametrize(
    ("validation", "test", "said"),
    [
        ((0.0, (-0.004, 0.004)), (0.0, (-0.004, 0.004)), None),
        ((0.0028, (-0.0056, 0.0111)), (0.0, (-0.01, 0.01)), "validation is too small to decide max_drop 0.01"),
        ((0.0028, (-0.0056, 0.0111)), (0.0167, (0.001, 0.03)), "test contradicts max_drop 0.01: the drop is 0.0167"),
        ((0.02, (0.01, 0.03)), (0.03, (0.01, 0.05)), None),
    ],
)
def test_one_sentence_of_a_wish_in_doubt(
    validation: tuple[float, tuple[float, float]], test: tuple[float, tuple[float, float]], said: str | None
) -> None:
    drops = Drop("validation", 360, *validation), Drop("test", 360, *test)
    found = about_drop("here, int8", Budget(max_drop=0.01), *drops)
    assert found is None if said is None else said in str(found)
    assert about_drop("here, int8", Budget(max_drop=0.5), *drops) is None


@pytest.mark.parametrize(("samples", "is_share", "is_told"), [(20, True, True), (400, True, False), (20, False, False)])
def test_few_answers_that_differ_nowhere_decide_nothing(samples: int, is_share: bool, is_told: bool) -> None:
    validation, test = (Drop(split, samples, 0.0, (0.0, 0.0), is_share) for split in ("validation", "test"))
    found = about_drop("here, int8", Budget(max_drop=0.01), validation, test)
    assert (found is not None and "validation is too small" in found) == is_told


def evaluation(metric: object) -> EvaluationSet:
    x = np.random.default_rng(0).normal(size=(400, 2)).astype(np.float32)
    split = Split(x, x.argmax(1))
    feed = Feed(Dataset(split, split, split, ("a", "b"), ()), (), Augment(views=1), 0)
    return EvaluationSet.of(feed, lambda name: np.asarray(feed.raw(name)), Evaluator(metric, Heads({"logits": 2})))  # type: ignore[arg-type]


@pytest.mark.parametrize("metric", [Accuracy(), MacroF1()])
def test_intervals_are_paired(metric: object) -> None:
    """Against itself a candidate has no drop in any resample, although its value moves."""
    asked = evaluation(metric)
    worse = asked.teacher("test").copy()
    worse[:40] *= -1
    told = asked.intervals("test", worse)
    assert told["value_ci95"][0] < 0.9 < told["value_ci95"][1] and 0.06 < told["drop_ci95"][0] < 0.1
    assert told["drop_ci95"][1] < 0.14
    worse[:80] *= -1
    assert asked.intervals("test", asked.teacher("test"))["drop_ci95"] == [0.0, 0.0]


FP32, INT8 = Contender("fp32", 12_000, 0.9, 1.0), Contender("int8", 4_000, 0.9, 0.5)


@pytest.mark.parametrize(
    ("contenders", "budget", "said"),
    [
        ([Contender("fp32", 9, 0.65, 1.0)], Budget(max_drop=0.01), ["the fp32 student itself is 0.2500 below"]),
        (
            [FP32, Contender("fp32-pruned", 9, 0.9, 1.0), Contender("int8", 9, 0.8, 1.0)],
            Budget(max_drop=0.01, max_size_kb=0.001),
            ["int8 fails after pruning: a smaller ratio in [[compress]] of mine.toml", "the smallest, fp32-pruned"],
        ),
        ([FP32, Contender("fp32-pruned", 9, 0.8, 1.0)], Budget(max_drop=0.01), ["fp32-pruned loses 0.1000"]),
        ([FP32, INT8], Budget(max_latency_ms=0.1), ["the fastest, int8, takes 0.500 ms", "edgekd tune mine.toml"]),
        ([FP32, INT8], Budget(max_size_kb=2.0), ["the smallest, int8, has 4.0 kB", "--max-size-kb 2"]),
    ],
)
def test_advice_is_of_this_miss(contenders: list[Contender], budget: Budget, said: list[str]) -> None:
    pruned = {c.name: c.name != "fp32" for c in contenders}
    told = "; ".join(advice(contenders, pruned, budget, 0.9, "mine.toml"))
    assert all(part in told for part in said), told


def test_vectors_that_int8_turns_too_far_are_told() -> None:
    int8, fp32 = Contender("int8", 300, 0.9, 0.5, cosine=0.9), Contender("fp32", 1000, 0.9, 1.0)
    said = advice([int8, fp32], {}, Budget(min_cosine=0.995, max_latency_ms=0.7), 0.9, "r.toml")
    assert said == [
        "int8 has vectors of a mean cosine of 0.9000 to the fp32 file's: the loss cosine, more epochs of int8_qat, or "
        "most_float"
    ]
