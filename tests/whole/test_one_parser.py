"""Parse, don't validate: every table becomes its object at one place, and few doors lead there.

Counted by AST over ``edgekd/``: a second place that builds plugins of a family would have its own rules and errors.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2] / "edgekd"
# Who calls a parser, and why there.
DOORS = {
    "edgekd.runtime.backend.make": {
        "runtime/availability.py": 2,  # a target's table: its backend, and `also`
        "runtime/jobs.py": 1,  # a job's: it came to this process as plain data
        "runtime/opening.py": 1,  # a manifest's: an app may not import build/
        "runtime/profiling.py": 1,  # a manifest's, or a lone file's: its suffix and the number of threads
        "publish/app_files.py": 1,  # a manifest's, as an app opens it
        "teachers/onnx.py": 1,  # a teacher's file: the runtime that the recipe names
    },
    "edgekd.runtime.availability.parse": {
        "build/target_runtime.py": 1,
        "cli/inspection.py": 1,  # `edgekd targets` works without pydantic
    },
    "edgekd.build.target_runtime.parse": {
        "build/prepare.py": 1,
        "build/planner.py": 1,
        "build/target_runtime.py": 1,  # with options that the data says
    },
    "edgekd.learn.objective.make_terms": {
        "build/compression.py": 2,
        "build/parsed_recipe.py": 1,
        "build/teach.py": 1,  # what a teacher learns from stands in no recipe
    },
    "edgekd.learn.objective.make_loss": {
        "learn/objective.py": 1,
        "tune/search_space.py": 1,  # one table of a search's choices, before it stands in a recipe
    },
    "edgekd.build.compression.parse": {
        "build/parsed_recipe.py": 1,
        "tune/search_space.py": 2,  # what can be turned in each pass, and a choice before it stands in a recipe
        "tune/trial.py": 1,  # a recipe that is about to be shortened
    },
    "edgekd.build.parsed_recipe.parse": {
        "build/prepare.py": 2,  # for a build, and for the data that a search reads once
        "build/planner.py": 1,
        "analysis/loss_ablation.py": 1,  # the recipe without one of its losses
        "cli/starting/recipe.py": 1,  # a first recipe, before it is written
    },
}


def calls(tree: ast.AST, module: str) -> Iterator[tuple[str, ast.Call]]:
    """Every call of a module, by the full name of what is called, as its imports say."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.FunctionDef):
            names.setdefault(node.name, f"{module}.{node.name}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            first, dot, rest = ast.unparse(node.func).partition(".")
            yield names.get(first, first) + dot + rest, node


class Call(NamedTuple):
    """A call: its file, what is called by its full name, and its first argument where it is written there."""

    file: str
    name: str
    first: object


@cache
def every_call() -> list[Call]:
    """All of the package, a file at a time: their trees together are some hundred MB."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        file = path.relative_to(ROOT).as_posix()
        for name, call in calls(ast.parse(path.read_text()), "edgekd." + file.removesuffix(".py").replace("/", ".")):
            first = call.args[0] if call.args else None
            found.append(Call(file, name, first.value if isinstance(first, ast.Constant) else None))
    return found


def callers(called: str) -> Counter[str]:
    """By file how often something is called, by its full name."""
    return Counter(call.file for call in every_call() if call.name == called)


def builders(family: str) -> list[str]:
    """The files that build plugins of a family from a table, once a call."""
    built = [call for call in every_call() if call.name == "edgekd.base.plugins.build"]
    assert [call.file for call in built if call.first is None] == [], "the family is not written there"
    return [call.file for call in built if call.first == family]


@pytest.mark.parametrize(
    ("family", "place"),
    [
        ("compress", "build/compression.py"),
        ("losses", "learn/objective.py"),
        ("backends", "runtime/backends/_base.py"),
        ("metrics", "metrics/_make.py"),
        ("data", "build/request.py"),
        ("devices", "runtime/devices/_find.py"),
        ("passes", "lower/column.py"),
    ],
)
def test_one_place_builds_the_plugins_of_a_family(family: str, place: str) -> None:
    assert builders(family) == [place]


@pytest.mark.parametrize("parser", DOORS)
def test_few_doors_lead_to_a_parser(parser: str) -> None:
    assert callers(parser) == DOORS[parser]


def test_the_count_sees_another_name_of_the_parser() -> None:
    text = "from edgekd.runtime import backend as b\nfrom edgekd.base.plugins import build as x\nb.make(1)\nx(2)"
    names = [name for name, _ in calls(ast.parse(text), "")]
    assert names == ["edgekd.runtime.backend.make", "edgekd.base.plugins.build"]
