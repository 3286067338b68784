"""What a cached student says it was made of, held against the recipe: a name in the cache imports nothing."""

from __future__ import annotations

from safetensors import SafetensorError

from edgekd.base import reader
from edgekd.base.errors import IntegrityError
from edgekd.base.plain import plain
from edgekd.build.plan import Plan, Step
from edgekd.build.store import Store, canonical
from edgekd.document.cache import Trained
from edgekd.spec.recipe import Recipe, Table

WEIGHTS, ABOUT, PROBE = "model.safetensors", "student.json", "probe.safetensors"  # the files of a trained step
ROOTS = ("teacher", "student")
# What a pass raises that replays a record which it did not write, and who reads weights that are none.
ODD = (ArithmeticError, AttributeError, LookupError, RuntimeError, SafetensorError, TypeError, ValueError)


def kept(store: Store, step: Step, recipe: Recipe, plan: Plan) -> dict[str, bytes] | None:
    """A trained step's files in the cache; dropped, and so made anew, where ``fault`` finds one."""
    files = store.get(step.key, (WEIGHTS, ABOUT))
    if files is not None and fault(files[ABOUT], recipe, plan):
        store.drop(step.key)
        return None
    return files


def fault(about: bytes, recipe: Recipe, plan: Plan) -> str | None:
    """Why a ``student.json`` is not one of this recipe's; None where it is.

    Its records hold the tables of the passes that made it, and a pass is found by its ``kind``, which may be any
    ``module:Class``. So each must be a table that the recipe at hand holds, key by key.
    """
    try:
        told = reader.read(about, Trained, ABOUT)
        root, *records = told["lineage"]
        known = tables(recipe, plan)
        if root["kind"] not in ROOTS:
            return f"made of {root['kind']!r}"
        if unknown := [record["kind"] for record in records if canonical(record["table"]) not in known]:
            return f"made by {unknown[0]!r}, which the recipe does not name"
        return None
    except (IntegrityError, ValueError, TypeError, KeyError) as err:
        return f"no student: {err}"


def tables(recipe: Recipe, plan: Plan) -> dict[bytes, Table]:
    """The table of every pass of a recipe, by how a record spells it: JSON has no inf, and no dates."""
    found = (*(recipe.student.from_teacher or ()), *(step.table for step in plan.steps.values()))
    return {canonical(plain(table)): table for table in found if table}
