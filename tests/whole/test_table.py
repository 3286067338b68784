"""A table, from a file with gaps to an app that asks by column, and to a program without edgekd."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import edgekd
from edgekd.base.errors import UsageError


def test_a_row_by_name_is_answered_as_its_raw_row(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    kinds, numbers = rng.integers(0, 3, 120), rng.standard_normal(120)
    mass = ["" if i % 9 == 0 else str(number) for i, number in enumerate(numbers.tolist())]
    kind = ["" if i % 11 == 0 else ("sun", "rain", "snow")[k] for i, k in enumerate(kinds.tolist())]
    lines = [f"{mass[i]},{kind[i]},{i % 5},{2 * numbers[i] + kinds[i]}" for i in range(120)]
    (tmp_path / "t.csv").write_text("\n".join(["mass,kind,day,value", *lines]) + "\n")
    mlp = {"kind": "mlp", "width": 8, "depth": 1}
    recipe = {
        "name": "rows",
        "task": "regression",
        "data": {"source": "table", "path": str(tmp_path / "t.csv"), "label": "value", "categories": ["kind", "day"]},
        "teacher": {"model": mlp},
        "student": {"model": mlp},
        "losses": [{"kind": "squared_error"}],
        "compress": [],
    }
    out = tmp_path / "out"
    report = edgekd.build(recipe, targets=["ort-cpu"], quick=True, out=out, cache=tmp_path / "cache")
    assert report["stages"][0]["params"] == (2 + 3 + 5) * 8 + 2 * 8 + 8 + 1
    assert any("raw samples" in check["check"] for check in edgekd.verify(out))
    model = edgekd.load(out)
    columns = json.loads((out / "manifest.json").read_text())["additional_metadata"]["edgekd"]["preprocess"][0][
        "columns"
    ]
    place = {value: float(i) for i, value in enumerate(columns[1]["values"])}
    some = [{"mass": None, "kind": "rain", "day": 3}, {"mass": 0.5, "kind": "hail", "day": "2"}]
    raw = [[np.nan, place["rain"], columns[2]["values"].index("3")], [0.5, 3, columns[2]["values"].index("2")]]
    assert model.predict(some) == model.predict(np.array(raw, np.float32)) == [*map(model.predict, some)]
    with pytest.raises(UsageError, match=r"no such column; found 'mas'.*did you mean 'mass'"):
        model.predict({"mas": 1, "kind": "sun", "day": 1})
    with pytest.raises(UsageError, match="not finite numbers"):
        model.predict(np.array([np.inf, 0, 0]))
    card = (out / "README.md").read_text()
    assert "a row of a table, by column: mass (a number), kind (" in card.replace("\\", "")
    line = [sys.executable, str(out / "examples" / "python" / "predict.py")]
    printed = json.loads(subprocess.run(line, capture_output=True, check=True, text=True).stdout)
    assert printed["logits"]["values"] == pytest.approx(
        json.loads((out / "examples" / "answer.json").read_text())["logits"]["values"], rel=1e-5
    )
