"""The page tells each candidate kernel by kernel, int8 that does not ship first, beside the same net in float."""

from __future__ import annotations

import json
from typing import Any

import pytest
from _documents import golden_report

from edgekd import report
from edgekd.base import reader
from edgekd.decide import kernel_costs
from edgekd.document.kernel import Kernel
from edgekd.document.report import Report
from edgekd.report import kernels

SHAPE = (1, 8, 4, 4)
FLOAT = [Kernel("Conv_0", "Conv", "float32", 9.0, ("Conv_0",), "float32", "float32", SHAPE)]
INT8 = [
    Kernel("q", "QuantizeLinear", "float32 to int8", 2.0, (), "float32", "int8", SHAPE),
    Kernel("Conv_7_token_1", "QLinearConv", "int8", 10.0, ("Conv_7",), "int8", "int8", (1, 4, 4, 8)),
]


@pytest.fixture
def document() -> Any:
    """A report whose OpenVINO candidates are known kernel by kernel; which ships is another one than int8."""
    changed = json.loads(json.dumps(golden_report()))
    target = changed["targets"]["openvino"]
    for candidate in target["candidates"]:
        quantized = candidate["numerics"] != "fp32"
        rows = kernel_costs.rows(INT8 if quantized else FLOAT)
        candidate["kernels"] = {"microseconds": {"convolutions": 9.0}, "rows": rows}
    target["shipped"] = next(c["name"] for c in target["candidates"] if c["numerics"] == "fp32")
    return changed


def test_int8_that_does_not_ship_stands_first_and_beside_float(document: Any) -> None:
    target = reader.check(document, Report, "test")["targets"]["openvino"]
    int8 = next(c for c in target["candidates"] if c["numerics"] != "fp32")
    alike = next(c for c in target["candidates"] if c["numerics"] == "fp32" and c["pruned"] == int8["pruned"])
    tables = kernels.tables(target)
    assert tables[0].title == f"{int8['name']}, which does not ship" and tables[0].beside == alike["name"]
    assert tables[0].rows[0] == ("conversion", ["q", "QuantizeLinear", "converts types", "float32 → int8",
                                                "1×8×4×4", "2.0", "", ""])  # fmt: skip
    assert tables[0].rows[1][1][4:] == ["1×4×4×8", "10.0", "Conv 9.0", "+1.0"]
    assert "int8: 1 kernels" in tables[0].sums and "(83" in tables[0].sums
    assert tables[1].title.endswith("which ships") and tables[1].beside is None and len(tables[1].rows[0][1]) == 6


def test_the_page_folds_a_table_for_each(document: Any) -> None:
    page = report.html(document, {})
    names = [c["name"] for c in document["targets"]["openvino"]["candidates"]]
    for name in names:
        assert f"<summary>Kernel by kernel: {name}, which " in page
    assert page.count("<summary>Kernel by kernel: ") == len(names), "of the other target nothing is known"
    assert '<tr class="conversion"><th scope="row">q</th>' in page


def test_a_report_of_before_has_none(document: Any) -> None:
    for candidate in document["targets"]["openvino"]["candidates"]:
        del candidate["kernels"]["rows"]
    assert kernels.tables(document["targets"]["openvino"]) == []
    assert "Kernel by kernel" not in report.html(document, {})


def test_what_was_tried_in_float_is_told_group_by_group(document: Any) -> None:
    target = document["targets"]["openvino"]
    candidate = next(c for c in target["candidates"] if c["numerics"] != "fp32")
    assert kernels.tables(target)[0].mixed == []
    group = {"layers": ["Conv_1", "Conv_2"], "int8_us": 9.0, "float_us": 4.0, "promised_us": 3.5, "in_float": True}
    groups = [group, {**group, "layers": [], "in_float": False}]
    candidate["mixed"] = {"groups": groups, "tries": [], "activations": [1], "weights": [0], "refused": None}
    checked = reader.check(document, Report, "test")
    first, second = kernels.tables(checked["targets"]["openvino"])[0].mixed
    assert first.startswith("Conv_1, Conv_2: in float (") and "in int8, 4" in first and "; 3.5" in first
    assert second.startswith("conversions between layers that run in float: tried in float, and not clearly faster")
    candidate["mixed"]["refused"] = "0.8 on validation"
    assert kernels.tables(target)[0].mixed[-1] == "Not taken all the same: 0.8 on validation."
    assert "Mixed precision" in report.html(document, {})
