"""An honest baseline: what a plain model, fitted in seconds, says to the same splits.

A student that was distilled for an hour and is beaten by word counts should not go unnoticed: texts by TF-IDF of words
and pairs of words, tables and small pictures by their numbers, each with logistic regression.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edgekd.base import host, plugins
from edgekd.base.arrays import AnyArray
from edgekd.build import code_keys
from edgekd.build.evaluation import EvaluationSet
from edgekd.build.kept import document
from edgekd.build.store import canonical, sha256
from edgekd.build.workspace import Workspace
from edgekd.document.details import Baseline
from edgekd.document.report import Report
from edgekd.learn import baselines
from edgekd.learn.feed import some

MOST_SAMPLES = 20_000  # of training
MOST_NUMBERS = 4_096  # of a sample: a picture of 36 x 36 in colour, or a row of a table
WORK = 2.5e8  # samples x numbers x classes, for about 10 s on one core; a smaller part is drawn at random
QUICK_WORK = 2e7
TIMED = 50  # predictions of one sample


def make(workspace: Workspace, evaluation: EvaluationSet, *, quick: bool) -> Baseline | None:
    """``details.baseline`` of report.json; None where no plain model fits the task, or it would take long.

    Returns:
        ``{"kind", "samples", "value_validation", "value_test", "size_bytes", "p50_ms"}``: of how many training samples,
        its metric on both splits, the bytes of its numbers and words, and the time of one raw sample in Python.
        ``record.make`` adds ``told``: see ``better``.
    """
    labels = evaluation.feed.labels("train")
    ops = [op["op"] for op in evaluation.feed.ops]
    if (
        labels is None
        or labels.ndim != 1
        or not workspace.classifies
        or evaluation.feed.rate
        or {"columns", "parts", "table"} & {*ops}
        or workspace.metric.against != "labels"
    ):
        return None
    raw = evaluation.feed.raw("train")
    texts = "wordpiece" in ops
    if not texts and (raw[0].size > MOST_NUMBERS or raw.dtype.kind not in "uifb"):
        return None
    classes = len(workspace.classes)
    work = (WORK if not quick else QUICK_WORK) / ((1 if texts else raw[0].size) * classes)
    if len(raw) > work and quick:
        return None
    index = some(len(raw), min(MOST_SAMPLES, max(int(work), 1_000)))
    index = index[labels[index] >= 0]
    if len(np.unique(labels[index])) < 2:
        return None
    code = [code_keys.own("baseline"), code_keys.versions("baseline")]
    judged = [{split: sha256(rows.tobytes()) for split, rows in evaluation.rows.items()}, host.measured_key(0)]
    key = sha256(canonical(["baseline", workspace.plan.steps["teacher"].key, len(index), *judged, code]))
    kept = document(workspace.store, key, "baseline.json", Baseline)
    if kept is None:
        workspace.progress({"step": "baseline", "epoch": None})
        kind = "word_counts" if texts else "raw_numbers"
        baseline = _fitted(evaluation, kind, np.asarray(raw[index]), labels[index], classes)
        if baseline is None:
            return None
        kept = json.loads(workspace.store.put(key, {"baseline.json": canonical(baseline)})["baseline.json"])
    return kept


def _fitted(evaluation: EvaluationSet, kind: str, x: AnyArray, y: NDArray[np.int64], classes: int) -> Baseline | None:
    plain: baselines.Baseline = plugins.load("baselines", kind, "details.baseline")()
    model = plain.fitted(x, y, classes)
    if model is None:
        return None
    values = {
        split: evaluation.value(split, baselines.scores_of(model, evaluation.raw(split), classes))
        for split in ("validation", "test")
    }
    last = model[-1]
    return {
        "kind": plain.words,
        "samples": len(x),
        "value_validation": values["validation"],
        "value_test": values["test"],
        "size_bytes": 4 * int(last.coef_.size + last.intercept_.size) + plain.table_bytes(model),
        "p50_ms": _p50(model.predict_log_proba, x),
    }


def _p50(predict: Callable[[AnyArray], AnyArray], x: AnyArray) -> float:
    """Milliseconds from one raw sample to its scores, in this process."""
    predict(x[:1])
    taken = []
    for i in range(TIMED):
        at = i % len(x)
        one = x[at : at + 1]
        started = time.perf_counter_ns()
        predict(one)
        taken.append(time.perf_counter_ns() - started)
    return float(np.median(taken)) / 1e6


def better(document: Report) -> str | None:
    """The first line of a report whose student, or teacher, a plain model beats on test; None where it does not."""
    baseline = (document.get("details") or {}).get("baseline")
    if not baseline:
        return None
    shipped = {
        name: next(c for c in target["candidates"] if c["name"] == target["shipped"])
        for name, target in document["targets"].items()
        if target["shipped"]
    }
    less = {name: c for name, c in shipped.items() if baseline["value_test"] > c["value_test"]}
    beaten = [f"{name}'s {c['name']} ({c['value_test']:.4f})" for name, c in less.items()]
    teacher = next(stage for stage in document["stages"] if stage["name"] == "teacher")
    if baseline["value_test"] > teacher["value_test"]:
        beaten.append(f"the teacher ({teacher['value_test']:.4f})")
    if not beaten:
        return None
    has = f"{baseline['kind']} has a test {document['metric']} of {baseline['value_test']:.4f}"
    return f"a plain model is better: {has}, more than {' and '.join(beaten)}"
