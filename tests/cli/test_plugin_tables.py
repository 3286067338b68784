"""The tables of plugins in the schemas of recipe and target: made of the dataclasses that read them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

import pytest
from jsonschema import Draft202012Validator

from edgekd.base import plugins
from edgekd.base.errors import RecipeError
from edgekd.cli import plugin_tables
from edgekd.cli.json_schema import Schema


@dataclass(frozen=True)
class Bent:
    """A loss that is made up
    over two lines.

    And more that no schema says.

    Attributes:
        sharpness: how sharp, from 0
            upwards.
        low, high: both ends.
        mode: which.
    """

    sharpness: float
    low: int = 0
    high: int | None = None
    mode: Literal["a", "b"] = "a"
    layers: tuple[str, ...] = ()
    made: int = dataclasses.field(default=0, init=False)


@pytest.fixture
def bent(monkeypatch: pytest.MonkeyPatch) -> Schema:
    monkeypatch.setattr(plugins, "load", lambda *_: Bent)
    return plugin_tables.plugin_of("losses", "bent", {"weight": {"type": "number"}})


def takes(schema: Schema, value: object) -> bool:
    return Draft202012Validator(schema).is_valid(value)


def test_a_table_is_its_dataclass(bent: Schema) -> None:
    properties = plugin_tables.table(bent, "properties")
    assert list(properties) == ["kind", "sharpness", "low", "high", "mode", "layers", "weight"]
    assert bent["required"] == ["kind", "sharpness"] and bent["description"] == "A loss that is made up over two lines."
    assert plugin_tables.table(properties, "low") == {"type": "integer", "default": 0, "description": "both ends."}
    assert plugin_tables.table(properties, "sharpness")["description"] == "how sharp, from 0 upwards."
    assert plugin_tables.table(properties, "layers")["default"] == [], "JSON knows no tuples"


@pytest.mark.parametrize(
    ("change", "valid"),
    [
        ({}, True),
        ({"weight": 0.5, "mode": "b", "layers": ["x"], "high": None}, True),
        ({"kind": "bend"}, False),
        ({"sharpness": "very"}, False),
        ({"mode": "c"}, False),
        ({"layers": [1]}, False),
        ({"made": 1}, False),
        ({"sharp": 1}, False),
    ],
)
def test_what_a_table_takes(bent: Schema, change: dict[str, object], valid: bool) -> None:
    assert takes(bent, {"kind": "bent", "sharpness": 1.0, **change}) is valid
    assert not takes(bent, {"kind": "bent", **change}), "sharpness has no default"


@pytest.mark.parametrize("family", ["losses", "compress", "metrics", "models", "passes"])
def test_every_kind_takes_what_its_plugin_takes(family: str) -> None:
    """With its defaults alone, and with a key that it does not know."""
    for kind in plugins.kinds(family):
        schema = plugin_tables.plugin_of(family, kind, {})
        properties = plugin_tables.table(schema, "properties")
        defaults = {key: plugin_tables.table(properties, key).get("default") for key in properties}
        table = {**{key: value for key, value in defaults.items() if value is not None}, "kind": kind}
        try:
            plugins.build(family, table, "here")
            built = True
        except RecipeError:
            built = False
        assert takes(schema, table) is built, kind
        assert not takes(schema, {**table, "no_such_key": 1}), kind


def test_a_users_own_kind_takes_any_keys() -> None:
    schema = plugin_tables.plugin("losses", {"weight": {"type": "number"}})
    assert takes(schema, {"kind": "mine.losses:Bent", "sharpness": "any", "weight": 1})
    assert not takes(schema, {"kind": "mine.losses:Bent", "weight": "much"})
    assert not takes(schema, {"kind": "no_such_kind"}) and not takes(schema, {"weight": 1})


def test_what_a_data_source_needs_may_come_with_set() -> None:
    whole, part = (plugin_tables.plugin("data", {}, "source", whole=whole) for whole in (True, False))
    assert takes(part, {"source": "npz"}) and not takes(whole, {"source": "npz"}), "its path"
    assert not takes(part, {"source": "npz", "pth": "x"})


def test_a_kind_whose_extra_is_not_installed_takes_any_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise ModuleNotFoundError("transformers")

    monkeypatch.setattr(plugins, "load", missing)
    found = plugin_tables.plugin_of("models", "transformers", {})
    assert takes(found, {"kind": "transformers", "name": "x"}) and not takes(found, {"kind": "bert"})
