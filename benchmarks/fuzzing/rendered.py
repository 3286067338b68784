"""What is drawn and written of a stranger's texts: programs, cards, pages, tables on a terminal."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import runpy
from pathlib import Path
from typing import Any
from unittest import mock

from edgekd import report
from edgekd.base import reader
from edgekd.base.errors import IntegrityError
from edgekd.base.printable import all_printable
from edgekd.cli import console
from edgekd.document.bench import DeviceResult, Kept
from edgekd.document.report import Report, contradictions
from edgekd.publish import examples
from edgekd.publish.examples.unicode_tables import Tables
from edgekd.report import devices, tradeoff
from fuzzing import _mutate, harness

# The same hostile places as in the tests of single texts: every field of what a template is told.
TOLD = runpy.run_path(str(Path(__file__).parents[2] / "tests" / "attacks" / "test_templates.py"))
FEW_LETTERS = Tables(((1, 2, "drop"),), ((65, "a\u0301"),))
CALLS: dict[str, dict[str, set[str]]] = {}


def _calls(source: str) -> set[str]:
    return {ast.unparse(node.func) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)}


@harness(_mutate.of_words, slow=True, most=128)
def programs(data: bytes) -> None:
    """A bundle's programs with a text in every field; the first line says of which kind of student."""
    first, _, text = data.partition(b"\n")
    kind = first.decode("ascii", "replace")
    case = kind if kind in TOLD["CASES"] else "ink"
    with mock.patch.object(examples.unicode_tables, "of", lambda *_: FEW_LETTERS):
        if case not in CALLS:
            CALLS[case] = {name: _calls(source) for name, source in _programs(case, "a").items() if name[-3:] == ".py"}
        made = _programs(case, text.decode("utf-8", "replace"))
    for name, calls in CALLS[case].items():
        assert _calls(made[name]) == calls, name
    json.loads(made["node/package.json"])


def _programs(case: str, text: str) -> dict[str, str]:
    return TOLD["made"](TOLD["told"](case, text))


@harness(_mutate.of_words, slow=True, most=512)
def card(data: bytes) -> None:
    """A model card with a text in every field; hubs read its head."""
    page = TOLD["card"](data.decode("utf-8", "replace"))
    head = page.split("---\n", 2)[1].splitlines()
    assert json.loads(dict(line.split(": ", 1) for line in head)["model-index"])
    assert "<script" not in page and "](" not in page


@harness(_mutate.of_json, slow=True, most=12_000)
def report_page(data: bytes) -> None:
    """report.json drawn, and shown on a terminal."""
    table = reader.read(data, Report, "report.json")
    for place, allowed in contradictions(table):
        raise IntegrityError("does not fit the rest", where=f"report.json: {place}", allowed=allowed)
    with mock.patch.object(tradeoff, "FEW", 2):
        report.html(table, {}).encode()
    _shown(console.build_table(all_printable(table), Path("out"), cached=True))


@harness(_mutate.of_json, slow=True)
def devices_page(data: bytes) -> None:
    """What was measured on a device, drawn and shown on a terminal."""
    kept = reader.read(data, Kept, "kept.json")
    hosts = [row["host"] for row in kept.values() if "skipped" not in row]
    result: DeviceResult = {"device": "d", "bundle": "b", "variants": {**kept}, "host": hosts[0] if hosts else None}
    devices.html([result, result]).encode()
    _shown(console.bench_table([all_printable(result)]))


def _shown(table: Any) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        console.show(table)
