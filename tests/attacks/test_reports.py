"""report.json, samples.json, decisions.json that are off: refused with the place, or drawn; never a traceback."""

from __future__ import annotations

import base64
import copy
import functools
import hashlib
import json
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edgekd
from edgekd import cli, report
from edgekd.base import reader, toml_files
from edgekd.base.errors import IntegrityError, RecipeError, UsageError
from edgekd.build.kept import document
from edgekd.build.store import Store, sha256
from edgekd.cli import console
from edgekd.document.cache import Measured
from edgekd.document.report import Report, contradictions
from edgekd.document.samples import Samples
from edgekd.report import tradeoff
from edgekd.runtime import bundle as bundles
from edgekd.runtime import decisions, kept
from edgekd.runtime.contents import Bundle, Variant
from edgekd.runtime.devices._find import find
from edgekd.runtime.opening import open_variant
from edgekd.tasks import Heads

_ODD = runpy.run_path(str(Path(__file__).with_name("_odd.py")))
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "report.json").read_text())
SAMPLES = {"openvino": {"int8": [17_000, 17_500, 18_000], "fp32": [20_000, 21_000]}}


def thinned(value: Any, most: int = 2) -> Any:
    """The same with the first entries of each list alone, where there are more than a few."""
    if isinstance(value, dict):
        return {key: thinned(inner, most) for key, inner in value.items()}
    return [thinned(inner, most) for inner in value[:most]] if isinstance(value, list) else value


def small() -> Any:
    """A report of two classes, whose every part is drawn."""
    made = copy.deepcopy(GOLDEN)
    details = made["details"]
    details["recipe"], made["host"]["versions"] = {"description": "x"}, {"numpy": "2"}
    layers = thinned(details["learned"].pop("layers"))
    calibration = details["learned"].pop("calibration")
    for head in calibration:
        for net in ("teacher", "student"):
            head[net]["bins"] = [b for b in head[net]["bins"] if b["count"]][:2]
    losses: dict[str, Any] = {"seed": 0, "draws": 100, "validation": 0.9, "test": 0.9}
    losses["rows"] = [{"loss": "kl", "validation": 0.8, "test": 0.8, "gain": 0.1, "ci95": [0.05, 0.15]}]
    agreement = {**thinned(details.pop("agreement")), "pairs": [[0, 1, 3]]}
    made = thinned(made)
    one = made["targets"]["openvino"]["candidates"][0]
    one["kernels"] = {"microseconds": {"convolutions": 11.0}}
    made["targets"] = {"openvino": {**made["targets"]["openvino"], "timed_length": 9, "preprocess_ms": 0.1}}
    made["details"] |= {
        "agreement": {**agreement, "head": "digit", "others": {"half": dict(agreement)}},
        "learned": {**made["details"]["learned"], "layers": layers, "calibration": calibration, "losses": losses},
        "baseline": {"kind": "k", "samples": 5, "size_bytes": 5, "p50_ms": 1.0,
                     "value_validation": 0.5, "value_test": 0.5},
        "kept": {"views": 1, "samples": 5, "memory_bytes": 5, "disk_bytes": 5, "anew": ["x"]},
        "compression": [
            {"step": "s", "asked": 0.3, "taken": 0.2, "unit": "channels", "whole": {"head": "why"},
             "groups": {"body": {"asked": 2.0, "before": 4, "kept": 2}}}
        ],
    }  # fmt: skip
    made["details"]["history"] = {name: epochs[:2] for name, epochs in list(made["details"]["history"].items())[:1]}
    row = {
        "on_the_way": True,
        "ships": False,
        "value_validation": 0.9,
        "value_test": 0.9,
        "size_bytes": 900,
        "p50_ms": 1.0,
    }
    row |= {"delta_validation": -0.1, "delta_test": 0.1, "size_factor": 2.0, "p50_factor": 2.0}
    rows = [{"stage": "teacher", "from": None, **row}, {"stage": "int8", "from": "teacher", **row}]
    made["details"]["attribution"] = {"openvino": rows}
    return made


def drawn(document: Any, samples: Any = None) -> bool:
    """Whether a report is taken, and then drawn in every form; else it was refused with its place."""
    try:
        table = reader.check(document, Report, "report.json")
        for place, allowed in contradictions(table):
            raise IntegrityError("does not fit the rest", where=f"report.json: {place}", allowed=allowed)
        told = reader.check(samples or {}, Samples, "samples.json")
    except IntegrityError as err:
        assert ".json" in str(err) and len(str(err)) < 2000
        return False
    page = report.html(table, told)
    page.encode()
    console.build_table(table, Path("out"), cached=True)
    return True


@pytest.fixture(autouse=True)
def _two_are_traded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tradeoff, "FEW", 2)


def test_a_good_one_is_drawn(capfd: pytest.CaptureFixture[str]) -> None:
    assert drawn(GOLDEN, SAMPLES) and drawn(small(), SAMPLES)


