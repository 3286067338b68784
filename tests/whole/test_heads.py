"""Classes, values and a map in one student, from arrays to what an app is told, on both runtimes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import edgekd
from edgekd.base.errors import EdgekdError
from edgekd.tasks import Mask, Prediction, Values

NAMES = ["kind", "place", "spot"]
HEADS = {
    "kind": {"task": "classification"},
    "place": {"task": {"kind": "regression", "unit_of_values": "pixels"}},
    "spot": {"task": "segmentation"},
}
Arrays = tuple[np.ndarray, dict[str, np.ndarray]]


def drawn(count: int, seed: int) -> Arrays:
    """Pictures of 8 x 8 with a bright or a dim square; which it is, where, of 100 up, and the mask of its pixels."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 40, (count, 8, 8, 1)).astype(np.uint8)
    kind, place = rng.integers(0, 2, count), rng.integers(1, 7, (count, 2))
    spot = np.zeros((count, 8, 8), np.uint8)
    for i, (row, column) in enumerate(place):
        spot[i, row - 1 : row + 2, column - 1 : column + 2] = 1
    x[..., 0] += spot * (80 + 100 * kind[:, None, None]).astype(np.uint8)
    return x, {"kind": kind, "place": (100 + place).astype(np.float32), "spot": spot}


class Net(nn.Module):
    """An answer of each head by name."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1))
        self.relu = nn.ReLU()
        self.kind, self.place = nn.Linear(width, 2), nn.Linear(64 * width, 2)
        self.spot = nn.Conv2d(width, 2, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        maps = self.relu(self.body(x))
        place = 100 + 8 * self.place(maps.flatten(1))
        return {"spot": self.spot(maps), "kind": self.kind(maps.mean((2, 3))), "place": place}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    out = tmp_path_factory.mktemp("heads") / "out"
    table: dict[str, Any] = {
        "heads": HEADS,
        "student": {"epochs": 1},
        "losses": [{"kind": "kl"}, {"kind": "squared_error"}, {"kind": "huber"}],
        "compress": [{"kind": "int8_qat", "epochs": 1}],
        "abstain": {"agreement": 0.6, "confidence": 0.6},
    }
    data = (drawn(64, 0), drawn(48, 1), drawn(32, 2))
    about: dict[str, Any] = {
        "teacher": Net(12),
        "student": Net(8),
        "data": data,
        "classes": {"kind": ["dim", "bright"]},
    }
    edgekd.build(table, targets=["ort-cpu", "openvino"], out=out, quick=True, progress=False, **about)
    return out


@pytest.mark.parametrize("target", ["ort-cpu", "openvino"])
def test_an_app_is_told_each_answer_by_name(built: Path, target: str) -> None:
    model, (x, _) = edgekd.load(built, target=target), drawn(3, 3)
    for answers in model.predict(x):
        assert isinstance(answers, dict) and list(answers) == NAMES
        kind, place, spot = (answers[name] for name in NAMES)
        assert isinstance(kind, Prediction) and kind.label in ("dim", "bright") and kind.sure in (True, False)
        assert isinstance(place, Values) and len(place.values) == 2
        assert isinstance(spot, Mask) and spot.classes.shape == (8, 8)


def test_a_bundle_says_what_each_head_is_and_answers_as_it_was_built(built: Path) -> None:
    assert any("same decisions" in check["check"] for check in edgekd.verify(built))
    report = json.loads((built / "report.json").read_text())
    assert report["outputs"] == {"kind": "classification", "place": "regression", "spot": "segmentation"}
    assert report["metric"] == "mean of accuracy and miou and r2" and not report["metric_is_share"]
    assert {c["name"] for c in report["targets"]["ort-cpu"]["candidates"]} >= {"fp32", "int8"}
    note = next(note for note in report["details"]["notes"] if "r2 of place" in note)
    assert "accuracy of kind" in note and "miou of spot" in note
    assert report["details"]["agreement"]["head"] == "kind"  # class by class, of the one head that has one class
    assert report["details"]["agreement"]["classes"] == ["dim", "bright"]
    assert [one["head"] for one in report["details"]["learned"]["calibration"]] == ["kind"]
    assert {*report["thresholds"]} == {"kind"}  # values are never sure, and no one answer of a map is
    manifest = json.loads((built / "manifest.json").read_text())["additional_metadata"]["edgekd"]
    assert {one["name"]: one["axes"] for one in manifest["outputs"]} == {
        "kind": ["batch", "class"],
        "place": ["batch", "value"],
        "spot": ["batch", "class", "y", "x"],
    }
    assert {"python", "cpp", "node", "web"} <= {path.name for path in (built / "examples").iterdir()}
    card = (built / "README.md").read_text()
    assert "`kind`: scores of 2 classes" in card and "`place`: 2 values" in card and "`spot`: scores of 2" in card


REFUSED: list[tuple[dict[str, Any], object, str]] = [
    ({"kind": {"task": "classification", "label": "y"}}, None, r"heads\.kind: arrays have no keys; found \['label'\]"),
    ({"form": {"task": "classification"}}, None, r"no labels of that name; found 'form'; allowed: kind, place, spot"),
    ({"kind": {"task": "classification"}}, ["a", "b"], r"classes: classes of several heads; found 'list'"),
    ({"kind": {"task": "classification"}}, {"kin": ["a", "b"]}, r"classes: classes of no head; found \['kin'\]"),
    ({"spot": {"task": "classification"}}, None, r"heads\.spot \(train\): labels are whole numbers or names, \(N,\)"),
    ({}, None, r"labels by name; found \['kind', 'place', 'spot'\]; allowed: .*\[heads\]"),
]


@pytest.mark.parametrize(("heads", "classes", "message"), REFUSED)
def test_labels_that_do_not_go_with_the_heads_are_refused(
    tmp_path: Path, heads: dict[str, Any], classes: Any, message: str
) -> None:
    data = (drawn(8, 0), drawn(8, 1), drawn(8, 2))
    about: dict[str, Any] = {"teacher": Net(4), "student": Net(4), "data": data, "classes": classes, "quick": True}
    with pytest.raises(EdgekdError, match=message):
        edgekd.build({"heads": heads}, targets=["ort-cpu"], out=tmp_path / "out", **about)


def test_what_has_no_labels_is_taught_by_who_needs_none(tmp_path: Path) -> None:
    """One teacher of both heads would leave the vector as it was drawn; a loss on labels is none of the vector's."""
    data = [(x, {"kind": y["kind"], "vector": None}) for x, y in (drawn(16, seed) for seed in range(3))]
    heads = {"kind": {"task": "classification"}, "vector": {"task": {"kind": "distribution", "size": 4}}}
    model = {"kind": "convnet", "width": 4, "depth": 2}
    teacher: dict[str, Any] = {"model": model, "epochs": 1}
    table = {"heads": heads, "student": {"model": model, "epochs": 1}, "teacher": teacher, "compress": []}
    where: dict[str, Any] = {"targets": ["ort-cpu"], "out": tmp_path / "out", "data": data, "quick": True}
    message = r"teacher\.checkpoint: a teacher can't be trained .*; found 'none of vector'; allowed: a checkpoint, or"
    with pytest.raises(EdgekdError, match=message):
        edgekd.build({**table, "losses": [{"kind": "kl"}, {"kind": "cosine"}]}, **where)
