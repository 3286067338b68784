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