def test_every_place_of_a_report_with_every_odd_value(capfd: pytest.CaptureFixture[str]) -> None:
    document = small()
    found = [drawn(odd) for _, _, odd in _ODD["variants"](document, _ODD["FEW"])]
    assert found.count(False) > 0.6 * len(found) and found.count(True) > 50


def test_every_place_of_the_samples(capfd: pytest.CaptureFixture[str]) -> None:
    found = [drawn(small(), odd) for _, _, odd in _ODD["variants"](SAMPLES)]
    assert found.count(False) > 50


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_several_odd_places_at_once(data: st.DataObject) -> None:
    document, places = small(), _ODD["places"]
    for _ in range(3):
        path = data.draw(st.sampled_from(list(places(document))))
        inside = _ODD["at"](document, path[:-1])
        other = _ODD["at"](document, data.draw(st.sampled_from(list(places(document)))))
        numbers = st.one_of(st.integers(-2, 2**60), st.floats(allow_nan=False), st.floats(0, 1), st.none())
        inside[path[-1]] = data.draw(numbers) if data.draw(st.booleans()) else copy.deepcopy(other)
    drawn(document)


def bundle(folder: Path, pages: dict[str, bytes]) -> Path:
    """A bundle that opens, with these pages, all of which its manifest lists."""
    net = """<ir_version: 10, opset_import: ["" : 20]> g (float[n,2] input) => (float[n,3] logits)
    <float[2,3] w = {1, 2, 3, 4, 5, 6}> { logits = MatMul(input, w) }"""
    golden = ({"input": np.ones((1, 2), np.float32)}, {"logits": np.array([[5, 7, 9]], np.float32)})
    files = {"model.onnx": onnx.parser.parse_model(net).SerializeToString()}
    variant = Variant("ort-cpu", "ort", {}, files, (), "float32", False, 1, 1e-3, golden=golden, record={})
    made = Bundle(
        "net", {"kind": "classification"}, "0" * 64, list("abc"), Heads({"logits": 3}), [], [2], True, [variant]
    )
    made = replace(made, sample_dtype="float32", decisions="decisions.json" if "decisions.json" in pages else "")
    bundles.write(folder, made, pages)
    return folder


