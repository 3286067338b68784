"""A measurement is found again only where the runtime calls itself the same, an installed distribution or not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from _documents import MACHINE

from edgekd.build import measure, target_runtime
from edgekd.build.plan import MeasureStep
from edgekd.document.machine import Key, Told
from edgekd.runtime.runners import LocalRunner
from edgekd.spec import target

FILES = {"fp32": {"model.onnx": b"graph"}}


class Here(LocalRunner):
    """This machine, without asking it again."""

    def facts(self) -> Told:
        key: Key = {"cpu": "a CPU", "isa": [], "gpu": None, "threads": 0, "versions": {}}
        return {"facts": MACHINE, "key": key}


def key_on(name: str) -> str:
    runtime = target_runtime.parse(target.load(name))
    step = MeasureStep(name="measure", key="k" * 64, targets=(name,), parent="export", runtime=runtime)
    return measure.stored_key(step, FILES, Here())


def installed(folder: Path, version: str) -> None:
    """onnxruntime-web, as npm unpacks it: no distribution that Python knows of."""
    package = folder / "node_modules" / "onnxruntime-web" / "package.json"
    package.parent.mkdir(parents=True, exist_ok=True)
    package.write_text(json.dumps({"name": "onnxruntime-web", "version": version}))


def test_another_onnxruntime_web_is_measured_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKD_NODE_MODULES", str(tmp_path))
    installed(tmp_path, "1.30.0")
    first = key_on("ort-web")
    assert key_on("ort-web") == first, "the same one is not"
    installed(tmp_path, "1.31.0")
    second = key_on("ort-web")
    assert second != first
    installed(tmp_path, "1.30.0")
    assert key_on("ort-web") == first


def test_another_version_of_a_runtime_beside_is_measured_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A portable file is opened by several runtimes, and each of them is in the key."""
    from edgekd.runtime.backends.openvino.backend import Openvino

    first = key_on("portable-int8")
    assert "openvino" in target.load("portable-int8").also
    monkeypatch.setattr(Openvino, "version", lambda self: "openvino 1999.1")
    assert key_on("portable-int8") != first
