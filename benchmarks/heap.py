"""Training and predictions with large arrays from the heap, against glibc's own way: both by turns in one process.

    python benchmarks/heap.py

One thread, a batch of 128 CIFAR-sized images in training and of 256 in predictions, as builds have them. The ratio is
the median of a step with ``edgekd.base.heap`` over one without.
"""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Callable
from typing import Any

import _common
import numpy as np
import torch
from torch.nn.functional import cross_entropy

from edgekd.base import heap, plugins
from edgekd.runtime import bench

NETS: dict[str, dict[str, Any]] = {
    "mobilenet": {"kind": "mobilenet"},
    "swish": {"kind": "mobilenet", "activation": "swish", "squeeze": True},
    "resnet14": {"kind": "resnet", "depth": 14, "width": 32},
}
STEPS, ROUNDS = 6, 5


def training(module: torch.nn.Module) -> Callable[[], None]:
    """A step of it."""
    module.train()
    optimizer = torch.optim.SGD(module.parameters(), 0.01, momentum=0.9)
    x, y = torch.randn(128, 3, 32, 32), torch.arange(128) % 10

    def step() -> None:
        optimizer.zero_grad()
        torch.autograd.backward(cross_entropy(module(x), y))
        optimizer.step()

    return step


def predictions(module: torch.nn.Module) -> Callable[[], None]:
    """A batch of them."""
    module.eval()
    x = torch.randn(256, 3, 32, 32)

    def step() -> None:
        with torch.no_grad():
            module(x)

    return step


def timed(step: Callable[[], None]) -> dict[str, Any]:
    """Both ways by turns; of each turn the first step is not counted."""
    ways: dict[str, Callable[[], contextlib.AbstractContextManager[None]]]
    ways = {"heap": heap.kept, "mapped": contextlib.nullcontext}
    taken: dict[str, list[int]] = {name: [] for name in ways}
    pages = dict.fromkeys(ways, 0)
    for _ in range(ROUNDS):
        for name, way in ways.items():
            with way():
                step()
                before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
                for _ in range(STEPS):
                    started = time.perf_counter_ns()
                    step()
                    taken[name].append(time.perf_counter_ns() - started)
                pages[name] += resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    ratio, interval = bench.ratio_ci(np.array(taken["heap"]), np.array(taken["mapped"]))
    medians = {f"{name}_ms": float(np.median(samples)) / 1e6 for name, samples in taken.items()}
    return {**medians, "ratio": ratio, "ci95": interval, "page_faults": pages}


def main() -> None:
    """Every net, trained and asked."""
    torch.set_num_threads(1)
    rows = {}
    for name, table in NETS.items():
        module = plugins.build("models", table, name).build((3, 32, 32), 10)
        rows[name] = {kind.__name__: timed(kind(module)) for kind in (training, predictions)}
        print(name, rows[name], flush=True)
    _common.write("heap", {"rows": rows})


if __name__ == "__main__":
    main()
