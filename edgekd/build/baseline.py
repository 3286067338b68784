"""An honest baseline: what a plain model of scikit-learn, fitted in seconds, says to the same splits.

A student that was distilled for an hour and is beaten by word counts should not go unnoticed: texts by TF-IDF of words
and pairs of words, tables and small pictures by their numbers, each with logistic regression.
"""

from __future__ import annotations

import json
import time
import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from edgekd.base import host
from edgekd.base.arrays import AnyArray, Samples
from edgekd.base.preprocess import LARGEST
from edgekd.build import code_keys
from edgekd.build.evaluation import EvaluationSet, Scores
from edgekd.build.kept import document
from edgekd.build.store import canonical, sha256
from edgekd.build.workspace import Workspace
from edgekd.document.details import Baseline
from edgekd.document.report import Report
from edgekd.learn.feed import some

MOST_SAMPLES = 20_000  # of training
MOST_NUMBERS = 4_096  # of a sample: a picture of 36 x 36 in colour, or a row of a table
WORK = 2.5e8  # samples x numbers x classes, for about 10 s on one core; a smaller part is drawn at random
QUICK_WORK = 2e7
MOST_WEIGHTS = 3_000_000  # classes x words
AT_ONCE = 2_000  # samples that are predicted together
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
    code = [code_keys.own("measure"), code_keys.versions("measure")]
    judged = [{split: sha256(rows.tobytes()) for split, rows in evaluation.rows.items()}, host.measured_key(0)]
    key = sha256(canonical(["baseline", workspace.plan.steps["teacher"].key, len(index), *judged, code]))
    kept = document(workspace.store, key, "baseline.json", Baseline)
    if kept is None:
        workspace.progress({"step": "baseline", "epoch": None})
        baseline = _fitted(evaluation, np.asarray(raw[index]), labels[index], texts, classes)
        if baseline is None:
            return None
        kept = json.loads(workspace.store.put(key, {"baseline.json": canonical(baseline)})["baseline.json"])
    return kept


def _fitted(evaluation: EvaluationSet, x: AnyArray, y: NDArray[np.int64], texts: bool, classes: int) -> Baseline | None:
    model = _texts(classes) if texts else _numbers()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 200 rounds are what it gets
        try:
            model.fit(x, y)
        except ValueError:
            if not texts:
                raise
            return None  # texts without a word: of marks alone
    values = {
        split: evaluation.value(split, _scores(model, evaluation.raw(split), classes))
        for split in ("validation", "test")
    }
    kind = "TF-IDF of words and logistic regression" if texts else "logistic regression of the numbers as they are"
    return {
        "kind": kind,
        "samples": len(x),
        "value_validation": values["validation"],
        "value_test": values["test"],
        "size_bytes": _size(model),
        "p50_ms": _p50(model, x),
    }


def _texts(classes: int) -> Pipeline:
    words = min(50_000, MOST_WEIGHTS // classes)
    counts = TfidfVectorizer(
        token_pattern=r"(?u)\b\w+\b",  # words of one letter, too: of proteins there are no others
        ngram_range=(1, 2),
        sublinear_tf=True,
        max_features=words,
        dtype=np.float32,
    )
    return make_pipeline(counts, LogisticRegression(C=10.0, max_iter=200))


def _numbers() -> Pipeline:
    flat = FunctionTransformer(_flat)
    return make_pipeline(flat, StandardScaler(), LogisticRegression(C=0.1, max_iter=200))


def _flat(x: AnyArray) -> NDArray[np.float64]:
    return x.reshape(len(x), -1).astype(np.float64)


def _scores(model: Pipeline, x: Samples, classes: int) -> Scores:
    """(N, classes): logarithms of shares; classes that training did not show are never chosen."""
    scores = np.full((len(x), classes), -LARGEST, np.float32)
    for start in range(0, len(x), AT_ONCE):
        part = np.asarray(x[start : start + AT_ONCE])
        scores[start : start + len(part), model[-1].classes_] = np.maximum(model.predict_log_proba(part), -LARGEST)
    return scores


def _size(model: Pipeline) -> int:
    """Bytes of its numbers as float32, and of its words."""
    before, last = model[-2], model[-1]
    words: dict[str, int] = before.vocabulary_ if isinstance(before, TfidfVectorizer) else {}
    learned = len(words) if words else 2 * before.mean_.size
    numbers = last.coef_.size + last.intercept_.size + learned
    return 4 * int(numbers) + sum(len(word.encode()) + 1 for word in words)


def _p50(model: Pipeline, x: AnyArray) -> float:
    """Milliseconds from one raw sample to its scores, in this process."""
    model.predict_log_proba(x[:1])
    taken = []
    for i in range(TIMED):
        at = i % len(x)
        one = x[at : at + 1]
        started = time.perf_counter_ns()
        model.predict_log_proba(one)
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
