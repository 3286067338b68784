"""The JSON Schemas of recipe and target: pydantic's own, with the plugin tables that they hold.

A table is one of the built-in kinds, whose keys are the fields of a frozen dataclass, or a user's own
(``kind = "mypkg.mod:Class"``), whose keys only that class knows.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from collections.abc import Mapping

from edgekd.base import plugins
from edgekd.base.preprocess import ARGUMENTS, OPTIONAL
from edgekd.build.compression import TEACHING_KEYS
from edgekd.cli.json_schema import DRAFT, Json, Schema, Walk
from edgekd.learn.objective import Term
from edgekd.spec.recipe import TIMING, Recipe, Schedule
from edgekd.spec.target import Target

OWN = "^[^:]+:[^:]+$"  # "mypkg.mod:Class"
PYDANTICS = {"gt": "exclusiveMinimum"}  # keywords that no draft knows
_SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
_WEIGHT: Schema = {"type": "number", "minimum": 0, "maximum": 1e6}
_TIMING: dict[str, Schema] = {
    "weight": _WEIGHT,
    "final_weight": _WEIGHT,
    "start": _SHARE,
    "stop": _SHARE,
    "head": {"type": "string"},
}
_TEACHING: dict[str, Json] = {
    "losses": {
        "type": "array",
        "items": {"$ref": "#/$defs/Loss"},
        "description": "what its fine-tuning learns from",
    },
    "temperature": {"type": "number", "description": "of the recipe's losses that have one"},
}


def recipe() -> Schema:
    """``recipe.toml``."""
    schema = _pydantic(Recipe, "an edgekd recipe")
    defs, top = table(schema, "$defs"), table(schema, "properties")
    schedule = table(_pydantic(Schedule, "schedule"), "properties")
    descriptions = _attributes(Term)
    descriptions |= {"final_weight": "at ``stop``; absent: the weight", "head": descriptions["only"]}
    timing: dict[str, Json] = {key: {**_TIMING[key], "description": descriptions[key]} for key in TIMING}
    teaching = {key: _TEACHING[key] for key in sorted(TEACHING_KEYS)}
    defs |= {
        "Loss": plugin("losses", timing),
        "View": plugin("views", {}),
        "Logger": plugin("loggers", {}),
        "Compress": plugin("compress", {**schedule, **teaching}),
        "Pass": plugin("compress", {}),
        "Model": plugin("models", {}),
        "TeacherModel": {"anyOf": [_ref("Model"), plugin("teachers", {})]},
        "Metric": {"anyOf": [_name("metrics"), plugin("metrics", {})]},
        "Task": {"anyOf": [_name("tasks"), plugin("tasks", {})]},
        "Op": _any_of([_op(name, arguments, OPTIONAL.get(name, ())) for name, arguments in ARGUMENTS.items()]),
        "Made": _any_of([{**plugin_of("data", "made", {}, "source"), "required": []}, plugin("data", {}, "source")]),
        "Tune": {"type": "object", "additionalProperties": {"anyOf": [_ref("Knob"), _ref("Tune")]}},
    }
    ops: Schema = {"type": "array", "items": _ref("Op")}
    data = table(defs, "Data")
    shared = {**table(data, "properties"), "preprocess": ops, "made": _ref("Made")}
    shared.pop("source")
    defs["Data"] = {"description": data["description"], **plugin("data", shared, "source", whole=False)}
    teacher, student = (table(table(defs, name), "properties") for name in ("Teacher", "StudentTable"))
    teacher |= {"model": _ref("TeacherModel"), "preprocess": ops}
    made_of = table(student, "from_teacher")
    student |= {"model": _ref("Model"), "from_teacher": _list("Pass", made_of)}
    augment = table(table(defs, "Augment"), "properties")
    augment["ops"] = _list("View", table(augment, "ops"))
    answered: Schema = {"metric": _ref("Metric"), "task": _ref("Task")}
    top |= answered
    of_head = table(table(defs, "Head"), "properties")
    of_head |= answered
    top["tune"] = {**_without(table(top, "tune"), "additionalProperties"), **_ref("Tune")}
    top["log"] = {"anyOf": [_ref("Logger"), _list("Logger", table(top, "log"))]}
    top |= {"losses": _list("Loss", table(top, "losses")), "compress": _list("Compress", table(top, "compress"))}
    return schema


def target() -> Schema:
    """``targets/<name>.toml``; the file's name is the target's."""
    schema = _pydantic(Target, "an edgekd target")
    top = table(schema, "properties")
    schema["required"] = [key for key in typing.cast(list[Json], schema["required"]) if key != "name"]
    top.pop("name")
    passes = table(top, "passes")
    passes["items"] = _name("passes")
    also: Schema = {}
    choices: list[Schema] = []
    for kind in plugins.kinds("backends"):
        options = plugin_of("backends", kind, {}, key=None)
        also[kind] = options
        choices.append({"properties": {"backend": {"const": kind}, "options": options}})
    choices.append({"properties": {"backend": {"type": "string", "pattern": OWN}}})
    top["backend"] = _name("backends")
    top["also"] = {**table(top, "also"), "properties": also, "propertyNames": _name("backends")}
    return {**schema, "allOf": [_any_of(choices)]}


def plugin(family: str, more: Mapping[str, Json], key: str = "kind", *, whole: bool = True) -> Schema:
    """A plugin's table: one of the built-in kinds, or a user's own.

    Args:
        more: properties that a table of any kind may have beside the plugin's own.
        key: which says the kind.
        whole: False where keys that a kind needs may come with ``--set``: the path of data.
    """
    tables = [plugin_of(family, kind, more, key) for kind in plugins.kinds(family)]
    if not whole:
        tables = [{**one, "required": [key]} for one in tables]
    custom: Schema = {
        "type": "object",
        "properties": {**more, key: {"type": "string", "pattern": OWN}},
        "required": [key],
    }
    return _any_of([*tables, custom])


def plugin_of(family: str, kind: str, more: Mapping[str, Json], key: str | None = "kind") -> Schema:
    """The table of one built-in kind; ``key`` None: it stands elsewhere which kind it is."""
    named: Schema = {} if key is None else {key: {"const": kind}}
    required: list[Json] = list(named)
    try:
        cls = plugins.load(family, kind, kind)
    except ModuleNotFoundError:  # of an extra that is not installed: its keys are not known here
        return {"type": "object", "properties": {**named, **more}, "required": required}
    hints, walk = typing.get_type_hints(cls, include_extras=True), Walk()
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    described = _attributes(cls)
    properties: Schema = {**named}
    for name, field in fields.items():
        one = walk.of(hints[name])
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        if default is dataclasses.MISSING:
            required.append(name)
        else:
            one["default"] = _plain(default)
        properties[name] = {**one, **({"description": described[name]} if name in described else {})}
    summary = inspect.cleandoc(cls.__doc__ or "").partition("\n\n")[0]
    return {
        "type": "object",
        "title": kind,
        "description": " ".join(summary.split()),
        "properties": {**properties, **more},
        "required": required,
        "additionalProperties": False,
    }


def table(schema: Mapping[str, Json], key: str) -> Schema:
    """An inner schema, to be changed."""
    return _as_table(schema[key], key)


def _as_table(value: Json, place: str) -> Schema:
    if not isinstance(value, dict):
        raise TypeError(f"{place}: no table: {value!r}")
    return value


def _pydantic(model: type[Recipe | Target | Schedule], title: str) -> Schema:
    return {"$schema": DRAFT, **_as_table(_untitled(model.model_json_schema()), title), "title": title}


def _untitled(schema: Json, is_keys: bool = False) -> Json:
    """Without the titles that pydantic makes of every key, which say nothing more than the key.

    What it calls ``gt`` beside a union is named as the draft names it.
    """
    if isinstance(schema, list):
        return [_untitled(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key if is_keys else PYDANTICS.get(key, key): _untitled(inner, key in ("properties", "$defs") and not is_keys)
        for key, inner in schema.items()
        if is_keys or key != "title"
    }


def _attributes(cls: type) -> dict[str, str]:
    """What a class's docstring says of its fields, under ``Attributes:``; several names may share a line."""
    _, _, text = inspect.cleandoc(cls.__doc__ or "").partition("Attributes:\n")
    entries = re.findall(r"^ {4}(\w[\w, ]*): ((?:.|\n {5,})*)", text, re.MULTILINE)
    return {name.strip(): " ".join(description.split()) for names, description in entries for name in names.split(",")}


def _plain(value: object) -> Json:
    """A field's default as JSON has it."""
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"not of JSON: {value!r}")


def _op(name: str, arguments: tuple[str, ...], optional: tuple[str, ...]) -> Schema:
    """A step of a preprocessing."""
    properties: Schema = {"op": {"const": name}, **{argument: {} for argument in (*arguments, *optional)}}
    required: list[Json] = ["op", *arguments]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _name(family: str) -> Schema:
    """The name of a plugin: a built-in kind, or a user's own."""
    kinds: list[Json] = [*plugins.kinds(family)]
    return {"anyOf": [{"enum": kinds}, {"type": "string", "pattern": OWN}]}


def _list(name: str, field: Mapping[str, Json]) -> Schema:
    """A list of tables, as the field is described."""
    attributes = {key: field[key] for key in ("description", "minItems", "default") if field.get(key) is not None}
    return {**attributes, "type": "array", "items": _ref(name)}


def _without(schema: Mapping[str, Json], *keys: str) -> Schema:
    return {key: inner for key, inner in schema.items() if key not in keys}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _any_of(schemas: list[Schema]) -> Schema:
    alternatives: list[Json] = [*schemas]
    return {"anyOf": alternatives}
