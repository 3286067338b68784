"""Maps and points, from a recipe to a bundle that verifies and answers an app."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import edgekd
from edgekd import cli
from edgekd.document.report import Report
from edgekd.tasks import Mask, Values

# Smaller than the recipes' own nets and data: what is tested is their way through every part.
SMALLER = {
    "street-segments": [
        'teacher.model={kind="unet",width=4,depth=2}',
        'student.model={kind="deeplab",width=4,stages=3}',
        'data.made={source="made_scenes",height=16,width=16,train=24,validation=8,test=8,unlabelled=11}',
    ],
    "face-points": [
        'teacher.model={kind="keypoint_net",width=4,stages=3,form="heat_maps"}',
        'student.model={kind="keypoint_net",width=4,stages=3,form="heat_maps"}',
        'data.made={source="made_points",size=16,train=24,validation=8,test=8}',
        "budget.prefer='size'",  # no parts of int8 files are tried in float: those of maps are
    ],
}


def built(name: str, target: str, folder: Path) -> tuple[Report, Path]:
    """A build with ``--quick`` for one target."""
    out = folder / name
    settings = [*SMALLER[name], "budget.max_drop=100"]
    report = edgekd.build(
        name, targets=[target], settings=settings, quick=True, out=out, cache=folder / "cache", keep_candidates=True
    )
    return report, out


def by_number(mask: Mask) -> Callable[[tuple[str, float]], int]:
    """The order of the classes."""
    return lambda area: mask.names.index(area[0])


def test_a_student_of_maps_answers_a_class_for_every_pixel(tmp_path: Path) -> None:
    report, out = built("street-segments", "ort-cpu", tmp_path)
    assert report["task"] == "segmentation" and report["metric"] == "miou"
    candidates = {one["name"]: one for one in report["targets"]["ort-cpu"]["candidates"]}
    assert {"fp32", "int8"} <= set(candidates)
    parity = report["targets"]["ort-cpu"]["parity"]
    assert parity["argmax_agreement"] is not None and parity["argmax_agreement"] > 0.98, "a share of the pixels"
    assert cli.run(["verify", str(out)]) == 0
    model = edgekd.load(out)
    pictures = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    masks = model.predict(pictures)
    scores = model.run({"input": (pictures / np.float32(255)).transpose(0, 3, 1, 2)})["logits"]
    assert scores.shape == (3, 5 * 16 * 16), "one row a sample, class after class"
    for mask, row in zip(masks, scores.reshape(3, 5, 16, 16), strict=True):
        assert isinstance(mask, Mask) and np.array_equal(mask.classes, row.argmax(0)) and mask.classes.dtype == np.uint8
        assert sum(mask.areas.values()) == pytest.approx(1) and set(mask.areas) <= set(model.labels)
    assert model.predict(pictures[1]) == masks[1] != masks[0]
    (record,) = json.loads((out / "decisions.json").read_text())["decisions"]["ort-cpu"][0].values()
    assert sum(count for _, count in record["runs"]) == 256
    card = (out / "README.md").read_text()
    assert "image-segmentation" in card and "answer.areas" in card
    place = out / "examples"
    program = [sys.executable, "predict.py"]
    printed = subprocess.run(program, cwd=place / "python", capture_output=True, text=True, check=True).stdout
    assert json.loads(printed) == json.loads((place / "answer.json").read_text())
    (said,) = json.loads(printed).values()
    sample = np.frombuffer((place / "sample.bin").read_bytes(), np.uint8).reshape(16, 16, 3)
    mask = model.predict(sample)
    assert isinstance(mask, Mask) and mask.classes.reshape(-1).tolist() == said["classes"]
    assert said["pixels"] == {
        name: round(256 * share) for name, share in sorted(mask.areas.items(), key=by_number(mask))
    }


def test_a_student_of_points_answers_them_in_pixels(tmp_path: Path) -> None:
    report, out = built("face-points", "openvino", tmp_path)
    assert report["task"] == "regression" and report["metric"] == "normalised_mean_error"
    assert cli.run(["verify", str(out)]) == 0
    answer = edgekd.load(out).predict(np.zeros((16, 16, 1), np.uint8))
    assert isinstance(answer, Values) and answer.names[:2] == ("left eye x", "left eye y")
    assert len(answer.points) == 5 and all(-0.5 <= number <= 15.5 for pair in answer.points for number in pair)
    assert (out / "examples" / "python" / "predict_openvino.py").is_file()
