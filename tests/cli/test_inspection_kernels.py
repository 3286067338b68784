"""``edgekd inspect --kernels``: on the command line, as JSON of its schema and as tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from jsonschema import Draft202012Validator

from edgekd import cli
from edgekd.base import reader
from edgekd.base.errors import UnavailableError
from edgekd.cli import inspection_kernels, kernel_tables, schema
from edgekd.document.kernel_costs import KernelInspection, Profiled
from edgekd.runtime import profiling
from edgekd.runtime.profiling import Request

NET = '<ir_version: 10, opset_import: ["" : 20]>\ng (float[n,4] {x}) => (float[n,4] y) {{ a = {first}(x) y = Erf(a) }}'


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Profiles are made in this process, in few rounds."""

    def profile(request: Request, *limits: float | None) -> Profiled:
        return reader.check(json.loads(json.dumps(profiling.profile_here(**vars(request)))), Profiled, "test")

    monkeypatch.setattr(profiling, "profile", profile)
    monkeypatch.setattr(profiling, "MOST_ROUNDS", profiling.LEAST_ROUNDS)
    monkeypatch.setattr(profiling, "MIN_SECONDS", 0.01)


@pytest.fixture
def pair(tmp_path: Path) -> list[str]:
    """Two files of nearly one net."""
    paths = []
    for name, first in (("a", "Sigmoid"), ("b", "Tanh")):
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(onnx.parser.parse_model(NET.format(x="x", first=first)).SerializeToString())
        paths.append(str(path))
    return paths


Shown = Callable[..., Any]


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Shown:
    def run(*args: str) -> str:
        capsys.readouterr()
        assert cli.run(["inspect", *args]) == 0
        return capsys.readouterr().out

    return run


def test_a_file_beside_another_as_json_and_as_tables(here: None, pair: list[str], shown: Shown) -> None:
    document = json.loads(shown(pair[0], "--kernels", "--beside", pair[1], "--batch", "2", "--json"))
    Draft202012Validator(schema.SCHEMAS["kernels"]()).validate(document)
    reader.check(document, KernelInspection, "test")
    (model,) = document["models"]
    assert model["target"] is None and model["inputs"] == {"x": [2, 4]} and model["threads"] == 1
    assert [kernel["op"] for kernel in model["costs"]["kernels"]] == ["Sigmoid", "Erf"]
    beside = model["beside"]
    assert [kernel and kernel["op"] for kernel in beside["kernels"]] == [None, "Erf"]
    assert {row["op"]: (row["count"], row["count_beside"]) for row in beside["differences"]} == {
        "Sigmoid": (1, 0),
        "Tanh": (0, 1),
        "Erf": (1, 1),
    }
    assert model["costs"]["work"]["float"]["count"] == 2
    text = shown(pair[0], "--kernels", "--beside", pair[1])
    assert "what runs, in order" in text and "Tanh" in text and "2x4" not in text and "1x4" in text
    assert "the worst first" in " ".join(text.split()) and "times as long as the file beside it" in text


def test_each_variant_of_a_bundle_that_runs_here(monkeypatch: pytest.MonkeyPatch, digits: Path, here: None) -> None:
    out, lines = digits / "out", list[str]()
    request = Request(str(out))
    names = profiling.targets(out)
    inspection = inspection_kernels.inspect(request)
    assert [model["target"] for model in inspection["models"]] == names and len(names) > 1
    for model in inspection["models"]:
        assert set(model["costs"]["work"]) >= {"int8"} or set(model["costs"]["work"]) >= {"float"}
    profile = profiling.profile

    def without_openvino(request: Request, *limits: float | None) -> Profiled:
        if str(request.target).startswith("openvino"):
            raise UnavailableError("openvino is not installed")
        return profile(request, *limits)

    monkeypatch.setattr(profiling, "profile", without_openvino)
    inspection = inspection_kernels.inspect(request, tell=lines.append)
    assert [model["target"] for model in inspection["models"]] == [n for n in names if n != "openvino"]
    assert lines == ["skipped: openvino is not installed"]
    with pytest.raises(UnavailableError):
        inspection_kernels.inspect(Request(str(out), target="openvino"))


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--threads", "2"), "--threads, --batch, --length: runs nothing without --kernels"),
        (("--beside", "x.onnx"), "--beside, --target, "),
        (("--kernels", "--target", "t"), "no such variant; found 't'"),
        (("--kernels", "--beside", "nowhere.onnx"), "nowhere.onnx: no such bundle or model file"),
        (("--kernels", "--threads", "0"), "0 is not in the range"),
    ],
)
def test_mistakes(
    here: None, pair: list[str], args: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["inspect", pair[0], *args]) == 2
    assert words in capsys.readouterr().err


def test_rows_that_convert_are_marked() -> None:
    cost = {"layer": "l", "op": "o", "shape": [1], "microseconds": 1.0, "share": 0.5}
    marks = {
        (work, reads, gives): kernel_tables._mark({**cost, "work": work, "reads": reads, "gives": gives})  # type: ignore[typeddict-item]
        for work, reads, gives in (
            ("conversion", "float32", "int8"),
            ("layout", "int8", "int8"),
            ("int8", "int8", "float32"),
            ("int8", "int8", "int8"),
            ("float", "float32", ""),
        )
    }
    assert list(marks.values()) == ["⇄", "⇅", "→", "", ""]
