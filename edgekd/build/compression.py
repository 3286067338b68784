"""The passes of a recipe, parsed: each ``[[compress]]`` table once, and each of ``student.from_teacher``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from edgekd.base import plugins
from edgekd.base.errors import RecipeError
from edgekd.compress import TablePass
from edgekd.learn.objective import Term, make_terms
from edgekd.spec.recipe import SCHEDULE_KEYS, Schedule, Table, inputs, with_kinds
from edgekd.spec.validation import explain

TEACHING_KEYS = frozenset({"losses", "temperature"})


@dataclass(frozen=True)
class Compression:
    """One ``[[compress]]`` table.

    Attributes:
        where: its place in the recipe: ``compress[0]``.
        whole: the pass as the table has it.
        parts: the passes that are trained one after the other; most are of one part, the whole.
        schedule: the keys that say how the fine-tuning goes that follows.
        losses: what that learns from; none: the recipe's. ``terms``: the same, parsed.
    """

    where: str
    whole: TablePass
    parts: tuple[TablePass, ...]
    schedule: Table
    losses: tuple[Table, ...]
    terms: tuple[Term, ...]

    def training(self, defaults: Mapping[str, object]) -> Schedule:
        """The schedule of the fine-tuning, over what it has where the table says nothing.

        Raises:
            RecipeError: a key's value is out of range.
        """
        try:
            return Schedule.model_validate({**defaults, **self.schedule})
        except ValidationError as err:
            raise explain(err, Schedule, self.where, RecipeError) from err


def parse(tables: Sequence[Table], losses: Sequence[Table], where: str = "compress") -> tuple[Compression, ...]:
    """The compressions of a recipe.

    Args:
        losses: the recipe's ``[[losses]]``.

    Raises:
        RecipeError: an unknown kind or key, a value out of range, or losses that are none; names the table.
    """
    return tuple(_parsed(table, losses, f"{where}[{i}]") for i, table in enumerate(tables))


def _parsed(table: Table, losses: Sequence[Table], where: str) -> Compression:
    pass_table = {key: value for key, value in table.items() if key not in SCHEDULE_KEYS | TEACHING_KEYS}
    whole = _pass(pass_table, where)
    parts = tuple(_pass({**pass_table, **part}, where) for part in whole.change.parts())
    teaching = _losses(table, losses, where)
    compression = Compression(
        where=where,
        whole=whole,
        parts=parts or (whole,),
        schedule={key: value for key, value in table.items() if key in SCHEDULE_KEYS},
        losses=teaching,
        terms=make_terms(teaching, f"{where}.losses") if teaching else (),
    )
    compression.training({})
    return compression


def _pass(table: Table, where: str) -> TablePass:
    """A pass, its table without the path of a file: what is in that is in the student's key, see ``prepare``."""
    change, shown = plugins.build("compress", table, where), dict(table)
    for part, key in inputs({"compress": [shown]}):
        part[key] = Path(part[key]).name
    return TablePass(shown, change)


def _losses(table: Table, losses: Sequence[Table], where: str) -> tuple[Table, ...]:
    """What the fine-tuning of a compress table learns from, where it says so; else nothing.

    ``losses`` are its own; ``temperature`` is put into every loss that has one.

    Raises:
        RecipeError: neither is what it should be.
    """
    if not TEACHING_KEYS & set(table):
        return ()
    given = table.get("losses", losses)
    try:
        entries = with_kinds(tuple(dict(entry) for entry in given))
    except (TypeError, ValueError) as err:
        raise RecipeError(f"not a list of losses: {err}", where=f"{where}.losses") from err
    if not entries:
        raise RecipeError("no losses", where=f"{where}.losses", allowed="one or more, or leave the key out")
    if "temperature" not in table:
        return entries
    warm = [hasattr(term.loss, "temperature") for term in make_terms(entries, f"{where}.losses")]
    if not any(warm):
        raise RecipeError("no loss has a temperature", where=f"{where}.temperature", found=[t["kind"] for t in entries])
    hot = {"temperature": table["temperature"]}
    return tuple({**entry, **hot} if has else entry for entry, has in zip(entries, warm, strict=True))


def passes(tables: Sequence[Table], where: str) -> tuple[TablePass, ...]:
    """Tables of passes alone, which no training follows.

    Raises:
        RecipeError: an unknown kind or key, a value out of range; names the table.
    """
    return tuple(_pass(table, f"{where}[{i}]") for i, table in enumerate(tables))
