"""The keys of every training: weights of classes are a word or a list, and a mistake in them is one sentence."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from edgekd.base.errors import RecipeError
from edgekd.spec import recipe
from edgekd.spec.schedule import Schedule


@pytest.mark.parametrize("value", ["balanced", [1, 2.5], (0.0, 1.0), None])
def test_classes_have_weights_by_a_word_or_a_list(value: Any) -> None:
    weights = Schedule.model_validate({"class_weights": value}).class_weights
    assert weights == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize("value", ["balancd", [], [0, 0], [1, -1], [1, 1e7], ["1"], 2.0, {"a": 1}, [[1.0]]])
def test_what_is_none_of_both_is_told_in_one_sentence(value: Any) -> None:
    with pytest.raises(ValidationError) as err:
        Schedule.model_validate({"class_weights": value})
    (problem,) = err.value.errors()
    assert problem["loc"] == ("class_weights",) and 'allowed is "balanced", or numbers' in problem["msg"]
    with pytest.raises(RecipeError, match=r"digits.toml: student.class_weights: "):
        recipe.load("digits", [f"student.class_weights={value}".replace("'", '"').replace(": ", "=")])


def test_true_is_no_weight() -> None:
    with pytest.raises(ValidationError, match="true or false, where a number is wanted"):
        Schedule.model_validate({"class_weights": [True, 1.0]})
