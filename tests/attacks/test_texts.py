"""What a stranger wrote and edgekd shows: a terminal is shown it, and obeys none of it."""

from __future__ import annotations

import csv
import io
import json
import logging
import shutil
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from _documents import DEVICE, VARIANT
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from edgekd import cli
from edgekd.base import streams
from edgekd.base.errors import EdgekdError, IntegrityError
from edgekd.base.printable import all_printable, in_json, printable
from edgekd.cli import console, kernel_tables, running
from edgekd.document.bench import Latency, Variant
from edgekd.runtime import bundle as bundles
from edgekd.runtime import exports
from edgekd.runtime._checks import check_path

GOLDEN = Path(__file__).parents[1] / "golden"
BIDI = [*"\u061c\u200e\u200f", *map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))]
BAD = [*map(chr, range(32)), *map(chr, range(0x7F, 0xA0)), *BIDI, "\u2028", "\u2029", "\ud800", "\udcff", "\udfff"]
HOSTILE = {
    "title": "\x1b]0;pwned\x07",
    "title of 8 bits": "\x9d0;pwned\x9c",
    "colour": "\x1b[31mred\x1b[0m",
    "colour of 8 bits": "\x9b31mred",
    "clear": "\x1b[2J\x1b[H",
    "link": "\x1b]8;;http://evil\x1b\\here\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;cm0gLXJm\x07",
    "answer back": "\x1b[6n\x05",
    "another line": "cat\n✅ verified",
    "over the line": "cat\rdog",
    "backspaces": "bad\b\b\bgood",
    "right to left": "\u202egpj.exe",
    "isolated": "\u2066a\u2069",
    "marks": "\u200fa\u200e\u061c",
    "separators": "a\u2028b\u2029c",
    "half a surrogate": "a\ud83db",
    "a byte of a name": "a\udcffb",
    "NUL": "a\0b",
    "DEL": "a\x7fb",
}
WHOLE = [text for name, text in HOSTILE.items() if name not in ("half a surrogate", "a byte of a name")]  # of UTF-8
ORDINARY = [
    "Grüße",
    "Ελληνικά",
    "русский",
    "עברית",
    "العربية",
    "می‌خواهم",
    "हिन्दी क्‍ष",
    "ไทย",
    "中文",
    "日本語",
    "한국어",
]
ORDINARY += [
    "中文",
    "日本語",
    "한국어",
    "👩‍👩‍👧 🏴󠁧󠁢󠁥󠁮󠁧󠁿 ❤️",
    "e\u0301",
    "tab-less  text",
    "C:\\x1b",
    'a "b" <c> [d]',
    "\ufeff",
    "\u200b",
]


def quiet(text: str) -> bool:
    """Whether a terminal only shows it: edgekd's own line breaks are left."""
    return not any(char in text for char in BAD if char != "\n")


@pytest.mark.parametrize("char", BAD, ids=lambda char: f"U+{ord(char):04X}")
def test_what_is_no_text_is_escaped_as_python_would(char: str) -> None:
    assert printable(f"a{char}b") == f"a{repr(char)[1:-1]}b"


@pytest.mark.parametrize("text", ORDINARY)
def test_every_script_stays_as_it_is(text: str) -> None:
    assert printable(text) == text and all_printable({text: [text]}) == {text: [text]}
    check_path(text.replace("\\", "").replace(":", ""), "here")


@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp", "Cf"))))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


@given(st.text(st.one_of(st.characters(), st.sampled_from(BAD))))
def test_whatever_is_printed_holds_nothing_that_is_obeyed(text: str) -> None:
    shown = printable(text)
    assert not {unicodedata.category(char) for char in shown} & {"Cc", "Cs", "Zl", "Zp"}
    assert not any(unicodedata.bidirectional(c) in "LRE RLE LRO RLO PDF LRI RLI FSI PDI" for c in shown if c in BIDI)
    assert printable(shown) == shown
    document = in_json(json.dumps({text: text}, ensure_ascii=False, indent=1))
    assert quiet(document) and json.loads(document) == {text: text}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_an_error_is_shown_and_its_fields_are_as_they_were(text: str) -> None:
    """Apps log errors with ``str``, and nobody there calls ``printable``."""
    err = IntegrityError(text, where=text, found=text, allowed=text, hint=text)
    assert printable(str(err)) == str(err) == printable(f"{text}: {text}; found {text!r}; allowed: {text}; {text}")
    assert {err.message, err.where, err.found, err.allowed, err.hint} == {text}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", '=HYPERLINK("//evil","x"),"'])
