"""From a table to a task and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from edgekd.base import plugins
from edgekd.base.errors import EdgekdError, RecipeError
from edgekd.tasks._base import Record, Task
from edgekd.tasks._heads import Heads

SEVERAL = "several"  # the kind of a student whose outputs have tasks of their own
PLUGIN = "plugin:"  # before the name of a user's own task, whose module no bundle names
Table = Mapping[str, object]


def make_task(table: Table, where: str, error: type[EdgekdError] = RecipeError) -> Task:
    """The task of a table.

    Raises:
        EdgekdError: (of class ``error``) an unknown kind or key, a value out of range, or a user's own class that is no
            ``Task``.
    """
    task: object = plugins.build("tasks", table, where, error)
    if not isinstance(task, Task):
        allowed = "a subclass of edgekd.tasks.Task"
        raise error("no task", where=f"{where}.kind", found=type(task).__name__, allowed=allowed)
    return task


def kind_of(task: Task) -> str:
    """What a manifest calls a task: its file's name, or of a user's own that of its class."""
    module = type(task).__module__
    inside = module.removeprefix("edgekd.tasks.")
    return inside if inside != module else f"{PLUGIN}{type(task).__name__}"


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
