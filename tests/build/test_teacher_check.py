"""A teacher that names its classes in another order is told before a student trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import edgekd
from edgekd.base.errors import RecipeError
from edgekd.build import request as requests
from edgekd.build import run as running
from edgekd.build import teacher_check
from edgekd.build.prepare import Objects
from edgekd.learn.data._batches import from_splits
from edgekd.tasks import make_task


def workspace_of(tmp_path: Path, **teacher: Any) -> Any:
    """A workspace over 60 validation samples of three classes, whose teacher is read from elsewhere."""
    labels = np.arange(60) % 3
    x = np.eye(4, dtype=np.float32)[labels]
    data = from_splits([(x, labels)] * 3, "data", ("ant", "bee", "cat"))
    table = {"name": "s", "data": {"source": "objects"}, "teacher": {"model": {"kind": "object"}, **teacher},
             "student": {"model": {"kind": "object"}}, "losses": [{"kind": "kl"}]}  # fmt: skip
    order = requests.make(table, ["ort-cpu"], data="d", objects="o", out=tmp_path / "out", cache=tmp_path / "c")
    return running.checked(order, Objects(data, nn.Linear(4, 3), nn.Linear(4, 3))), np.eye(3, dtype=np.float32)[labels]


def test_the_likely_order_is_named_with_the_key_that_sets_it_right(tmp_path: Path) -> None:
    workspace, scores = workspace_of(tmp_path)
    teacher_check.check(workspace, "teacher", scores)
    assert not workspace.found
    with pytest.raises(RecipeError, match=r"class 'ant' is its column 1.*worse than chance.*classes = \[1, 2, 0\]"):
        teacher_check.check(workspace, "teacher", scores[:, [2, 0, 1]])
    workspace, _ = workspace_of(tmp_path, classes=[2, 1, 0])
    with pytest.raises(RecipeError, match=r"classes = \[2, 0, 1\]"):
        teacher_check.check(workspace, "teacher", scores[:, [0, 2, 1]])
    teacher_check.check(workspace, "teacher", np.zeros_like(scores))
    assert "no better than chance" in workspace.found[0]


def test_a_turned_teacher_builds_nothing(tmp_path: Path) -> None:

    labels = np.arange(45) % 3
    x = 5 * np.eye(3, dtype=np.float32)[labels]
    recipe = {"compress": [], "student": {"from_teacher": [], "epochs": 0}}
    net = nn.Linear(3, 3, bias=False)
    net.weight.data = torch.eye(3)[[2, 0, 1]]
    with pytest.raises(RecipeError, match="another order"):
        edgekd.build(recipe, teacher=net, data=[(x, labels)] * 3, targets=["ort-cpu"], out=tmp_path / "out", quick=True)
    assert not (tmp_path / "out").exists()


def test_few_samples_tell_that_they_are_too_few(tmp_path: Path) -> None:
    """Of a teacher from elsewhere that seems to know nothing: nothing can be said of the order of its classes."""
    labels, parts = np.arange(60) % 3, []
    x = np.eye(4, dtype=np.float32)[labels]
    for count in (60, 12, 60):
        parts.append((x[:count], labels[:count]))
    data = from_splits(parts, "data", ("ant", "bee", "cat"))
    table = {"name": "s", "data": {"source": "objects"}, "teacher": {"model": {"kind": "object"}},
             "student": {"model": {"kind": "object"}}, "losses": [{"kind": "kl"}]}  # fmt: skip
    order = requests.make(table, ["ort-cpu"], data="d", objects="o", out=tmp_path / "out", cache=tmp_path / "c")
    workspace = running.checked(order, Objects(data, nn.Linear(4, 3), nn.Linear(4, 3)))
    scores = np.eye(3, dtype=np.float32)[labels[:12]]
    teacher_check.check(workspace, "teacher", scores)
    assert not workspace.found
    teacher_check.check(workspace, "teacher", scores[:, [2, 0, 1]])
    assert "right about 0 of 12 validation samples, no more than luck would be; these are too few" in workspace.found[0]


RNG = np.random.default_rng(0)


def of_task(tmp_path: Path, task: Any, y: Any, classes: Any = None, width: int = 1, **keys: Any) -> Any:
    """A workspace over samples with labels of another task; their networks are never asked."""
    x = np.zeros((len(y), *((1, 4, 4) if y.ndim == 3 else (4,))), np.float32)
    data = from_splits([(x, y)] * 3, "data", classes, task=make_task(task, "task", RecipeError))
    table = {"name": "s", "data": {"source": "objects"}, "teacher": {"model": {"kind": "object"}}, "task": task,
             "student": {"model": {"kind": "object"}}, "losses": [{"kind": "squared_error"}], **keys}  # fmt: skip
    order = requests.make(table, ["ort-cpu"], data="d", objects="o", out=tmp_path / "out", cache=tmp_path / "c")
    return running.checked(order, Objects(data, nn.Linear(4, width), nn.Linear(4, width)))


def notes(workspace: Any, scores: Any) -> list[str]:
    """What is told of a teacher's answers to validation."""
    workspace.found.clear()
    teacher_check.check(workspace, "teacher", scores.reshape(len(scores), -1).astype(np.float32))
    return list(workspace.found)