def test_a_cell_of_csv_is_no_formula(text: str) -> None:
    latency: Latency = {**VARIANT["latency_ms"], "p50": -1.0}
    row: Variant = {**VARIANT, "runtime": text, "numerics": text, "latency_ms": latency}
    made = exports.as_csv([{**DEVICE, "device": text, "variants": {text: row}}])
    (found,) = list(csv.reader(io.StringIO(made, newline="")))[1:]
    assert found[:4] == [printable(text) if text < " " else f"'{text}"] * 4 and found[5] == "-1.0", "texts alone"
    ordinary = exports.as_csv([{**DEVICE, "device": "pi", "variants": {"ort-cpu": row}}])
    assert ordinary.splitlines()[1].startswith("pi,ort-cpu,")


def hostile(value: Any, text: str, keep: str = "") -> Any:
    """A document with a text put into each of its texts; the keys are its shape."""
    if isinstance(value, dict):
        return {key: hostile(inner, text, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [hostile(inner, text, keep) for inner in value]
    return text + value if isinstance(value, str) and keep not in ("metric", "shipped", "name") else value


LATENCY = dict.fromkeys(("p50", "p90", "p99"), 1.0)
ROW = {"runtime": "r", "numerics": "int8", "batch": 1, "latency_ms": LATENCY, "throughput": 1.0, "samples": 1}
ROW |= {"size_bytes": 1, "cold": {"start_ms": 1, "open_ms": 1, "first_ms": 1, "peak_memory_bytes": 1}, "note": "n"}
ROW |= {"parts_ms": {"copy": 1.0}, "kernels": [{"name": "k", "op": "o", "precision": "p", "microseconds": 1.0}]}
KERNEL = {"layer": "l", "op": "o", "reads": "r", "gives": "g", "microseconds": 1.0, "difference": 0.0}
OPERATOR = {"op": "o", "precision": "p", "work": "int8", "count": 1, "microseconds": 1.0, "share": 1.0}
DIFFERENCE = {**OPERATOR, "count_beside": 1, "microseconds_beside": 1.0, "difference": 0.0}
COSTS = {"file": "f", "bytes": 1, "p50_ms": 1.0, "microseconds": 1.0, "operators": [OPERATOR],
         "work": {"int8": {"count": 1, "microseconds": 1.0, "share": 1.0}},
         "kernels": [{**KERNEL, "shape": [1, None], "share": 1.0, "work": "int8"}]}  # fmt: skip
SIDE = {"bundle": "b", "target": "t", "numerics": "n", "latency_ms": LATENCY, "size_bytes": 1}
STEP = {"name": "s", "epochs": 1, "samples": 1, "seconds": 1.0, "targets": [], "cached": True, "taken": "t", "depth": 0}
TARGET = {"name": "n", "backend": "b", "numerics": ["n"], "available": False, "reason": "r", "description": "d"}
HOST = {"cpu": "c", "cores": 1, "arch": "a", "os": "o", "python": "p", "isa": ["i"], "versions": {"v": "1"}}
TRIAL_ROW = {"targets": {"t": {"candidate": "c"}}, "value": 1.0, "drop": 0.0, "p50_ms": 1.0, "size_bytes": 1}
TRIAL = {"number": 0, "as_is": True, "result": {**TRIAL_ROW, "missed": [], "gate": ""}}
TUNED = {"name": "n", "trials": [TRIAL], "front": [0], "metric": "accuracy", "chosen": 0, "bundle": "b", "recipe": "r"}
VIEWS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "build": (lambda x: console.build_table(x, Path("out\x1b[31m"), cached=False),
              json.loads((GOLDEN / "report.json").read_text())),
    "tune": (console.tune_table, {**TUNED, "ended": "e", "quick": True}),
    "plan": (console.plan_tree, {"name": "n", "targets": ["t"], "steps": [STEP]}),
    "bench": (console.bench_table, [{"device": "d", "bundle": "b", "variants": {"a": ROW, "b": {"skipped": "why"}}}]),
    "compare": (console.compare_table, {"device": "d", "runtime": "r", "a": SIDE, "b": SIDE, "ci95": [1, 2],
                                        "samples": 1, "ratio": 1.0, "stable": False, "note": "n"}),
    "verify": (console.checks_table, [{"check": "c", "ok": True}, {"check": "c", "skipped": "s"}]),
    "inspect": (console.inspection_table, {"path": "p", "about": {"labels": "a, b"},
                                           "models": [{"file": "f", "bytes": 1, "ops": [
                                               {"op": "Conv", "count": 1, "quantized": 0}]}]}),
    "kernels": (kernel_tables.tables, {"path": "p", "models": [{
        "target": "t", "backend": "b", "runtime": "r", "threads": 1, "inputs": {"x": [1]}, "rounds": 1, "note": "n",
        "costs": COSTS, "beside": {"costs": COSTS, "kernels": [KERNEL], "ratio": 1.0, "ci95": [1.0, 1.0],
                                   "differences": [DIFFERENCE]}}]}),
    "targets": (console.targets_table, [TARGET]),
    "doctor": (console.doctor, {"host": HOST, "missing": ["m"], "problems": ["p"]}),
}  # fmt: skip


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_every_view_shows_it(view: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    show, document = VIEWS[view]
    changed = hostile(document, text)
    running.show(False, changed, show)
    shown = capsys.readouterr().out
    assert quiet(shown) and "\n✅ verified" not in shown and shown.count("\\") > 0
    running.show(True, changed, show)
    shown = capsys.readouterr().out
    assert quiet(shown) and json.loads(shown) == changed


def test_a_renderable_that_was_not_looked_through_is_quiet_too(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(title="\x1b]0;t\x07")
    table.add_column("\x9b31m")
    table.add_row("\u202erow")
    console.show(table)
    shown = capsys.readouterr().out
    assert quiet(shown) and "\\x1b]0;t" in shown and "\\u2" in shown  # cut to the room that was measured


EVENTS: list[dict[str, Any]] = [
    {"step": "TEXT", "note": "TEXT"},
    {"step": "TEXT", "cached": True},
    {"step": "TEXT", "validation": 0.5, "loss": 1.0, "epoch": 0, "epochs": 1, "samples_per_s": 1.0},
]


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("text", [*HOSTILE.values(), "[/red]"])
def test_progress_shows_it(
    text: str, terminal: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "dumb")
    with console.ProgressBars() as progress:
        for event in EVENTS:
            progress({key: text if value == "TEXT" else value for key, value in event.items()})
    shown = capsys.readouterr().err
    for code in ("\x1b[?25l", "\x1b[?25h", "\x1b[33m", "\x1b[0m"):  # rich's own
        shown = shown.replace(code, "")
    assert printable(text)[:3] in shown
    assert terminal or quiet(shown)
    assert text not in shown or text == "[/red]"


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_command_that_fails_shows_it_in_one_line(
    text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = (EdgekdError(f"in {text}", where=text), IntegrityError(text), ModuleNotFoundError(name=text))
    for err in (*expected, ZeroDivisionError(text)):
        monkeypatch.setattr(cli.cli, "main", Mock(side_effect=err))
        assert cli.run([]) != 0
        shown = capsys.readouterr().err
        assert quiet(shown) and (shown.count("\n") == 1) is (err in expected)


@pytest.mark.parametrize(
    "args", [["TEXT"], ["inspect", "TEXT"], ["build", "--TEXT"], ["bench", "a", "--batch", "TEXT"]]
)
@pytest.mark.parametrize("text", [text for text in WHOLE if "\0" not in text] + ["a\udcffb"])
def test_an_argument_is_shown(args: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([arg.replace("TEXT", text) for arg in args]) == 2
    assert quiet(capsys.readouterr().err)


@pytest.fixture
def named(tmp_path: Path) -> Callable[[str], Path]:
    """The bundle of a stranger who named everything so."""

    def made(text: str) -> Path:
        shutil.copytree(GOLDEN / "bundle_1", tmp_path / "bundle")
        file = tmp_path / "bundle" / "manifest.json"
        table = json.loads(file.read_text())
        about = table["additional_metadata"]["edgekd"]
        table["package_name"] = about["task"] = text
        about["labels"] = [f"{text}{i}" for i in range(len(about["labels"]))]
        own = table["components"]["student"]["variants"]["ort-cpu"]["executor_info"]["edgekd"]
        own["numerics"] = text
        file.write_bytes(bundles.canonical(table))
        return tmp_path / "bundle"

    return made


@pytest.mark.parametrize("text", WHOLE)
def test_a_bundle_may_be_named_so_and_is_shown(
    text: str, named: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = named(text)
    assert cli.run(["inspect", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert quiet(shown) and "\n✅" not in shown
    assert cli.run(["inspect", str(folder), "--json"]) == 0
    shown = capsys.readouterr().out
    assert quiet(shown) and json.loads(shown)["about"]["name"] == text


@pytest.mark.parametrize("char", [char for char in BAD if not 0xD800 <= ord(char) < 0xE000])
def test_no_path_of_a_bundle_holds_such_a_character(char: str) -> None:
    for name in (f"a{char}b", f"{char}a", f"a/{char}/b"):
        with pytest.raises(IntegrityError):
            check_path(name, "here")


@pytest.fixture
def own_streams(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    buffer = io.StringIO()
    monkeypatch.setattr("sys.stderr", buffer)
    monkeypatch.setattr(warnings, "formatwarning", streams._format_warning)
    streams.prepare()
    yield buffer


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_warnings_and_logs_of_libraries_show_it(text: str, own_streams: io.StringIO) -> None:
    own_streams.write(warnings.formatwarning(text, UserWarning, f"{text}.py", 1, text))
    record = logging.LogRecord("onnx", logging.WARNING, "here", 1, "node %s", (text,), None)
    assert logging.lastResort is not None
    logging.lastResort.emit(record)
    assert quiet(own_streams.getvalue()) and own_streams.getvalue().count(printable(text, keep="\n")[:3]) >= 2
