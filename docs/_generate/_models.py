"""The recipe's and the target's reference, from their pydantic models."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any

import annotated_types
from _markdown import code, plain, prose, table
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from edgekd.spec import recipe as recipes
from edgekd.spec import target as target_files

# The models of a recipe: the table that each stands for in TOML.
RECIPE: dict[str, type[BaseModel]] = {
    "(top)": recipes.Recipe,
    "[data]": recipes.Data,
    "[heads.NAME]": recipes.Head,
    "[augment]": recipes.Augment,
    "[teacher]": recipes.Teacher,
    "[teacher_outputs]": recipes.TeacherOutputs,
    "[student]": recipes.StudentTable,
    "[budget]": recipes.Budget,
    "[abstain]": recipes.Abstain,
    "[tune]": recipes.Knob,
}
TARGET: dict[str, type[BaseModel]] = {
    "(top)": target_files.Target,
    "[shapes]": target_files.Shapes,
    "[[numerics]]": target_files.Numerics,
}
TITLES = {"(top)": "Top level", "[teacher]": "[teacher] and [[teachers]]"}


def recipe() -> str:
    """Every table of a recipe."""
    schedule = recipes.Schedule
    parts = [_section(name, model, without=schedule) for name, model in RECIPE.items()]
    parts.append("## Training keys {#training-keys}\n")
    parts.append(
        "These keys stand in `[teacher]`, in `[student]` and in every `[[compress]]` table whose pass is followed by a "
        "fine-tuning.\n"
    )
    parts.append(_fields(schedule.model_fields.items()))
    return "\n".join(parts)


def target() -> str:
    """Every table of a target file."""
    return "\n".join(_section(name, model) for name, model in TARGET.items())


def targets() -> str:
    """The targets that edgekd brings."""
    rows = []
    for name in target_files.names():
        one = target_files.load(name)
        candidates = ", ".join(code(numerics.name) for numerics in one.numerics)
        rows.append((code(name), code(one.backend), candidates, plain(one.description)))
    return table(("target", "backend", "candidates", "what it is"), rows)


def _section(name: str, model: type[BaseModel], without: type[BaseModel] | None = None) -> str:
    title = TITLES.get(name, name)
    shared = set(without.model_fields) if without is not None and issubclass(model, without) else set()
    own = [
        (key, field) for key, field in model.model_fields.items() if key not in shared or _differs(key, field, without)
    ]
    more = "\nAlso the [training keys](#training-keys).\n" if shared else ""
    return f"## {title}\n\n{prose(model.__doc__)}\n\n{_fields(own)}{more}"


def _differs(key: str, field: FieldInfo, base: type[BaseModel] | None) -> bool:
    """Whether a model says something else of a shared key than the model that it extends."""
    return base is not None and repr(field) != repr(base.model_fields[key])


def _fields(fields: Any) -> str:
    rows = []
    for key, field in fields:
        kind = f"{type_text(field.annotation)}{_limits(field.metadata)}"
        rows.append((code(key), kind, _default(field), plain(field.description or "")))
    return table(("key", "type", "default", "meaning"), rows)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.default
    if value is PydanticUndefined:
        value = field.default_factory() if field.default_factory is not None else None  # type: ignore[call-arg]
    return default_text(value)


def default_text(value: Any) -> str:
    """A default as TOML has it; what TOML has no word for is absent."""
    if value is None:
        return "absent"
    if isinstance(value, BaseModel):
        changed = {key: getattr(value, key) for key in value.model_fields_set}
        return code(toml(changed)) if changed else "its defaults"
    return code(toml(value))


def toml(value: Any) -> str:
    """A value as it is written in TOML, on one line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml(item) for item in value)}]"
    if isinstance(value, dict):
        inner = ", ".join(f"{key} = {toml(item)}" for key, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def type_text(hint: Any) -> str:
    """A type as a reader of TOML knows it."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return f"{type_text(args[0])}{_limits(args[1:])}"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_text(arg) for arg in args if arg is not type(None))
    if origin is typing.Literal:
        return ", ".join(code(toml(arg)) for arg in args)
    if origin in (tuple, list):
        inner = [arg for arg in args if arg is not Ellipsis]
        if origin is tuple and Ellipsis not in args:
            return f"array of {len(inner)}: {', '.join(type_text(arg) for arg in inner)}"
        return f"array of {type_text(inner[0])}"
    if origin is dict or hint is dict:
        return f"table of {type_text(args[1])}" if len(args) == 2 and args[1] is not Any else "table"
    names = {str: "text", int: "integer", float: "number", bool: "boolean", Any: "any value"}
    if hint in names:
        return names[hint]
    return "table" if isinstance(hint, type) and issubclass(hint, BaseModel) else getattr(hint, "__name__", str(hint))


def _limits(metadata: Sequence[Any]) -> str:
    limits = list(_words(metadata))
    return f"; {', '.join(limits)}" if limits else ""


def _words(metadata: Sequence[Any]) -> Iterator[str]:
    for rule in metadata:
        if isinstance(rule, FieldInfo):
            yield from _words(rule.metadata)
        elif isinstance(rule, annotated_types.Ge):
            yield f"from {rule.ge}"
        elif isinstance(rule, annotated_types.Gt):
            yield f"above {rule.gt}"
        elif isinstance(rule, annotated_types.Le):
            yield f"at most {rule.le}"
        elif isinstance(rule, annotated_types.Lt):
            yield f"below {rule.lt}"
        elif isinstance(rule, annotated_types.MinLen):
            yield f"at least {rule.min_length}"
        elif pattern := getattr(rule, "pattern", None):
            yield f"as `{pattern}`"
