"""What quantization-aware training wins back of what the best calibration loses, and whether long training ages a net.

    pip install nncf    # only for this script
    python benchmarks/qat_recovery.py --data FOLDER [--seeds 0 1 2] [--nets ...]

Students of 20,000 CIFAR-10 images, distilled from the teacher of ``tiny-cifar``: ``depthwise`` for 4 and for 40 epochs
(MobileNet-like, ReLU6), ``swish`` for 12 (EfficientNet-like: swish, squeeze-and-excitation). Calibrated: ONNX Runtime's
static quantizer by three methods, NNCF, and ``int8_ptq``, the best of which counts; against ``int8_qat`` by its
defaults. Every file is judged on the 10,000 test images one at a time, by the runtime that it is for. Trainings are
kept in the cache (``EDGEKD_CACHE``): a script that was stopped goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import _common
import _nets
import _peers
import numpy as np

from edgekd.build import request as requests
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


def net(name: str, seed: int, data: Path) -> _nets.Net:
    """A student, distilled, calibrated and fine-tuned, and its files."""
    model, epochs = NETS[name]
    recipe = _nets.table("mobilenet", data) | {"seed": seed, "threads": 1, "losses": KL}
    checkpoint = _nets.CHECKPOINTS / "cifar_teacher_seed0.safetensors"
    recipe["teacher"] |= {"model": {"kind": "resnet", "depth": 14, "width": 32}, "checkpoint": str(checkpoint)}
    recipe["student"] = {"model": model, "epochs": epochs, "batch_size": 128, "lr": 4e-3}
    recipe["compress"] = [{"kind": "int8_ptq"}, {"kind": "int8_qat", "epochs": 4, "lr": 2e-4}]
    return _nets.built(name, requests.make(recipe, TARGETS, progress=_nets.told))


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
    best = max((name for name in values if name not in ("fp32", "int8")), key=values.__getitem__)
    lost, won = 100 * (values["fp32"] - values[best]), 100 * (values["int8"] - values[best])
    return {
        "test": values,
        "best_calibrated": best,
        "lost_points": lost,
        "won_back_points": won,
        "int8_drop_points": 100 * (values["fp32"] - values["int8"]),
        "int8_drop_ci95": paired(right["fp32"], right["int8"]),
    }


def paired(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """95 % interval, in points, of the difference of two networks' accuracy over the same images (bootstrap)."""
    difference = one.astype(float) - other
    rng = np.random.default_rng(0)
    means = [difference[rng.integers(0, len(difference), len(difference))].mean() for _ in range(2000)]
    low, high = np.percentile(means, [2.5, 97.5])
    return 100 * float(low), 100 * float(high)


def drop(values: dict[str, float], candidate: str) -> float:
    """How much less a candidate's value is than the float file's."""
    return values["fp32"] - values[candidate]


def summary(rows: dict[str, Any]) -> dict[str, Any]:
    """Over the seeds that are there: what calibration loses at most, and how the drop grows with the epochs."""
    found: dict[str, Any] = {}
    for runtime in TARGETS:
        losses = {name: row[runtime]["lost_points"] for name, row in rows.items()}
        lost = sum(losses.values())
        won = sum(row[runtime]["won_back_points"] for row in rows.values())
        drops = {name: row[runtime]["test"] for name, row in rows.items()}
        grown = {
            candidate: [
                100 * (drop(drops[f"depthwise-40_seed{seed}"], candidate) - drop(short, candidate))
                for seed in range(3)
                if (short := drops.get(f"depthwise-4_seed{seed}")) and f"depthwise-40_seed{seed}" in drops
            ]
            for candidate in ("int8", "int8-ptq")
        }
        found[runtime] = {
            "most_lost_points": max(losses.values()),
            "pooled_share_won_back": won / lost if lost > 0 else None,
            # The epochs of ``int8`` are more training, too: after four of distillation they win, which is no drop.
            "int8_drop_grows_by_points": grown["int8"],
            "calibrated_drop_grows_by_points": grown["int8-ptq"],
        }
    return found


def main() -> None:
    """Train what is missing, judge it and write the result after each net."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--nets", nargs="+", choices=sorted(NETS), default=list(NETS))
    given = parser.parse_args()
    rows = _common.written("qat_recovery").get("rows", {})
    for seed in given.seeds:
        for name in given.nets:
            key = f"{name}_seed{seed}"
            if key not in rows:
                made = net(name, seed, given.data)
                rows[key] = {runtime: judged(made, runtime) for runtime in TARGETS}
                print(key, rows[key], flush=True)
                _common.write("qat_recovery", {"rows": rows, "summary": summary(rows)})


if __name__ == "__main__":
    main()
