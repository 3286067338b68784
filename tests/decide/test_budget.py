"""One rule for a budget: what build ships, what tune accepts and what the pages show agree, case by case."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from edgekd.decide.budget import resolved
from edgekd.decide.choose import Choice, Contender, budget_record, choose
from edgekd.document import report as documents
from edgekd.report import view
from edgekd.report.text import MetricText
from edgekd.spec.recipe import Budget
from edgekd.tune import trial
from edgekd.tune.verdict import Result

CASES = 10_000


class Verdicts(NamedTuple):
    """What each of the three says of the same measurement."""

    choice: Choice
    result: Result
    record: documents.Budget
    page: dict[str, Any]

    @property
    def met(self) -> tuple[bool, bool, bool, bool]:
        rows = {row["how"] for row in self.page["rows"]}
        return self.choice.shipped is not None, self.result.met, self.record["met"], "missed" not in rows


def judged(contender: Contender, budget: Budget, teacher: float) -> Verdicts:
    """One candidate, held against a budget by build, by tune, for report.json and on the page."""
    evaluation = SimpleNamespace(teacher_value=lambda split: teacher)
    measured: Any = {"t": SimpleNamespace(contenders=lambda: [contender], evaluation=evaluation)}
    choice = choose([contender], budget, teacher, lambda a, b: (1.0, 1.0, 1.0))
    record = budget_record(contender, budget, teacher, (0.0, 0.0))
    page = view._budget(record, MetricText("accuracy", share=True))
    return Verdicts(choice, trial._result(budget, 0, measured, {"t": choice}), record, page)


def random_case(rng: np.random.Generator) -> tuple[Contender, Budget, float]:
    """Counts over counts, and wishes that lie at, just below or just above what was measured, or anywhere."""
    samples = int(rng.integers(1, 5000))
    teacher = int(rng.integers(0, samples + 1))
    student = int(np.clip(teacher + rng.integers(-50, 20), 0, samples))
    p50_ms, size = float(rng.uniform(0.01, 30)), int(rng.integers(1, 5_000_000))
    cosine = float(rng.uniform(0.9, 1))
    contender = Contender("fp32", size, student / samples, p50_ms, cosine=cosine)

    def wish(measured: float, most: float) -> float | None:
        kind = rng.integers(5)
        near = [None, measured, round(measured, 3), measured * (1 + rng.choice([-1e-6, 1e-6])), rng.uniform(0, most)]
        value = near[kind]
        return None if value is None or not 0 < value <= most else float(value)

    lost = (teacher - student) / samples  # as a user counts it; rounded otherwise than the difference of two shares
    budget = Budget(
        max_drop=wish(lost, 1.0) or float(rng.choice([0.0, 0.01, 0.02])),
        max_latency_ms=wish(p50_ms, 100.0),
        max_size_kb=wish(size / 1000, 1e6),
        max_size_share=wish(size / 4_000_000, 4.0),
        min_cosine=wish(cosine, 1.0),
    )
    return contender, resolved(budget, 4_000_000), teacher / samples


def test_build_and_tune_and_the_pages_agree_on_every_budget() -> None:
    rng = np.random.default_rng(0)
    verdicts = [judged(*random_case(rng)).met for _ in range(CASES)]
    apart = [number for number, met in enumerate(verdicts) if len(set(met)) > 1]
    assert apart == []
    met = sum(shipped for shipped, *_ in verdicts)
    assert CASES / 10 < met < 9 * CASES / 10, "both are common among the cases"


def test_thirty_of_three_thousand_are_one_in_a_hundred() -> None:
    """2940/3000 - 2910/3000 is 0.010000000000000009."""
    student = Contender("fp32", 1000, 2910 / 3000, 1.0)
    assert 2940 / 3000 - 2910 / 3000 > 0.01
    assert judged(student, Budget(max_drop=0.01), 2940 / 3000).met == (True, True, True, True)
    assert judged(student, Budget(max_drop=0.01), 2941 / 3000).met == (False, False, False, False)


def test_vectors_are_held_to_at_least_so_much() -> None:
    """Just as much is met, less is a miss that tells both numbers; what has no cosine is held to none."""
    budget = Budget(min_cosine=0.995)
    for cosine, met in ((0.995, True), (0.9949, False), (None, True)):
        verdicts = judged(Contender("fp32", 1000, 1.0, 1.0, cosine=cosine), budget, 1.0)
        assert verdicts.met == (met,) * 4
        told = "mean cosine 0.9949 to the fp32 file's vectors is below min_cosine 0.995"
        assert (told in verdicts.choice.reason) is not met
    assert verdicts.page["rows"][-1] == {
        "name": "cosine to the fp32 file's vectors", "wanted": "0.9950", "got": "–", "how": "met"
    }  # fmt: skip
    assert judged(Contender("fp32", 1, 1.0, 1.0), Budget(), 1.0).page["rows"][-1]["name"] == "size"


def test_a_share_of_the_teachers_file_is_one_wish_for_all() -> None:
    budget = Budget(max_drop=0.01, max_size_share=0.1)
    fits, large = (Contender("fp32", size, 1.0, 1.0) for size in (400_000, 400_001))
    assert judged(fits, resolved(budget, 4_000_000), 1.0).met == (True, True, True, True)
    over = judged(large, resolved(budget, 4_000_000), 1.0)
    assert over.met == (False, False, False, False)
    assert set(over.result.missed) == {"max_size_kb"} and "exceeds max_size_kb 400" in over.choice.reason


def test_the_smaller_of_two_sizes_counts() -> None:
    assert resolved(Budget(max_size_kb=300, max_size_share=0.1), 4_000_000).max_size_kb == 300
    assert resolved(Budget(max_size_kb=500, max_size_share=0.1), 4_000_000).max_size_kb == 400
    assert resolved(Budget(max_size_kb=500), 4_000_000).max_size_kb == 500
