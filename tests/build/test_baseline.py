"""A plain model stands beside teacher and student, and where it is better the first line says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from _documents import CANDIDATE, REPORT, STAGE, TARGET

from edgekd import report
from edgekd.build import baseline
from edgekd.build.evaluation import EvaluationSet
from edgekd.cli import console
from edgekd.document.candidate import Candidate
from edgekd.document.details import Baseline
from edgekd.document.report import Report
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.feed import Feed
from edgekd.metrics._evaluator import Evaluator
from edgekd.metrics.accuracy import Accuracy
from edgekd.spec.recipe import Augment
from edgekd.tasks import Heads

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghij"]


class FakeWorkspace:
    """What a baseline asks of one."""

    def __init__(self, folder: Path, classes: int) -> None:
        from edgekd.build.store import Store

        self.store, self.classes, self.metric = Store(folder), tuple("abc"[:classes]), Accuracy()
        self.plan = type("Plan", (), {"steps": {"teacher": type("Step", (), {"key": "k"})}})
        self.told: list[dict[str, Any]] = []

    classifies = True

    def progress(self, event: dict[str, Any]) -> None:
        self.told.append(event)


def evaluation(x: Any, y: Any, ops: Any = (), classes: int = 3) -> EvaluationSet:
    split = Split(x, y)
    feed = Feed(Dataset(split, split, split, tuple("abc"[:classes]), ops), ops, Augment(views=1), 0)
    return EvaluationSet.of(
        feed, lambda name: np.zeros((len(x), classes), np.float32), Evaluator(Accuracy(), Heads({"logits": classes}))
    )


def numbers(count: int = 300, size: int = 5) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    y = np.arange(count) % 3
    return (rng.normal(size=(count, size)) + 3 * np.eye(3, size)[y]).astype(np.float32), y


def texts() -> tuple[Any, Any]:
    rng, y = np.random.default_rng(0), np.arange(200) % 2
    made = [" ".join(["good" if label else "bad", *rng.choice(["film", "plot", "cast"], 4)]) for label in y]
    return np.array(made, dtype=object), y


def test_numbers_and_texts(tmp_path: Path) -> None:
    workspace: Any = FakeWorkspace(tmp_path, 3)
    found = baseline.make(workspace, evaluation(*numbers()), quick=False)
    assert found is not None and found["value_test"] > 0.9 and found["samples"] == 300
    assert found["size_bytes"] == 4 * (3 * 5 + 3 + 2 * 5) and found["p50_ms"] > 0
    assert baseline.make(workspace, evaluation(*numbers()), quick=False) == found and len(workspace.told) == 1, "kept"
    ops = ({"op": "wordpiece", "vocabulary": WORDS, "length": 16, "lower": True},)
    words: Any = FakeWorkspace(tmp_path / "texts", 2)
    told = baseline.make(words, evaluation(*texts(), ops, 2), quick=True)
    assert told is not None and told["value_validation"] == 1.0 and told["kind"].startswith("TF-IDF")


def test_words_of_one_letter_are_words_and_marks_are_none(tmp_path: Path) -> None:
    """As proteins are written; and texts in which nothing is a word have no plain model, and are no error."""
    ops = ({"op": "wordpiece", "vocabulary": WORDS, "length": 16, "lower": True},)
    y = np.arange(60) % 2
    letters = np.array(["M K V" if label else "A C G" for label in y], dtype=object)
    told = baseline.make(FakeWorkspace(tmp_path / "letters", 2), evaluation(letters, y, ops, 2), quick=True)  # type: ignore[arg-type]
    assert told is not None and told["value_test"] == 1.0
    marks = np.array(["! !" if label else "? ..." for label in y], dtype=object)
    assert baseline.make(FakeWorkspace(tmp_path / "marks", 2), evaluation(marks, y, ops, 2), quick=True) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("what", ["unlabelled", "too wide", "slow and quick", "several heads"])
def test_where_no_plain_model_fits(tmp_path: Path, what: str) -> None:
    x, y = numbers()
    asked = {
        "unlabelled": lambda: evaluation(x, None),
        "too wide": lambda: evaluation(np.zeros((9, 5_000), np.float32), np.arange(9) % 3),
        "slow and quick": lambda: evaluation(np.zeros((9_000, 900), np.float32), np.arange(9_000) % 3),
        "several heads": lambda: evaluation(x, np.stack([y, y], axis=1)),
    }[what]()
    workspace: Any = FakeWorkspace(tmp_path, 3)
    assert baseline.make(workspace, asked, quick=what == "slow and quick") is None


def document(value: float) -> Report:
    int8: Candidate = {**CANDIDATE, "name": "int8", "value_test": 0.8}
    plain: Baseline = {
        "kind": "word counts",
        "samples": 10,
        "value_validation": value,
        "value_test": value,
        "size_bytes": 1000,
        "p50_ms": 1.0,
    }
    return {
        **REPORT,
        "targets": {"ort-cpu": {**TARGET, "shipped": "int8", "candidates": [int8]}},
        "stages": [{**STAGE, "value_test": 0.9}],
        "details": {"baseline": plain},
    }


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.79, None),
        (0.85, "more than ort-cpu's int8 (0.8000)"),
        (0.95, "more than ort-cpu's int8 (0.8000) and the teacher (0.9000)"),
    ],
)
def test_who_is_beaten(value: float, said: str | None) -> None:
    told = baseline.better(document(value))
    assert told is None if said is None else str(told).endswith(said)
    assert baseline.better({**document(0.95), "details": {}}) is None


def test_the_first_line_says_so(digits: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import json

    made = json.loads((digits / "out" / "report.json").read_text())
    plain = made["details"]["baseline"]
    assert plain["value_test"] > 0.8 and plain["size_bytes"] < 20_000
    made["details"]["baseline"] = {**plain, "told": "a plain model is better: so it is"}
    console.show(console.build_table(made, Path("out"), cached=False))
    shown = capfd.readouterr().out
    assert shown.splitlines()[0].startswith("a plain model is better") and "plain baseline" in shown
    page = report.html(made, {})
    assert "a plain model is better: so it is" in page and "plain baseline" in page
