"""What quantization-aware training wins back of what the best calibration loses, and whether long training ages a net.

    pip install nncf    # only for this script
    python benchmarks/qat_recovery.py --data FOLDER [--seeds 0 1 2] [--nets ...]

Students of 20,000 CIFAR-10 images, distilled from the teacher of ``tiny-cifar``: ``depthwise`` for 4 and for 40 epochs
(MobileNet-like, ReLU6), ``swish`` for 12 (EfficientNet-like: swish, squeeze-and-excitation). Calibrated: ONNX Runtime's
static quantizer by three methods, NNCF, and ``int8_ptq``, the best of which counts; against ``int8_qat`` by its
defaults. ``int8_qat`` is four epochs more of training, and a net that was distilled for four gains by them whatever its
numbers are: beside it stands the float student after the same epochs with the same losses and rate (``fp32 longer``),
and the int8 drop that may not grow is counted from there. Every file is judged on the 10,000 test images one at a
time, by the runtime that it is for. Trainings are kept in the cache (``EDGEKD_CACHE``): a script that was stopped goes
on.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import _common
import _nets
import _peers
import numpy as np
from safetensors.torch import save_file

from edgekd.build import request as requests
from edgekd.learn.teacher import bare
from edgekd.runtime import backend as backends
from edgekd.spec import target

TARGETS = ("ort-cpu", "openvino")
MOBILENET = {"kind": "mobilenet"}
SWISH = {"kind": "mobilenet", "activation": "swish", "squeeze": True}
KL = [{"kind": "kl", "temperature": 4.0, "weight": 0.9}, {"kind": "cross_entropy", "weight": 0.1}]
NETS: dict[str, tuple[dict[str, Any], int]] = {
    "depthwise-4": (MOBILENET, 4),
    "depthwise-40": (MOBILENET, 40),
    "swish-12": (SWISH, 12),
}
FINE_TUNING = {"epochs": 4, "lr": 2e-4}
LONGER = "fp32 longer"
T_OF_3 = 4.303  # the 97.5 % quantile of Student's t over three seeds


def recipe_of(name: str, seed: int, data: Path) -> dict[str, Any]:
    """A student, distilled, calibrated and fine-tuned."""
    model, epochs = NETS[name]
    recipe = _nets.table("mobilenet", data) | {"seed": seed, "threads": 1, "losses": KL}
    checkpoint = _nets.CHECKPOINTS / "cifar_teacher_seed0.safetensors"
    recipe["teacher"] |= {"model": {"kind": "resnet", "depth": 14, "width": 32}, "checkpoint": str(checkpoint)}
    recipe["student"] = {"model": model, "epochs": epochs, "batch_size": 128, "lr": 4e-3}
    recipe["compress"] = [{"kind": "int8_ptq"}, {"kind": "int8_qat", **FINE_TUNING}]
    return recipe


def net(name: str, seed: int, data: Path) -> _nets.Net:
    """A student and its files, with the one that was trained in float for as long as ``int8_qat`` trains."""
    recipe = recipe_of(name, seed, data)
    made = _nets.built(name, requests.make(recipe, TARGETS, progress=_nets.told))
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "student.safetensors"
        state = bare(made.trained["student"].student.module).state_dict()
        save_file({key: value.contiguous() for key, value in state.items()}, checkpoint)
        recipe["student"] |= {"checkpoint": str(checkpoint), **FINE_TUNING}
        further = _nets.built(name, requests.make(recipe | {"compress": []}, TARGETS, progress=_nets.told))
    for runtime, found in made.onnx.items():
        found[LONGER] = further.onnx[runtime]["fp32"]
    return made


def files(made: _nets.Net, runtime: str) -> dict[str, dict[str, bytes]]:
    """Every candidate as the runtime opens it."""
    chosen = target.load(runtime)
    backend = backends.make(chosen.backend, dict(chosen.options), runtime)
    found = {name: backend.lower(file) for name, file in made.onnx[runtime].items()}
    feeds, fp32 = made.calibration(), made.onnx[runtime]["fp32"]
    for method in _peers.CALIBRATIONS:
        found[f"static {method}"] = backend.lower(_peers.quantize_static(fp32, feeds, method))
    if runtime == "openvino":
        found["nncf"] = _peers.nncf_openvino(fp32, feeds)
    else:
        found["nncf"] = backend.lower(_peers.nncf_ptq(fp32, feeds))
    return found


def judged(made: _nets.Net, runtime: str) -> dict[str, Any]:
    """The metric of every candidate on the test split, and what was lost and won back, in points."""
    chosen = target.load(runtime)
    backend = backends.make(chosen.backend, dict(chosen.options), runtime)
    answers = {name: made.scores(backend.open(file, batch=1)) for name, file in files(made, runtime).items()}
    labels = made.workspace.feed.labels("test")
    right = {name: scores.argmax(axis=1) == labels for name, scores in answers.items()}
    values = {name: made.value(scores) for name, scores in answers.items()}
    best = max((name for name in values if name not in ("fp32", LONGER, "int8")), key=values.__getitem__)
    lost, won = 100 * (values["fp32"] - values[best]), 100 * (values["int8"] - values[best])
    return {
        "test": values,
        "best_calibrated": best,
        "lost_points": lost,
        "won_back_points": won,
        "int8_drop_points": 100 * (values[LONGER] - values["int8"]),
        "int8_drop_ci95": paired(right[LONGER], right["int8"]),
    }


def paired(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """95 % interval, in points, of the difference of two networks' accuracy over the same images (bootstrap)."""
    difference = one.astype(float) - other
    rng = np.random.default_rng(0)
    means = [difference[rng.integers(0, len(difference), len(difference))].mean() for _ in range(2000)]
    low, high = np.percentile(means, [2.5, 97.5])
    return 100 * float(low), 100 * float(high)


