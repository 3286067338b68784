"""The compiler, as one paragraph: rehearse, teach, distil, compress, export, measure, choose, bundle."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace

from edgekd import report
from edgekd.analysis import loss_ablation, student_analysis
from edgekd.base import host
from edgekd.base.disk import as_it_was, replace_file, samples_page
from edgekd.base.errors import reading
from edgekd.build import baseline, plan_rows, rehearsal, training_log
from edgekd.build import request as requests
from edgekd.build import run as running
from edgekd.build.ensemble import TeacherOutputs
from edgekd.build.plan import DistilStep
from edgekd.build.prepare import Objects
from edgekd.build.request import BuildRequest
from edgekd.build.trained import Trained
from edgekd.build.workspace import Workspace
from edgekd.decide.budget import resolved
from edgekd.document.commands import Plan
from edgekd.document.report import Report
from edgekd.learn import ranks, threads
from edgekd.publish import app_files, pages, record, sbom, shipped
from edgekd.publish.facts import BuildFacts
from edgekd.runtime import bundle


def run(request: BuildRequest, objects: Objects | None = None) -> Report:
    """Build the bundle of a build request and return its report.

    Raises:
        GateError: nothing inside the budget on some target; an earlier bundle stays as it was.
        EdgekdError: see ``errors``.
    """
    processes = ranks.beside()
    if (cpus := host.cores()) > request.recipe.threads or processes > 1:
        request.progress({"step": threads.told(request.recipe.threads, cpus, processes), "epoch": None})
    with threads.fixed(request.recipe.threads), training_log.opened(request) as log:
        document = _run(replace(request, progress=log), objects or Objects())
        log.finish(document)
        return document


def follow(request: BuildRequest) -> None:
    """What a rank other than the first does of a build: it trains along, and writes nothing."""
    with threads.fixed(request.recipe.threads):
        workspace = running.checked(request, Objects())
        if ranks.called():
            with ranks.together():
                running.train_all(workspace)


def _run(request: BuildRequest, objects: Objects) -> Report:
    workspace = running.checked(request, objects)
    whole = requests.identified(request, seen=True)
    if whole.identity != request.identity and (existing_report := requests.standing(whole)) is not None:
        return existing_report
    request = whole
    with reading(request.file):
        if request.quick:
            rehearsal.check(workspace)  # such a build is a rehearsal itself
        else:
            rehearsal.run(workspace)
    trained, teacher_outputs, torch_reference, evaluation, measured = running.make_all(
        workspace, running.seconds(request)
    )
    budget = resolved(request.recipe.budget, running.teacher_bytes(workspace, trained))
    choices = running.choose_all(measured, budget, gated=not request.quick)
    explained = explain_losses(workspace, trained, teacher_outputs) if request.explain else None
    plain = baseline.make(workspace, evaluation, quick=request.quick)
    facts = BuildFacts(
        workspace, trained, torch_reference, evaluation, measured, choices, budget, request.quick, explained, plain
    )
    document = record.make(facts)
    files = pages.write_pages(document, record.samples(facts))
    apart = report.samples_page(document, student_analysis.samples(workspace, facts.shown)).encode()
    if request.keep_candidates:
        pages.keep_candidates(request.out, measured)
    hints = [] if request.quick else pages.advice(request, measured, choices, budget)
    pages.gate(request, choices, {**files, "samples.html": apart}, hints)
    new_bundle = shipped.bundle(facts, request.identity)
    files = {**files, **app_files.make(facts, new_bundle, document), new_bundle.sbom: sbom.make(new_bundle)}
    page = samples_page(request.out)
    with as_it_was(page):
        replace_file(page, apart)  # first: a bundle that stands is not built again
        remember = functools.partial(requests.remember, request)
        bundle.write(request.out, new_bundle, files, overwrite=request.overwrite, remember=remember)
    return document


def explain_losses(
    workspace: Workspace, trained: Mapping[str, Trained], teacher_outputs: TeacherOutputs
) -> dict[str, Trained | None]:
    """The student once more without each loss; of several generations the last."""
    taught_by = running.outputs_for(workspace, trained, teacher_outputs, workspace.plan.get("student", DistilStep))
    return loss_ablation.train(workspace, taught_by, teacher_outputs, trained["teacher"].student)


def describe(request: BuildRequest, objects: Objects | None = None) -> Plan:
    """The plan of a build request as plain data, everything resolved and checked; nothing is trained."""
    workspace = running.checked(request, objects or Objects())
    with reading(request.file):
        running.check_teachers(workspace)
    besides = list(loss_ablation.steps_of(workspace).values()) if request.explain else []
    return plan_rows.describe(request, workspace, besides)
