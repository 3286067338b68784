"""What distilling costs beside plain training, ResNet-56 -> ResNet-20: the teacher's answers are kept, view by view.

    python benchmarks/kept_outputs.py

Epochs of plain training, of distilling with kept answers and with a teacher that answers anew, in turns in one run;
then two whole runs of 3 x ``views`` epochs, plain and distilling, the filling of the cache included. Made images of
CIFAR's size: the time of a batch does not depend on what is in it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import _common

from edgekd.build import request as requests
from edgekd.build.outputs.cached import CachedOutputs
from edgekd.build.prepare import Objects, prepare
from edgekd.build.workspace import Workspace
from edgekd.learn import predictions, train
from edgekd.learn.objective import make_terms
from edgekd.learn.teaching import NetworkOutputs
from edgekd.spec.recipe import Schedule

SAMPLES, VIEWS, ROUNDS, BATCH = 1024, 2, 5, 128
SETTINGS = [
    f'data={{source="made",shape=[32,32,3],classes=10,train={SAMPLES},validation=64,test=64}}',
    f"augment.views={VIEWS}",
]
KD = [{"kind": "kl", "weight": 0.9}, {"kind": "cross_entropy", "weight": 0.1}]
Teacher = Callable[[int], Any]


def fit(workspace: Workspace, tables: list[dict[str, Any]], teacher: Teacher | None, epochs: int) -> float:
    """Seconds of training an untrained student."""
    module = workspace.untrained("student").module
    schedule = Schedule(epochs=epochs, batch_size=BATCH)
    task = train.TrainingJob(make_terms(tables), workspace.feed, schedule, 0, teacher=teacher)
    started = time.perf_counter()
    train.fit(module, task)
    return time.perf_counter() - started


def main() -> None:
    """Measure, hold the two limits, write the result."""
    with tempfile.TemporaryDirectory() as folder:
        order = requests.make("cifar10-resnet56", ["ort-cpu"], SETTINGS, cache=Path(folder))
        workspace = prepare(order, Objects())
        teacher = workspace.untrained("teacher").module.eval()

        def kept(run: str) -> Teacher:
            source = NetworkOutputs(teacher, workspace.feed)
            return CachedOutputs(workspace.store, run, source, workspace.feed, (10,), 0).view

        def anew(view: int) -> Any:
            return predictions.predict_view(teacher, workspace.feed, view)

        plain_ce = [{"kind": "cross_entropy"}]
        filled = kept("epochs")
        filled(0)
        fit(workspace, plain_ce, None, 1)
        taken: dict[str, list[float]] = {"plain": [], "kept": [], "anew": []}
        for _ in range(ROUNDS):
            taken["plain"].append(fit(workspace, plain_ce, None, 1))
            taken["kept"].append(fit(workspace, KD, filled, 1))
            taken["anew"].append(fit(workspace, KD, anew, 1))
        whole: dict[str, list[float]] = {"plain": [], "kept": []}
        for i in range(2):
            whole["plain"].append(fit(workspace, plain_ce, None, 3 * VIEWS))
            whole["kept"].append(fit(workspace, KD, kept(f"whole {i}"), 3 * VIEWS))
    epoch = {name: median(values) / median(taken["plain"]) for name, values in taken.items()}
    run = median(whole["kept"]) / median(whole["plain"])
    held = {"an epoch, kept: at most 1.15": epoch["kept"] <= 1.15, "a whole run: at most 1.5": run <= 1.5}
    print(f"an epoch over a plain one: kept {epoch['kept']:.3f}, anew {epoch['anew']:.3f}; a whole run {run:.3f}")
    print(held)
    result = {
        "samples": SAMPLES,
        "views": VIEWS,
        "seconds": {"epoch": taken, "whole": whole},
        "epoch_over_plain": epoch,
        "whole_over_plain": run,
        "kept_bytes_a_view": SAMPLES * 10 * 4,
        "held": held,
    }
    _common.write("kept_outputs", result)
    sys.exit(0 if all(held.values()) else 1)


if __name__ == "__main__":
    main()
