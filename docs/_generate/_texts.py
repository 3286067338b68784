"""Texts that stand at the root of the repository and are pages of the site, too."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
# A link of a file at the root, as the site has it.
LINKS = {"SECURITY.md": "security.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}


def security() -> str:
    """SECURITY.md without its title."""
    return _text("SECURITY.md")


def contributing() -> str:
    """CONTRIBUTING.md without its title."""
    return _text("CONTRIBUTING.md")


def changelog() -> str:
    """CHANGELOG.md without its title."""
    return _text("CHANGELOG.md")


def _text(name: str) -> str:
    """A file's Markdown below its title, its links made the site's."""
    text = (ROOT / name).read_text(encoding="utf-8")
    text = re.sub(r"\A# .*\n", "", text)
    for file, page in LINKS.items():
        text = text.replace(f"]({file})", f"]({page})")
    return text.replace("](docs/", "](")
