"""From a table to a task and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from edgekd.base import plugins
from edgekd.base.errors import EdgekdError, RecipeError
from edgekd.tasks._base import Record, Task
from edgekd.tasks._heads import Heads
from edgekd.tasks._own import PLUGIN, Unnamed, check_class, check_says

SEVERAL = "several"  # the kind of a student whose outputs have tasks of their own
Table = Mapping[str, object]


def make_task(table: Table, where: str, error: type[EdgekdError] = RecipeError) -> Task:
    """The task of a table.

    Raises:
        EdgekdError: (of class ``error``) an unknown kind or key, a value out of range, or a user's own class that is no
            ``Task``, or not all of one.
    """
    if isinstance(kind := table.get("kind"), str):
        class_of(kind, f"{where}.kind", error)
    task: Task = plugins.build("tasks", table, where, error)
    check_says(task, f"{where}.kind", error)
    return task


def class_of(kind: str, where: str, error: type[EdgekdError] = RecipeError) -> type[Task]:
    """The class of a kind, or of a user's own ``"package.module:Class"``.

    Raises:
        EdgekdError: (of class ``error``) no such kind, or a class that is not all of a ``Task``.
    """
    cls: type[Task] = plugins.load("tasks", kind, where, error)
    check_class(cls, where, error)
    return cls


def kind_of(task: Task) -> str:
    """What a manifest calls a task: its file's name, or of a user's own that of its class."""
    if isinstance(task, Unnamed):
        return task.kind
    module = type(task).__module__
    inside = module.removeprefix("edgekd.tasks.")
    return inside if inside != module else f"{PLUGIN}{type(task).__qualname__}"


def table_of(task: Task) -> Record:
    """``{"kind": ...}`` with the task's fields: JSON, of which ``make_task`` makes the same task."""
    values = {field.name: getattr(task, field.name) for field in dataclasses.fields(task)}  # type: ignore[arg-type]
    return {"kind": kind_of(task), **{name: _plain(value) for name, value in values.items()}}


def table_of_heads(heads: Heads) -> Record:
    """The table of the one task that all outputs have; of several tasks one by output."""
    tables = {name: table_of(task) for name, task in heads.tasks.items()}
    first = next(iter(tables.values()))
    return first if all(table == first for table in tables.values()) else {"kind": SEVERAL, "outputs": tables}


def _plain(value: object) -> object:
    return [_plain(one) for one in value] if isinstance(value, tuple) else value
