"""The scores of a report are those that a fresh process finds, sample by sample, in every file of the build."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekd.build import request as requests
from edgekd.build.prepare import Objects, prepare

TASKS = {
    "digits": "digits",
    "texts": "bert-distilbert",
    "sounds": "keyword-spotting",
    "a recommender": "wide-deep-fm",
    "two heads": "multi-task",
}
TARGETS = ("ort-cpu", "openvino")


@pytest.mark.parametrize("recipe", TASKS.values(), ids=list(TASKS))
def test_the_scores_are_a_fresh_processs(recipe: str, quick: Any, tmp_path: Path) -> None:
    folder, settings, _ = quick(recipe)
    out, order = folder / "out", requests.make(recipe, TARGETS, settings, quick=True)
    feed = prepare(order, Objects()).feed
    job: dict[str, Any] = {"out": str(out), "metric": order.recipe.metric}
    for split in ("validation", "test"):
        job[split] = str(tmp_path / f"{split}.npz")
        raw = np.asarray(feed.raw(split))
        raw = raw.astype(str) if raw.dtype == object else raw
        asked_about = raw[(slice(None), *map(slice, feed.raw_shape))]  # a recommender reads a user's number alone
        labels = feed.labels(split)
        assert labels is not None
        np.savez(job[split], labels=labels, raw=raw, asked=asked_about)
    (tmp_path / "job.json").write_text(json.dumps(job))
    line = [sys.executable, str(Path(__file__).with_name("_fresh_scores.py")), str(tmp_path / "job.json")]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found, report = json.loads(done.stdout), json.loads((out / "report.json").read_text())
    told = {
        target: {c["name"]: {s: c[f"value_{s}"] for s in ("validation", "test")} for c in rows["candidates"]}
        for target, rows in report["targets"].items()
    }
    assert set(found) == set(TARGETS) and all(len(rows) > 1 for rows in found.values())
    for target, rows in told.items():
        for name, values in rows.items():
            assert found[target][name] == pytest.approx(values, abs=1e-12), f"{target}: {name}"
    counts = {s: feed.length(s) for s in ("validation", "test")}
    assert all(c["scored"] == counts for rows in report["targets"].values() for c in rows["candidates"])
