"""pydantic's errors in edgekd's words: file, key, what was found, what is allowed."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import Field, ValidationError

from edgekd.base.errors import RecipeError
from edgekd.spec import validation


class Inner(validation.Frozen):
    rate: float = 0.1
    on: bool = False
    either: bool | int = 0


class Outer(validation.Frozen):
    name: str
    parts: tuple[Inner, ...] = ()
    table: dict[str, float] | None = None


@pytest.mark.parametrize(
    ("table", "where", "message"),
    [
        ({}, "f.toml: name", "missing"),
        ({"name": "a", "parts": [{}, {"rat": 1}]}, "f.toml: parts[1].rat", "unknown key"),
        ({"name": "a", "parts": [{"rate": True}]}, "f.toml: parts[0].rate", "true or false, where a number"),
        ({"name": "a", "table": {"x": False}}, "f.toml: table", "true or false, where a number"),
        ({"name": "a", "parts": [{"rate": float("nan")}]}, "f.toml: parts[0].rate", "out of range"),
        ({"name": "a", "parts": [{"rate": "x"}]}, "f.toml: parts[0].rate", "wrong type"),
    ],
)
def test_the_first_problem_is_told_with_its_place(table: dict[str, Any], where: str, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(table)
    error = validation.explain(caught.value, Outer, "f.toml", RecipeError)
    assert isinstance(error, RecipeError) and error.where == where and message in error.message


def test_an_unknown_key_lists_those_of_its_table() -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({"name": "a", "parts": [{"rat": 1}]})
    assert "did you mean 'rate'" in str(validation.explain(caught.value, Outer, "f.toml", RecipeError))
    assert validation.fields_at(Outer, ("parts", 3)) == ["rate", "on", "either"]
    assert validation.fields_at(Outer, ("name",)) == [] == validation.fields_at(Outer, ("none",))


def test_switches_may_be_true_and_tables_are_frozen() -> None:
    inner = Inner(on=True, either=True)
    assert inner.on and inner.either is True
    with pytest.raises(ValidationError, match="frozen"):
        inner.rate = 1.0


def test_what_is_allowed_is_told_as_in_other_errors() -> None:
    class Table(validation.Frozen):
        epochs: int = Field(1, ge=0)
        prefer: Literal["size", "speed"] = "size"

    def told_of(**table: Any) -> str:
        with pytest.raises(ValidationError) as caught:
            Table.model_validate(table)
        return str(validation.explain(caught.value, Table, "f.toml", RecipeError))

    assert told_of(epochs=-1) == "f.toml: epochs: out of range; found -1; allowed: greater than or equal to 0"
    assert told_of(epochs="many") == "f.toml: epochs: wrong type; found 'many'; allowed: a valid integer"
    assert "unknown value; found 'sped'; allowed: size, speed; did you mean 'speed'?" in told_of(prefer="sped")
