"""The packages of edgekd, each with what its ``__init__`` says it is for and may import."""

from __future__ import annotations

import ast
from pathlib import Path

from _markdown import code, plain, table

import edgekd

ROOT = Path(edgekd.__file__).parent
# As a reader meets them: whoever stands further down may import some of those above.
ORDER = (
    *(
        "base",
        "tasks",
        "spec",
        "document",
        "metrics",
        "learn",
        "compress",
        "lower",
        "runtime",
        "teachers",
        "loggers",
        "decide",
    ),
    *("build", "analysis", "report", "publish", "tune", "cli", "api"),
)


def packages() -> str:
    """A row a package.

    Raises:
        ValueError: a package that stands in no order.
    """
    there = {place.parent.name for place in ROOT.glob("*/__init__.py")}
    if odd := sorted(there ^ set(ORDER)):
        raise ValueError(f"{Path(__file__).name} and edgekd/ differ in {odd[0]!r}")
    rows = []
    for name in ORDER:
        doc = ast.get_docstring(ast.parse((ROOT / name / "__init__.py").read_text(encoding="utf-8"))) or ""
        rows.append((code(f"{name}/"), plain(doc)))
    return table(("package", "what it is for, and may import"), rows)
