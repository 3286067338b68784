"""Two processes on one GPU: what the second one brings, and whether the command builds the same student with it.

NCCL has one process a GPU, so these two tell each other their sums by gloo, through the CPU.
"""

from __future__ import annotations

import json
import os
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import ranks
from _gpu_files import Setup

ONE, _, TWO = ranks.WAYS
NET = next(iter(ranks.NETS))
ROUNDS, BATCH, BATCHES = 3, 512, 40  # of an epoch
TORCHRUN = "torch.distributed.run --nproc-per-node 2"


def rates(setup: Setup) -> dict[str, Any]:
    """Images a second of one process and of two, in turns; medians, and the ratio."""
    rounds, batch, batches = (1, 64, 2) if setup.quick else (ROUNDS, BATCH, BATCHES)
    taken = [{way: ranks.timed(NET, way, batch * batches, batch) for way in (ONE, TWO)} for _ in range(rounds)]
    middle = {
        way: {kind: statistics.median(row[way][kind] for row in taken) for kind in ranks.KINDS} for way in taken[0]
    }
    ratio = {kind: middle[TWO][kind] / middle[ONE][kind] for kind in ranks.KINDS}
    print(json.dumps(middle), flush=True)
    return {"batch": batch, "images_per_s": middle, "ratio": ratio, "rounds": taken}


def launch(setup: Setup) -> dict[str, Any]:
    """``edgekd build digits`` in one process, and in two with ``--launch``: what each of its networks knows."""
    ways = {"one": [], "two": ["--launch", f"{shlex.quote(sys.executable)} -m {TORCHRUN}"]}
    return {way: built(setup, setup.out / "launch" / way, more) for way, more in ways.items()}


def built(setup: Setup, place: Path, more: list[str]) -> dict[str, Any]:
    """One build with a cache of its own.

    Raises:
        RuntimeError: the command failed; with the end of what it said.
    """
    line = [sys.executable, "-m", "edgekd", "build", "digits", "--target", setup.target(), "--out", str(place / "out")]
    line += ["--cache", str(place / "cache"), "--overwrite", *(["--quick"] if setup.quick else []), *more]
    here = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    started = time.monotonic()
    ended = subprocess.run(line, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": here})
    if ended.returncode:
        raise RuntimeError(f"exit code {ended.returncode}: {(ended.stdout + ended.stderr)[-500:]}")
    report = json.loads((place / "out" / "report.json").read_text())
    stages = {stage["name"]: stage["value_test"] for stage in report["stages"]}
    (target,) = report["targets"].values()
    return {"seconds": round(time.monotonic() - started, 1), "shipped": target["shipped"], "value_test": stages}
