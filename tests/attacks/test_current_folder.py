"""Whoever looks at a bundle, there where it was unpacked, runs nothing that lies beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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
