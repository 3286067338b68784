"""Our p50 against a bare ONNX Runtime loop's and benchmark_app's; and how far repeats of one bench lie apart.

    python benchmarks/loops.py --data FOLDER [--rounds 5] [--seconds 1] [--repeats 20] [nets ...]

One thread, batch 1, the fp32 and the int8 file of each net (calibrated, not trained on: the files are timed alone). A
round runs each of the ways once, each in a process of its own and in another order; the ratio is of the medians over
the rounds, its interval by bootstrap over them. The repeats are of ``bench`` on the first net's int8 file.

benchmark_app prints OpenVINO's own clock inside the call. Ours holds the copies and the call from Python, too: some
microseconds that are the same for every net; the part that is OpenVINO's own is compared by itself.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import _common
import _nets
import numpy as np

from edgekd.build import target_runtime, timing
from edgekd.runtime import bench
from edgekd.runtime.jobs import BenchJob
from edgekd.spec import target

TARGETS = ("ort-cpu", "openvino")
NETS = ("resnet20", "resnet32", "resnet56", "wide", "mobilenet", "patches", "fm", "digits")
PAIRS = (
    ("ours on ort-cpu", "bare loop"),
    ("ours on openvino", "benchmark_app"),
    ("openvino in ours", "benchmark_app"),
)
FILES = ("fp32", "int8-ptq")
BARE = """
import json, sys, time
import numpy as np, onnxruntime
file, inputs, seconds = sys.argv[1], np.load(sys.argv[2]), float(sys.argv[3])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
feeds = {name: inputs[name] for name in inputs.files}
ends = time.perf_counter() + seconds / 3
while time.perf_counter() < ends:
    session.run(None, feeds)
taken, ends = [], time.perf_counter() + seconds
while time.perf_counter() < ends:
    started = time.perf_counter_ns()
    session.run(None, feeds)
    taken.append(time.perf_counter_ns() - started)
print(json.dumps(float(np.median(taken)) / 1e6))
"""


def benched(runtime: str, files: dict[str, bytes], x: dict[str, np.ndarray], seconds: float) -> bench.BenchResult:
    """As ``edgekd bench`` does it."""
    chosen = target.load(runtime)
    job = BenchJob(chosen.backend, {"f": files}, "f", x, dict(chosen.options), min_seconds=seconds)
    return bench.bench_in_subprocess(job)


def p50(found: bench.BenchResult) -> float:
    """Milliseconds."""
    return bench.summary(found.samples["f"])["p50"]


def ours(runtime: str, files: dict[str, bytes], x: dict[str, np.ndarray], seconds: float) -> tuple[float, float]:
    """Milliseconds; and the part of them that the runtime measures itself."""
    found = benched(runtime, files, x, seconds)
    return p50(found), (found.parts or {}).get("compute", float("nan"))


def bare(folder: Path, seconds: float) -> float:
    """The same of a plain loop on ONNX Runtime."""
    line = [sys.executable, "-c", BARE, str(folder / "model.onnx"), str(folder / "inputs.npz"), str(seconds)]
    return float(subprocess.run(line, capture_output=True, text=True, check=True).stdout)


def app(folder: Path, x: dict[str, np.ndarray], seconds: float) -> float:
    """The same of benchmark_app."""
    shapes = ",".join(f"{name}[{','.join(map(str, array.shape))}]" for name, array in x.items())
    line = [str(Path(sys.executable).with_name("benchmark_app")), "-m", str(folder / "openvino_model.xml"), "-d", "CPU"]
    line += ["-shape", shapes, "-hint", "none", "-nthreads", "1", "-nstreams", "1", "-api", "sync"]
    line += ["-infer_precision", "f32"]  # as our targets: the default is bfloat16 where a CPU has AMX
    line += ["-t", str(max(1, round(seconds)))]
    stdout = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    value, unit = next(text for text in stdout.splitlines() if "Median:" in text).split()[-2:]
    return float(value) / {"us": 1e3, "ms": 1.0}[unit]


def prepared(net: _nets.Net, candidate: str) -> tuple[dict[str, dict[str, bytes]], dict[str, Any]]:
    """A candidate's files by target, and what is timed."""
    files = {name: target_runtime.parse(target.load(name)).backend.lower(net.onnx[name][candidate]) for name in TARGETS}
    return files, timing.timed_inputs(net.inputs("validation", 256)[0], 1)


def run(net: _nets.Net, candidate: str, rounds: int, seconds: float) -> dict[str, Any]:
    """One file of a net: every way's p50 in every round."""
    files, x = prepared(net, candidate)
    taken: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        np.savez(folder / "inputs.npz", **x)
        for lowered in files.values():
            for name, data in lowered.items():
                (folder / name).write_bytes(data)
        ways = {
            ("ours on ort-cpu", "(its own clock)"): lambda: ours("ort-cpu", files["ort-cpu"], x, seconds),
            ("bare loop",): lambda: (bare(folder, seconds),),
            ("ours on openvino", "openvino in ours"): lambda: ours("openvino", files["openvino"], x, seconds),
            ("benchmark_app",): lambda: (app(folder, x, seconds),),
        }
        for seed in range(rounds):
            order = list(ways)
            random.Random(seed).shuffle(order)
            for names in order:
                for name, ms in zip(names, ways[names](), strict=True):
                    taken.setdefault(name, []).append(ms)
    del taken["(its own clock)"]  # ONNX Runtime on a CPU has none
    return {"p50_ms": taken} | {f"{a} / {b}": ratio(taken[a], taken[b]) for a, b in PAIRS}


def repeats(net: _nets.Net, count: int, seconds: float) -> dict[str, Any]:
    """One bench again and again. What it does not call stable itself was not an idle machine."""
    files, x = prepared(net, "int8-ptq")
    found = [benched("ort-cpu", files["ort-cpu"], x, seconds) for _ in range(count)]
    stable = [p50(one) for one in found if one.note is None]
    if not stable:
        raise SystemExit(f"this machine is busy: none of {count} repeats was stable; {found[0].note}")
    middle = float(np.median(stable))
    return {
        "p50_ms": [p50(one) for one in found],
        "notes": [one.note for one in found],
        "stable": len(stable),
        "furthest_from_the_median": max(abs(ms / middle - 1) for ms in stable),
    }


def ratio(a: list[float], b: list[float]) -> list[float]:
    """Of the medians, and its 95 % interval over the rounds."""
    draws = np.random.default_rng(0).integers(0, len(a), (2000, len(a)))
    drawn = np.median(np.array(a)[draws], axis=1) / np.median(np.array(b)[draws], axis=1)
    return [float(np.median(a) / np.median(b)), *(float(v) for v in np.percentile(drawn, [2.5, 97.5]))]


def main() -> None:
    """Measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("nets", nargs="*", default=list(NETS))
    given = parser.parse_args()
    table: dict[str, Any] = {"nets": {}}
    for name in given.nets:
        net = _nets.make(name, given.data, TARGETS, trained_int8=False)
        table["nets"][name] = {}
        for candidate in FILES:
            row = table["nets"][name][candidate] = run(net, candidate, given.rounds, given.seconds)
            print(name, candidate, {k: v for k, v in row.items() if "/" in k}, flush=True)
        if "repeats" not in table:
            table["repeats"] = {"net": name, **repeats(net, given.repeats, given.seconds)}
            print(table["repeats"], flush=True)
    _common.write("loops", table)


if __name__ == "__main__":
    main()
