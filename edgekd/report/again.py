"""The page of a bundle that stands, rendered again."""

from __future__ import annotations

from pathlib import Path

from edgekd import report
from edgekd.disk import disk
from edgekd.runtime import bundle as bundles


def write(folder: Path, out: Path | None) -> Path:
    """Render a bundle's report.json again; where it was written.

    Raises:
        IntegrityError: no report.json, a damaged one, or one that is not as a build writes it.
    """
    bundle = bundles.read(folder)
    page = report.html(bundles.report_of(bundle), bundles.samples_of(bundle))
    place = out or Path(f"{folder.name}.report.html")
    with disk(place):
        place.write_text(page, encoding="utf-8")
    return place
