"""Every built-in recipe builds with --quick and no data, for both runtimes; what ships answers an app."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import edgekd
from edgekd import cli, recipe

# Left out: digits, wide-deep-fm and bert-distilbert (test_text.py) have tests of their own, the others are made of the
# same parts as one that is here.
OTHERS = {"digits", "wide-deep-fm", "fashion-mnist", "cifar10-half", "cifar10-resnet", "cifar10-resnet56"}
OTHERS |= {"bert-distilbert"}
NAMES = [name for name in recipe.builtins() if name not in OTHERS]


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_builds_quickly(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert cli.run(["build", name, "--quick", "--out", str(out)]) == 0
    report = json.loads((out / "report.json").read_text())
    assert set(report["targets"]) == {"ort-cpu", "openvino"}
    names = [c["name"] for c in report["targets"]["ort-cpu"]["candidates"]]
    assert {"fp32", "int8"} <= set(names)
    assert cli.run(["verify", str(out)]) == 0


def test_a_recommender_answers_with_items_and_knows_its_users(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert cli.run(["build", "wide-deep-fm", "--quick", "--out", str(out)]) == 0
    assert cli.run(["verify", str(out)]) == 0
    model = edgekd.load(out)
    one = model.predict([3])
    assert not isinstance(one, list) and one.label == f"item {one.index}"
    both = model.predict(np.array([[3], [2658]]))
    assert isinstance(both, list) and both[0].index == one.index
    with pytest.raises(edgekd.EdgekdError, match=r"unknown user.*found 2659.*0 to 2658"):
        model.predict([2659])
    with pytest.raises(edgekd.EdgekdError, match="wrong shape"):
        model.predict([3, 1])
