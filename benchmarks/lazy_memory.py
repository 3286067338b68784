"""Memory of a whole build over a folder of pictures that is never held in memory, and whether decoding keeps up.

    python benchmarks/lazy_memory.py                           2,000 and 20,000 pictures, and the time of a step
    python benchmarks/lazy_memory.py --sizes 20000 200000      those of the promise; about 15 minutes of one core more
    python benchmarks/lazy_memory.py --sizes                   only the time of a step, beside the builds that are known

Made JPEGs of 64 x 64 in ten classes. Each build runs in processes of its own: a teacher and a student of one epoch, QAT
of one, exports, measuring and the report. Counted every ``POLL`` seconds is the sum over the build and all that it
starts of the proportional set size without clean pages (``Pss_Dirty``): what a machine has to have. A limit of 1.5 GB
is held at any size, and at the largest one of 1.1 times the peak of the one before.

The time of a training step: the same network of about 100 ms a step on pictures in memory and on lazy ones with two
workers, epoch by epoch in turns. Torch has one thread, so that a second core is there for who decodes.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import _common
import numpy as np
import torch
from PIL import Image

from edgekd.learn import train
from edgekd.learn.data.imagefolder import Imagefolder
from edgekd.learn.feed import Feed
from edgekd.learn.objective import make_terms
from edgekd.spec.recipe import Augment, Schedule

POLL, CLASSES, SIDE = 0.2, 10, 64
LIMIT, GROWTH, SLOWER = 1.5e9, 1.1, 1.1
RECIPE = """
name = "lazy"
task = "classification"
targets = ["ort-cpu"]
[data]
source = "imagefolder"
path = "{path}"
lazy = true
[teacher]
model = {{ kind = "convnet", width = 8, strides = [2, 2, 2] }}
epochs = 1
[student]
model = {{ kind = "convnet", width = 4, strides = [2, 2, 2] }}
epochs = 1
[[losses]]
kind = "kl"
[[losses]]
kind = "cross_entropy"
[[compress]]
kind = "int8_qat"
epochs = 1
[budget]
max_drop = 1.0
"""


def make(folder: Path, count: int) -> Path:
    """So many JPEGs: noise of 8 x 8 blocks around a grey of the class."""
    rng = np.random.default_rng(0)
    for label in range(CLASSES):
        (folder / f"class{label}").mkdir(parents=True)
    for i in range(count):
        label = i % CLASSES
        blocks = rng.normal(60 + 15 * label, 40, (8, 8, 3)).clip(0, 255).astype(np.uint8)
        image = Image.fromarray(blocks).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        image.save(folder / f"class{label}" / f"{i:06d}.jpg", quality=85)
    return folder


def family(pid: int) -> list[int]:
    """A process and all that it started."""
    pids, todo = [], [pid]
    while todo:
        one = todo.pop()
        pids.append(one)
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                todo += [int(word) for word in task.read_text(encoding="ascii").split()]
            except OSError:  # it has ended
                continue
    return pids


def dirty(pids: list[int]) -> int:
    """Bytes that are theirs alone or shared among them, clean pages of files left out."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss_Dirty:"))
    return total


def built(folder: Path, count: int) -> dict[str, Any]:
    """Peak memory of a build over so many pictures."""
    pictures = make(folder / f"{count}", count)
    recipe = folder / f"{count}.toml"
    recipe.write_text(RECIPE.format(path=pictures), encoding="utf-8")
    line = [sys.executable, "-m", "edgekd", "build", str(recipe), "--out", str(folder / f"out{count}")]
    started, peak, at, before = time.monotonic(), 0, 0.0, resource.getrusage(resource.RUSAGE_CHILDREN)
    with (folder / f"{count}.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [*line, "--cache", str(folder / f"cache{count}")], stdout=log, stderr=log, env={**os.environ, "LANG": "C"}
        )
        while process.poll() is None:
            if (now := dirty(family(process.pid))) > peak:
                peak, at = now, time.monotonic() - started
            time.sleep(POLL)
    if process.returncode:
        raise SystemExit((folder / f"{count}.log").read_text(encoding="utf-8")[-3000:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    seconds = round(time.monotonic() - started, 1)
    result: dict[str, Any] = {
        "pictures": count,
        "peak_bytes": peak,
        "peak_at_s": round(at, 1),
        "seconds": seconds,
        "cpu_s": round(cpu, 1),
    }
    print(result, flush=True)
    return result


class Wide(torch.nn.Sequential):
    """About 100 ms a step of 64 pictures on one core."""

    def __init__(self) -> None:
        layers: list[torch.nn.Module] = [torch.nn.Conv2d(3, 24, 3, 2, 1), torch.nn.ReLU()]
        for _ in range(2):
            layers += [torch.nn.Conv2d(24, 24, 3, 1, 1), torch.nn.ReLU()]
        super().__init__(*layers, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(24, CLASSES))


def steps(folder: Path, count: int = 1280, rounds: int = 4) -> dict[str, Any]:
    """Milliseconds of a training step on pictures in memory and on lazy ones, in turns."""
    torch.set_num_threads(1)
    pictures = make(folder / "steps", count)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    feeds = {}
    for lazy in seconds:
        data = Imagefolder(str(pictures), lazy=lazy, workers=2, validation=64, test=64).load()
        feeds[lazy] = Feed(data, data.preprocess, Augment(flip=True, crop=4), 0, limit=None)
    weights = {}
    for _ in range(rounds):
        for lazy, feed in feeds.items():
            torch.manual_seed(0)
            net = Wide()
            job = train.TrainingJob(make_terms([{"kind": "cross_entropy"}]), feed, Schedule(epochs=1, batch_size=64), 0)
            started = time.perf_counter()
            train.fit(net, job)
            seconds[lazy].append((time.perf_counter() - started) / (feed.length("train") / 64) * 1e3)
            weights[lazy] = torch.cat([p.detach().flatten() for p in net.parameters()])
    memory, from_files = median(seconds[False]), median(seconds[True])
    result: dict[str, Any] = {
        "in_memory_ms": round(memory, 1),
        "lazy_ms": round(from_files, 1),
        "ratio": round(median(b / a for a, b in zip(seconds[False], seconds[True], strict=True)), 3),
        "same_weights": bool(torch.equal(weights[False], weights[True])),
    }
    print(result, flush=True)
    return result


def main() -> None:
    """Measure, write the result, hold it to the limits."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=int, nargs="*", default=[2_000, 20_000])
    parser.add_argument("--no-steps", action="store_true")
    parser.add_argument("--folder", help="for the pictures and the builds; a temporary one by default")
    given = parser.parse_args()
    known = _common.written("lazy_memory")
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        builds = [built(Path(folder), count) for count in given.sizes] or known.get("builds", [])
        step = known.get("step") if given.no_steps else steps(Path(folder))
    peaks = [int(build["peak_bytes"]) for build in builds]
    growth = peaks[-1] / peaks[-2] if len(peaks) > 1 else None
    holds = max(peaks, default=0) <= LIMIT and (growth is None or growth <= GROWTH)
    holds = holds and (step is None or (step["ratio"] <= SLOWER and step["same_weights"]))
    _common.write("lazy_memory", {"builds": builds, "growth": growth, "step": step, "holds": holds})
    raise SystemExit(0 if holds else 1)


if __name__ == "__main__":
    main()
