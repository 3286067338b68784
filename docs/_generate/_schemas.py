"""The JSON Schemas that ``edgekd schema`` prints, as files of the site."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
from typing import Any

from _markdown import code, table

NAMES = {
    "recipe": "a recipe (`*.toml`)",
    "target": "a target file (`*.toml`)",
    "report": "`report.json` of a bundle",
    "tune": "`tune.json` of a search",
    "bench": "what `edgekd bench --json` prints",
    "kernels": "what `edgekd inspect --kernels --json` prints",
    "manifest": "`manifest.json` of a bundle",
}


def documents() -> dict[str, Any]:
    """The schemas by name; none where this version has no such command."""
    if importlib.util.find_spec("edgekd.cli.schema") is None:
        return {}
    return {name: _printed(name) for name in NAMES}


def _printed(name: str) -> Any:
    """What the command prints, parsed.

    Raises:
        ValueError: the command failed.
    """
    from edgekd import cli

    with contextlib.redirect_stdout(io.StringIO()) as output:
        if code := cli.run(["schema", name]):
            raise ValueError(f"edgekd schema {name} ended with {code}")
    return json.loads(output.getvalue())


def listing() -> str:
    """A table of the schemas, each with its file where there is one."""
    known = documents()
    rows = [
        (f"[{name}.schema.json](schemas/{name}.schema.json)" if name in known else code(name), meaning)
        for name, meaning in NAMES.items()
    ]
    return table(("schema", "describes"), rows)
