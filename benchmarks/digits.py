"""The built-in recipe over several seeds, on both runtimes: what ships, how fast, how good, how small.

    python benchmarks/digits.py [--seeds 0 1 2]

A fresh cache for each seed, so that the seconds are those of a whole build. Interleaved measurements: ratios.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from statistics import median
from typing import Any

import _common

TARGETS = ("ort-cpu", "openvino")


def build(seed: int) -> dict[str, Any]:
    """The report of one seed, and the seconds of the build and of the same build again."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "edgekd", "build", "digits", "--json", "--set", f"seed={seed}"]
        command += ["--out", f"{folder}/out", "--cache", f"{folder}/cache"]
        for target in TARGETS:
            command += ["--target", target]
        started = time.monotonic()
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        seconds = time.monotonic() - started
        started = time.monotonic()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        again = time.monotonic() - started
    report: dict[str, Any] = json.loads(done.stdout)
    report.pop("details")
    return {"seed": seed, "seconds": seconds, "again_seconds": again, "report": report}


def row(found: dict[str, Any], target: str) -> dict[str, Any]:
    """The figures of one seed on one target."""
    report = found["report"]
    teacher = next(stage for stage in report["stages"] if stage["name"] == "teacher")
    told = report["targets"][target]
    by_name = {c["name"]: c for c in told["candidates"]}
    int8, pruned = by_name["int8"], by_name["fp32-pruned"]
    return {
        "seed": found["seed"],
        "shipped": told["shipped"],
        "p50_us": {name: 1000 * c["latency_ms"]["p50"] for name, c in by_name.items()},
        "int8_faster_than_fp32": int8["speedup_vs_fp32"]["p50"],
        "int8_faster_than_pruned": pruned["latency_ms"]["p50"] / int8["latency_ms"]["p50"],
        "teacher_test": teacher["value_test"],
        "int8_test": int8["value_test"],
        "int8_test_minus_teacher": int8["value_test"] - teacher["value_test"],
        "int8_size_bytes": int8["size_bytes"],
        "teacher_over_int8_size": teacher["size_bytes"] / int8["size_bytes"],
        "argmax_agreement": told["parity"]["argmax_agreement"],
    }


def main() -> None:
    """Build, print the medians, write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    given = parser.parse_args()
    builds = [build(seed) for seed in given.seeds]
    table: dict[str, Any] = {}
    for target in TARGETS:
        rows = [row(found, target) for found in builds]
        keys = [key for key, value in rows[0].items() if isinstance(value, float)]
        middle = {key: median(r[key] for r in rows) for key in keys}
        table[target] = {"median": middle, "shipped": [r["shipped"] for r in rows], "seeds": rows}
        print(f"{target}: shipped {table[target]['shipped']}")
        print("  median: " + ", ".join(f"{key} {value:.4g}" for key, value in middle.items()))
    seconds = {"build": [b["seconds"] for b in builds], "again": [b["again_seconds"] for b in builds]}
    print("  seconds: " + ", ".join(f"{b['seconds']:.0f} ({b['again_seconds']:.1f} again)" for b in builds))
    notes = [b["report"]["host"].get("note") for b in builds]
    _common.write("digits", {"seeds": given.seeds, "seconds": seconds, "notes": notes, "targets": table})


if __name__ == "__main__":
    main()
