"""Which of edgekd's own files a module runs: what it imports, all that these import, and the plugins that they build.

It is read from the source, so that nobody keeps a list: a file that is imported is in it. Imports that a type checker
alone follows (``if TYPE_CHECKING:``) run nothing, and are not.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from pathlib import Path

from edgekd.base.plugins import FAMILIES

PACKAGE = Path(__file__).parent.parent
_TYPES = re.compile(r"^if TYPE_CHECKING:.*\n(?:[ \t]+.*\n|\n)+", re.M)
_IMPORT = re.compile(r"^[ \t]*(?:import (edgekd[\w.]*)|from (edgekd[\w.]*) import (\([^)]*\)|.*))", re.M)
_NAME = re.compile(r"(\w+)(?: as \w+)?,?")
_BUILDS = re.compile(r"\bplugins\.(?:build|load)\(\s*\"(\w+)\"")


def closure(roots: Iterable[str], package: Path = PACKAGE) -> list[Path]:
    """Files that some modules run, sorted.

    Args:
        roots: paths below the package: ``build/exports.py``, or a folder of modules.
        package: where edgekd stands.
    """
    todo = [file for root in roots for file in modules(package / root)]
    seen: set[Path] = set()
    while todo:
        file = todo.pop()
        if file in seen:
            continue
        seen.add(file)
        for module in needs(file):
            todo += _files(module, package)
    return sorted(seen)


def modules(place: Path) -> list[Path]:
    """The modules of a folder and of those in it; of a file itself."""
    return sorted(place.rglob("*.py")) if place.is_dir() else [place]


@functools.cache
def _files(module: str, package: Path) -> tuple[Path, ...]:
    """The packages that an import opens on its way, and the module itself; a plugin family is its whole folder."""
    above = module.rpartition(".")[0]
    before = _files(above, package) if above else ()
    place = package.joinpath(*module.split(".")[1:])
    if module.endswith(".*"):
        return (*before, *modules(place.parent))
    inside = (place / "__init__.py", place.with_suffix(".py"))
    return (*before, *[file for file in inside if file.is_file()][:1])


@functools.cache
def needs(file: Path) -> tuple[str, ...]:
    """Every ``edgekd.a.b`` that a file imports, and ``edgekd.a.*`` for the family of each plugin that it builds.

    By patterns, which take 20 ms for all of edgekd where parsing takes 2 s: a build that has nothing to do is told in
    one. What else reads like an import (an example in a docstring) counts, too.
    """
    text = _TYPES.sub("", file.read_text(encoding="utf-8"))
    imports: dict[str, None] = {}
    for module, bare, names in _IMPORT.findall(text):
        imports |= dict.fromkeys([module] if module else [f"{bare}.{name}" for name in _NAME.findall(names)])
    families = [f"{FAMILIES[family]}.*" for family in _BUILDS.findall(text) if family in FAMILIES]
    return tuple(dict.fromkeys([*imports, *families]))
