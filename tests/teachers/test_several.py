"""Teachers of several kinds as one: weighed, some of them silent on some samples, one with its classes turned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import edgekd
from edgekd.base.errors import RecipeError
from edgekd.base.scores import softmax
from edgekd.build import request as requests
from edgekd.build import run as running
from edgekd.build.prepare import Objects, prepare
from edgekd.learn import answers
from edgekd.learn.data.made import Made

MADE: dict[str, Any] = {"shape": (8, 8, 1), "classes": 4, "train": 96, "validation": 48, "test": 48}
DATA = Made(**MADE).load()
CENTRES = np.stack([DATA.train.x[DATA.train.y == c].reshape(-1, 64).mean(0) for c in range(4)]) / 255


def nearest(path: Path, order: tuple[int, ...] = (0, 1, 2, 3)) -> str:
    """An ONNX file that scores an image by how near it lies to the mean of each class."""
    centres = CENTRES[list(order)]
    weight, bias = (20 * centres.T).astype("<f4"), (-10 * (centres**2).sum(1)).astype("<f4")
    constants = [numpy_helper.from_array(value, name) for value, name in ((weight, "w"), (bias, "b"))]
    nodes = [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("Gemm", ["f", "w", "b"], ["scores"])]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 4])],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return str(path)


def votes(path: Path) -> str:
    """The true label of every sample but each third, which nobody has labelled."""
    rows = [
        {"id": f"{name}/{i}", "label": int(label) if i % 3 else None}
        for name, split in DATA.splits.items()
        for i, label in enumerate(split.y if split.y is not None else [])
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def recipe(**changes: Any) -> dict[str, Any]:
    return {
        "name": "small",
        "data": {"source": "made", **MADE},
        "student": {"model": {"kind": "convnet", "width": 8, "depth": 2}, "epochs": 1},
        "losses": [{"kind": "kl"}, {"kind": "soft_cross_entropy", "weight": 0.1}],
        "budget": {"max_drop": 1.0},
        "targets": ["ort-cpu"],
        **changes,
    }


def test_an_onnx_file_and_votes_teach_together(tmp_path: Path) -> None:
    table = recipe(
        teacher={"model": {"kind": "onnx", "path": nearest(tmp_path / "t.onnx")}, "weight": 3.0},
        teachers=[
            {"model": {"kind": "recorded", "path": votes(tmp_path / "v.jsonl"), "smoothing": 0.1, "missing": "skip"}}
        ],
    )
    workspace = prepare(requests.make(table, cache=tmp_path / "cache", quick=True), Objects())
    trained, outputs = running.train_all(workspace)
    network, spoken = (
        answers.whole(running.answers(workspace, trained, name).split("test")) for name in ("teacher", "teacher 2")
    )
    silent = np.arange(48) % 3 == 0
    assert np.isnan(spoken[silent]).all() and np.isfinite(spoken[~silent]).all()
    together = answers.whole(outputs.split("test"))
    np.testing.assert_array_equal(together[silent], network[silent])
    shares = (3 * softmax(network) + softmax(spoken)) / 4
    np.testing.assert_allclose(softmax(together)[~silent], shares[~silent], rtol=1e-5, atol=1e-30)
    report = edgekd.build(table, out=tmp_path / "out", cache=tmp_path / "cache", quick=True)
    rows = {stage["name"]: stage for stage in report["stages"]}
    assert rows["teacher 2"]["value_test"] == 1.0, "of those that it answers it knows all"
    assert rows["teacher"]["size_bytes"] == rows["teacher 1"]["size_bytes"] > rows["teacher 2"]["size_bytes"] == 0
    edgekd.verify(tmp_path / "out")


def test_a_file_whose_classes_stand_in_another_order_is_told_before_a_student_trains(tmp_path: Path) -> None:
    path = nearest(tmp_path / "t.onnx", (1, 2, 3, 0))
    table = recipe(teacher={"model": {"kind": "onnx", "path": path}})
    workspace = prepare(requests.make(table, cache=tmp_path / "cache", quick=True), Objects())
    with pytest.raises(RecipeError, match=r"another order.*classes = \[3, 0, 1, 2\]"):
        running.train_all(workspace)
    table["teacher"]["classes"] = [3, 0, 1, 2]
    workspace = prepare(requests.make(table, cache=tmp_path / "cache", quick=True), Objects())
    running.train_all(workspace)


def test_without_labels_answers_are_all_that_is_learned_from(tmp_path: Path) -> None:
    """Rows that have none are in no figure; a student is held against the others."""
    arrays = {f"{letter}_{name}": getattr(split, letter) for name, split in DATA.splits.items() for letter in "xy"}
    np.savez(tmp_path / "d.npz", class_names=np.array(["a", "b", "c", "d"]), **arrays)
    data = {
        "source": "npz",
        "path": str(tmp_path / "d.npz"),
        "x_validation": "x_validation",
        "y_train": "",
        "y_test": "",
    }
    model = {"kind": "recorded", "path": votes(tmp_path / "v.jsonl"), "missing": "skip"}
    table = recipe(data=data, teacher={"model": model}, losses=[{"kind": "kl", "temperature": 1.0}])
    workspace = prepare(requests.make(table, cache=tmp_path / "cache", quick=True), Objects())
    trained, outputs = running.train_all(workspace)
    evaluation = running.evaluation_of(workspace, outputs)
    assert evaluation.length("test") == 32 and evaluation.teacher_value("test") == 1.0
    assert "16 of 48 test samples have no answer of the teacher: no figure is of them" in workspace.found
    assert 0 <= trained["student"].history[0]["validation"] <= 1
