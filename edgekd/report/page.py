"""The one way to a page: this folder's templates, HTML escaped, nothing left out in silence."""

from __future__ import annotations

import json
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape


def render(template: str, **values: Any) -> str:
    """A template of this folder with its values."""
    environment = Environment(
        loader=PackageLoader("edgekd.report", "."),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["json"] = lambda value: json.dumps(value, ensure_ascii=False)  # which YAML is a superset of
    return environment.get_template(template).render(**values)
