"""Memory of calibration and of quantization-aware training: 10,000 samples against 500.

    python benchmarks/memory.py

Each in a process of its own, one after the other. The same 10,000 images of CIFAR's size lie in memory in both; the
pass sees 500 or all of them (``samples``, and one epoch for ``int8_qat``). Counted is the largest resident set of the
whole process without the images' bytes: Python, torch and the network are in it. Beside it stands what was added after
the network was made, which is the harder ratio.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import _common
import numpy as np

from edgekd.build import compression, context
from edgekd.learn import train
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.data._split import image_ops
from edgekd.learn.feed import Feed
from edgekd.learn.objective import make_terms
from edgekd.spec import target
from edgekd.spec.recipe import Augment, Schedule

SAMPLES, FEW, LIMIT = 10_000, 500, 1.2
PASSES: dict[str, dict[str, Any]] = {
    "int8_ptq, percentile": {"kind": "int8_ptq", "ranges": "percentile"},
    "int8_ptq, mse": {"kind": "int8_ptq", "ranges": "mse"},
    "int8_qat, one epoch": {"kind": "int8_qat"},
}


def images(count: int) -> Split:
    """Noise, made as bytes: nothing larger is ever in memory."""
    rng = np.random.default_rng(count)
    return Split(rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8), np.arange(count) % 10)


def resident() -> int:
    """Bytes of this process that are in memory now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def one(name: str, count: int) -> dict[str, int]:
    """Peak memory of one pass in this process."""
    table = {**PASSES[name], "samples": count}
    splits = images(SAMPLES), images(64), images(64)
    dataset = Dataset(*splits, tuple("abcdefghij"), image_ops(255.0))
    # A limit copies what it keeps; without one the images are held once.
    feed = Feed(dataset, dataset.preprocess, Augment(views=1), 0, limit=None if count == SAMPLES else count)
    student, change = _common.net("resnet8"), compression.passes([table], "compress")[0].change
    terms = make_terms([{"kind": "cross_entropy"}])
    before = resident()
    scheme = target.load("ort-cpu").quantized
    after = change.apply(student, context.make(feed, scheme, 1, change, terms))
    if change.trains:
        task = train.TrainingJob(
            terms, feed, Schedule(epochs=1), 0, begin_epoch=lambda e, n: change.begin_epoch(after, e, n)
        )
        train.fit(after.module, task)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "peak_bytes": peak,
        "before_bytes": before,
        "data_bytes": sum(np.asarray(split.x).nbytes for split in splits),
    }


def compared(name: str) -> dict[str, Any]:
    """The two processes of a pass, and their ratios."""
    found = {}
    for count in (FEW, SAMPLES):
        command = [sys.executable, __file__, name, str(count)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found[count] = json.loads(done.stdout.splitlines()[-1])
    whole = [found[count]["peak_bytes"] - found[count]["data_bytes"] for count in (SAMPLES, FEW)]
    added = [found[count]["peak_bytes"] - found[count]["before_bytes"] for count in (SAMPLES, FEW)]
    return {
        **{str(count): row for count, row in found.items()},
        "ratio": whole[0] / whole[1],
        "ratio_of_what_was_added": added[0] / added[1],
    }


def main() -> None:
    """Measure each pass, hold the limit, write the result."""
    if len(sys.argv) == 3:
        print(json.dumps(one(sys.argv[1], int(sys.argv[2]))))
        return
    found = {}
    for name in PASSES:
        found[name] = compared(name)
        print(f"{name}: {found[name]['ratio']:.3f}, of what was added {found[name]['ratio_of_what_was_added']:.3f}")
    held = all(result["ratio"] <= LIMIT for result in found.values())
    _common.write("memory", {"samples": [FEW, SAMPLES], "limit": LIMIT, "passes": found, "held": held})
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