def grown(rows: dict[str, Any], runtime: str, candidate: str, of: str) -> dict[str, Any]:
    """How much more a candidate loses of a float file after 40 epochs than after 4, in points, by seed."""
    found = []
    for seed in range(3):
        lengths = [rows.get(f"depthwise-{epochs}_seed{seed}") for epochs in (4, 40)]
        values = [row[runtime]["test"] for row in lengths if row]
        if len(values) == 2:
            short, long = (100 * (value[of] - value[candidate]) for value in values)
            found.append(long - short)
    if len(found) < 3:
        return {"by_seed": found}
    mean, half = float(np.mean(found)), T_OF_3 * float(np.std(found, ddof=1)) / 3**0.5
    return {"by_seed": found, "mean": mean, "ci95": [mean - half, mean + half]}


def summary(rows: dict[str, Any]) -> dict[str, Any]:
    """Over the seeds that are there: what calibration loses at most, and how the drop grows with the epochs."""
    found: dict[str, Any] = {}
    for runtime in TARGETS:
        losses = {name: row[runtime]["lost_points"] for name, row in rows.items()}
        lost = sum(losses.values())
        won = sum(row[runtime]["won_back_points"] for row in rows.values())
        found[runtime] = {
            "most_lost_points": max(losses.values()),
            "pooled_share_won_back": won / lost if lost > 0 else None,
            "int8_drop_grows_by_points": grown(rows, runtime, "int8", LONGER),
            "calibrated_drop_grows_by_points": grown(rows, runtime, "int8-ptq", "fp32"),
        }
    return found


def main() -> None:
    """Train what is missing, judge it and write the result after each net."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--nets", nargs="+", choices=sorted(NETS), default=list(NETS))
    given = parser.parse_args()
    for seed in given.seeds:
        for name in given.nets:
            key = f"{name}_seed{seed}"
            if key in _kept():
                continue
            made = net(name, seed, given.data)
            row = {runtime: judged(made, runtime) for runtime in TARGETS}
            print(key, row, flush=True)
            rows = _kept() | {key: row}  # read again: another process may have written meanwhile
            _common.write("qat_recovery", {"rows": rows, "summary": summary(rows)})


def _kept() -> dict[str, Any]:
    """The rows of the result so far."""
    return dict(_common.written("qat_recovery").get("rows", {}))


if __name__ == "__main__":
    main()
