"""Regression, from objects to a bundle: data without labels, a teacher that is only read, values for classes."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import edgekd


def network(width: int) -> nn.Module:
    torch.manual_seed(width)
    return nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, 1))


def test_a_student_learns_values(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    train, validation, test = (rng.standard_normal((count, 6)).astype(np.float32) for count in (512, 64, 64))
    table = {
        "losses": [{"kind": "squared_error"}],
        "metric": "mse",
        "student": {"epochs": 40, "lr": 2e-2, "patience": 20},
        "compress": [],
    }
    teacher, out = network(32), tmp_path / "out"
    with torch.no_grad():
        teacher.get_parameter("2.weight").mul_(8)
    spread = teacher(torch.tensor(validation)).var().item()
    report = edgekd.build(
        table,
        teacher=teacher,
        student=network(24),
        data=(train, validation, test),
        classes=["value"],
        targets=["ort-cpu"],
        budget={"max_drop": spread / 10},
        out=out,
        cache=tmp_path / "cache",
    )
    values = {stage["name"]: stage["value_validation"] for stage in report["stages"]}
    assert report["metric"] == "mse" and values["teacher"] == 0.0
    assert -spread / 10 <= values["student"] < 0, "the mean alone would miss by the spread"
    got = report["targets"]["ort-cpu"]
    assert got["budget"]["met"] and got["budget"]["got"]
    assert got["budget"]["got"]["drop"] == pytest.approx(-values["student"], rel=0.05)
    history = report["details"]["history"]
    assert history is not None
    told = [value for epoch in history["student"] if (value := epoch["validation"]) is not None]
    assert len(told) == len(history["student"])
    assert max(told) == pytest.approx(values["student"], rel=1e-4), "patience keeps the best, below zero as well"
    assert got["parity"]["argmax_agreement"] is None
    edgekd.verify(out)
    model = edgekd.load(out)
    said = next(iter(model.run({"input": test[:5]}).values()))
    assert np.mean((said - teacher(torch.tensor(test[:5])).detach().numpy()) ** 2) < spread
    code = (
        (out / "README.md").read_text().split("```")[1].removeprefix("python").replace("path/to/this/folder", str(out))
    )
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {"x": test[0]})
    assert printed.getvalue() == f"({float(model.predict(test[0]).value)!r},)\n"
    assert [one.value for one in model.predict(test[:5])] == said[:, 0].astype(float).tolist()
    assert "validation mse" in (out / "report.html").read_text()
    learned = report["details"]["learned"]
    assert learned is not None
    assert learned["agreement"] is None and learned["calibration"] is None, "values decide nothing"
    assert report["task"] == "regression" and report["outputs"] == {"logits": "regression"}
    first, *_, last = (row["divergence"] for row in learned["apart"])
    assert first > last > 0
    assert f"{first:.2g}"[:3] in (tmp_path / "out.samples.html").read_text()
