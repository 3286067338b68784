"""The recipe ``tiny-cifar`` on all of CIFAR-10, over seeds; beside it the ResNet-8 of MLPerf Tiny, trained alike.

    python benchmarks/tiny_cifar.py --data FOLDER [--seeds 0 1 2] [--students tiny reference] [--time]

Every file is judged on the 10,000 test images one at a time, by both runtimes. The teacher is ``teacher`` of
``cifar_nets.py``. Trainings are kept in the cache (``EDGEKD_CACHE``): a script that was stopped goes on. ``--time``, on
an idle machine: the int8 files of seed 0 in turns, against their fp32 and against each other.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import _common
import _nets
import numpy as np

from edgekd.build import request as requests
from edgekd.build import timing
from edgekd.runtime import backend as backends
from edgekd.runtime import bench
from edgekd.spec import target

TARGET = "portable-int8"
RUNTIMES = ("ort-cpu", "openvino")
STUDENTS = {"tiny": [], "reference": ['student.model={kind="resnet",depth=8,width=16}']}
CHUNK = 256


def net(student: str, seed: int, data: Path) -> _nets.Net:
    """A student, trained and exported."""
    checkpoint = _nets.CHECKPOINTS / "cifar_teacher_seed0.safetensors"
    settings = [f"data.path={data / 'cifar10_jpeg.npz'}", f"teacher.checkpoint={checkpoint}", f"seed={seed}"]
    order = requests.make("tiny-cifar", [TARGET], [*settings, *STUDENTS[student]], progress=_nets.told)
    return _nets.built(student, order)


def values(made: _nets.Net) -> dict[str, Any]:
    """The metric on the test split of each file on each runtime, and of the teacher."""
    found: dict[str, Any] = {"bytes": {name: len(file) for name, file in made.onnx[TARGET].items()}, "test": {}}
    for runtime in RUNTIMES:
        chosen = target.load(runtime)
        backend = backends.make(chosen.backend, dict(chosen.options), runtime)
        for name, file in made.onnx[TARGET].items():
            session = backend.open(backend.lower(file), batch=1)
            found["test"][f"{name} on {runtime}"] = made.value(made.scores(session))
    kept = _common.written("cifar_nets").get("nets", {}).get("teacher_seed0", {})
    return found | {"teacher": kept.get("test"), "test_images": made.workspace.feed.length("test")}


def timed(made: dict[str, _nets.Net], rounds: int, seconds: float) -> dict[str, Any]:
    """p50 of both students' files in turns; the ratios are against the reference's int8 file."""
    found: dict[str, Any] = {}
    for runtime in RUNTIMES:
        chosen = target.load(runtime)
        backend = backends.make(chosen.backend, dict(chosen.options), runtime)
        files = {f"{s} {c}": backend.lower(f) for s, one in made.items() for c, f in one.onnx[TARGET].items()}
        x = timing.timed_inputs(next(iter(made.values())).inputs("validation", CHUNK)[0], 1)
        samples, busy = _common.in_turns(chosen, files, x, rounds, seconds)
        base = next(of for name, of in samples.items() if name.startswith("reference int8"))
        found[runtime] = {
            "p50_ms": {name: float(np.median(taken)) / 1e6 for name, taken in samples.items()},
            "of_reference_int8": {name: bench.ratio_ci(taken, base) for name, taken in samples.items()},
            "cpus_used_by_others": busy,
        }
    return found


def main() -> None:
    """Train what is missing, judge it and write the result after each seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--students", nargs="+", choices=sorted(STUDENTS), default=sorted(STUDENTS))
    parser.add_argument("--time", action="store_true")
    given = parser.parse_args()
    table = _common.written("tiny_cifar")
    rows, speed = table.get("rows", {}), table.get("speed", {})
    for seed in given.seeds:
        for student in given.students:
            rows[f"{student}_seed{seed}"] = found = values(net(student, seed, given.data))
            print(student, seed, found, flush=True)
            _common.write("tiny_cifar", {"rows": rows, "speed": speed})
    if given.time:
        speed = timed({student: net(student, 0, given.data) for student in STUDENTS}, 6, 2.0)
        _common.write("tiny_cifar", {"rows": rows, "speed": speed})


if __name__ == "__main__":
    main()