ONE: dict[str, Any] = {"name": "fp32", "latency_ms": {"p50": 1.0}}
SHIPS, HUGE = {"shipped": "fp32"}, {"p50": 10**400}
NONE: list[Any] = []
DEEP = functools.reduce(lambda inner, _: [inner], range(100), NONE)
FILES = {
    "empty": b"",
    "no JSON": b"{",
    "null": b"null",
    "a list": b"[]",
    "a text": b'"report"',
    "deep lists": b"[" * 100_000,
    "deep tables": b'{"a":' * 100_000,
    "deep, and closed": b'{"targets":' + b"[" * 500 + b"]" * 500 + b"}",
    "no UTF-8": b'{"name": "\xff"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "a mark": b"\xef\xbb\xbf{}",
    "twice": b'{"targets": {}, "targets": {}}',
    "NaN": b'{"targets": NaN}',
    "5,000 digits": b'{"targets": ' + b"1" * 5000 + b"}",
    "1e999": b'{"targets": 1e999}',
    "half a character": b'{"name": "\\ud800"}',
    "no targets": json.dumps({**GOLDEN, "targets": {}}).encode(),
    "targets a list": json.dumps({**GOLDEN, "targets": []}).encode(),
    "a huge p50": json.dumps({"targets": {"ort-cpu": {**SHIPS, "candidates": [{**ONE, "latency_ms": HUGE}]}}}).encode(),
    "candidates a table": json.dumps({"targets": {"ort-cpu": {**SHIPS, "candidates": {"fp32": ONE}}}}).encode(),
    "deep recipe": json.dumps({**GOLDEN, "details": {"recipe": DEEP}}).encode(),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_report_is_refused_and_the_bundle_opens(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = bundle(tmp_path / "net", {"report.json": FILES[name]})
    assert edgekd.load(folder).predict(np.ones(2, np.float32)).index == 2
    for line, code in (["inspect"], 0), (["report", "--out", str(tmp_path / "page.html")], 5):
        assert cli.run([*line, str(folder)]) == code, name
        printed = capfd.readouterr().err
        assert "Traceback" not in printed and (code == 0 or "report.json" in printed)
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize("text", [name for name in FILES if name not in ("no targets", "deep recipe")])
def test_samples_that_are_off(text: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = bundle(tmp_path / "net", {"report.json": json.dumps(GOLDEN).encode(), "samples.json": FILES[text]})
    assert cli.run(["report", str(folder), "--out", str(tmp_path / "page.html")]) == 5
    printed = capfd.readouterr().err
    assert "Traceback" not in printed and "samples.json" in printed


def test_a_report_that_is_right_is_drawn_again(tmp_path: Path) -> None:
    pages = {"report.json": json.dumps(GOLDEN).encode(), "samples.json": json.dumps(SAMPLES).encode()}
    assert cli.run(["report", str(bundle(tmp_path / "net", pages)), "--out", str(tmp_path / "page.html")]) == 0
    assert "digits" in (tmp_path / "page.html").read_text()


DECISIONS: dict[str, Any] = {
    "decisions": {"ort-cpu": [{"logits": {"index": 2, "label": "c", "score": 0.867}}]},
    "samples": [{"data": base64.b64encode(np.ones(2, "<f4").tobytes()).decode(), "dtype": "float32", "shape": [2]}],
}


def test_decisions_that_are_off(tmp_path: Path) -> None:
    good = bundle(tmp_path / "net", {"decisions.json": json.dumps(DECISIONS).encode()})
    assert any("raw samples" in str(check["check"]) for check in edgekd.verify(good))
    read = bundles.read(good)
    opened = open_variant(read, read.variants[0])
    shapes: list[dict[str, Any]] = [
        *({"shape": s} for s in ([1, 2], [2, 1], [], [3], [2**31 - 1] * 3)),
        {"dtype": "int64"},
        {"data": "AAAA"},
    ]
    odd = [json.dumps(one) for _, _, one in _ODD["variants"](DECISIONS)]
    odd += [json.dumps({**DECISIONS, "samples": [{**DECISIONS["samples"][0], **shape}]}) for shape in shapes]
    odd += [json.dumps({**DECISIONS, "samples": [{"text": "x"}]}), *(data.decode("latin-1") for data in FILES.values())]
    for text in odd:
        data = text.encode("latin-1")
        (good / "decisions.json").write_bytes(data)
        listed = {**read.hashes, "decisions.json": (hashlib.sha256(data).hexdigest(), len(data))}
        with pytest.raises(IntegrityError):
            decisions.replay(replace(read, hashes=listed), opened)


TOML = {
    "deep": "x = " + "[" * 5000 + "]" * 5000,
    "deep tables": "[" + ".".join("a" * 3000) + "]\nx = 1",
    "dotted": ".".join("a" * 3000) + " = 1",
    "digits": "x = " + "1" * 5000,
    "large": "# " + "x" * 2_000_000,
    "no TOML": "x = ",
}


@pytest.mark.parametrize("name", TOML)
def test_toml_has_the_same_limits(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(TOML[name])
    with pytest.raises(RecipeError, match=r"recipe\.toml"):
        toml_files.read(path, RecipeError)
    monkeypatch.setenv("EDGEKD_DEVICES", str(tmp_path / "devices.toml"))
    (tmp_path / "devices.toml").write_text(TOML[name])
    with pytest.raises(UsageError, match=r"devices\.toml"):
        find("pi")


MACHINE = {"cpu": "c", "arch": "a", "isa": [], "cores": 1, "governor": None, "celsius": None, "load": None}
MEASURED: dict[str, Any] = {
    "candidates": {
        "fp32": {
            "value_validation": 0.9, "value_ci95": [0.8, 1.0], "drop_ci95": [0.0, 0.1], "also": {}, "kernels": None,
            "samples_ns": [5, 6], "sessions_p50_ms": [1.0],
            "parity": {"argmax_agreement": 1.0, "max_abs_diff": 0.0, "samples": 5, "mean": 0.0, "relative": 0.0,
                       "mean_relative": 0.0, "clearly_differs": 0.0, "batches": {}},
        }
    },
    "host": MACHINE, "length": None, "preprocess_ms": 0.1, "seconds": 0.1,
}  # fmt: skip


def test_an_odd_entry_of_the_cache_is_none_and_goes(tmp_path: Path) -> None:
    refused = 0
    for _, _, odd in _ODD["variants"](MEASURED):
        try:
            reader.check(odd, Measured, "measured.json")
        except IntegrityError:
            refused += 1
    assert refused > 300
    store = Store(tmp_path)
    for name, table, fits in (
        ("measured.json", MEASURED, True),
        ("measured.json", {**MEASURED, "seconds": "1"}, False),
        ("other.json", MEASURED, False),
    ):
        key = sha256(json.dumps([name, table]).encode())
        store.put(key, {name: json.dumps(table).encode()})
        assert document(store, key, "measured.json", Measured) == (MEASURED if fits else None)
        assert store.has(key) is fits


def test_what_is_kept_of_a_device_is_whole_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    path.write_text(json.dumps({"ort-cpu": {"skipped": "why"}}))
    assert kept._read(path) == {"ort-cpu": {"skipped": "why"}}
    for text in (
        '{"ort-cpu": {"skipped": 5}}',
        '{"ort-cpu": {"latency_ms": {}}}',
        '{"ort-cpu": 5}',
        "[]",
        "[" * 100_000,
    ):
        path.write_text(text)
        assert kept._read(path) == {}
