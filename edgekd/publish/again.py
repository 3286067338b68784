"""The page of a bundle that stands, rendered again."""

from __future__ import annotations

from pathlib import Path

from edgekd import report
from edgekd.base.disk import disk, replace_file
from edgekd.runtime import bundle as bundles
from edgekd.runtime.steady import steadily


def write(folder: Path, out: Path | None) -> Path:
    """Render a bundle's report.json again; where it was written.

    Raises:
        IntegrityError: no report.json, a damaged one, or one that is not as a build writes it.
    """
    page = steadily(folder, lambda: _page(folder)).encode()
    if out is None:  # a name that anybody may have made a link of
        whole = folder.resolve()
        here = whole.parent if Path.cwd().is_relative_to(whole) else Path()  # a file more in a bundle breaks it
        place = here / f"{whole.name}.report.html"
        replace_file(place, page)
        return place
    with disk(out):  # the user's own choice, were it /dev/stdout
        out.write_bytes(page)
    return out


def _page(folder: Path) -> str:
    bundle = bundles.read(folder)
    return report.html(bundles.report_of(bundle), bundles.samples_of(bundle))
