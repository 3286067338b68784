"""Anomalies, and where they are, from a recipe to a bundle that verifies and answers an app."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import edgekd
from edgekd import cli
from edgekd.learn.data.made_tiles import MadeTiles
from edgekd.spec import recipe
from edgekd.tasks import Anomaly, AnomalyMap
from edgekd.tasks.anomaly import Anomaly as Score
from edgekd.tasks.anomaly_map import AnomalyMap as Map

NAME = "tile-anomaly"
TILES = MadeTiles(size=16, train=64, validation=48, test=48)


def about(bundle: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((bundle / "manifest.json").read_text())["additional_metadata"]["edgekd"]
    return found


def test_the_thresholds_hold_false_alarms_on_validation_of_every_file(quick: Callable[[str], Any]) -> None:
    out = quick(NAME).out
    told = about(out)["thresholds"]
    (of_scores,), (of_pixels,) = told["score"]["scores"], told["map"]["scores"]
    report = json.loads((out / "report.json").read_text())
    assert report["metric"] == "auc" and report["thresholds"] == told
    tiles = TILES.load(Score())
    labels = tiles.validation.y
    assert labels is not None and labels.sum() == 24
    normal = labels[:, 0] == 0
    alarms: dict[str, list[int]] = {"score": [], "map": []}
    for target in ("ort-cpu", "openvino"):
        said = edgekd.load(out, target=target).predict(tiles.validation.x)
        for name, threshold, kind in (("score", of_scores, Anomaly), ("map", of_pixels, AnomalyMap)):
            answers = [one[name] for one in said]
            assert all(isinstance(one, kind) and one.is_anomaly == (one.score >= threshold) for one in answers)
            assert np.isfinite([one.score for one in answers]).all()
            alarms[name].append(
                sum(bool(one.is_anomaly) for one, is_normal in zip(answers, normal, strict=True) if is_normal)
            )
    assert alarms == {"score": [0, 0], "map": [0, 0]}, (
        "of 24 normal samples 5 % is one: none may reach what a new one has to"
    )


def test_the_bundle_says_what_it_holds(quick: Callable[[str], Any]) -> None:
    out = quick(NAME).out
    assert cli.run(["verify", str(out)]) == 0
    told = about(out)
    assert {name: task["kind"] for name, task in told["task"]["outputs"].items()} == {
        "score": "anomaly",
        "map": "anomaly_map",
    }
    assert [(one["name"], one["axes"], one["labels"], one.get("shape")) for one in told["outputs"]] == [
        ("score", ["batch", "value"], ["score"], None),
        ("map", ["batch", "value", "y", "x"], ["score"], [1, 16, 16]),
    ]
    for answers in json.loads((out / "decisions.json").read_text())["decisions"].values():
        assert len(answers) >= 4, "pixels in doubt leave no picture out"
        assert all(
            set(one["score"]) == {"is_anomaly", "score"} and set(one["map"]) == {"ends", "runs"} for one in answers
        )
        assert all(sum(count for _, count in one["map"]["runs"]) == 256 for one in answers)
    report = json.loads((out / "report.json").read_text())
    assert report["outputs"] == {"score": "anomaly", "map": "anomaly_map"}
    for target in report["targets"].values():
        assert {"fp32", "int8"} <= {one["name"] for one in target["candidates"]}
        assert all(0 <= one["value_test"] <= 1 for one in target["candidates"])
    card = (out / "README.md").read_text()
    assert "`map`: 1 score of every pixel" in card and "print(head, answer)" in card
    page = (quick(NAME).folder / "out.samples.html").read_text()
    assert all(f"<figcaption>map: {who}</figcaption>" in page for who in ("label", "teacher", "student"))


def test_its_programs_say_the_same(quick: Callable[[str], Any]) -> None:
    out = quick(NAME).out
    told, answer = about(out)["thresholds"], json.loads((out / "examples" / "answer.json").read_text())
    assert answer["score"]["is_anomaly"] is (answer["score"]["score"] >= told["score"]["scores"][0])
    assert len(answer["map"]["classes"]) == sum(answer["map"]["pixels"].values()) == 256
    assert answer["map"]["is_anomaly"] is (answer["map"]["score"] >= told["map"]["scores"][0])
    program = [sys.executable, "predict.py"]
    done = subprocess.run(program, cwd=out / "examples" / "python", capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    same = np.array(said["map"]["classes"]) == answer["map"]["classes"]
    assert same.mean() > 0.99 and said["map"]["score"] == pytest.approx(answer["map"]["score"], abs=1e-3)
    page = (out / "examples" / "web" / "index.html").read_text()
    assert "Choose a picture" in page and not (out / "examples" / "web" / "ink.mjs").exists()


def test_the_recipe_reads_labels_and_masks_of_a_file_and_made_ones_without_it() -> None:
    kept = recipe.load(NAME)[0]
    assert kept.heads["map"].data["y_train"] == "train_mask_bytes" and kept.data.table["kind"] == "npz"
    spots = TILES.load(Map()).test.y
    assert spots is not None and spots.any(axis=(1, 2)).sum() == 24


ALONE = {
    "name": "map-alone",
    "task": {"kind": "anomaly_map", "alarms": "pixels", "false_alarms": 0.2},
    "data": {"source": "made_tiles", "size": 8, "train": 48, "validation": 24, "test": 24},
    "augment": {"flip": True, "views": 2},
    "teacher": {"model": {"kind": "unet", "width": 4, "depth": 1}},
    "student": {"model": {"kind": "auto_encoder", "width": 32, "depth": 1, "code": 4, "smoothing": 3}},
    "losses": [{"kind": "squared_error"}, {"kind": "channel_wise"}, {"kind": "deep_sad"}],
    "compress": [{"kind": "channel_prune", "ratio": 0.5}, {"kind": "int8_qat"}],
    "budget": {"prefer": "size"},
}


def test_a_map_alone_goes_the_whole_way(tmp_path: Any) -> None:
    """Of another family's teacher, pruned and quantized, with masks that move with their pictures."""
    out = tmp_path / "out"
    edgekd.build(ALONE, targets=["ort-cpu"], out=out, quick=True)
    assert cli.run(["verify", str(out)]) == 0
    tiles = MadeTiles(size=8, train=48, validation=24, test=24).load(Map(alarms="pixels"))
    said = edgekd.load(out).predict(tiles.validation.x)
    pixels = np.stack([one.anomalous for one in said])
    assert tiles.validation.y is not None and pixels[tiles.validation.y == 0].mean() <= 0.2
    stages = [one["name"] for one in json.loads((out / "report.json").read_text())["stages"]]
    assert stages == ["teacher", "student", "channel_prune", "int8_qat"]


