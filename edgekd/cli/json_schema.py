"""JSON Schema (draft 2020-12) of Python's types: TypedDicts, literals, unions, lists, and the rules of documents."""

from __future__ import annotations

import inspect
import types
import typing
from typing import Annotated, Literal, NotRequired, Union

from edgekd.document.rules import Keys, Length, Range, Some, Spelled

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Schema = dict[str, Json]
DRAFT = "https://json-schema.org/draft/2020-12/schema"
SCALARS: dict[object, Schema] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    type(None): {"type": "null"},
    object: {},
    typing.Any: {},
    dict: {"type": "object"},
}


def of_document(shape: object, title: str) -> Schema:
    """The schema of a document's shape: a TypedDict, or a union of some. See ``edgekd.base.reader.check``."""
    walk = Walk()
    schema = walk.of(shape)
    if isinstance(reference := schema.get("$ref"), str):  # the document itself stands on top
        schema = walk.definitions.pop(reference.removeprefix("#/$defs/"))
    definitions: Schema = {name: walk.definitions[name] for name in sorted(walk.definitions)}
    return {"$schema": DRAFT, "title": title, **schema, "$defs": definitions}


class Walk:
    """Turns types into schemas; each TypedDict becomes one definition, named as its class."""

    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {}
        self._names: dict[str, type] = {}

    def of(self, hint: object) -> Schema:
        """The schema of a type."""
        origin, args = typing.get_origin(hint), typing.get_args(hint)
        if typing.is_typeddict(hint):
            return {"$ref": f"#/$defs/{self._define(typing.cast(type, hint))}"}
        if origin is Annotated:
            schema = self.of(args[0])
            for rule in args[1:]:
                schema |= _of_rule(rule, schema)
            return schema
        if origin in (Union, types.UnionType):
            return _any_of([self.of(arg) for arg in args])
        if origin is Literal:
            return {"const": args[0]} if len(args) == 1 else {"enum": list(args)}
        if origin is list:
            return {"type": "array", "items": self.of(args[0])}
        if origin is tuple and args[-1] is Ellipsis:
            return {"type": "array", "items": self.of(args[0])}
        if origin is tuple:
            entries: list[Json] = [self.of(arg) for arg in args]
            return {"type": "array", "prefixItems": entries, "items": False, "minItems": len(args)}
        if origin is dict:
            return {"type": "object", "additionalProperties": self.of(args[1])}
        return dict(SCALARS[hint])

    def _define(self, shape: type) -> str:
        name = shape.__name__
        if self._names.get(name, shape) is not shape:  # two modules may name a class alike
            name = f"{shape.__module__.rpartition('.')[2].title()}{name}"
        if name not in self.definitions:
            self._names[name] = shape
            self.definitions[name] = {}  # where a shape holds itself
            self.definitions[name] = self._table(shape)
        return name

    def _table(self, shape: type) -> Schema:
        properties: Schema = {}
        required: list[Json] = []
        for key, hint in typing.get_type_hints(shape, include_extras=True).items():
            optional = typing.get_origin(hint) is NotRequired
            properties[key] = self.of(typing.get_args(hint)[0] if optional else hint)
            if not optional:
                required.append(key)
        schema: Schema = {"type": "object", "properties": properties, "required": required}
        if shape.__doc__ and shape.__doc__ != dict.__doc__:
            schema["description"] = inspect.cleandoc(shape.__doc__)
        if getattr(shape, "__closed__", False):
            schema["additionalProperties"] = False
        return schema


def _any_of(schemas: list[Schema]) -> Schema:
    """One of some types: plain ones by their names."""
    if all(one.keys() == {"type"} for one in schemas):
        return {"type": [one["type"] for one in schemas]}
    alternatives: list[Json] = [*schemas]
    return {"anyOf": alternatives}


def _of_rule(rule: object, of: Schema) -> Schema:
    """What a rule of ``edgekd.document.rules`` adds to the schema of its type."""
    match rule:
        case Range(low, high):
            return {"minimum": low, "maximum": high}
        case Some():
            return {"minItems" if of["type"] == "array" else "minProperties": 1}
        case Length(count):
            return {"minItems": count, "maxItems": count}
        case Spelled(pattern):
            return {"pattern": f"^(?:{pattern})$"}
        case Keys(names):
            keys: list[Json] = list(names)
            return {"required": keys, "propertyNames": {"enum": keys}}
    raise TypeError(f"a rule without a schema: {rule}")
