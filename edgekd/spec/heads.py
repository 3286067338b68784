"""``[heads]`` of a recipe: several questions about a sample, each with a task of its own."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ConfigDict, Field, field_validator, model_validator

from edgekd.base import plugins
from edgekd.base.errors import RecipeError
from edgekd.spec.validation import Frozen
from edgekd.tasks import SEVERAL, class_of

Table = dict[str, object]
# What every head reads alike: the samples are the same, their labels alone differ.
SHARED = ("source", "kind", "path", "tokenizer", "preprocess", "made", "heads")


class Head(Frozen):
    """What one output of the student answers. Keys that are not named here are keys of ``[data]``, for its labels."""

    model_config = ConfigDict(extra="allow")

    task: Table = Field(description="what it answers: a name, or a table")
    metric: Table | None = Field(default=None, description="a name, or a table with its kind; absent: the task's first")

    @field_validator("task", "metric", mode="before")
    @classmethod
    def _named(cls, plugin: object) -> object:
        return {"kind": plugin} if isinstance(plugin, str) else plugin

    @model_validator(mode="after")
    def _reads_the_same_samples(self) -> Head:
        if shared := [key for key in SHARED if key in self.data]:
            raise ValueError(f"{shared[0]}: the samples are those of [data]; a head says where its labels are")
        return self

    @property
    def data(self) -> Table:
        """The keys of the data source that are its own, such as ``label``."""
        return dict(self.model_extra or {})

    @property
    def measured(self) -> Table:
        """The table of its metric."""
        return self.metric or {"kind": class_of(str(self.task.get("kind")), "task.kind").metrics[0]}


def completed(tables: Mapping[str, object]) -> Mapping[str, object]:
    """A recipe's tables with the ``task`` and ``metric`` that follow from its ``[heads]``.

    Raises:
        RecipeError: it names a task, a metric or groups of classes beside them.
    """
    heads = tables["heads"]
    if not isinstance(heads, Mapping):
        return tables  # told where the field is checked
    data = tables.get("data")
    if isinstance(data, Mapping) and data.get("heads"):
        what, allowed = "groups of classes are heads of one task", "[data.heads] or [heads], one of the two"
        groups = data["heads"]
        given = list(groups) if isinstance(groups, Mapping) else groups
        raise RecipeError(what, where="data.heads", found=given, allowed=allowed)
    wanted = {"task": SEVERAL, "metric": mean_of(heads)}
    for key, kind in wanted.items():
        if tables.get(key) not in (None, kind, {"kind": kind}):
            allowed = f"{key} in the table of each head"
            raise RecipeError("each of [heads] has its own", where=key, found=tables[key], allowed=allowed)
    return {**tables, **{key: {"kind": kind} for key, kind in wanted.items()}}


def mean_of(heads: Mapping[str, object]) -> str:
    """What the mean over the heads is called; an unknown task is told when it is made."""
    kinds = sorted(
        {_metric_kind(table, f"heads.{name}.task") for name, table in heads.items()}
    )  # a bundle's recipe.json knows no order
    return kinds[0] if len(kinds) == 1 else f"mean of {' and '.join(kinds)}"


def _metric_kind(table: object, where: str) -> str:
    metric, task = (table.get(key) if isinstance(table, Mapping) else None for key in ("metric", "task"))
    kinds = [one.get("kind") if isinstance(one, Mapping) else one for one in (metric, task)]
    if isinstance(kinds[0], str):
        return kinds[0]
    known = isinstance(kinds[1], str) and (":" in kinds[1] or kinds[1] in plugins.kinds("tasks"))
    return class_of(str(kinds[1]), where).metrics[0] if known else "metrics"
