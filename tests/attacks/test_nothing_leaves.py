"""Law 6 by effect: with an empty HOME and TMPDIR a process leaves no file there, whatever runtime it opened."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys, time
import numpy as np, edgekd
model = edgekd.load(sys.argv[1], target=sys.argv[2])
model.predict(np.zeros((8, 8), np.uint8))
edgekd.verify(sys.argv[1])
time.sleep(float(sys.argv[3]))
"""


def can_trace() -> bool:
    """Whether strace is here, and may trace."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-f", "-o", os.devnull, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("target", ["ort-cpu", "openvino"])
def test_no_file_is_left_and_no_host_is_asked(target: str, digits: Path, tmp_path: Path) -> None:
    home, temporary, told = tmp_path / "home", tmp_path / "tmp", tmp_path / "sockets"
    home.mkdir()
    temporary.mkdir()
    env = {**os.environ, "HOME": str(home), "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}
    env.pop("ORT_DISABLE_TELEMETRY", None)
    traced = can_trace()
    watch = ["strace", "-f", "-e", "trace=network", "-o", str(told)] if traced else []
    seconds = "12" if traced and target == "ort-cpu" else "0"  # it looks its collector's host up after 10
    line = [*watch, sys.executable, "-c", PROGRAM, str(digits / "out"), target, seconds]
    done = subprocess.run(line, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    assert [path for folder in (home, temporary) for path in folder.rglob("*") if path.is_file()] == []
    if traced:
        assert "AF_INET" not in told.read_text()


def test_a_value_of_the_users_counts() -> None:
    program = "import os, edgekd.runtime.backends.ort; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    for given, found in (({}, "1"), ({"ORT_DISABLE_TELEMETRY": "0"}, "0")):
        env = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"} | given
        line = [sys.executable, "-c", program]
        done = subprocess.run(line, capture_output=True, text=True, env={**env, "PYTHONPATH": str(ROOT)}, check=True)
        assert done.stdout.strip() == found
