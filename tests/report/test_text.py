"""Numbers, units and differences as people read them."""

from __future__ import annotations

import pytest
from _documents import REPORT

from edgekd.report import text
from edgekd.report.text import MetricText
from edgekd.tasks.classification import Classification
from edgekd.tasks.regression import Regression


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.037758, "0.0378"), (26484, "26,500"), (0, "0"), (-1.5, "−1.50"), (None, "–"), (float("nan"), "–")],
)
def test_numbers_have_three_digits(value: float | None, written: str) -> None:
    assert text.significant(value) == written


def test_a_report_of_0_1_says_by_its_metrics_name_what_its_values_are() -> None:
    for name, shown in (
        ("accuracy", "98.9\N{NO-BREAK SPACE}%"),
        ("macro_f1", "98.9\N{NO-BREAK SPACE}%"),
        ("auc", "0.9889"),
    ):
        assert MetricText.of({**REPORT, "metric": name}).value(0.98889) == shown
        assert text.tasks_of({**REPORT, "metric": name}) == {"": Classification}
    assert text.tasks_of({**REPORT, "metric": "mse"}) == {"": Regression}
    assert MetricText.of({**REPORT, "metric": "a.b:C", "metric_is_share": True}).value(0.5).startswith("50.0")
