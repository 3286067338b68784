"""``edgekd schema``: the JSON Schema (draft 2020-12) of what edgekd writes and of what a user writes.

Documents are TypedDicts, see ``edgekd.document``; pydantic on Python 3.11 refuses those, so ``of_document`` walks them
itself. Recipe and target are pydantic's, with the plugin tables in them (``plugin_tables``).
"""

from __future__ import annotations

from collections.abc import Callable

from edgekd.cli.json_schema import Schema, of_document
from edgekd.document.bench import Bench
from edgekd.document.kernel_costs import KernelInspection
from edgekd.document.manifest import Manifest
from edgekd.document.report import Report
from edgekd.document.tune import Tune


def _recipe() -> Schema:
    from edgekd.cli import plugin_tables

    return plugin_tables.recipe()


def _target() -> Schema:
    from edgekd.cli import plugin_tables

    return plugin_tables.target()


# Of each name what makes its schema; recipe and target need what [build] installs.
SCHEMAS: dict[str, Callable[[], Schema]] = {
    "report": lambda: of_document(Report, "report.json of an edgekd bundle"),
    "tune": lambda: of_document(Tune, "tune.json of edgekd tune"),
    "bench": lambda: of_document(Bench, "what edgekd bench --json prints"),
    "kernels": lambda: of_document(KernelInspection, "what edgekd inspect --kernels --json prints"),
    "manifest": lambda: of_document(Manifest, "manifest.json of an edgekd bundle"),
    "recipe": _recipe,
    "target": _target,
}
