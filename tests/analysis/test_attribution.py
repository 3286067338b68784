"""What each stage cost and bought: rows from a made document, and a page that shows them."""

from __future__ import annotations

import math

import pytest
from _documents import CANDIDATE, STAGE, TARGET, golden_report

from edgekd import report
from edgekd.analysis import attribution
from edgekd.build import planner
from edgekd.document.candidate import Candidate, Latency
from edgekd.document.report import Stage, Target
from edgekd.spec import recipe, target

TEACHER: Stage = {**STAGE, "value_validation": 0.99, "value_test": 0.98, "size_bytes": 8000}
BEFORE = {"fp32": None, "fp32-pruned": "fp32", "int8": "fp32-pruned", "int8-ptq": "fp32-pruned"}


def candidate(name: str, validation: float, test: float, size: int, p50: float) -> Candidate:
    latency: Latency = {**CANDIDATE["latency_ms"], "p50": p50}
    values: Candidate = {**CANDIDATE, "value_validation": validation, "value_test": test}
    return {**values, "name": name, "size_bytes": size, "latency_ms": latency}


def document(shipped: str | None = "int8") -> Target:
    """In the target's order, which is not that of the stages."""
    rows = [
        candidate("int8", 0.97, 0.97, 500, 0.1),
        candidate("int8-ptq", 0.90, 0.91, 500, 0.1),
        candidate("fp32-pruned", 0.96, 0.95, 2000, 0.2),
        candidate("fp32", 0.98, 0.98, 4000, 0.8),
    ]
    return {**TARGET, "shipped": shipped, "candidates": rows}


def test_rows_are_the_stages_on_the_way_and_then_those_left_out() -> None:
    rows = attribution.rows(TEACHER, document(), BEFORE)
    short = [
        (
            *(row["stage"], row["from"], row["on_the_way"], row["ships"]),
            *(value and round(value, 4) for value in (row["delta_validation"], row["delta_test"])),
            *(value and round(value, 4) for value in (row["size_factor"], row["p50_ms"], row["p50_factor"])),
        )
        for row in rows
    ]
    assert short == [
        ("teacher", None, True, False, None, None, None, None, None),
        ("fp32", "teacher", True, False, -0.01, 0.0, 2.0, 0.8, None),
        ("fp32-pruned", "fp32", True, False, -0.02, -0.03, 2.0, 0.2, 4.0),
        ("int8", "fp32-pruned", True, True, 0.01, 0.02, 4.0, 0.1, 2.0),
        ("int8-ptq", "fp32-pruned", False, False, -0.06, -0.04, 4.0, 0.1, 2.0),
    ]


@pytest.mark.parametrize("shipped", ["int8", "int8-ptq", "fp32-pruned", "fp32"])
def test_the_stages_on_the_way_add_up_to_what_ships(shipped: str) -> None:
    rows = [row for row in attribution.rows(TEACHER, document(shipped), BEFORE) if row["on_the_way"]]
    assert [row["stage"] for row in rows if row["ships"]] == [shipped] == [rows[-1]["stage"]]
    moved = sum(row["delta_validation"] or 0 for row in rows[1:])
    assert moved == pytest.approx(rows[-1]["value_validation"] - TEACHER["value_validation"])
    smaller = math.prod(row["size_factor"] or 0 for row in rows[1:])
    assert smaller == pytest.approx(TEACHER["size_bytes"] / rows[-1]["size_bytes"])


def test_where_nothing_ships_every_stage_is_left_out() -> None:
    rows = attribution.rows(None, document(None), BEFORE)
    assert len(rows) == 4 and not any(row["on_the_way"] for row in rows)
    assert rows[0]["stage"] == "fp32" and rows[0]["size_factor"] is None


def test_a_quantizing_pass_starts_from_the_float_stage_before_it_and_a_cast_from_the_last() -> None:
    table = {
        "name": "made",
        "task": "classification",
        "data": {"source": "made", "samples": 100},
        "teacher": {"model": {"kind": "convnet"}, "epochs": 1},
        "student": {"model": {"kind": "convnet"}, "epochs": 1},
        "losses": [{"kind": "kl"}],
        "compress": [{"kind": "int8_ptq"}, {"kind": "channel_prune", "epochs": 1}, {"kind": "int8_qat", "epochs": 1}],
    }
    targets = [target.load(name) for name in ("ort-cpu", "ort-cuda")]
    plan = planner.of_recipe(recipe.parse(table, "r"), targets, "data", 100)
    before = attribution.parents(plan, "ort-cpu")
    quantized = {name: start for name, start in before.items() if name.startswith("int8")}
    assert before["fp32"] is None and before["fp32-pruned"] == "fp32"
    assert sorted(map(str, quantized.values())) == ["fp32", "fp32-pruned"]
    assert attribution.parents(plan, "ort-cuda")["fp16"] == "fp32-pruned"


def test_the_page_draws_a_waterfall_of_each_kind_and_a_table() -> None:
    found = golden_report()
    assert "What each stage cost and bought" not in report.html(found, {}), "an old report has none"
    teacher = next(stage for stage in found["stages"] if stage["name"] == "teacher")
    found["details"]["attribution"] = {
        name: attribution.rows(teacher, table, BEFORE) for name, table in found["targets"].items()
    }
    candidate = found["targets"]["openvino"]["candidates"][-1]
    candidate["verdict"] += "; Conv_3 fell back to float"
    candidate["kernels"] = {"microseconds": {"convolutions": 12.5}}
    page = report.html(found, {})
    assert "What the runtime ran" in page and ">12.5</td>" in page
    assert page.count('class="waterfall"') == 3 * len(found["targets"])
    assert "not timed" in page and "smaller" in page and "faster" in page
    assert f"<dt>Why not {candidate['name']}</dt><dd>Conv_3 fell back to float</dd>" in page
