"""Whoever looks at a bundle, there where it was unpacked, runs nothing that lies beside it."""

from __future__ import annotations

import os
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgekd.base import preprocess
from edgekd.publish import examples

ROOT = Path(__file__).parents[2]
ONE = ROOT / "tests" / "golden" / "bundle_1"
# What stands in for a library's module, or for Windows' own; what pydantic and torch look for among installed packages.
MODULES = (
    "_winapi",
    "click",
    "rich",
    "numpy",
    "onnx",
    "onnxruntime",
    "openvino",
    "sitecustomize_",
    "sklearn",
    "msvcrt",
)
GROUPS = ("pydantic", "torch.backends", "onnxruntime.plugins", "console_scripts")


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """A folder with a bundle and code that writes ``pwned`` when it is imported."""
    shutil.copytree(ONE, tmp_path / "bundle")
    evil = f"open({str(tmp_path / 'pwned')!r}, 'w').close()\n"
    for name in (*MODULES, "evil"):
        (tmp_path / f"{name}.py").write_text(evil)
    info = tmp_path / "evil-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("".join(f"[{group}]\nevil = evil:run\n" for group in GROUPS))
    return tmp_path


START = {"module": ("-m", "edgekd"), "script": ("-P", "-c", "from edgekd.cli import main; main()")}


@pytest.mark.parametrize(
    ("start", "command"),
    [
        ("module", "verify bundle"),
        ("module", "bench bundle --seconds 0.05"),
        ("script", "inspect bundle"),
        ("script", "targets"),
    ],
)
def test_nothing_beside_a_bundle_runs(start: str, command: str, unpacked: Path) -> None:
    line = [
        sys.executable,
        *START[start],
        *command.split(),
    ]  # the console script has its own folder first, and not this
    done = subprocess.run(
        line, capture_output=True, text=True, cwd=unpacked, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0, done.stderr
    assert not (unpacked / "pwned").exists()


@pytest.mark.parametrize(("program", "runtime"), [("predict.py", "onnxruntime"), ("predict_openvino.py", "openvino")])
def test_a_program_of_a_bundle_reads_no_compiled_file(program: str, runtime: str, tmp_path: Path) -> None:
    """One without a check of its source ran in its place: Python asks ``__pycache__`` first."""
    files = {"ort": "m", "openvino": "m"}
    about = examples.About("net", [], (1,), "float32", preprocess.specs([], np.zeros(1, np.float32)), {}, {}, files)
    made = examples.make(about, np.zeros(1, np.float32), {})
    (tmp_path / program).write_bytes(made[f"examples/python/{program}"])
    (tmp_path / f"{runtime}.py").touch()
    student = tmp_path / "student.py"
    student.write_text("print('planted')")
    py_compile.compile(str(student), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    student.write_text("raise SystemExit('its source')")
    done = subprocess.run([sys.executable, program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr.strip()) == ("", "its source")