def test_values_in_another_unit_are_told_with_the_scale_and_the_shift(tmp_path: Path) -> None:
    y = RNG.normal(30_000, 2000, (60, 2)).astype(np.float32)
    y[3, 0] = np.nan
    workspace = of_task(tmp_path, {"kind": "regression"}, y, ("price", "area"), 2)
    right = np.nan_to_num(y, nan=30_000)
    assert notes(workspace, right + RNG.normal(0, 500, y.shape)) == []
    (note,) = notes(workspace, np.stack([(right[:, 0] - 30_000) / 2000, right[:, 1]], axis=1))
    assert "worse than the mean of the labels on validation: r2 of 'price' -" in note and "'area'" not in note
    assert "in another unit? The labels are about 2000 times 'price' plus 30000" in note
    (note,) = notes(workspace, np.stack([right[:, 0], RNG.normal(0, 1, 60)], axis=1))
    assert "r2 of 'area' -" in note and "unit" not in note


def test_a_unit_does_not_matter_where_the_metric_is_a_correlation(tmp_path: Path) -> None:
    y = RNG.normal(30_000, 2000, (60, 1)).astype(np.float32)
    workspace = of_task(tmp_path, {"kind": "regression"}, y, metric={"kind": "spearman"})
    assert notes(workspace, (y - 30_000) / 2000) == []
    (note,) = notes(workspace, -y)
    assert "no better than chance" in note and "'value' -1.00" in note


def test_labels_of_which_several_apply_and_anomalies_are_ranked(tmp_path: Path) -> None:
    y = (RNG.random((90, 3)) < 0.4).astype(np.int64)
    workspace = of_task(tmp_path, {"kind": "multi_label"}, y, ("a", "b", "c"), 3, losses=[{"kind": "kl"}])
    scores = 8 * y - 4 + RNG.normal(0, 1, y.shape)
    assert notes(workspace, scores) == []
    assert "area under its ROC curve" in notes(workspace, RNG.normal(0, 1, y.shape))[0]
    with pytest.raises(RecipeError, match=r"class 'a' is its column 2.*ROC curve.*set teacher\.classes = \[2, 0, 1\]"):
        notes(workspace, scores[:, [1, 2, 0]])
    y = (np.arange(90) % 3 == 0).astype(np.int64)[:, None]
    workspace = of_task(tmp_path, {"kind": "anomaly"}, y)
    assert notes(workspace, y + RNG.normal(0, 0.2, y.shape)) == []
    (note,) = notes(workspace, -y + RNG.normal(0, 0.2, y.shape))
    assert "no better than chance" in note and "are its scores turned? The larger one is, the further" in note


@pytest.mark.parametrize("kind", ["segmentation", "tagging"])
def test_classes_of_places_in_another_order_are_refused(tmp_path: Path, kind: str) -> None:
    names, axis = (("O", "B-x", "I-x"), -1) if kind == "tagging" else (("a", "b", "c"), 1)
    y = RNG.integers(0, 2, (40, 12)) if kind == "tagging" else RNG.integers(0, 3, (40, 4, 4)).astype(np.uint8)
    workspace = of_task(tmp_path, {"kind": kind}, y, names, 36 if kind == "tagging" else 48, losses=[{"kind": "kl"}])
    hits = y[..., None] == np.arange(3)
    scores = np.moveaxis(hits.astype(np.float32), -1, axis)
    assert notes(workspace, scores) == []
    with pytest.raises(RecipeError, match=rf"class '{names[0]}' is its column 2.*set teacher\.classes = \[2, 0, 1\]"):
        notes(workspace, np.take(scores, [1, 2, 0], axis))
    (note,) = notes(workspace, RNG.random(scores.shape))
    assert "no better than chance on validation: it names" in note


def test_places_that_are_anomalies_are_ranked(tmp_path: Path) -> None:
    y = (RNG.random((40, 4, 4)) < 0.3).astype(np.uint8)
    y[::2] = 0
    workspace = of_task(tmp_path, {"kind": "anomaly_map"}, y, width=16)
    assert notes(workspace, y + RNG.normal(0, 0.2, y.shape)) == []
    assert "no better than chance" in notes(workspace, RNG.normal(0, 1, y.shape))[0]


def test_vectors_of_pairs_that_are_no_nearer_are_told(tmp_path: Path) -> None:
    pair, alike = np.arange(100) // 2, np.repeat(RNG.random(50), 2)
    angle = np.where(np.arange(100) % 2, 0, np.arccos(alike))
    near = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    task = {"kind": "embedding", "size": 2}
    workspace = of_task(tmp_path, task, np.stack([pair, alike], axis=1), width=2, losses=[{"kind": "cosine"}])
    assert notes(workspace, near) == []
    (note,) = notes(workspace, RNG.normal(size=(100, 2)))
    assert "no better than chance on validation: the cosines of pairs" in note
    near_others = {"losses": [{"kind": "cosine"}], "metric": {"kind": "recall_at_k"}}
    workspace = of_task(tmp_path, task, pair, width=2, **near_others)
    around = RNG.permutation(50)[pair] / 8
    assert notes(workspace, np.stack([np.cos(around), np.sin(around)], axis=1)) == []
    assert "no better than chance" in notes(workspace, RNG.normal(size=(100, 2)))[0]
