"""What was measured, in the forms that other programs read: those programs' own keys, and no formula."""

from __future__ import annotations

import csv
import io

from _documents import DEVICE, VARIANT

from edgekd.document.bench import DeviceResult, Variant
from edgekd.runtime import exports

DEVICES: list[DeviceResult] = [
    {**DEVICE, "device": "=cmd()", "variants": {"ort-cpu": VARIANT, "openvino": {"skipped": "no such runtime"}}},
    {**DEVICE, "device": "b\x1b[1m"},
]


def test_csv_has_a_line_for_what_was_measured_and_no_formula() -> None:
    rows = list(csv.DictReader(io.StringIO(exports.as_csv(DEVICES))))
    assert [row["device"] for row in rows] == ["'=cmd()", "b\\x1b[1m"] and tuple(rows[0]) == exports.COLUMNS
    assert (rows[0]["p50_ms"], rows[0]["throughput_per_s"], rows[0]["stable"]) == ("1.0", "700.0", "True")


def test_the_summary_of_mlperf_is_in_nanoseconds_and_tells_too_few_queries() -> None:
    text = exports.as_mlperf(DEVICES[:1])
    assert "90.0th percentile latency (ns) : 2000000" in text and "Result is : VALID" in text
    assert "Early stopping 90th percentile estimate: 2250000" in text
    assert "Early stopping 99th percentile estimate: not enough queries" in text
    few: Variant = {**VARIANT, "bounds_ms": {"p90": None, "p99": None}}
    assert "Result is : INVALID" in exports.as_mlperf([{**DEVICES[0], "variants": {"ort-cpu": few}}])


def test_the_lines_of_benchmark_app() -> None:
    text = exports.as_benchmark_app(DEVICES[:1])
    assert "Median:        1.00 ms" in text and "Duration:         150.00 ms" in text and "700.00 FPS" in text
    assert set(exports.FORMS) == {"benchmark_app", "csv", "mlperf"}
