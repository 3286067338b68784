"""The one way to a page: this folder's templates, HTML escaped, nothing left out in silence."""

from __future__ import annotations

import functools
import json
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape


def render(template: str, **values: Any) -> str:
    """A template of this folder with its values."""
    return _templates().get_template(template).render(**values)


@functools.cache
def _templates() -> Environment:
    """Compiled once a process: that takes longer than to fill them in."""
    environment = Environment(
        loader=PackageLoader("edgekd.report", "."),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["json"] = lambda value: json.dumps(value, ensure_ascii=False)  # which YAML is a superset of
    return environment
