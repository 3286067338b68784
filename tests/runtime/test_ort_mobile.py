"""Targets of phones and pages: the .ort file and its operators; onnxruntime-web by its own clock."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import edgekd
from edgekd import target
from edgekd.errors import UnavailableError
from edgekd.runtime.backends import _base
from edgekd.runtime.backends._base import SelfTimed


def test_a_phone_gets_an_ort_file_and_the_operators_that_it_needs(tmp_path: Path) -> None:
    edgekd.build("digits", quick=True, out=tmp_path / "net", targets=["ort-mobile"])
    edgekd.verify(tmp_path / "net")
    lines = (tmp_path / "net" / "ort-mobile" / "required_operators.config").read_text().splitlines()
    found = {op for line in lines for op in line.split(";")[2].split(",")}
    assert "QLinearConv" in found and "Conv" not in found, "optimized as ONNX Runtime would, ahead of time"
    # ONNX Runtime's own tool for phones reads what the file was made of.
    program = str(tmp_path / "net" / "examples" / "python" / "predict.py")
    assert subprocess.run([sys.executable, program], capture_output=True, check=False).returncode == 0


def test_the_web_needs_node_its_package_and_a_browser_for_webgpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKD_NODE_MODULES", str(tmp_path))
    with pytest.raises(UnavailableError, match=r"lacks onnxruntime-web; .*npm install onnxruntime-web|lacks Node"):
        _base.make("ort_web", {}, "t").check()
    with pytest.raises(UnavailableError, match="webgpu is a browser's alone"):
        _base.make("ort_web", {"provider": "webgpu"}, "t").check()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnavailableError, match="lacks Node"):
        _base.make("ort_web", {}, "t").check()


def test_the_web_is_timed_by_its_own_clock(tmp_path: Path) -> None:
    try:
        _base.make("ort_web", {}, "t").check()
    except UnavailableError as err:
        pytest.skip(str(err))
    edgekd.build("digits", quick=True, out=tmp_path / "net", targets=["ort-web"])
    chosen = target.load("ort-web")
    backend = _base.make(chosen.backend, dict(chosen.options), "t")
    session = backend.open({"model.onnx": (tmp_path / "net" / "ort-web" / "model.onnx").read_bytes()})
    assert isinstance(session, SelfTimed)
    assert session.timed({"input": np.zeros((1, 1, 8, 8), np.float32)}) > 0
    assert "ort-web/model.onnx" in (tmp_path / "net" / "examples" / "js" / "student.mjs").read_text()
    assert os.environ["EDGEKD_NODE_MODULES"] not in (tmp_path / "net" / "manifest.json").read_text()
