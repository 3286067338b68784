"""report.json -> report.html: one self-contained page, without scripts, that opens anywhere; and one of samples.

May import base, tasks, document and decide, with jinja2.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgekd.document.apart import Sample
from edgekd.document.report import Report
from edgekd.document.samples import Samples
from edgekd.report import attribution, figures, pictures, student_analysis, tradeoff, view
from edgekd.report.page import render
from edgekd.report.readme import readme
from edgekd.report.text import MetricText

__all__ = ["html", "readme", "samples_page"]


def html(report: Report, samples: Samples) -> str:
    """The page of a build.

    Args:
        report: report.json.
        samples: samples.json, nanoseconds by target and candidate; empty where it is lost.
    """
    details = report.get("details") or {}
    page = view.page(report, details)
    metric = MetricText.of(report)
    drawn = figures.make(report, details, samples, metric)
    analysis = details.get("learned")
    stages = attribution.make(details.get("attribution") or {}, metric)
    section = student_analysis.make(analysis, report["split_sizes"]["test"], metric) if analysis else None
    teacher = view.teacher_of(report)
    traded = (
        {}
        if teacher is None
        else {name: tradeoff.make(target, teacher["value_validation"]) for name, target in report["targets"].items()}
    )
    return render("page.html", **page, figures=drawn, learned=section, attribution=stages, traded=traded)


def samples_page(report: Report, samples: Sequence[Sample]) -> str:
    """The page of the test samples that teacher and student part on: it shows them, so it stays beside the bundle."""
    cards, shares = pictures.cards(samples), all(sample.shares for sample in samples)
    return render("samples.html", name=report["name"], cards=cards, shares=shares)
