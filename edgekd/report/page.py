"""The one way to a page: this folder's templates, each value escaped for HTML or Markdown, none left out in silence."""

from __future__ import annotations

import functools
import json
import re

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from edgekd.base.printable import in_json
from edgekd.report import markdown
from edgekd.report.markdown import Markdown


def render(template: str, **values: object) -> str:
    """A template of this folder with its values."""
    return _templates(template.endswith(".md")).get_template(template).render(**values)


@functools.cache
def _templates(in_markdown: bool) -> Environment:
    """Compiled once a process: that takes longer than to fill them in."""
    environment = Environment(
        loader=PackageLoader("edgekd.report", "."),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    if in_markdown:
        environment.finalize = markdown.escaped
        environment.filters["code"] = markdown.code
        environment.filters["json"] = _json
    return environment


def _json(value: object) -> Markdown:
    """JSON, which YAML is a superset of once it holds no control characters, and no Markdown to who knows no YAML."""
    document = in_json(json.dumps(value, ensure_ascii=False)).replace("](", "]\\u0028")
    return Markdown(re.sub("[<>&`]", lambda match: f"\\u{ord(match[0]):04x}", document))
