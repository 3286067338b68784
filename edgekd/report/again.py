"""The page of a bundle that stands, rendered again."""

from __future__ import annotations

import json
from pathlib import Path

from edgekd import report
from edgekd.disk import disk
from edgekd.errors import IntegrityError
from edgekd.runtime import bundle as bundles


def write(folder: Path, out: Path | None) -> Path:
    """Render a bundle's report.json again; where it was written.

    Raises:
        IntegrityError: no report.json, or a damaged one.
    """
    bundle = bundles.read(folder)
    if not bundle.report:
        raise IntegrityError("no report.json", where=str(folder))
    bundle.file("report.json")
    samples = json.loads(bundle.file("samples.json")) if "samples.json" in bundle.hashes else {}
    place = out or Path(f"{folder.name}.report.html")
    with disk(place):
        place.write_text(report.html(bundle.report, samples), encoding="utf-8")
    return place
