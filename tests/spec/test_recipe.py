"""Recipes: the built-in ones, settings, and relative paths."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from edgekd import pipeline
from edgekd.base import plugins
from edgekd.base.errors import RecipeError, UsageError
from edgekd.build import compression
from edgekd.build import request as requests
from edgekd.spec import recipe


@pytest.mark.parametrize("name", recipe.builtins())
def test_every_builtin_recipe_plans_quickly_without_data(name: str, tmp_path: Path) -> None:
    order = requests.make(name, quick=True, cache=tmp_path)
    tree = pipeline.describe(order)
    assert tree["targets"] and any(row["name"] == "student" for row in tree["steps"])


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "benchmarks" / "full").glob("*.toml")), ids=str)
def test_the_recipes_of_full_size_can_be_read(path: Path) -> None:
    found, _ = recipe.load(str(path))
    assert found.name == path.stem and "Not run here" in path.read_text()
    assert all(plugins.load("losses", table["kind"], "test") for table in found.losses)


def test_settings_reach_tables_and_lists() -> None:
    found, _ = recipe.load("digits", ["losses.0.temperature=2", "student.model.width=32", "budget.prefer=size"])
    assert found.losses[0]["temperature"] == 2
    assert found.student.model is not None and found.student.model["width"] == 32
    assert found.budget.prefer == "size"


def test_paths_count_from_the_recipe_and_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    text = (recipe.builtin_folder() / "digits.toml").read_text()
    text = text.replace('source = "digits"', 'source = "npz"\npath = "d.npz"')
    (tmp_path / "sub" / "r.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    found, _ = recipe.load("sub/r.toml")
    assert found.data.table["path"] == str(tmp_path / "sub" / "d.npz")
    found, _ = recipe.load("sub/r.toml", ["data.path=d.npz"])
    assert found.data.table["path"] == str(tmp_path / "d.npz")


def test_a_path_that_is_no_text_is_told() -> None:
    table, _ = recipe.load("digits")
    changed = {**table.model_dump(exclude_unset=True), "compress": [{"kind": "vocabulary", "file": 5}]}
    with pytest.raises(RecipeError, match=r"compress\[0\].*file.*5"):
        compression.parse(recipe.parse(changed, "r.toml").compress, table.losses)


def test_without_a_name_the_folder_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert recipe.load(None)[0].name == "digits"
    text = (recipe.builtin_folder() / "digits.toml").read_text()
    (tmp_path / "edgekd.toml").write_text(text.replace('name = "digits"', 'name = "mine"'))
    assert recipe.load(None)[0].name == "mine"


def test_a_recipe_is_frozen() -> None:
    found, _ = recipe.load("digits")
    with pytest.raises(ValueError, match="frozen"):
        found.seed = 3


@pytest.mark.parametrize("name", ["../x", "a b", "", "A", "x" * 65])
def test_names_that_could_leave_a_folder_are_refused(name: str) -> None:
    table = recipe.load("digits")[0].model_dump(mode="json", exclude_none=True)
    with pytest.raises(RecipeError, match="name"):
        recipe.parse({**table, "name": name}, "r")


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(UsageError, match="fashion-mnist"):
        recipe.load("nothing-like-it")


BOOLS = [
    ("student.epochs=true", "student.epochs"),
    ("budget.max_drop=true", "budget.max_drop"),
    ("teacher.classes=[true,0,2]", "teacher.classes"),
    ("teacher.output=true", "teacher.output"),
    ("data.heads={a={x=[true],y=[0]}}", "data.heads"),
    ('tune={"student.lr"={low=false,high=1}}', "tune.student.lr.low"),
]


@pytest.mark.parametrize(("setting", "where"), BOOLS)
def test_true_is_no_number(setting: str, where: str) -> None:
    with pytest.raises(RecipeError, match=rf"digits\.toml: {where}: true or false, where a number is wanted"):
        recipe.load("digits", [setting])


def test_switches_and_choices_may_be_true() -> None:
    found, _ = recipe.load("digits", ["augment.flip=true", 'tune={"losses.0"={choices=[true,false]}}'])
    assert found.augment.flip and found.tune["losses.0"].choices == (True, False)


@pytest.mark.parametrize("key", [*recipe.INPUTS, "teachers.0.checkpoint"])
def test_a_path_is_of_a_known_key(key: str) -> None:
    section, *_ = key.split(".")
    settings = [f"{key}=here"] if section != "teachers" else ["teachers=[{model={kind='convnet'}}]", f"{key}=here"]
    table = recipe.load("digits", settings)[0].model_dump()
    paths = [part[name] for part, name in recipe.inputs(table)]
    assert paths == [str(Path("here").resolve())]


@pytest.mark.parametrize("key", [*recipe.INPUTS, "teachers.0.checkpoint"])
def test_an_empty_path_is_not_the_current_folder(key: str) -> None:
    for text in ("", '""'):
        with pytest.raises(UsageError, match=f"--set {key}: an empty path"):
            recipe.load("digits", ["teachers=[{model={kind='convnet'}}]", f"{key}={text}"])
    table = recipe.load("digits")[0].model_dump(mode="json", exclude_unset=True)
    for changed in ({"data": {"source": "npz", "path": ""}}, {"teacher": {**table["teacher"], "checkpoint": ""}}):
        with pytest.raises(RecipeError, match=r"r: (data\.path: an empty path|teacher\.checkpoint: )"):
            recipe.parse({**table, **changed}, "r")


def test_the_home_folder_is_meant_where_no_shell_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    text = (recipe.builtin_folder() / "digits.toml").read_text()
    (tmp_path / "r.toml").write_text(text.replace('source = "digits"', 'source = "npz"\npath = "~/d.npz"'))
    for settings in ([], ["data.path=~/d.npz"]):
        assert recipe.load("~/r.toml", settings)[0].data.table["path"] == str(tmp_path / "d.npz")


@pytest.mark.parametrize("index", ["²", "x", "2", "9" * 5000, "-1"])
def test_an_index_that_is_none(index: str) -> None:
    with pytest.raises(UsageError, match="counts from 0"):
        recipe.load("digits", [f"losses.{index}.weight=1"])


def test_numbers_of_plugins_are_finite() -> None:
    for value in (math.nan, math.inf):
        for family, key in (("losses", "temperature"), ("data", "validation")):
            table = {"kind": "kl" if family == "losses" else "npz", key: value}
            with pytest.raises(RecipeError, match=rf"here\.{key}: not a finite number; found {value}"):
                plugins.build(family, table, "here")


def test_a_student_that_is_not_trained_has_weights_from_somewhere() -> None:
    base = recipe.load("digits")[0].model_dump(exclude_unset=True)

    def student(**table: Any) -> recipe.StudentTable:
        return recipe.parse({**base, "student": {"epochs": 0, **table}}, "r").student

    model = {"kind": "convnet", "width": 8}
    assert student(model=model, checkpoint="s.safetensors").epochs == student(from_teacher=[]).epochs == 0
    assert student(model={"kind": "object"}).epochs == 0, "a network from Python, as it was given"
    with pytest.raises(RecipeError, match="or has a checkpoint"):
        student(model=model)
    with pytest.raises(RecipeError, match=r"checkpoint: one that is made of its teacher"):
        student(from_teacher=[], checkpoint="s.safetensors")
