"""Losses on maps: rows of few classes in columns, as we compute them, against torch's own along each row.

    python benchmarks/map_losses.py [--rounds 9]

``kl`` and ``cross_entropy`` of 16 maps of 144 x 192 pixels, as in ``street-segments``, and their gradients, one thread;
the two ways take turns. From 16 classes on both are torch's own.
"""

from __future__ import annotations

import argparse
import time

import _common
import numpy as np
import torch

from edgekd.learn.losses import _shares
from edgekd.learn.losses.cross_entropy import CrossEntropy
from edgekd.learn.losses.kl import Kl
from edgekd.runtime import bench

PIXELS, CLASSES = 16 * 144 * 192, (2, 5, 11, 15, 16)
WAYS = {"in columns": _shares.MANY, "along rows": PIXELS + 1}


def step_ns(student: torch.Tensor, teacher: torch.Tensor, labels: torch.Tensor) -> int:
    """Both losses and the gradient of their sum, once."""
    scores = student.detach().requires_grad_()
    begun = time.perf_counter_ns()
    (Kl(temperature=2.0)(scores, teacher, None) + CrossEntropy()(scores, None, labels)).backward()
    return time.perf_counter_ns() - begun


def main() -> None:
    """By number of classes, milliseconds of each way and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = {}
    for classes in CLASSES:
        torch.manual_seed(0)
        student, teacher = torch.randn(2, PIXELS, classes)
        labels, taken = torch.randint(classes, (PIXELS,)), dict[str, list[int]]()
        for round_ in range(given.rounds + 1):
            for way, _shares.MANY in WAYS.items():
                ns = step_ns(student, teacher, labels)
                taken.setdefault(way, []).extend([ns] if round_ else [])  # the first round warms up
        samples = {way: np.array(ns, dtype=np.int64) for way, ns in taken.items()}
        ratio, (low, high) = bench.ratio_ci(samples["along rows"], samples["in columns"])
        p50 = {way: float(np.median(ns)) / 1e6 for way, ns in samples.items()}
        rows[str(classes)] = {"p50_ms": p50, "rows_over_columns": ratio, "ci95": [low, high]}
        print(classes, rows[str(classes)], flush=True)
    _common.write("map_losses", {"pixels": PIXELS, "classes": rows})


if __name__ == "__main__":
    main()
