"""Builds under real launchers: the same student as of one process, and a rank that is killed costs an epoch.

    apt install slurm-wlm    # a cluster of this machine alone will do; without ``srun`` its rows are left out
    python benchmarks/launchers.py [--work FOLDER]

Two processes each of ``torchrun`` and ``srun`` (on CPUs ``accelerate launch`` starts several by MPI alone): told to
``edgekd build`` (``--launch``), and as what starts it. Compared with a build in one process: the largest difference of
a weight of the file that ships, over the largest of its tensor's, and the values of every stage. Then each starts a
build anew, and the second rank is killed when the first epoch's checkpoint stands; the same command goes on, and its
student is compared as the others.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import _common
import numpy as np
import onnx
from onnx import numpy_helper

RECIPE = """
name = "launched"
[data]
source = "made"
shape = [16, 16, 1]
classes = 4
train = 2048
validation = 256
test = 256
[teacher]
model = { kind = "resnet", depth = 8, width = 8 }
epochs = 3
[student]
model = { kind = "resnet", depth = 8, width = 8 }
epochs = 6
[[losses]]
kind = "kl"
[[compress]]
kind = "int8_qat"
epochs = 2
[budget]
max_drop = 1.0
"""
PYTHON = shlex.quote(sys.executable)
LAUNCHERS = {
    "torchrun": f"{PYTHON} -m torch.distributed.run --nproc-per-node 2",
    "srun": "srun --ntasks 2",
}
# What srun starts is a program; the others start a module of Python's.
PROGRAMS = {"srun": f"{PYTHON} -m edgekd"}
SECOND = (b"RANK=1", b"SLURM_PROCID=1")


def line_of(launcher: str | None, starts: bool, out: Path, recipe: Path) -> list[str]:
    """The command of a build: in one process, told its launcher, or started by it."""
    build = ["build", str(recipe), "--target", "ort-cpu", "--json", "--out", str(out), "--cache", f"{out}-cache"]
    if launcher is None:
        return [sys.executable, "-m", "edgekd", *build]
    if not starts:
        return [sys.executable, "-m", "edgekd", *build, "--launch", LAUNCHERS[launcher]]
    return [*shlex.split(LAUNCHERS[launcher]), *shlex.split(PROGRAMS.get(launcher, "-m edgekd")), *build]


def environment() -> dict[str, str]:
    """Of one thread each, and this checkout."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}


def student(out: Path) -> dict[str, Any]:
    """The weights of the file that ships by name, and the value of every stage."""
    report = json.loads((out / "report.json").read_text())
    (file,) = out.rglob("*.onnx")
    weights = {one.name: numpy_helper.to_array(one) for one in onnx.load(file).graph.initializer}
    return {"weights": weights, "values": {one["name"]: one["value_validation"] for one in report["stages"]}}


def apart(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """How far two students are apart."""
    floats = {name: value for name, value in one["weights"].items() if value.dtype == np.float32 and value.size}
    gaps = [np.abs(value - other["weights"][name]).max() / np.abs(value).max() for name, value in floats.items()]
    same = {name: other["values"][name] for name in one["values"]} == one["values"]
    return {"largest_share_of_a_weight": float(max(gaps)), "values_equal": same}


def second_rank(out: Path) -> int | None:
    """The process of the second rank of a build."""
    for entry in Path("/proc").iterdir():
        try:
            words, around = (entry / "cmdline").read_bytes().split(b"\0"), (entry / "environ").read_bytes().split(b"\0")
        except (OSError, ValueError):
            continue
        if b"build" in words and str(out).encode() in words and any(name in around for name in SECOND):
            return int(entry.name)
    return None


def killed(line: list[str], out: Path) -> int:
    """The exit code of a build whose second rank is killed when an epoch's checkpoint stands."""
    running = subprocess.Popen(line, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while running.poll() is None:
        if any(Path(f"{out}-cache").glob("scratch/*/*.safetensors")) and (pid := second_rank(out)) is not None:
            os.kill(pid, signal.SIGKILL)
            break
        time.sleep(0.05)
    return running.wait()


def main() -> None:
    """Every launcher beside one process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path)
    work = parser.parse_args().work or Path(tempfile.mkdtemp())
    work.mkdir(parents=True, exist_ok=True)
    recipe = work.resolve() / "launched.toml"
    recipe.write_text(RECIPE)
    quiet: dict[str, Any] = {"env": environment(), "stdout": subprocess.DEVNULL, "check": True}
    alone, rows = work.resolve() / "alone", dict[str, Any]()
    subprocess.run(line_of(None, False, alone, recipe), **quiet)
    for launcher in LAUNCHERS:
        if shutil.which(shlex.split(LAUNCHERS[launcher])[0]) is None:
            continue
        for number, starts in enumerate((False, True)):
            out = work.resolve() / f"{launcher}-{number}"
            line = line_of(launcher, starts, out, recipe)
            code = killed(line, out) if starts else None
            subprocess.run(line, **quiet)
            row = apart(student(alone), student(out)) | ({} if code is None else {"exit_code_of_the_killed": code})
            rows[f"{launcher}, {'killed and again' if starts else '--launch'}"] = row
            print(launcher, row, flush=True)
    _common.write("launchers", {"rows": rows})


if __name__ == "__main__":
    main()
