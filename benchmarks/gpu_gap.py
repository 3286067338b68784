"""ResNet-56 -> ResNet-20 on CIFAR-10, and what int8 keeps of it: trained on a GPU, judged where the runtimes are.

    python benchmarks/gpu_gap.py train FOLDER --data DATA --seed 0 --student {alone,distilled}   # the GPU
    python benchmarks/gpu_gap.py keep FOLDER --data DATA                                         # edgekd[build,ort]

The recipe ``cifar10-resnet56`` with ``EPOCHS`` epochs of 512 samples. ``alone`` is the student with the teacher's
schedule, from labels. A training that was stopped goes on from its last epoch (``EDGEKD_CACHE``). ``keep`` asks each
file for the whole test split, one sample at a time, on each runtime, and writes the shares of the gap that are closed,
with their 95 % intervals over (seed, test sample).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgekd.base import host
from edgekd.build import request as requests
from edgekd.build import run as running
from edgekd.build import target_runtime, teach
from edgekd.build.plan import TeachStep
from edgekd.build.prepare import Objects, prepare
from edgekd.build.workspace import Workspace
from edgekd.learn import train
from edgekd.learn.teacher import bare

TARGETS = ("ort-cpu", "openvino")
LR, BATCH = 0.2, 512  # a rate for four times the recipe's batch of 128, as its square root
STUDENT = '{kind="resnet",depth=20,width=16}'


def settings(data: Path, seed: int, epochs: int) -> list[str]:
    """What fits the recipe to minutes."""
    schedule = [
        f"{who}.{key}={value}"
        for who in ("teacher", "student")
        for key, value in (("epochs", epochs), ("batch_size", BATCH), ("lr", LR), ("warmup", 0.1))
    ]
    few = ["augment.views=8", f"compress.0.epochs={max(1, epochs // 5)}", f"compress.0.batch_size={BATCH}"]
    return [f"data.path={data / 'cifar10_jpeg.npz'}", f"seed={seed}", *schedule, *few]


def train_one(folder: Path, data: Path, seed: int, student: str, epochs: int) -> None:
    """Train a student, and what it learns from; its files and what each of its nets says to the test split."""
    asked = settings(data, seed, epochs)
    asked += [f"teacher.model={STUDENT}"] if student == "alone" else []
    order = requests.make("cifar10-resnet56", TARGETS, asked, progress=told)
    workspace = prepare(order, Objects())
    started = time.time()
    place = folder / f"{student}_seed{seed}"
    place.mkdir(parents=True, exist_ok=True)
    said: dict[str, Any]
    if student == "alone":
        said = {
            "alone": scores(
                workspace, teach.teacher(workspace, workspace.plan.get("teacher", TeachStep)).student.module
            )
        }
    else:
        trained, _ = running.train_all(workspace)
        taught = teach.teacher(workspace, workspace.plan.get("teacher", TeachStep))
        said = {"teacher": scores(workspace, taught.student.module)}
        said["distilled"] = scores(workspace, trained["student"].student.module)
        for target, files in running.export_all(workspace, trained).items():
            for candidate, file in files.items():
                (place / f"{target}.{candidate}.onnx").write_bytes(file)
    np.savez(place / "said.npz", **said)
    record = {"host": host.facts(), "torch": torch.__version__, "seconds": time.time() - started, "epochs": epochs}
    (place / "trained.json").write_text(json.dumps(record | {"precision": "bf16 where CUDA has it"}))
    labels = workspace.feed.labels("test")
    print(place, {who: float((rows.argmax(1) == labels).mean()) for who, rows in said.items()}, flush=True)


def scores(workspace: Workspace, module: torch.nn.Module) -> np.ndarray:
    """(count, 10), of the float net on the test split."""
    with train.accelerated(bare(module)) as there:
        return train.predict(there, workspace.feed, "test")


def keep(folder: Path, data: Path) -> None:
    """Ask every file where it runs, and write the result."""
    import _common  # noqa: PLC0415
    import _nets  # noqa: PLC0415  # where the GPU is, not every runtime is
    from matrix import interval  # noqa: PLC0415

    from edgekd.spec import target  # noqa: PLC0415

    seeds = sorted(int(place.name.removeprefix("distilled_seed")) for place in folder.glob("distilled_seed*"))
    trained = {p.parent.name: json.loads(p.read_text()) for p in sorted(folder.glob("*/trained.json"))}
    epochs = trained[f"distilled_seed{seeds[0]}"]["epochs"]
    feed = prepare(requests.make("cifar10-resnet56", TARGETS, settings(data, 0, epochs)), Objects()).feed
    labels = feed.labels("test")
    right: dict[str, list[np.ndarray]] = {}
    for seed in seeds:
        for student in ("alone", "distilled"):
            for who, rows in np.load(folder / f"{student}_seed{seed}" / "said.npz").items():
                right.setdefault(who, []).append(rows.argmax(1) == labels)
        for name in TARGETS:
            backend = target_runtime.parse(target.load(name)).backend
            for file in sorted((folder / f"distilled_seed{seed}").glob(f"{name}.*.onnx")):
                who = f"{file.name.split('.')[1]} on {name}"
                said = _nets.scores(feed, backend.open(backend.lower(file.read_bytes()), batch=1))
                right.setdefault(who, []).append(said.argmax(1) == labels)
                print(seed, who, float(right[who][-1].mean()), flush=True)
    adds = {who: np.stack(rows).astype(np.float64) for who, rows in right.items()}
    gap = adds["teacher"] - adds["alone"]
    closed = {who: float((v - adds["alone"]).mean() / gap.mean()) for who, v in adds.items() if who != "alone"}
    found = {
        "seeds": seeds,
        "value_test": {who: v.mean(1).tolist() for who, v in adds.items()},
        "gap": interval(gap),
        "minus_alone": {who: interval(v - adds["alone"]) for who, v in adds.items() if who != "alone"},
        "closes": closed,
        "trained": trained,
    }
    _common.write("gpu_gap", found)
    print(json.dumps({k: v for k, v in found.items() if k != "trained"}, indent=1))


def told(event: dict[str, Any]) -> None:
    """A line an epoch."""
    if "loss" in event:
        rate = event["samples_per_s"]
        print(f"  {event['epoch'] + 1}/{event['epochs']} {event['validation']:.4f} {rate:.0f} images/s", flush=True)


def main() -> None:
    """Train one student, or keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=("train", "keep"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--student", choices=("alone", "distilled"), default="distilled")
    parser.add_argument("--epochs", type=int, default=30)
    given = parser.parse_args()
    if given.do == "train":
        train_one(given.folder, given.data, given.seed, given.student, given.epochs)
    else:
        keep(given.folder, given.data)


if __name__ == "__main__":
    main()
