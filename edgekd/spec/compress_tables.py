"""What a ``[[compress]]`` table says: the pass, the training that follows it, and what that learns from."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from edgekd.base import plugins
from edgekd.base.errors import RecipeError
from edgekd.spec.recipe import SCHEDULE_KEYS, TIMING, Schedule, Table, with_kinds
from edgekd.spec.validation import explain

TEACHING_KEYS = frozenset({"losses", "temperature"})


def split_table(
    table: Table, defaults: Mapping[str, Any] | None = None, where: str = "compress"
) -> tuple[Table, Schedule]:
    """A compress table in two: the plugin's own keys, and the schedule of the training that follows it."""
    own = {key: value for key, value in table.items() if key not in SCHEDULE_KEYS | TEACHING_KEYS}
    schedule = {key: value for key, value in table.items() if key in SCHEDULE_KEYS}
    try:
        return own, Schedule.model_validate({**(defaults or {}), **schedule})
    except ValidationError as err:
        raise explain(err, Schedule, where, RecipeError) from err


def build_pass(table: Table, number: int) -> Any:
    """The pass of the recipe's compress table of that number."""
    own, _ = split_table(table, where=f"compress[{number}]")
    return plugins.build("compress", own, f"compress[{number}]")


def losses_of(table: Table, losses: Sequence[Table], number: int) -> tuple[Table, ...]:
    """What the fine-tuning of a compress table learns from, where it says so; else nothing.

    ``losses`` are its own; ``temperature`` is put into every loss that has one.

    Raises:
        RecipeError: neither is what it should be.
    """
    where = f"compress[{number}]"
    if not TEACHING_KEYS & set(table):
        return ()
    given = table.get("losses", losses)
    try:
        own = with_kinds(tuple(dict(entry) for entry in given))
    except (TypeError, ValueError) as err:
        raise RecipeError(f"not a list of losses: {err}", where=f"{where}.losses") from err
    if not own:
        raise RecipeError("no losses", where=f"{where}.losses", allowed="one or more, or leave the key out")
    if "temperature" not in table:
        return own
    warm = [hasattr(plugins.build("losses", _bare(entry), f"{where}.losses"), "temperature") for entry in own]
    if not any(warm):
        raise RecipeError("no loss has a temperature", where=f"{where}.temperature", found=[t["kind"] for t in own])
    hot = {"temperature": table["temperature"]}
    return tuple({**entry, **hot} if has else entry for entry, has in zip(own, warm, strict=True))


def _bare(table: Table) -> Table:
    return {key: value for key, value in table.items() if key not in TIMING}


def free_name(taken: Sequence[str], name: str) -> str:
    """The name, with a number behind it where it is taken."""
    numbered = (name if i == 1 else f"{name}-{i}" for i in itertools.count(1))
    return next(candidate for candidate in numbered if candidate not in taken)
