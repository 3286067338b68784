"""Images a second: one process of one thread, one of two, and two processes of one thread (``build --launch``).

Each is a fresh program that trains a network on made pictures and lets it answer a view of them, as a teacher does:
a ResNet-20, whose 19 BatchNorms ask the other process twice a step each, and a transformer, which has none.
``--rounds`` times they take turns, on a machine that does nothing else; told are medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import _common
import _launcher
import numpy as np
import torch
from torch import nn

from edgekd.base import plugins, rank
from edgekd.compress import Context
from edgekd.compress.int8_qat import Int8Qat
from edgekd.learn import predictions, ranks, train
from edgekd.learn.data.made import Made
from edgekd.learn.feed import Feed
from edgekd.learn.objective import make_terms
from edgekd.learn.student import Student, TensorSpec
from edgekd.learn.train import TrainingJob
from edgekd.spec import target
from edgekd.spec.recipe import Augment, Schedule

VIT = {"image_size": 32, "patch_size": 4, "hidden_size": 128, "intermediate_size": 512}
VIT |= {"num_hidden_layers": 4, "num_attention_heads": 4}
NETS: dict[str, dict[str, Any]] = {
    "ResNet-20": {"kind": "resnet", "depth": 20, "width": 16},
    "ViT": {"kind": "transformers", "name": "ViTForImageClassification", "config": VIT},
}
SHAPE, CLASSES, BATCH = (32, 32, 3), 10, 64
WAYS = {"one process, one thread": (1, 1), "one process, two threads": (1, 2), "two processes, one thread": (2, 1)}
KINDS = ("training", "teacher pass", "quantization-aware training")
LEAST = {KINDS[0]: 1.7, KINDS[1]: 1.8}


def module_of(net: str, kind: str) -> nn.Module:
    """The network of a kind of work."""
    torch.manual_seed(0)
    module: nn.Module = plugins.build("models", NETS[net], "net").build((3, 32, 32), CLASSES)
    if kind != KINDS[2]:
        return module
    spec = TensorSpec("input", (None, 3, 32, 32))
    student = Student(module.eval(), (spec,), (TensorSpec("logits", (None, CLASSES)),))
    numerics = target.load("ort-cpu").quantized
    batches = [(torch.randn(32, 3, 32, 32),)]
    return Int8Qat(freeze_bn_after=1.0, bias_correction=False).apply(student, Context(numerics, 1, batches)).module


def work(net: str, kind: str, feed: Feed, batch: int) -> float:
    """Images a second of one kind of work; of a training its second epoch, validation among it."""
    module, count = module_of(net, kind), feed.length("train")
    if kind == KINDS[1]:
        with predictions.accelerated(module):
            predictions.predict_view(module, feed, 0)
            started = time.perf_counter()
            predictions.predict_view(module, feed, 0)
            return count / (time.perf_counter() - started)
    terms = make_terms([{"kind": "kl", "weight": 0.9}, {"kind": "cross_entropy", "weight": 0.1}])

    def teacher(view: int) -> np.ndarray:
        return np.random.default_rng(view).standard_normal((count, CLASSES), dtype=np.float32)

    schedule = Schedule(epochs=2, batch_size=batch)
    return train.fit(module, TrainingJob(terms, feed, schedule, 0, teacher))[-1]["samples_per_s"]


def measure(out: Path, net: str, samples: int, batch: int, threads: int) -> None:
    """One process's part: the first of several writes what it timed."""
    torch.set_num_threads(threads)
    data = Made(SHAPE, classes=CLASSES, train=samples, validation=batch, test=batch).load()
    feed = Feed(data, data.preprocess, Augment(flip=True, crop=4, views=1), seed=0)
    with ranks.joined(rank.of_environment(os.environ)), ranks.together():
        rates = {kind: work(net, kind, feed, batch) for kind in KINDS}
        if ranks.is_first():
            out.write_text(json.dumps(rates))


def timed(net: str, way: str, samples: int, batch: int = BATCH) -> dict[str, float]:
    """Images a second of each kind of work, in one way."""
    processes, threads = WAYS[way]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rates.json"
        numbers = {"--net": net, "--samples": samples, "--batch": batch, "--threads": threads}
        line = [sys.executable, __file__, "--measure", str(out), *(str(w) for pair in numbers.items() for w in pair)]
        environments = [{**env, "OMP_NUM_THREADS": str(threads)} for env in _launcher.environments(processes)]
        with (Path(folder) / "errors.txt").open("w+") as errors:
            running = [subprocess.Popen(line, env=env, stderr=errors) for env in environments]
            if codes := [code for one in running if (code := one.wait())]:
                errors.seek(0)
                raise SystemExit(f"{way}: a process ended with {codes[0]}: {errors.read()[-500:]}")
        rates: dict[str, float] = json.loads(out.read_text())
        return rates


def compared(net: str, count: int, samples: int) -> dict[str, Any]:
    """A network's images a second in each way, medians of ``count`` rounds, and over those of the first way."""
    rounds = [{way: timed(net, way, samples) for way in WAYS} for _ in range(count)]
    rates = {way: {kind: statistics.median(r[way][kind] for r in rounds) for kind in KINDS} for way in WAYS}
    first = rates["one process, one thread"]
    ratios = {way: {kind: rates[way][kind] / first[kind] for kind in KINDS} for way in WAYS}
    steps = {kind: 1e3 * BATCH / first[kind] for kind in KINDS}
    two = ratios["two processes, one thread"]
    held = {f"{kind}: at least {least} x": two[kind] >= least for kind, least in LEAST.items()}
    for way, row in rates.items():
        shares = ", ".join(f"{kind} {row[kind]:.0f} images/s ({ratios[way][kind]:.2f} x)" for kind in KINDS)
        print(f"{net}, {way}: {shares}", flush=True)
    print(held, flush=True)
    return {"images_per_s": rates, "ratio": ratios, "ms_a_batch": steps, "rounds": rounds, "held": held}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=64 * 40, help="of an epoch, and of a teacher's view")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--net", choices=NETS, help="one of them alone")
    parser.add_argument("--batch", type=int, default=BATCH, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        return measure(args.measure, args.net, args.samples, args.batch, args.threads)
    nets = {net: compared(net, args.rounds, args.samples) for net in ([args.net] if args.net else NETS)}
    _common.write("ranks", {"nets": _common.written("ranks").get("nets", {}) | nets})
    sys.exit(0 if all(all(net["held"].values()) for net in nets.values()) else 1)


if __name__ == "__main__":
    main()
