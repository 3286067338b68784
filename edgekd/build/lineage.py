"""What a cached student says it was made of, held against the recipe: a name in the cache imports nothing."""

from __future__ import annotations

from collections.abc import Mapping

from safetensors import SafetensorError

from edgekd.base import reader
from edgekd.base.errors import IntegrityError
from edgekd.base.plain import plain
from edgekd.build.plan import CompressStep, DistilStep, Plan
from edgekd.build.store import Store, canonical
from edgekd.compress import Pass
from edgekd.document.cache import Trained

WEIGHTS, ABOUT, PROBE = "model.safetensors", "student.json", "probe.safetensors"  # the files of a trained step
ROOTS = ("teacher", "student")
# What a pass raises that replays a record which it did not write, and who reads weights that are none.
ODD = (ArithmeticError, AttributeError, LookupError, RuntimeError, SafetensorError, TypeError, ValueError)
Passes = Mapping[bytes, Pass]


def kept(store: Store, key: str, known: Passes) -> dict[str, bytes] | None:
    """A trained step's files in the cache; dropped, and so made anew, where ``fault`` finds one."""
    files = store.get(key, (WEIGHTS, ABOUT))
    if files is not None and fault(files[ABOUT], known):
        store.drop(key)
        return None
    return files


def fault(about: bytes, known: Passes) -> str | None:
    """Why a ``student.json`` is not one of this recipe's; None where it is.

    Its records hold the tables of the passes that made it, and a pass is found by its ``kind``, which may be any
    ``module:Class``. So each must be a table that the recipe at hand holds, key by key.

    Args:
        known: see ``passes``.
    """
    try:
        document = reader.read(about, Trained, ABOUT)
        root, *records = document["lineage"]
        if root["kind"] not in ROOTS:
            return f"made of {root['kind']!r}"
        if unknown := [record["kind"] for record in records if canonical(record["table"]) not in known]:
            return f"made by {unknown[0]!r}, which the recipe does not name"
        return None
    except (IntegrityError, ValueError, TypeError, KeyError) as err:
        return f"no student: {err}"


def passes(plan: Plan) -> Passes:
    """Every pass of a plan, by how a record spells its table: JSON has no inf, and no dates."""
    named = [step.applied for step in plan.steps.values() if isinstance(step, CompressStep)]
    for step in plan.steps.values():
        named += (step.passes or ()) if isinstance(step, DistilStep) else ()
    return {canonical(plain(one.table)): one.change for one in named}
