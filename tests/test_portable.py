"""One file for two runtimes, and float16: what targets may ask for beside int8 and fp32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgekd
from edgekd.base.errors import IntegrityError, UnavailableError
from edgekd.runtime import backend as backends
from edgekd.runtime import opening

HALF = """
backend = "ort"
[options]
provider = "CPUExecutionProvider"
[[numerics]]
name = "fp16"
activations = "float16"
weights = "float16"
tolerance = 2e-2
[[numerics]]
name = "fp32"
"""
RECIPE = {
    "name": "small",
    "data": {"source": "digits"},
    "teacher": {"model": {"kind": "convnet", "width": 16}},
    "student": {"model": {"kind": "convnet", "width": 16}},
    "losses": [{"kind": "kl"}],
    "compress": [{"kind": "int8_ptq", "samples": 64}],
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("portable")
    (folder / "half.toml").write_text(HALF)
    out, targets = folder / "out", ["portable-int8", str(folder / "half.toml")]
    report = edgekd.build(RECIPE, targets=targets, out=out, cache=folder / "cache", quick=True)
    return out, dict(report)


def test_the_other_runtime_reads_the_same_file_alike(built: tuple[Path, dict[str, Any]]) -> None:
    out, report = built
    told = report["targets"]["portable-int8"]["also"]["openvino"]
    assert told["samples"] == 360 and told["clearly_differs"] <= 0.02 and told["runtime"].startswith("openvino")
    checks = [check["check"] for check in edgekd.verify(out)]
    assert sum("portable-int8: golden inputs on" in check for check in checks) == 2


def test_an_app_without_the_first_runtime_uses_the_other(
    built: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, _ = built
    here = edgekd.load(out, target="portable-int8")
    make = backends.make

    def without_ort(kind: str, options: Any, where: str) -> Any:
        if kind == "ort":
            raise UnavailableError("onnxruntime is not installed", where=where)
        return make(kind, options, where)

    monkeypatch.setattr(opening, "make", without_ort)
    there = edgekd.load(out, target="portable-int8")
    x = np.random.default_rng(0).integers(0, 17, (20, 8, 8), dtype=np.uint8)
    scores = [np.array([p.scores for p in model.predict(x)]) for model in (here, there)]
    assert np.abs(scores[0] - scores[1]).max() < 0.05
    with pytest.raises(UnavailableError):
        edgekd.load(out, target="half")


def test_float16_is_half_the_file_and_says_the_same(built: tuple[Path, dict[str, Any]]) -> None:
    _, report = built
    by_name = {c["name"]: c for c in report["targets"]["half"]["candidates"]}
    assert list(by_name) == ["fp16", "fp32"]
    assert by_name["fp16"]["size_bytes"] < 0.7 * by_name["fp32"]["size_bytes"]
    assert abs(by_name["fp16"]["value_validation"] - by_name["fp32"]["value_validation"]) < 0.01


def test_post_training_quantization_is_a_candidate_that_trains_nothing(built: tuple[Path, dict[str, Any]]) -> None:
    _, report = built
    assert [c["name"] for c in report["targets"]["portable-int8"]["candidates"]] == ["int8-ptq", "fp32"]
    assert "int8_ptq" in {stage["name"] for stage in report["stages"]}


def test_an_onnx_file_that_is_none_is_told_by_openvino() -> None:
    backend = backends.make("openvino", {}, "test")
    with pytest.raises(IntegrityError, match=r"no OpenVINO model|not an OpenVINO model"):
        backend.open({"model.onnx": b"not a model"})
