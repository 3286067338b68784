"""Nets that other scripts start from: trained on CIFAR-10 images, kept as checkpoints.

    python benchmarks/cifar_nets.py --data FOLDER [--net resnet20 ...] [--seeds 0 1 2] [--epochs 20]

``teacher`` is that of the recipe ``tiny-cifar``: trained on 48,000 images, the others on 20,000.

A net that is trained already is left alone; a training that was killed goes on. The weights go to
``checkpoints/cifar_<net>_seed<s>.safetensors``, the values on validation and test to ``results/cifar_nets.json``.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import _common
from safetensors.torch import save_file

from edgekd.build import request as requests
from edgekd.build import teach
from edgekd.build.plan import TeachStep
from edgekd.build.prepare import Objects, prepare
from edgekd.learn import predictions
from edgekd.learn.teacher import bare

CHECKPOINTS = Path(__file__).parent / "checkpoints"
SOME = ["data.limit=22000", "data.validation=2000", "teacher.lr=4e-3"]  # 20,000 of them are trained on
SGD = ["teacher.optimizer=sgd", "teacher.lr=0.1", "teacher.weight_decay=5e-4", "teacher.schedule=one_cycle"]
ALL = ["data.limit=50000", "data.validation=2000", "augment.views=64", "threads=1", *SGD]
NETS = {
    "resnet20": ['teacher.model={kind="resnet",depth=20,width=16}', *SOME],
    "mobilenet": ['teacher.model={kind="mobilenet"}', *SOME],
    "teacher": ['teacher.model={kind="resnet",depth=14,width=32}', *ALL],
}


def settings(net: str, data: Path, seed: int, epochs: int) -> list[str]:
    """What makes ``cifar10-resnet`` train one net as its teacher."""
    schedule = [f"teacher.epochs={epochs}", "teacher.precision=bf16"]
    return [f"data.path={data / 'cifar10_jpeg.npz'}", f"seed={seed}", *schedule, *NETS[net]]


def run(net: str, data: Path, seed: int, epochs: int) -> dict[str, Any]:
    """Train one net and keep it."""
    order = requests.make("cifar10-resnet", ["ort-cpu"], settings(net, data, seed, epochs), progress=told)
    workspace = prepare(order, Objects())
    started = time.time()
    trained = teach.teacher(workspace, workspace.plan.get("teacher", TeachStep))
    module = bare(trained.student.module)
    state = {name: value.contiguous() for name, value in module.state_dict().items()}
    save_file(state, CHECKPOINTS / f"cifar_{net}_seed{seed}.safetensors")
    evaluator = workspace.evaluator_of("teacher")
    values = {
        split: evaluator(
            predictions.predict(module, workspace.feed, split),
            workspace.feed.labels(split),
            None,
            workspace.feed.raw(split),
        )
        for split in ("validation", "test")
    }
    return {"epochs": epochs, "trained_on": workspace.feed.length("train"), "seconds": time.time() - started, **values}


def told(event: dict[str, Any]) -> None:
    """A line an epoch."""
    if "loss" in event:
        rate = event["samples_per_s"]
        print(f"  {event['epoch'] + 1}/{event['epochs']} {event['validation']:.4f} {rate:.0f} images/s", flush=True)


def main() -> None:
    """Train what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--net", action="append", choices=sorted(NETS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=20)
    given = parser.parse_args()
    file = _common.RESULTS / "cifar_nets.json"
    nets: dict[str, Any] = json.loads(file.read_text())["nets"] if file.is_file() else {}
    for net in given.net or NETS:
        for seed in given.seeds:
            name = f"{net}_seed{seed}"
            if name not in nets:
                print(name, flush=True)
                nets[name] = run(net, given.data, seed, given.epochs)
                _common.write("cifar_nets", {"nets": nets})
                print(name, nets[name], flush=True)


if __name__ == "__main__":
    main()
