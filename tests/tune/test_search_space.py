"""The space of a search: what a point makes of a recipe, and which points there are."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekd.base.errors import RecipeError
from edgekd.build.step_keys import content
from edgekd.spec import recipe as recipes
from edgekd.spec.recipe import Knob
from edgekd.tune import outcome, search_space

DIGITS, _ = recipes.load("digits")
KNOBS = search_space.of(DIGITS, "digits.toml")


def with_tune(tune: dict[str, Any], name: str = "digits") -> recipes.Recipe:
    loaded, _ = recipes.load(name)
    return recipes.parse({**search_space.table_of(loaded), "tune": tune}, "mine.toml")


def points(knobs: dict[str, Knob]) -> st.SearchStrategy[dict[str, Any]]:
    def values(knob: Knob) -> st.SearchStrategy[Any]:
        if knob.choices is not None:
            return st.sampled_from(knob.choices)
        return st.floats(float(knob.low or 0), float(knob.high or 0)).map(search_space.tidy)

    return st.fixed_dictionaries({key: values(knob) for key, knob in knobs.items()})


@settings(max_examples=60, deadline=None)
@given(points(KNOBS))
def test_every_point_is_a_recipe_that_toml_can_hold(point: dict[str, Any]) -> None:
    table = search_space.table_of(DIGITS)
    before = copy.deepcopy(table)
    made = search_space.apply(table, point)
    assert table == before, "the given table stays as it was"
    recipe = recipes.parse(made, "digits.toml")
    again = recipes.parse(tomllib.loads(outcome.toml(made, "about")), "recipe.toml")
    assert content(again) == content(recipe)
    left_out = [i for i in range(2) if point[f"compress.{i}"] is False]
    assert len(recipe.compress) == 2 - len(left_out)
    assert any(loss["kind"] == "kl" for loss in recipe.losses), "somebody teaches"


@pytest.mark.parametrize("name", sorted({*recipes.builtins()} - {"resnet50-mobilenetv2"}))  # imports transformers
def test_where_a_recipe_stands_is_that_recipe(name: str) -> None:
    recipe, _ = recipes.load(name)
    knobs = search_space.default(recipe)
    now = search_space.current(recipe, knobs)
    assert set(now) == set(knobs), "the default space is made around the recipe"
    made = recipes.parse(search_space.apply(search_space.table_of(recipe), now), name)
    assert search_space.likeness(made) == search_space.likeness(recipe)


def test_likeness_is_of_what_is_trained() -> None:
    table = search_space.table_of(DIGITS)

    def like(point: dict[str, Any], **more: Any) -> str:
        return search_space.likeness(recipes.parse({**search_space.apply(table, point), **more}, "x"))

    plain = like({})
    assert like({}, name="other", budget={"max_drop": 0.5}, tune={"student.epochs": {"choices": [1, 2]}}) == plain
    assert like({"student.model.width": 64}) != plain
    assert like({"student.model.depth": 3}) == plain, "what a family has anyway"
    dropped = {"losses.1": False, "compress.0": False}
    assert like({**dropped, "losses.1.weight": 0.3, "compress.0.ratio": 0.25}) == like(dropped)


def test_the_first_steps_are_downwards() -> None:
    steps = search_space.ladder(KNOBS, search_space.current(DIGITS, KNOBS))
    widths = [(step["student.model.width"], step["student.model.strides"]) for step in steps]
    assert widths == [(w, s) for w in (96, 64, 48) for s in ([1, 1, 2], [2, 1, 1])]
    grid = {"student.model.width": Knob(low=16, high=128, step=16)}
    assert [p["student.model.width"] for p in search_space.ladder(grid, {"student.model.width": 128})] == [96, 64, 32]
    assert search_space.ladder({"student.epochs": Knob(low=1, high=9)}, {"student.epochs": 3}) == []


def test_or_upwards_where_the_recipe_knows_too_little() -> None:
    grid = {"student.model.width": Knob(low=16, high=128, step=16)}
    assert [p["student.model.width"] for p in search_space.ladder(grid, {"student.model.width": 64}, up=True)] == [
        80,
        96,
        128,
    ]
    coarse = {"student.model.width": Knob(low=48, high=128, step=16)}
    assert [p["student.model.width"] for p in search_space.ladder(coarse, {"student.model.width": 72}, up=True)] == [
        96,
        112,
        128,
    ]
    assert [p["student.model.width"] for p in search_space.ladder(coarse, {"student.model.width": 56})] == [48]
    listed = {"student.model.width": Knob(choices=(8, 16, 24, 32, 48))}
    assert [p["student.model.width"] for p in search_space.ladder(listed, {"student.model.width": 16}, up=True)] == [
        24,
        32,
        48,
    ]


def test_another_kind_takes_what_it_knows() -> None:
    table = search_space.table_of(DIGITS)
    made = search_space.apply(table, {"losses.0.kind": "dist", "losses.0.temperature": 2.0, "losses.0.gamma": 3.0})
    assert made["losses"][0] == {"kind": "dist", "temperature": 2.0, "weight": 0.9, "gamma": 3.0}
    made = search_space.apply(table, {"losses.0.kind": "squared_error", "losses.0.temperature": 2.0})
    assert made["losses"][0] == {"kind": "squared_error", "weight": 0.9}


def test_no_build_reads_the_tune_table() -> None:
    tuned = with_tune({"student.model.width": {"choices": [16, 32]}})
    assert content(tuned) == content(with_tune({}))


def test_keys_may_be_written_with_or_without_quotes() -> None:
    nested = tomllib.loads(
        "[tune.student.model]\nwidth = {low = 16, high = 64, step = 16}\n"
        "[tune.'losses.0']\nweight = {low=0.1, high=1.0}"
    )
    recipe = with_tune(nested["tune"])
    assert set(recipe.tune) == {"student.model.width", "losses.0.weight"}
    assert search_space.of(recipe, "mine.toml")["student.model.width"].high == 64


@pytest.mark.parametrize(
    ("tune", "says"),
    [
        ({"student.model.widht": {"choices": [8]}}, "did you mean 'student.model.width'"),
        ({"losses.0.temprature": {"low": 1.0, "high": 2.0}}, "did you mean 'losses.0.temperature'"),
        ({"teacher.epochs": {"low": 1, "high": 2}}, "unknown key"),
        ({"student.model.width": {"low": 16, "high": 5000}}, "allowed is 1 to 4096"),
        ({"compress.0.ratio": {"choices": [0.5, 1.5]}}, "allowed is 0 < ratio < 1"),
        ({"student.epochs": {"choices": ["many"]}}, "integer"),
        ({"compress.2": {"choices": [True, False]}}, "nothing stands there"),
        ({"losses.1": {"choices": ["no"]}}, "not a table"),
        ({"losses.2": {"choices": [False, {"kind": "kll"}]}}, "did you mean 'kl'"),
        ({"augment.ops": {"choices": [[], [{"kind": "erase", "size": 2.0}]]}}, "above 0, at most 1"),
        ({"student.epochs": {"low": 5}}, "either low and high, or choices"),
        ({"student.epochs": {"low": 5, "high": 5}}, "low must be below high"),
        ({"student.lr": {"low": 0, "high": 1, "log": True}}, "log needs low above 0"),
    ],
)
def test_mistakes_are_told(tune: dict[str, Any], says: str) -> None:
    with pytest.raises(RecipeError) as err:
        search_space.of(with_tune(tune), "mine.toml")
    assert says in str(err.value)
    assert "tune" in str(err.value)


def test_a_recipe_without_anything_to_turn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(search_space, "default", lambda recipe: {})
    with pytest.raises(RecipeError, match="nothing to turn"):
        search_space.of(DIGITS, "digits.toml")


def test_what_knows_too_little_grows_in_every_dimension_first() -> None:
    knobs = {
        "student.model.width": Knob(low=48, high=112, step=16),
        "student.model.depth": Knob(low=1, high=2),
        "losses.0.weight": Knob(choices=(0.1, 0.9)),
    }
    now = {"student.model.width": 48, "student.model.depth": 1, "losses.0.weight": 0.1}
    up = search_space.ladder(knobs, now, up=True)
    assert up[0] == {**now, "student.model.width": 64, "student.model.depth": 2}
    assert up[1] == {**now, "student.model.width": 64}
    assert all(p["student.model.depth"] == 1 for p in search_space.ladder(knobs, now))
