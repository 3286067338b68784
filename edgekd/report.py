"""report.json -> report.html: one self-contained page."""

from __future__ import annotations

import html as escape
import json
from collections.abc import Mapping
from typing import Any


def html(report: Mapping[str, Any], extras: Mapping[str, Any]) -> str:
    """The page of a build.

    Args:
        report: report.json.
        extras: curves, samples and agreement, as ``record.extras`` gives them.
    """
    rows = []
    for name, target in report["targets"].items():
        for c in target["candidates"]:
            cells = (name, c["name"], c["size_bytes"], c["value_validation"], c["value_test"], c["latency_ms"]["p50"])
            rows.append("<tr>" + "".join(f"<td>{escape.escape(str(cell))}</td>" for cell in cells) + "</tr>")
    title = escape.escape(str(report["name"]))
    body = escape.escape(json.dumps(dict(report), indent=1))
    return f"<!doctype html><meta charset=utf-8><title>{title}</title><table>{''.join(rows)}</table><pre>{body}</pre>"
