"""Does an int8 file decide alike on a CPU without VNNI? The students of ``tasks.py``, native against emulated.

    apt install qemu-user
    pip install nncf    # as tasks.py
    python benchmarks/decisions.py --data FOLDER --work FOLDER [--recipes ...] [--count 100000]

Of each recipe's distilled student the int8 files of ``ort-cpu``, ``openvino`` and ``portable-int8`` (on both runtimes)
answer here and under ``qemu-x86_64 -cpu Haswell``. A decision is what a task says at a place: the class of a sample or
a pixel, the tag of a token, whether a label applies. Samples are those of test, validation and train, in this order,
until there are enough decisions, 300 samples at least; where all are too few, numbers come again with one percent of
their spread as noise. Values and vectors decide nothing: their largest difference is told as a share of the span of a
column, and held to the target's tolerance. What was trained is kept in the cache (``EDGEKD_CACHE``), as by
``tasks.py``.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import _common
import _nets
import numpy as np
import same_answers
import tasks

from edgekd.build.evaluation import SPLITS
from edgekd.runtime import backend as backends
from edgekd.spec import target
from edgekd.tasks import IGNORED, Heads

# Whose file, and on which backend.
PLACES = {
    "ort-cpu": ("ort-cpu", "ort"),
    "openvino": ("openvino", "openvino"),
    "portable-int8": ("portable-int8", "ort"),
    "portable-int8 on OpenVINO": ("portable-int8", "openvino"),
}
FEWEST, NOISE = 300, 0.01
Row = dict[str, np.ndarray]


def rows_of(net: _nets.Net) -> Iterator[Row]:
    """Samples without end, a batch of one each."""
    feed = net.workspace.feed
    every = [(split, i) for split in reversed(SPLITS) for i in range(feed.length(split))]
    for split, i in every:
        yield dict(feed.inputs(split, i, i + 1))
    first = [dict(feed.inputs(split, i, i + 1)) for split, i in every[:FEWEST]]
    if not all(x.dtype == np.float32 for x in first[0].values()):
        return
    spread = {name: np.std([row[name] for row in first], axis=0) for name in first[0]}
    for number in itertools.count():
        split, i = every[number % len(every)]
        rng, row = np.random.default_rng(number), feed.inputs(split, i, i + 1)
        noisy = {name: x + NOISE * spread[name] * rng.standard_normal(x.shape) for name, x in row.items()}
        yield {name: x.astype(np.float32) for name, x in noisy.items()}


def decisions_of(heads: Heads, scores: np.ndarray) -> np.ndarray | None:
    """(N, D) what is decided of each sample, ``IGNORED`` where nothing is; None of values and vectors alone."""
    parts = [heads.tasks[name].answers(part) for name, part in heads.split(scores).items()]
    whole = [part.reshape(len(scores), -1).astype(np.int64) for part in parts if part.dtype.kind in "iub"]
    return np.concatenate(whole, axis=1) if whole else None


def enough(net: _nets.Net, count: int) -> list[Row]:
    """As many samples as it takes to decide so often, by what the float file says to the first ones."""
    first = list(itertools.islice(rows_of(net), FEWEST))
    decided = decisions_of(net.workspace.heads, said(net, "ort-cpu", first))
    each = 0.0 if decided is None else float((decided != IGNORED).sum() / len(first))
    wanted = FEWEST if each == 0 else max(FEWEST, int(np.ceil(1.05 * count / each)))
    return list(itertools.islice(rows_of(net), wanted))


def said(net: _nets.Net, name: str, rows: list[Row]) -> np.ndarray:
    """What the float file says here."""
    backend = backends.make("ort", {}, name)
    session = backend.open(backend.lower(net.onnx[name]["fp32"]), batch=1)
    return np.concatenate([joined(session.run(row)) for row in rows])


def joined(outputs: dict[str, np.ndarray]) -> np.ndarray:
    """(1, K) several heads side by side."""
    return np.concatenate([part.reshape(len(part), -1) for part in outputs.values()], axis=1).astype(np.float32)


def compared(net: _nets.Net, place: str, rows: list[Row]) -> dict[str, Any]:
    """One file in one place, native and emulated."""
    name, kind = PLACES[place]
    chosen, heads = target.load(name), net.workspace.heads
    options = dict(chosen.options if kind == chosen.backend else chosen.also[kind])
    files = backends.make(kind, options, place).lower(net.onnx[name]["int8"])
    native, emulated = same_answers.both(files, kind, options, rows, whole=True)
    span = np.maximum(native.max(axis=0) - native.min(axis=0), 1e-12)
    row: dict[str, Any] = {
        "samples": len(rows),
        "bit_identical": bool(np.array_equal(native, emulated)),
        "largest_difference_of_span": float((np.abs(native - emulated).max(axis=0) / span).max()),
        "tolerance": next(scheme.tolerance for scheme in chosen.numerics if scheme.quantized),
    }
    here, there = (decisions_of(heads, scores) for scores in (native, emulated))
    if here is not None and there is not None:
        known = here != IGNORED
        row |= {"decisions": int(known.sum()), "differ": int((here != there)[known].sum())}
    return row


def main() -> None:
    """Compare, write after each recipe; what was compared before stays."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--recipes", nargs="+", choices=sorted(tasks.SOURCES), default=list(tasks.SOURCES))
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], help="a setting of every recipe, as of edgekd build")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    table = _common.written("decisions").get("recipes", {})
    for name in given.recipes:
        net, _ = tasks.built(name, 0, given, alone=False, targets=(*tasks.TARGETS, "portable-int8"))
        rows = enough(net, given.count)
        table[name] = {place: compared(net, place, rows) for place in PLACES}
        print(name, table[name], flush=True)
        _common.write("decisions", {"emulator": " ".join(same_answers.QEMU), "recipes": table})
    portable = [row for of in table.values() for place, row in of.items() if place == "portable-int8"]
    sys.exit(0 if all(row.get("differ", 0) == 0 for row in portable) else 1)


if __name__ == "__main__":
    main()
