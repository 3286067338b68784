"""ResNet-20 pruned to half its measured latency: whole blocks, by what distillation loses for each millisecond,
against channels, uniformly and by magnitude.

    python benchmarks/half_latency.py --data FOLDER [--seeds 0 1 2] [--epochs 8]

Both start from the same checkpoint (``cifar_nets.py``), are pruned by the same target's clock to the same share of the
dense p50, and fine-tuned by the same schedule against the dense net's answers, on 20,000 CIFAR-10 images. Accuracy on
the 10,000 test images, paired; at the end all files of a seed are timed in turns. Finished seeds are not run again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import _common
import _nets
import numpy as np
from matrix import interval

from edgekd.build import request as requests
from edgekd.build import run as running
from edgekd.build import target_runtime
from edgekd.build.prepare import Objects, prepare
from edgekd.learn import predictions
from edgekd.runtime import bench as benching
from edgekd.runtime.jobs import BenchJob
from edgekd.spec import target

TARGET, GOAL = "ort-cpu", 0.5
WAYS: dict[str, dict[str, Any]] = {
    "blocks": {"kind": "drop_blocks", "samples": 1024},
    "uniform": {"kind": "channel_prune", "scope": "uniform", "criterion": "magnitude", "multiple": 8},
}


def recipe(seed: int, way: str, data: Path, epochs: int) -> dict[str, Any]:
    """The checkpoint of a seed, pruned in one way."""
    found = _nets.table("resnet20", data)
    found["teacher"]["checkpoint"] = str(_nets.CHECKPOINTS / f"cifar_resnet20_seed{seed}.safetensors")
    found["student"]["precision"] = "bf16"
    table = {"latency": GOAL, "epochs": epochs, "lr": 2e-3}
    return found | {"seed": seed, "compress": [WAYS[way] | table]}


def run(seed: int, data: Path, epochs: int) -> dict[str, Any]:
    """Both ways from one checkpoint."""
    files: dict[str, Any] = {}
    right: dict[str, Any] = {}
    widths: dict[str, Any] = {}
    for way in WAYS:
        order = requests.make(recipe(seed, way, data, epochs), [TARGET], progress=_nets.told)
        workspace = prepare(order, Objects())
        trained, _ = running.train_all(workspace)
        onnx = running.export_all(workspace, trained)[TARGET]
        pruned = next(name for name in onnx if name != "fp32")
        files |= {"dense": onnx["fp32"], way: onnx[pruned]}
        labels = workspace.feed.labels("test")
        for name, step in (("dense", "student"), (way, WAYS[way]["kind"])):
            scores = predictions.predict(trained[step].student.module, workspace.feed, "test")
            right[name] = (scores.argmax(1) == labels).astype(float)
        state = trained[WAYS[way]["kind"]].student.module.state_dict()
        widths[way] = [len(value) for name, value in state.items() if value.ndim == 4]
    chosen = target.load(TARGET)
    backend = target_runtime.parse(chosen).backend
    lowered = {name: backend.lower(data) for name, data in files.items()}
    x = {"input": np.random.default_rng(0).standard_normal((1, 3, 32, 32), dtype=np.float32)}
    job = BenchJob(chosen.backend, lowered, "dense", x, options=chosen.options, batch=1, min_seconds=3.0)
    found = benching.bench_in_subprocess(job)
    ratios = {way: benching.ratio_ci(found.samples[way], found.samples["dense"]) for way in WAYS}
    ratios["blocks over uniform"] = benching.ratio_ci(found.samples["blocks"], found.samples["uniform"])
    return {
        "epochs": epochs,
        "accuracy": {name: float(values.mean()) for name, values in right.items()},
        "right": {name: "".join("1" if value else "0" for value in values) for name, values in right.items()},
        "of_dense_p50": ratios,
        "p50_ms": {name: float(np.median(taken)) / 1e6 for name, taken in found.samples.items()},
        "widths": widths,
        "cpus_used_by_others": found.others,
    }


def main() -> None:
    """Run the missing seeds and sum up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=8)
    given = parser.parse_args()
    file = _common.RESULTS / "half_latency.json"
    seeds: dict[str, Any] = json.loads(file.read_text())["seeds"] if file.is_file() else {}
    for seed in given.seeds:
        if str(seed) not in seeds:
            seeds[str(seed)] = run(seed, given.data, given.epochs)
            said = {key: value for key, value in seeds[str(seed)].items() if key != "right"}
            print(seed, said, flush=True)
        rights = [
            [np.array([c == "1" for c in found["right"][way]], float) for found in seeds.values()] for way in WAYS
        ]
        gain, low, high = interval(np.stack(rights[0]) - np.stack(rights[1]))
        print(f"blocks over uniform: {100 * gain:.2f} points ({100 * low:.2f} to {100 * high:.2f})", flush=True)
        _common.write("half_latency", {"seeds": seeds, "gain": gain, "ci95": [low, high]})


if __name__ == "__main__":
    main()
