"""report.json -> report.html: one self-contained page, without scripts, that opens anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from edgekd.report import figures, view
from edgekd.report.readme import readme
from edgekd.report.text import Metric

__all__ = ["html", "readme"]


def html(report: Mapping[str, Any], samples: Mapping[str, Any]) -> str:
    """The page of a build.

    Args:
        report: report.json.
        samples: samples.json, nanoseconds by target and candidate; empty where it is lost.
    """
    extras = {**report.get("details", {}), "samples": samples}
    environment = Environment(
        loader=PackageLoader("edgekd.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = view.page(report, extras)
    drawn = figures.make(report, extras, Metric.of(report))
    return environment.get_template("page.html").render(**page, figures=drawn)
