"""The law of the veto over many cells: what ships is not slower than fp32, nor below its budget; refusals name ops.

    python benchmarks/cells.py [--again 1.0] [nets ...]

A cell is a net on a target with one way to compress it: dense, pruned by 30, 50 and 70 %, low-rank, int8, and each of
these in int8. Nets are trained for a moment, on made data. In each cell the rule of ``choose`` decides between the
candidate and fp32, with a budget of accuracy; then every file is timed once more against fp32, in new processes, as
a build does. The rows of nets that are not named stay as they were.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import _common

from edgekd.base.preprocess import Inputs
from edgekd.build import measure, timing
from edgekd.build import request as requests
from edgekd.build import run as running
from edgekd.build.prepare import Objects, prepare
from edgekd.decide import choose, fallbacks, kernel_costs
from edgekd.runtime import bench as benching
from edgekd.runtime.jobs import BenchJob
from edgekd.runtime.runners import LocalRunner
from edgekd.spec.recipe import Budget

TARGETS = ("ort-cpu", "openvino", "portable-int8")
MAX_DROP = 0.1
PTQ = {"kind": "int8_ptq", "samples": 64}
IMAGES = {"source": "made", "shape": [32, 32, 3], "classes": 10, "train": 512, "validation": 256, "test": 64}
NETS: dict[str, dict[str, Any]] = {
    "convnet": {"data": {"source": "digits"}, "model": {"kind": "convnet", "width": 128}},
    "resnet20": {"data": IMAGES, "model": {"kind": "resnet", "depth": 20, "width": 32}},
    "mobilenet": {"data": IMAGES, "model": {"kind": "mobilenet"}},
    "patches": {"data": IMAGES, "model": {"kind": "patch_convnet", "width": 128, "depth": 3}},
    "bert": {
        "data": {"source": "made_text", "length": 32},
        "model": {"kind": "bert", "width": 64, "layers": 2, "positions": 32},
    },
}


def chains(name: str) -> list[list[dict[str, Any]]]:
    """The ways to compress a net, as chains of passes of which each gives a candidate."""
    if name == "bert":
        prune: dict[str, Any] = {"kind": "width_prune", "epochs": 1}
        shares = [{"heads": 0.25, "feed_forward": 0.3}, {"heads": 0.34, "feed_forward": 0.3}, {"feed_forward": 0.4}]
    else:
        prune = {"kind": "channel_prune", "epochs": 1, "multiple": 8}
        shares = [{"ratio": 0.3}, {"ratio": 0.29}, {"ratio": 0.4}]  # 30, 50 and 70 % in all
    chain = [PTQ]
    for share in shares:
        chain += [{**prune, **share}, PTQ]
    return [chain, [{"kind": "low_rank", "epochs": 1}, PTQ]]


def recipe(name: str, chain: list[dict[str, Any]]) -> dict[str, Any]:
    """A recipe of seconds."""
    net = NETS[name]
    schedule = {"epochs": 2, "batch_size": 64, "lr": 2e-3}
    return {
        "name": f"cells-{name}",
        "data": net["data"],
        "teacher": {"model": net["model"], **schedule},
        "student": {"from_teacher": [], "epochs": 0, "batch_size": 64},
        "losses": [{"kind": "kl"}],
        "compress": chain,
    }


def cells(name: str, chain: list[dict[str, Any]], cache: Path, again: float) -> list[dict[str, Any]]:
    """Every candidate but fp32 on every target, against fp32."""
    order = requests.make(recipe(name, chain), TARGETS, cache=cache)
    workspace = prepare(order, Objects())
    made = running.make_all(workspace, running.SECONDS)  # as a build: in sessions, which see a host that drifts
    evaluation, measured = made.evaluation, made.measured
    teacher = evaluation.teacher_value("validation")
    rows = []
    for target, found in measured.items():
        x = timing.timed_inputs(evaluation.first("validation", timing.TIMED), found.target.shapes.batch)
        reasons, fresh = fallbacks.by_profile(found.profiles), timed_again(found, x, again)
        fp32 = next(c for c in found.contenders() if c.name == "fp32")
        for contender in found.contenders():
            if contender.name == fp32.name:
                continue
            choice = choose.choose([contender, fp32], Budget(max_drop=MAX_DROP), teacher, found.ratio, reasons)
            shipped = choice.shipped or "nothing"
            refusal = None if shipped == contender.name else choice.verdicts[contender.name]
            row: dict[str, Any] = {
                "net": name,
                "target": target,
                "candidate": contender.name,
                "ships": shipped,
                "refusal": refusal,
            }
            row["drop"] = teacher - (contender.value if shipped == contender.name else fp32.value)
            row["time_of_fp32_again"] = fresh[contender.name]
            rows.append(row | held(row, kernels_of(found)))
            print(row, flush=True)
    return rows


def kernels_of(found: measure.Measured) -> set[str]:
    """The names of every operator and kind that a reason may name."""
    ops = {kernel.op for profile in found.profiles.values() for kernel in profile.kernels or ()}
    words = {word for pair in fallbacks.WORDS.values() for word in pair}
    return ops | set(kernel_costs.KINDS) | set(kernel_costs.KIND_OF) | words | {"conversions", "normalisations"}


def timed_again(found: measure.Measured, x: Inputs, seconds: float) -> dict[str, tuple[float, float, float]]:
    """The time of every candidate over that of fp32 with its 95 % interval, from new processes."""
    target = found.target
    job = BenchJob(
        target.backend,
        {name: c.files for name, c in found.candidates.items()},
        "fp32",
        x,
        options=target.options,
        batch=target.shapes.batch,
        min_seconds=seconds,
    )
    samples = timing.in_sessions(LocalRunner(), job, lambda: None).samples  # as a build times it
    ratios = {name: benching.ratio_ci(taken, samples["fp32"]) for name, taken in samples.items()}
    return {name: (ratio, *ends) for name, (ratio, ends) in ratios.items()}


def held(row: dict[str, Any], names: set[str]) -> dict[str, bool]:
    """The law, for one cell."""
    ships = row["ships"] == row["candidate"]
    low = row["time_of_fp32_again"][1]
    said = row["refusal"] or ""
    return {
        "not_slower": not ships or low <= 1,
        "in_budget": row["drop"] <= MAX_DROP + 1e-9 or row["ships"] == "nothing",
        "names_operators": ships or any(re.search(rf"\b{re.escape(name)}\b", said) for name in names),
    }


def main() -> None:
    """Measure every cell and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--again", type=float, default=1.0, help="seconds of timing each candidate once more")
    parser.add_argument("nets", nargs="*", default=list(NETS))
    given = parser.parse_args()
    rows = [row for row in _common.written("cells").get("rows", ()) if row["net"] not in given.nets]
    with tempfile.TemporaryDirectory() as cache:
        for name in given.nets:
            for chain in chains(name):
                rows += cells(name, chain, Path(cache), given.again)
    laws = {law: all(row[law] for row in rows) for law in ("not_slower", "in_budget", "names_operators")}
    counts = {"cells": len(rows), "compressed_ships": sum(row["ships"] == row["candidate"] for row in rows)}
    print(counts, laws)
    _common.write("cells", {**counts, "laws": laws, "max_drop": MAX_DROP, "rows": rows})
    sys.exit(0 if all(laws.values()) else 1)


if __name__ == "__main__":
    main()
