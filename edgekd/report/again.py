"""The page of a bundle that stands, rendered again."""

from __future__ import annotations

import json
from pathlib import Path

from edgekd import report
from edgekd.disk import disk, replace_file
from edgekd.errors import IntegrityError
from edgekd.runtime import bundle as bundles
from edgekd.runtime.steady import steadily


def write(folder: Path, out: Path | None) -> Path:
    """Render a bundle's report.json again; where it was written.

    Raises:
        IntegrityError: no report.json, or a damaged one.
    """
    page = steadily(folder, lambda: _page(folder)).encode()
    if out is None:  # a name that anybody may have made a link of
        place = Path(f"{folder.name}.report.html")
        replace_file(place, page)
        return place
    with disk(out):  # the user's own choice, were it /dev/stdout
        out.write_bytes(page)
    return out


def _page(folder: Path) -> str:
    bundle = bundles.read(folder)
    if not bundle.report:
        raise IntegrityError("no report.json", where=str(folder))
    bundle.file("report.json")
    samples = json.loads(bundle.file("samples.json")) if "samples.json" in bundle.hashes else {}
    return report.html(bundle.report, samples)
