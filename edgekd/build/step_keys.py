"""Keys of steps: SHA-256 over all that can change a step's result, so that what is found under a key is right.

Of the recipe the content of its inputs counts, and not where they lie; of code see ``code_keys``.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgekd.base import host
from edgekd.base.door import everything
from edgekd.base.errors import RecipeError
from edgekd.base.plain import plain
from edgekd.base.shards import INDEX, shards
from edgekd.build import code_keys
from edgekd.build.store import canonical, sha256
from edgekd.spec.recipe import UNREAD, Recipe, Schedule, Table, inputs
from edgekd.spec.target import Target

READING = ("lazy", "workers")  # keys of built-in data sources, see ``learn/data/_lazy.py``


def identity(recipe: Recipe, targets: Sequence[Target], data: str, quick: bool = False) -> str:
    """The key of a whole build, found without importing a plugin that needs torch.

    Args:
        data: the fingerprint of the data (and of the objects, where the Python API was given any).
    """
    return digest(
        "build",
        content(recipe),
        [target.model_dump() for target in targets],
        data,
        [models(recipe, name) for name in (*recipe.ensemble, "student")],
        quick,
        [code_keys.own(step) for step in code_keys.STEPS],
        [code_keys.versions(step) for step in ("learn", "compress", "lower")],
        code_keys.of_users(tables(recipe, targets)),
    )


def key(step: str, *parts: object) -> str:
    """The key of a step, of a kind that ``code_keys.STEPS`` names."""
    return digest(code_keys.own(step), code_keys.versions(step), code_keys.of_users(list(parts)), *parts)


def digest(*parts: object) -> str:
    """SHA-256 of plain data."""
    return sha256(canonical(plain(list(parts))))


def tables(recipe: Recipe, targets: Sequence[Target]) -> list[object]:
    """All that names users' code."""
    return [recipe.model_dump(exclude=set(UNREAD)), [target.model_dump() for target in targets]]


def content(recipe: Recipe) -> dict[str, Any]:
    """The recipe without what changes no step, and without the paths of its inputs: what they hold is hashed, where it
    lies and whether it is held in memory changes nothing.

    Heads and their groups are lists: their order numbers classes and outputs, and keys know no order of a table.
    """
    table = recipe.model_dump(exclude=set(UNREAD))
    for part, name in list(inputs(table)):
        del part[name]
    if ":" not in recipe.data.source:  # how samples are read changes none of them
        for name in READING:
            table["data"].pop(name, None)
    table.pop("teacher_outputs")  # whether answers are kept changes none of them
    if recipe.teacher_outputs.changes_answers:
        table["teacher_outputs"] = recipe.teacher_outputs.of_form
    of_tasks = [[name, head] for name, head in table.pop("heads").items()]
    table["data"]["heads"] = of_tasks or [[name, list(groups.items())] for name, groups in recipe.data.heads.items()]
    return table


def measured(target: Target) -> Table:
    """What a measurement depends on: not what is only told."""
    return target.model_dump(exclude={"description", "float_ops"})


def mixed(schedule: Schedule) -> bool:
    """Whether this machine's CPU trains such a schedule in bf16."""
    return schedule.precision == "bf16" and host.multiplies_bf16()


def models(recipe: Recipe, name: str) -> list[str]:
    """Hashes of the files and folders that a network of a recipe is made of, by the name of its step."""
    if name == "student":
        tables: Table = {"student": recipe.student.model_dump(), "compress": [dict(one) for one in recipe.compress]}
    else:
        tables = {"teacher": recipe.ensemble[name].model_dump()}
    return [input_hash(Path(part[key])) for part, key in inputs(tables)]


def without_inputs(table: Table, role: str) -> Table:
    """A network's table without the paths of its inputs."""
    for part, name in list(inputs({role: table})):
        del part[name]
    return table


def input_hash(path: Path) -> str:
    """A file's, that of an index and its shards, or that of every file of a folder.

    Where nothing can be read, that is told when it is used.

    Raises:
        IntegrityError: a folder in it can't be listed, and what lies there may be read by its name.
    """
    whole = hashlib.sha256()
    inside = map(path.joinpath, everything(path)) if path.is_dir() else [path]
    files = sorted(file for file in inside if file.is_file())
    if path.name.endswith(INDEX):
        with contextlib.suppress(OSError, RecipeError):
            files += sorted({file for file in shards(path).values() if file.is_file()})
    for file in files:
        whole.update((file.name if path.name.endswith(INDEX) else file.relative_to(path).as_posix()).encode())
        try:
            with file.open("rb") as data:
                whole.update(hashlib.file_digest(data, "sha256").digest())
        except OSError:
            return "unreadable"
    return whole.hexdigest()
