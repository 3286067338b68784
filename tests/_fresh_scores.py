"""What a fresh process, with numpy and the runtimes alone, scores: ``python _fresh_scores.py JOB.json`` prints a table.

The shipped variant as an app asks it (``edgekd.load(...).predict``), every other candidate through its backend; one
sample after another.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import edgekd
from edgekd.base import plugins, preprocess
from edgekd.metrics._evaluator import Evaluator
from edgekd.runtime import backend as backends
from edgekd.runtime import bundle as bundles

Scores = np.ndarray[Any, Any]


def shipped(model: Any, raw: Any) -> Scores:
    """(N, C) what ``predict`` says, sample by sample."""
    said = [model.predict(sample) for sample in raw]
    by_head = [one.values() if isinstance(one, dict) else [one] for one in said]
    return np.array([[score for head in heads for score in head.scores] for heads in by_head])


def candidate(folder: Path, name: str, record: Mapping[str, Any], ops: Any, raw: Any) -> Scores:
    """(N, C) what a kept candidate's file says, sample by sample."""
    paths = sorted(folder.glob(f"{name}.*"), key=lambda path: path.suffix == ".bin")
    backend = backends.make(record["backend"], record["options"], name)
    session = backend.open({path.name: path.read_bytes() for path in paths}, batch=1)
    names = [port.name for port in session.outputs]
    found = (session.run(preprocess.apply(ops, raw[i : i + 1])) for i in range(len(raw)))
    return np.concatenate([np.concatenate([said[name] for name in names], axis=1) for said in found])


def main(job: Mapping[str, Any]) -> dict[str, Any]:
    """``{target: {candidate: {split: value}}}``."""
    out = Path(job["out"])
    bundle = bundles.read(out)
    evaluator = Evaluator(plugins.build("metrics", job["metric"], "metric"), bundle.heads)
    table: dict[str, Any] = {}
    for split in ("validation", "test"):
        with np.load(job[split]) as kept:
            labels, raw, asked = kept["labels"], kept["raw"], kept["asked"]
        asked = asked.astype(object) if asked.dtype.kind == "U" else asked
        for variant in bundle.variants:
            record = json.loads((out / variant.target / "target.json").read_bytes())
            told = bundle.report["targets"][variant.target]
            for name in (one["name"] for one in told["candidates"]):
                if name == told["shipped"]:
                    scores = shipped(edgekd.load(out, target=variant.target), asked)
                else:
                    folder = out.with_name(out.name + ".candidates") / variant.target
                    scores = candidate(folder, name, record, bundle.preprocess, asked)
                row = table.setdefault(variant.target, {}).setdefault(name, {})
                row[split] = evaluator(scores, labels, None, raw)
    return table


if __name__ == "__main__":
    print(json.dumps(main(json.loads(Path(sys.argv[1]).read_text()))))
