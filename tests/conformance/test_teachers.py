"""What every kind of teacher keeps, found by its file."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from edgekd.base import plugins
from edgekd.base.errors import EdgekdError, RecipeError
from edgekd.base.preprocess import Spec
from edgekd.build import parsed_recipe
from edgekd.spec import recipe as recipes
from edgekd.teachers import AnswersKind, NetworkKind

# Fields that have no default need an example here.
EXAMPLES: dict[str, dict[str, Any]] = {
    "callable": {"function": "mypkg.mod:answer", "version": "1"},
    "onnx": {"path": "teacher.onnx"},
    "recorded": {"path": "answers.csv"},
    "torch_export": {"path": "teacher.pt2"},
    "torchscript": {"path": "teacher.pt"},
}
KINDS = plugins.kinds("teachers")


def table(model: dict[str, Any]) -> recipes.Recipe:
    net = {"model": {"kind": "convnet"}}
    parts = {"data": {"source": "digits"}, "teacher": {"model": model}, "student": net, "losses": [{"kind": "kl"}]}
    return recipes.parse({"name": "t", **parts}, "recipe")


def test_every_kind_has_an_example() -> None:
    assert set(EXAMPLES) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_brings_a_network_or_answers(kind: str) -> None:
    built = plugins.build("teachers", {"kind": kind, **EXAMPLES[kind]}, "teacher.model")
    assert dataclasses.is_dataclass(built) and hash(built) is not None, "a plugin is a frozen dataclass"
    assert isinstance(built, NetworkKind) != isinstance(built, AnswersKind)
    assert not hasattr(built, "build"), "what has it is a model family"


@pytest.mark.parametrize("kind", KINDS)
def test_a_recipe_finds_it_and_trains_nothing(kind: str) -> None:
    parsed = parsed_recipe.parse(table({"kind": kind, **EXAMPLES[kind]}))
    assert list(parsed.teachers) == ["teacher"]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "path" in EXAMPLES[kind]])
def test_a_file_that_is_not_there_is_told_with_its_key(kind: str) -> None:
    built = plugins.build("teachers", {"kind": kind, **EXAMPLES[kind]}, "teacher.model")
    if isinstance(built, NetworkKind):
        with pytest.raises(EdgekdError, match=r"teacher\.model\.path: no such file"):
            built.network((Spec("input", (None, 3)),), "teacher.model")


def test_an_unknown_kind_is_told_with_those_of_teachers_and_of_models() -> None:
    with pytest.raises(
        RecipeError, match=r"teacher\.model\.kind: unknown kind of teacher; found 'onxx'.*convnet.*onnx"
    ):
        parsed_recipe.parse(table({"kind": "onxx"}))
