"""Targets of phones and pages: the .ort file and its operators; onnxruntime-web by its own clock."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import _small
import numpy as np
import onnx.parser
import pytest

import edgekd
from edgekd.base.errors import ExportError, UnavailableError
from edgekd.cli import inspection
from edgekd.runtime import backend as backends
from edgekd.runtime.backend import SelfTimed
from edgekd.runtime.backends.ort_web.backend import OrtWebSession
from edgekd.spec import target

CONV = """
<ir_version: 10, opset_import: ["" : 20]>
net (float[N, 2, 4, 4] x) => (float[N, 3] scores)
<float[3, 2, 1, 1] w = {1, -1, 0.5, 2, -3, 0.25}, float[3] b = {0.5, -0.5, 1}>
{ c = Conv(x, w, b)  p = GlobalAveragePool(c)  scores = Flatten(p) }
"""
QUANTIZES = """
<ir_version: 10, opset_import: ["" : 20]>
net (float[N, 4] x) => (float[N, 4] y)
<float s = {0.5}, uint8 z = {128}>
{ q = QuantizeLinear(x, s, z)  y = DequantizeLinear(q, s, z) }
"""


def test_a_phone_gets_an_ort_file_and_the_operators_that_it_needs(own_digits: Path, tmp_path: Path) -> None:
    cache = own_digits / "cache"
    edgekd.build(
        "digits", settings=list(_small.DIGITS), quick=True, out=tmp_path / "net", targets=["ort-mobile"], cache=cache
    )
    edgekd.verify(tmp_path / "net")
    shown = inspection.inspect(tmp_path / "net")["models"][0]["ops"]
    lines = (tmp_path / "net" / "ort-mobile" / "required_operators.config").read_text().splitlines()
    found = {op for line in lines for op in line.split(";")[2].split(",")}
    assert "QLinearConv" in found and "Conv" not in found, "optimized as ONNX Runtime would, ahead of time"
    assert shown == [{"op": op, "count": None, "quantized": None} for op in sorted(found)]
    # ONNX Runtime's own tool for phones reads what the file was made of.
    program = str(tmp_path / "net" / "examples" / "python" / "predict.py")
    assert subprocess.run([sys.executable, program], capture_output=True, check=False).returncode == 0


def test_the_web_needs_node_and_its_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKD_NODE_MODULES", str(tmp_path))
    with pytest.raises(UnavailableError, match=r"lacks onnxruntime-web; .*npm install onnxruntime-web|lacks Node"):
        backends.make("ort_web", {}, "t").check()
    package = tmp_path / "node_modules" / "onnxruntime-web" / "package.json"
    package.parent.mkdir(parents=True)
    package.write_text("{}")
    with pytest.raises(UnavailableError, match=r"lacks webgpu; .*npm install webgpu|lacks Node"):
        backends.make("ort_web", {"provider": "webgpu"}, "t").check()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnavailableError, match="lacks Node"):
        backends.make("ort_web", {}, "t").check()


def test_the_web_is_timed_by_its_own_clock(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    try:
        backends.make("ort_web", {}, "t").check()
    except UnavailableError as err:
        pytest.skip(str(err))
    cache = request.getfixturevalue("own_digits") / "cache"
    edgekd.build(
        "digits", settings=list(_small.DIGITS), quick=True, out=tmp_path / "net", targets=["ort-web"], cache=cache
    )
    chosen = target.load("ort-web")
    backend = backends.make(chosen.backend, dict(chosen.options), "t")
    session = backend.open({"model.onnx": (tmp_path / "net" / "ort-web" / "model.onnx").read_bytes()})
    assert isinstance(session, SelfTimed)
    assert session.timed({"input": np.zeros((1, 1, 8, 8), np.float32)}) > 0
    assert "ort-web/model.onnx" in (tmp_path / "net" / "examples" / "js" / "student.mjs").read_text()
    assert os.environ["EDGEKD_NODE_MODULES"] not in (tmp_path / "net" / "manifest.json").read_text()


def test_webgpu_answers_as_webassembly_and_never_falls_to_it_in_silence() -> None:
    backend = backends.make("ort_web", {"provider": "webgpu"}, "t")
    files = {"model.onnx": onnx.parser.parse_model(CONV).SerializeToString()}
    x = {"x": np.random.default_rng(0).standard_normal((2, 2, 4, 4)).astype(np.float32)}
    try:
        backend.check()
        outputs = backend.open(files).run(x)
    except UnavailableError as err:  # no Node, no package, no driver of a GPU
        pytest.skip(str(err))
    known = backends.make("ort_web", {}, "t").open(files).run(x)
    np.testing.assert_allclose(outputs["scores"].astype(np.float32), known["scores"].astype(np.float32), atol=1e-4)
    unknown = {"model.onnx": onnx.parser.parse_model(QUANTIZES).SerializeToString()}
    with pytest.raises(ExportError, match="assigned to the default CPU EP"):
        backend.open(unknown)
    backends.make("ort_web", {"provider": "webgpu", "fallback": True}, "t").open(unknown)


def test_node_is_ended_though_its_pipe_is_broken() -> None:
    """What was written last is flushed when the pipe is closed, and nobody may read it any more."""

    def broken() -> None:
        raise BrokenPipeError

    ended: list[str] = []
    pipe = SimpleNamespace(close=broken)
    process = SimpleNamespace(
        stdin=pipe, stdout=pipe, kill=lambda: ended.append("killed"), wait=lambda: ended.append("waited for")
    )
    session = OrtWebSession.__new__(OrtWebSession)
    session._process = process  # type: ignore[assignment]  # all that is asked of it
    del session
    assert ended == ["killed", "waited for"]
