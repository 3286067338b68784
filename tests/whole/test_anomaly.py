"""Anomalies from a recipe to a bundle that verifies and answers an app."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import edgekd
from edgekd import cli
from edgekd.learn.data.made_tiles import MadeTiles
from edgekd.tasks import Anomaly
from edgekd.tasks.anomaly import Anomaly as Task

NAME = "tile-anomaly"


def test_the_threshold_holds_false_alarms_on_validation_of_every_file(quick: Callable[[str], Any]) -> None:
    out = quick(NAME).out
    about = json.loads((out / "manifest.json").read_text())["additional_metadata"]["edgekd"]
    assert about["task"]["kind"] == "anomaly" and about["outputs"][0]["labels"] == ["score"]
    (threshold,) = about["thresholds"]["logits"]["scores"]
    report = json.loads((out / "report.json").read_text())
    assert report["metric"] == "auc" and report["thresholds"]["logits"] == {"scores": [threshold]}
    tiles = MadeTiles(size=16, train=64, validation=48, test=48).load(Task())
    labels = tiles.validation.y
    assert labels is not None and labels.sum() == 24
    counts = []
    for target in ("ort-cpu", "openvino"):
        said = edgekd.load(out, target=target).predict(tiles.validation.x)
        assert all(isinstance(one, Anomaly) and one.is_anomaly == (one.score >= threshold) for one in said)
        counts.append(sum(bool(one.is_anomaly) for one, label in zip(said, labels[:, 0], strict=True) if label == 0))
    assert max(counts) == 0, "of 24 normal samples 5 % is one: none may reach what a new one has to"
    scores = [one.score for one, label in zip(said, labels[:, 0], strict=True) if label == 0]
    assert np.isfinite(scores).all() and min(counts) == 0


def test_the_bundle_says_what_it_holds(quick: Callable[[str], Any]) -> None:
    out = quick(NAME).out
    assert cli.run(["verify", str(out)]) == 0
    for answers in json.loads((out / "decisions.json").read_text())["decisions"].values():
        assert all(set(answer["logits"]) == {"is_anomaly", "score"} for answer in answers)
    card = (out / "README.md").read_text()
    assert "answer.score, answer.is_anomaly" in card
    told = json.loads((out / "examples" / "answer.json").read_text())["logits"]
    threshold = json.loads((out / "report.json").read_text())["thresholds"]["logits"]["scores"][0]
    assert told["is_anomaly"] is bool(np.float32(told["score"]) >= np.float32(threshold))
    source = (out / "examples" / "python" / "student.py").read_text()
    assert f"np.float32({float(np.float32(threshold))!r})" in source


REFUSED = [
    ("abstain.agreement=0.9", "abstain: no answers to be sure of; found 'anomaly'"),
    ("data.made.validation=20", r"made_tiles \(validation\): too few normal samples.*found 10; allowed: at least 19"),
    ('student.model={kind="auto_encoder",window=99}', r"model\.window: a window larger than the picture"),
    ("task.false_alarms=2.0", r"task\.false_alarms: allowed is a share above 0 and below 1"),
]


@pytest.mark.parametrize(("setting", "message"), REFUSED)
def test_what_does_not_go_with_anomalies_is_refused(tmp_path: Any, setting: str, message: str) -> None:
    with pytest.raises(edgekd.EdgekdError, match=message):
        edgekd.build(NAME, out=tmp_path / "out", targets=["ort-cpu"], settings=[setting], quick=True)
