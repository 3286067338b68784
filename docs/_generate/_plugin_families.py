"""The plugins' reference: every family, its kinds, and the keys of each, from their frozen dataclasses."""

from __future__ import annotations

import dataclasses
import sys
import tomllib
import typing
from typing import Any

from _markdown import attributes, cell, code, plain, prose, table
from _models import default_text, type_text

from edgekd.base import plugins, recipe_files
from edgekd.lower.column import COLUMN

# Family: its title, where its table stands, and what is true of all of it.
FAMILIES = {
    "tasks": ("Tasks", "`task`, a name or a table with its `kind`"),
    "data": ("Data sources", "`[data]`, by `source`"),
    "models": ("Model families", "`teacher.model` and `student.model`, by `kind`"),
    "teachers": ("Kinds of teachers", "`teacher.model`, by `kind`, beside the model families; none is trained"),
    "losses": (
        "Losses",
        "`[[losses]]`, by `kind`. Each also takes `weight` (1.0), `final_weight`, `start` and `stop` (shares of the "
        "training between which it counts) and `head`",
    ),
    "views": ("Augmentation", "`[[augment.ops]]`, by `kind`"),
    "baselines": ("Baselines", "no table: a build fits the one that suits its data, beside every student"),
    "compress": ("Compression passes", "`[[compress]]`, by `kind`. Each that trains also takes the training keys"),
    "loggers": ("Loggers", "`[log]`, by `kind`; or several, each in a table `[[log]]`"),
    "metrics": ("Metrics", "`metric`, a name or a table with its `kind`"),
    "backends": ("Backends", "a target's `backend`; the keys are those of its `[options]`"),
    "devices": ("Devices", "a table of `devices.toml`, by `kind` or `url`"),
}


def families() -> str:
    """All families but graph passes, which have no keys."""
    parts = []
    for family, (title, place) in FAMILIES.items():
        parts.append(f"## {title}\n\nStand in {place}.\n")
        parts += [_kind(family, kind) for kind in plugins.kinds(family)]
    return "\n".join(parts)


def _kind(family: str, kind: str) -> str:
    cls = plugins.load(family, kind, family)
    meanings: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        meanings |= attributes(base.__doc__)
    hints = typing.get_type_hints(cls)
    rows = [
        (code(field.name), type_text(hints[field.name]), _default(field), meanings.get(field.name, ""))
        for field in dataclasses.fields(cls)
        if field.init
    ]
    keys = table(("key", "type", "default", "meaning"), rows) if rows else "No keys.\n"
    return f"### {kind} {{#{family}-{kind}}}\n\n{_formula(prose(cls.__doc__))}\n\n{keys}"


def _formula(text: str) -> str:
    """Formulas of docstrings hold stars that are products, and bars."""
    parts = text.split("`")
    parts[::2] = [part.replace("*", "\\*").replace("||", "\\|\\|") for part in parts[::2]]
    return "`".join(parts)


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return "the Python that runs edgekd" if field.default == sys.executable else default_text(field.default)
    if field.default_factory is not dataclasses.MISSING:
        return default_text(field.default_factory())
    return "**required**"


def recipes() -> str:
    """The built-in recipes, from their files."""
    rows = []
    for name in recipe_files.builtins():
        text = (recipe_files.builtin_folder() / f"{name}.toml").read_text(encoding="utf-8")
        recipe = tomllib.loads(text)
        losses = ", ".join(dict.fromkeys(code(loss["kind"]) for loss in recipe["losses"]))
        passes = ", ".join(dict.fromkeys(code(step["kind"]) for step in recipe.get("compress", [])))
        rows.append((code(name), recipe.get("description", ""), code(recipe["data"]["source"]), losses, passes))
    return table(("recipe", "what it is", "data", "losses", "compression"), rows)


def column() -> str:
    """The graph passes in the order in which they run."""
    rows = []
    for row in COLUMN:
        cls = plugins.load("passes", row.kind, "passes")
        runs = "every export" if row.always else "targets that name it"
        rows.append((str(row.order), code(row.kind), runs, cell(plain(prose(cls.__doc__)))))
    return table(("order", "pass", "runs for", "what it does"), rows)
