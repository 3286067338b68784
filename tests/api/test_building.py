"""``edgekd.build`` from a notebook: the user's own networks and arrays."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import edgekd
from edgekd.api import building as api
from edgekd.base.errors import RecipeError, UsageError
from edgekd.base.plain import plain
from edgekd.build.prepare import Objects
from edgekd.learn.data._batches import from_splits
from edgekd.publish import public
from edgekd.spec import recipe
from edgekd.tune import outcome, search_space

RNG = np.random.default_rng(0)


def network(width: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(width, 2),
    )


def split(count: int) -> tuple[np.ndarray, np.ndarray]:
    y = np.arange(count) % 2
    x = RNG.standard_normal((count, 1, 6, 6)).astype(np.float32) + y[:, None, None, None]
    return x, y


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("api")
    return {
        "teacher": network(32),
        "student": network(16),
        "data": (split(64), split(32), split(32)),
        "targets": ["ort-cpu"],
        "out": folder / "out",
        "cache": folder / "cache",
        "quick": True,
    }


def test_objects_become_a_bundle(arguments: dict[str, Any], capfd: pytest.CaptureFixture[str]) -> None:
    before = {name: value.clone() for name, value in arguments["student"].state_dict().items()}
    report = edgekd.build({"student": {"epochs": 2}}, progress=True, **arguments)
    assert "student  loss" in capfd.readouterr().err, "shown as by the command"
    assert report["targets"]["ort-cpu"]["shipped"] in {"fp32", "int8"}
    after = arguments["student"].state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before), "the user's object was changed"
    model = edgekd.load(arguments["out"])
    assert model.predict(arguments["data"][2][0][0]).index in (0, 1)


def test_the_same_objects_again_are_done_and_others_are_not(
    arguments: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    edgekd.build({"student": {"epochs": 2}}, **arguments)
    assert capfd.readouterr().err == "", "a script is not talked to"
    with pytest.raises(edgekd.EdgekdError, match="holds another bundle"):
        edgekd.build({"student": {"epochs": 2}}, **{**arguments, "teacher": network(24)})


class Scaled(nn.Module):
    """Differs in what a state_dict does not hold."""

    mean: torch.Tensor

    def __init__(self, factor: float = 1.0, mean: float = 0.0, plain: float = 0.0) -> None:
        super().__init__()
        self.body, self.factor, self.plain = network(8), factor, torch.tensor(plain)
        self.register_buffer("mean", torch.tensor(mean), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body((x - self.mean - self.plain) * self.factor)


@pytest.mark.parametrize("with_data", [False, True])
def test_objects_that_differ_have_different_keys(with_data: bool) -> None:
    dataset = from_splits((split(8), split(4), split(4)), "data") if with_data else None
    made = [Scaled(), Scaled(factor=2.0), Scaled(mean=1.0), *([Scaled(plain=1.0)] if with_data else [])]
    table: dict[str, Any] = {"teacher": {}, "data": {}}
    keys = [api._objects_key(Objects(dataset, module, None), table) for module in made]
    assert len(set(keys)) == len(made)
    assert api._objects_key(Objects(dataset, Scaled(), None), table) == keys[0]


def test_unlabelled_data_is_measured_by_agreement(arguments: dict[str, Any], tmp_path: Path) -> None:
    data = tuple(x for x, _ in arguments["data"])
    report = edgekd.build(**{**arguments, "data": data, "classes": ["a", "b"], "out": tmp_path / "out"})
    assert report["metric"] == "agreement"
    learned = report["details"]["learned"]
    assert learned is not None and learned["agreement"] is not None
    assert learned["calibration"] is None and 0 <= learned["agreement"] <= 1, "no label, no word on who is right"
    page = (tmp_path / "out.samples.html").read_text()
    assert "is right" not in page and page.count("<img") == 12


@pytest.mark.parametrize(
    ("step", "keys", "place"),
    [
        ("student", {"sampler": "balanced"}, "student.sampler"),
        ("compress", [{"kind": "int8_qat", "class_weights": "balanced"}], r"compress\[0\].class_weights"),
    ],
)
def test_classes_of_unlabelled_data_cannot_be_balanced(
    arguments: dict[str, Any], step: str, keys: object, place: str, tmp_path: Path
) -> None:
    data = tuple(x for x, _ in arguments["data"])
    with pytest.raises(RecipeError, match=f"{place}: the data has no labels"):
        edgekd.build({step: keys}, **{**arguments, "data": data, "classes": ["a", "b"], "out": tmp_path / "out"})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"teacher": None}, "teacher: missing"),
        ({"student": "resnet"}, "student: not a network"),
        ({"recipe": "digits", "teacher": {"weight": 0}}, "teacher: not a network"),
        ({"data": None}, "data: missing"),
        ({"budget": {"max_dorp": 0.1}}, "did you mean 'max_drop'"),
        ({"targets": ["openvno"]}, "did you mean 'openvino'"),
        ({"targets": []}, "no target given"),
    ],
)
def test_mistakes_are_told(arguments: dict[str, Any], changed: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        edgekd.build(**{**arguments, **changed})


def test_a_recipe_beside_data_is_read_once(arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """For the task by which the data is read, and for the build; settings name a task, too."""
    read, loads = recipe.load, list[object]()

    def counted(*args: Any) -> Any:
        loads.append(args)
        return read(*args)

    monkeypatch.setattr(recipe, "load", counted)
    with pytest.raises(UsageError, match="did you mean 'openvino'"):
        edgekd.build("digits", data=arguments["data"], targets=["openvno"])
    assert len(loads) == 1
    dataset = api._collected(arguments["data"], None, (), None, ["task=regression"])
    assert dataset is not None and dataset.train.y is not None and dataset.train.y.dtype == np.float32


def test_a_recipe_that_is_read_stays_as_it_was_written(tmp_path: Path) -> None:
    """With a budget beside it the factory was handed None for inf and a text for a date."""
    path = tmp_path / "r.toml"
    settings = ['student.model={kind="python",factory="a:b",args={since=2020-01-01,cap=inf}}']
    made, _ = recipe.load("digits", settings)
    path.write_text(outcome.toml(search_space.table_of(made), "of a search"))
    table = api._table(str(path), Objects(None, None, None), {"max_drop": 0.5})
    args = {"since": date(2020, 1, 1), "cap": float("inf")}
    assert isinstance(table, Mapping)
    student, published = table["student"], public.recipe(made)["student"]
    assert isinstance(student, Mapping) and isinstance(published, Mapping)
    assert student["model"]["args"] == args
    assert recipe.parse(table, "r").student.model == recipe.load(str(path))[0].student.model
    assert published["model"]["args"] == plain(args)
