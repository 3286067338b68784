"""What recipe.py and target.py share: what a table of theirs may hold, and pydantic's errors in edgekd's words."""

from __future__ import annotations

import re
import types
import typing
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from edgekd.base.errors import EdgekdError

SHOULD = "Input should be "  # how pydantic begins what is allowed


class Frozen(BaseModel):
    """A table of known keys. Its numbers are finite, and none is true or false, which pydantic takes for 1 and 0."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _numbers(cls, value: object, info: ValidationInfo) -> object:
        wanted = _types_in(cls.model_fields[str(info.field_name)].annotation)
        if wanted & {int, float} and not wanted & {bool, Any} and _holds_bool(value):
            raise ValueError("true or false, where a number is wanted")
        return value


def _types_in(annotation: object) -> set[object]:
    leaves: set[object] = {annotation} if isinstance(annotation, type) or annotation is Any else set()
    return leaves.union(*map(_types_in, typing.get_args(annotation)))


def _holds_bool(value: object) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return isinstance(value, bool) or any(map(_holds_bool, inner))


def explain(err: ValidationError, model: type[BaseModel], file: str, error: type[EdgekdError]) -> EdgekdError:
    """The first problem of a ValidationError as one clear error: file, key, what was found, what is allowed."""
    problem = err.errors(include_url=False)[0]
    loc = problem["loc"]
    where = f"{file}: {key_path(loc)}"
    if problem["type"] == "extra_forbidden":
        allowed = fields_at(model, loc[:-1])
        return error("unknown key", where=where, found=str(loc[-1]), allowed=allowed)
    if problem["type"] == "missing":
        return error("missing", where=where)
    kind, message = problem["type"], problem["msg"].removeprefix("Value error, ")
    if kind == "literal_error":
        return error("unknown value", where=where, found=problem["input"], allowed=re.findall("'([^']*)'", message))
    if message.startswith(SHOULD):
        what = "wrong type" if kind.endswith(("_type", "_parsing", "_from_float")) else "out of range"
        which = message.removeprefix(SHOULD).partition(", ")[0]
        return error(what, where=where, found=problem["input"], allowed=which)
    return error(message[:1].lower() + message[1:], where=where, found=problem["input"])


def key_path(loc: tuple[int | str, ...]) -> str:
    """``("losses", 0, "kind")`` -> ``losses[0].kind``."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def fields_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """The keys that are allowed at a place of a model."""
    for part in loc:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        inner = _model_in(field.annotation) if field else None
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    for arg in typing.get_args(annotation):
        if (model := _model_in(arg)) is not None:
            return model
    return None
