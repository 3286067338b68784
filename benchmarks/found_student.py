"""A CIFAR-10 student that ``edgekd tune`` finds, against our int8 ResNet-20: faster, and no less accurate.

    python benchmarks/found_student.py --data FOLDER [--seconds 2400] [--seeds 0 1 2] [--rounds 6]

The search (``found_student.toml``) runs first, on ONNX Runtime, with a limit of latency; the same command goes on after
a kill. Then the chosen recipe is trained for each seed and both runtimes, beside ResNet-20 of the same seed; accuracy
on the 10,000 test images, paired. Last, the files of the first seed are timed in turns, and between the runtimes the
machine's int8 peak by ``int8_peak.c`` (gcc is needed).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import _common
import _nets
import numpy as np
import torch
from matrix import interval
from torch.utils.flop_counter import FlopCounterMode

from edgekd.build import request as requests
from edgekd.build import target_runtime
from edgekd.runtime import backend as backends
from edgekd.runtime import bench
from edgekd.spec import recipe as recipes
from edgekd.spec import target

HERE = Path(__file__).parent
LIMIT_MS = 0.19
TARGETS = ("ort-cpu", "openvino")
OURS, OTHER = "found", "resnet20"


def search(data: Path, seconds: float, folder: Path) -> dict[str, Any]:
    """tune.json, and the chosen recipe as TOML."""
    line = [sys.executable, "-m", "edgekd", "tune", str(HERE / "found_student.toml"), "--target", "ort-cpu"]
    line += ["--set", f"data.path={data / 'cifar10_jpeg.npz'}"]
    line += ["--max-latency-ms", str(LIMIT_MS), "--max-drop", "0", "--seconds", str(seconds), "--stop-when-met"]
    line += ["--out", str(folder / "found"), "--overwrite", "--json"]
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout) | {"toml": (folder / "found.tune" / "recipe.toml").read_text()}


def made(name: str, toml: str, seed: int, data: Path) -> tuple[dict[str, dict[str, bytes]], dict[str, np.ndarray], int]:
    """Files by target and candidate, which test images int8 gets right on each, and multiply-adds of an image."""
    if name == OTHER:
        table = _nets.table(OTHER, data)
        table["student"]["precision"] = "bf16"
        table["compress"] = [{"kind": "int8_qat", "epochs": 4, "lr": 5e-4, "precision": "bf16"}]  # as the other's
    else:
        table = recipes.parse(tomllib.loads(toml), "recipe").model_dump(mode="json", exclude_unset=True)
        table["data"]["path"] = str(data / "cifar10_jpeg.npz")
    table["teacher"]["checkpoint"] = str(_nets.CHECKPOINTS / f"cifar_resnet20_seed{seed}.safetensors")
    order = requests.make(table | {"seed": seed}, TARGETS, progress=_nets.told)
    net = _nets.built(name, order)
    right = {}
    for runtime in TARGETS:
        chosen = target.load(runtime)
        backend = backends.make(chosen.backend, dict(chosen.options), runtime)
        session = backend.open(target_runtime.parse(chosen).backend.lower(net.onnx[runtime]["int8"]), batch=1)
        scores = net.scores(session)
        labels = net.workspace.feed.labels("test")
        assert labels is not None
        right[runtime] = (scores.argmax(1) == labels.reshape(-1)).astype(float)
    return net.onnx, right, multiply_adds(net.trained["student"].student.module)


def multiply_adds(module: torch.nn.Module) -> int:
    """Of one CIFAR-10 image."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module.eval()(torch.zeros(1, 3, 32, 32))
    return counter.get_total_flops() // 2


def peak(folder: Path) -> float:
    """The machine's int8 rate now, in 10^9 multiply-adds a second on one thread."""
    program = folder / "peak"
    if not program.is_file():
        flags = ["-O3", "-funroll-loops", "-mavx512f", "-mavx512vnni"]
        subprocess.run(["gcc", *flags, str(HERE / "int8_peak.c"), "-o", str(program)], check=True)
    return float(subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout)


def timed(files: dict[str, Any], macs: int, rounds: int, folder: Path) -> dict[str, Any]:
    """p50 and ratios on both runtimes."""
    x = {"input": np.random.default_rng(0).standard_normal((1, 3, 32, 32), dtype=np.float32)}
    found: dict[str, dict[str, Any]] = {}
    peaks = [peak(folder)]
    for runtime in TARGETS:
        chosen = target.load(runtime)
        backend = target_runtime.parse(chosen).backend
        these = {"fp32": files[OURS][runtime]["fp32"], "int8": files[OURS][runtime]["int8"]}
        lowered = {name: backend.lower(data) for name, data in these.items()}
        lowered[OTHER] = backend.lower(files[OTHER][runtime]["int8"])
        samples, busy = _common.in_turns(chosen, lowered, x, rounds, 2.0)
        peaks.append(peak(folder))
        p50 = {name: float(np.median(taken)) / 1e6 for name, taken in samples.items()}
        found[runtime] = {
            "p50_ms": p50,
            "fp32_over_int8": bench.ratio_ci(samples["fp32"], samples["int8"]),
            "of_resnet20_int8": bench.ratio_ci(samples["int8"], samples[OTHER]),
            "gmacs_per_s": macs / p50["int8"] / 1e6,
            "cpus_used_by_others": busy,
        }
    for row in found.values():
        row["share_of_peak"] = row["gmacs_per_s"] / max(peaks)
    return {"macs": macs, "peak_gmacs_per_s": peaks, "runtimes": found}


def main() -> None:
    """Search, train, time, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=2400)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rounds", type=int, default=6)
    given = parser.parse_args()
    if shutil.which("gcc") is None:
        parser.error("gcc is needed")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = search(given.data, given.seconds, folder)
        right: dict[str, dict[str, list[np.ndarray]]] = {n: {r: [] for r in TARGETS} for n in (OURS, OTHER)}
        first: dict[str, Any] = {}
        for seed in given.seeds:
            for net, runs in right.items():
                files, rights, macs = made(net, found["toml"], seed, given.data)
                first.setdefault(net, (files, macs))
                for runtime in TARGETS:
                    runs[runtime].append(rights[runtime])
                print(seed, net, {runtime: float(r.mean()) for runtime, r in rights.items()}, flush=True)
        table = timed({net: files for net, (files, _) in first.items()}, first[OURS][1], given.rounds, folder)
    for runtime in TARGETS:
        gain, low, high = interval(np.stack(right[OURS][runtime]) - np.stack(right[OTHER][runtime]))
        accuracy = {net: [float(r.mean()) for r in runs[runtime]] for net, runs in right.items()}
        table["runtimes"][runtime] |= {"accuracy": accuracy, "gain": gain, "gain_ci95": [low, high]}
        print(runtime, table["runtimes"][runtime], flush=True)
    trials = [{key: t[key] for key in ("number", "state", "values", "result")} for t in found["trials"]]
    recipe = found["toml"].replace(str(given.data), "FOLDER").replace(str(_nets.CHECKPOINTS), "checkpoints")
    kept = {"recipe": recipe, "chosen": found["chosen"], "trials": trials}
    _common.write("found_student", {"seeds": given.seeds, **table, "search": kept})


if __name__ == "__main__":
    main()
