"""Figures are rounded in one way: a larger value never reads as a smaller one, and there is no ``1000.0 kB``."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekd.base import units
from edgekd.cli import console
from edgekd.report import text

FACTORS = {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "us": 1e-3, "ms": 1.0, "s": 1.0, "min": 60.0, "h": 3600.0}
BYTES = st.integers(0, 5_000_000_000_000)
TIMES = st.floats(0, 1e7, allow_nan=False)


def read(written: str) -> float:
    """The value that a text says: ``12 min 3 s`` is 723."""
    parts = re.findall(r"([\d,.]+) (\w+)", written)
    assert parts, written
    return sum(float(number.replace(",", "")) * FACTORS[unit] for number, unit in parts)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (102_000, "102.0 kB"), (999_949, "999.9 kB"),
        (999_950, "1.00 MB"), (1_200_000, "1.20 MB"), (12_345_678, "12.35 MB"), (999_994_999, "999.99 MB"),
        (999_995_001, "1.00 GB"), (3_070_000_000, "3.07 GB"), (4.5e12, "4500.00 GB"),
    ],
)  # fmt: skip
def test_sizes(value: float, written: str) -> None:
    assert units.size(value) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.0, "0 ms"), (1e-6, "0.00100 us"), (0.0223, "22.3 us"), (0.09994, "99.9 us"), (0.09996, "0.100 ms"),
        (0.1, "0.100 ms"), (0.112, "0.112 ms"), (0.9996, "1.00 ms"), (12.345, "12.3 ms"), (1234.5, "1,230 ms"),
    ],
)  # fmt: skip
def test_milliseconds(value: float, written: str) -> None:
    assert units.milliseconds(value) == written


def test_other_figures() -> None:
    assert units.in_kb(1_207_527) == "1,207.5 kB" and units.in_ms(0.0223) == "0.0223 ms"
    assert units.in_us(1234.5) == "1,234 us" and units.in_gb(200_000_000) == "0.2 GB"
    assert units.ratio(3.529) == "3.53" and units.ratio(0.98765) == "0.988" and units.ratio(26484) == "26,500"
    assert units.share(0.98889) == "98.9 %" and units.share(0.156, 0) == "16 %" and units.share(1.0, 2) == "100.00 %"
    assert units.duration(7.836) == "7.84 s" and units.duration(723) == "12 min 3 s"
    assert units.duration(12_000) == "3 h 20 min" and units.significant(-0.037758) == "-0.0378"


@pytest.mark.parametrize(
    ("write", "values"),
    [
        (units.size, BYTES),
        (units.in_kb, BYTES),
        (units.milliseconds, TIMES),
        (units.in_ms, TIMES),
        (units.duration, TIMES),
    ],
)
def test_a_larger_value_never_reads_as_a_smaller_one(
    write: Callable[[float], str], values: st.SearchStrategy[float]
) -> None:
    @given(values, values)
    def holds(one: float, other: float) -> None:
        least, most = sorted((one, other))
        assert read(write(least)) <= read(write(most)) * (1 + 1e-12)

    holds()


@given(BYTES)
def test_no_size_has_a_thousand_of_its_unit(count: int) -> None:
    number, unit = units.size(count).split(" ")
    assert float(number) < 1000 or unit == "GB"
    assert read(units.size(count)) == pytest.approx(count, rel=0.005, abs=50)


@given(st.floats(1e-6, 1e7))
def test_times_have_three_significant_digits(value: float) -> None:
    number = units.milliseconds(value).split(" ")[0].replace(",", "")
    assert read(units.milliseconds(value)) == pytest.approx(value, rel=0.0051)
    assert len(number.replace(".", "").lstrip("0")) >= 3, "22.3, 0.112, 1230"


def test_the_terminal_and_the_page_say_the_same() -> None:
    for count in (0, 999_960, 1_207_527, 12_000_000):
        assert console.size(count) == text.size(count).replace(text.NBSP, " ") == units.size(count)
    for value in (0.0223, 0.112, 12.0):
        assert text.milliseconds(value).replace(text.NBSP, " ") == units.milliseconds(value)
    assert text.size(None) == text.milliseconds(float("nan")) == text.NONE and console.size(None) == ""
    assert text.significant(-0.5) == "−0.500"


def test_nobody_else_rounds_a_figure_with_a_unit() -> None:
    """Only ``units``, and the log of OpenVINO's benchmark_app in its own format."""
    root = Path(__file__).parents[2] / "edgekd"
    rounds = re.compile(r"\{[^{}]*:[^{}:]*[fg]\}[ \u00a0](ms|us|kB|MB|GB|%)|\{[^{}]*:[^{}:]*%\}")
    apart = {"base/units.py", "runtime/exports.py"}
    files = {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*.py")}
    assert [name for name, code in files.items() if rounds.search(code) and name not in apart] == []
    assert all(rounds.search(files[name]) for name in apart), "the rule sees them"