REFUSED = [
    ("abstain.agreement=0.9", "abstain: no answers to be sure of"),
    ("data.made.validation=20", r"made_tiles \(validation\): too few normal samples.*found 10; allowed: at least 19"),
    ('student.model={kind="auto_encoder",window=99}', r"model\.window: a window larger than the picture"),
    ('student.model={kind="convnet"}', r"student\.model\.kind: has no answers for"),
    ("heads.score.task.false_alarms=2.0", r"heads\.score\.task\.false_alarms: allowed is a share above 0 and below 1"),
    ("heads.map.task.alarms=masks", r"heads\.map\.task\.alarms"),
    ("heads.map.metric=miou", r"heads\.map\.metric: not a metric of AnomalyMap; found 'miou'"),
    ("heads.map.y_trian=a", r"heads\.map\.y_trian: unknown key"),
    ("losses.0.kind=kl", r"losses\[0\]\.kind: not a loss of Anomaly; found 'kl'"),
]


@pytest.mark.parametrize(("setting", "message"), REFUSED)
def test_what_does_not_go_with_anomalies_is_refused(tmp_path: Any, setting: str, message: str) -> None:
    with pytest.raises(edgekd.EdgekdError, match=message):
        edgekd.build(NAME, out=tmp_path / "out", targets=["ort-cpu"], settings=[setting], quick=True)
