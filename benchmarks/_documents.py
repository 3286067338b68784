"""Documents that are whole and small, to be changed by key: ``{**CANDIDATE, "name": "int8"}``; and one of a real build.

They are typed as ``edgekd.document`` has them, so that a key that is renamed there is an error here.
"""

from __future__ import annotations

from pathlib import Path

from edgekd.base import reader
from edgekd.document import bench
from edgekd.document.bench import DeviceResult, Variant
from edgekd.document.candidate import Candidate
from edgekd.document.machine import Machine
from edgekd.document.report import Report, Stage, Target

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "report.json"
MACHINE: Machine = {
    "cpu": "a CPU",
    "arch": "x86_64",
    "isa": ["avx2"],
    "cores": 2,
    "governor": None,
    "celsius": None,
    "load": None,
    "memory_bytes": None,
    "gpu": None,
    "python": "3.11.9",
    "os": "Linux",
    "versions": {"numpy": "2.0"},
}
CANDIDATE: Candidate = {
    "name": "fp32",
    "numerics": "fp32",
    "pruned": False,
    "size_bytes": 1000,
    "value_validation": 0.9,
    "value_test": 0.9,
    "latency_ms": {"p50": 1.0, "p90": 2.0, "p99": 3.0, "mean": 1.5, "min": 0.5, "max": 4.0},
    "throughput": 700.0,
    "samples": 100,
    "speedup_vs_fp32": {"p50": 1.0, "ci95": [1.0, 1.0]},
}
STAGE: Stage = {
    "name": "teacher",
    "target": None,
    "params": 250,
    "size_bytes": 1000,
    "value_validation": 0.9,
    "value_test": 0.9,
    "seconds": 1.0,
}
TARGET: Target = {
    "shipped": "fp32",
    "reason": "the fastest",
    "candidates": [CANDIDATE],
    "parity": {"argmax_agreement": 1.0, "max_abs_diff": 0.0, "samples": 10},
    "budget": {"met": True},
}
REPORT: Report = {
    "schema_version": 1,
    "name": "net",
    "task": "classification",
    "metric": "accuracy",
    "seed": 0,
    "split_sizes": {"train": 10, "validation": 10, "test": 10},
    "host": {},
    "shippable": True,
    "stages": [STAGE],
    "targets": {"ort-cpu": TARGET},
}
LATENCY: bench.Latency = {
    "p50": 1.0,
    "p90": 2.0,
    "p95": 2.5,
    "p99": 3.0,
    "mean": 1.5,
    "std": 0.5,
    "min": 0.5,
    "max": 4.0,
}
VARIANT: Variant = {
    "numerics": "int8",
    "runtime": "onnxruntime 1.30",
    "batch": 1,
    "streams": 1,
    "latency_ms": LATENCY,
    "parts_ms": None,
    "bounds_ms": {"p90": 2.25, "p99": None},
    "throughput": 700.0,
    "samples": 100,
    "size_bytes": 1234,
    "cold": {
        "start_ms": 1.0,
        "open_ms": 1.0,
        "first_ms": 1.0,
        "second_ms": 1.0,
        "peak_memory_bytes": 1,
        "model_memory_bytes": 1,
    },
    "joules_per_run": None,
    "stable": True,
    "note": None,
    "conditions": {"others": 0, "stolen": 0, "celsius": None, "megahertz": None, "joules": None, "seconds": 1.0},
}
DEVICE: DeviceResult = {"bundle": "net", "device": "local", "host": MACHINE, "variants": {"ort-cpu": VARIANT}}


def golden_report() -> Report:
    """What a real build of the digits recipe wrote, for two targets."""
    return reader.read(GOLDEN.read_bytes(), Report, "report.json")
