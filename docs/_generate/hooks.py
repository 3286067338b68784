"""mkdocs hooks: what a page says about code is made from that code when the site is built.

A page is a file of Markdown in ``docs/``; a line ``<!-- generate: NAME -->`` in it is replaced by the Markdown of
``GENERATORS[NAME]``. Nothing that is generated is committed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _commands
import _documents
import _measured
import _models
import _packages
import _plugin_families
import _schemas
import _texts
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

GENERATORS: dict[str, Callable[[], str]] = {
    "recipe": _models.recipe,
    "target": _models.target,
    "targets": _models.targets,
    "plugins": _plugin_families.families,
    "recipes": _plugin_families.recipes,
    "passes": _plugin_families.column,
    "packages": _packages.packages,
    "cli": _commands.reference,
    "report": _documents.report,
    "measured": _measured.table,
    "peers": _measured.peers,
    "peers-by-net": _measured.peers_by_net,
    "schemas": _schemas.listing,
    "security": _texts.security,
    "contributing": _texts.contributing,
    "changelog": _texts.changelog,
}
MARKER = re.compile(r"^<!-- generate: (\S+) -->$", re.MULTILINE)
# What a browser would fetch by itself: scripts, styles, pictures, frames, fonts.
ELSEWHERE = r"((?:https?:)?//[^\"')>\s]+)"
TAGS = "script|link|img|iframe|source|video|audio"
LOADED = re.compile(rf"<(?:{TAGS})\b[^>]*?\b(?:src|href)=[\"']?{ELSEWHERE}")
LOADED_BY_STYLE = re.compile(rf"(?:url\(|@import\s+)[\"']?{ELSEWHERE}")


def generated(markdown: str) -> str:
    """A page's Markdown with every marker replaced.

    Raises:
        PluginError: a marker that names no generator.
    """

    def replaced(marker: re.Match[str]) -> str:
        name = marker.group(1)
        if name not in GENERATORS:
            raise PluginError(f"no generator {name!r}; there are {', '.join(sorted(GENERATORS))}")
        return GENERATORS[name]()

    return MARKER.sub(replaced, markdown)


def on_files(files: Files, config: Any) -> Files:
    """Add the JSON Schemas, where this version of edgekd prints them."""
    for name, schema in _schemas.documents().items():
        text = json.dumps(schema, indent=2) + "\n"
        files.append(File.generated(config, f"reference/schemas/{name}.schema.json", content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the markers of one page."""
    return generated(markdown)


def on_post_build(config: Any) -> None:
    """Refuse a site that would load anything from another host.

    Raises:
        PluginError: names the page and the address.
    """
    site = Path(config["site_dir"])
    for pattern, suffix in ((LOADED, "*.html"), (LOADED_BY_STYLE, "*.css")):
        for page in sorted(site.rglob(suffix)):
            text = page.read_text(encoding="utf-8")
            addresses = [m.group(1) for m in pattern.finditer(text) if 'rel="canonical"' not in m.group(0)]
            if addresses:
                raise PluginError(f"{page.relative_to(site)} loads from another host: {addresses[0]}")
