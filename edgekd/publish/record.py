"""What a build says about itself: report.json (the contract, schema version 1) and what else the report shows."""

from __future__ import annotations

import functools
from typing import Final, cast

import numpy as np

from edgekd.analysis import attribution, loss_ablation, student_analysis
from edgekd.analysis.by_class import per_class
from edgekd.build import baseline, taken
from edgekd.build.evaluation import SPLITS
from edgekd.build.measure import Measured, MeasuredCandidate
from edgekd.build.plan import Plan
from edgekd.build.workspace import Workspace
from edgekd.decide import choose, doubts, fallbacks
from edgekd.document.candidate import Candidate
from edgekd.document.details import Agreement, Details, Epoch, Kept, Row
from edgekd.document.report import Parity, Report, Stage, Target, as_judged
from edgekd.document.samples import Samples
from edgekd.metrics import metric_name, metric_of_teacher
from edgekd.publish import coverage, public
from edgekd.publish.facts import BuildFacts
from edgekd.publish.stages import stage_rows
from edgekd.runtime import bench as benching
from edgekd.runtime import parity
from edgekd.runtime.runners import LocalRunner
from edgekd.tasks import kind_of

SCHEMA_VERSION: Final = 1
PARITY_SAMPLES = 10_000
JUDGED = ("validation", "test")
BY_CLASS = 10_000  # classes that are told of one by one


def make(facts: BuildFacts) -> Report:
    """report.json. The test split is run here, once, after the choice is made."""
    workspace = facts.workspace
    lengths = {name: workspace.feed.length(name) for name in ("train", "validation", "test")}
    first = next(iter(facts.measured.values()))
    stages = stage_rows(facts)
    targets = {name: _target(facts, measured) for name, measured in facts.measured.items()}
    for sentence in coverage.sentences(facts.workspace, targets):
        workspace.note(sentence)
    for sentence in _by_metric(facts):
        workspace.note(sentence)
    if not facts.quick:
        for sentence in _doubts(facts):
            workspace.note(sentence)
    document: Report = {
        "schema_version": SCHEMA_VERSION,
        "name": workspace.recipe.name,
        "task": workspace.task_kind,
        "metric": metric_name(workspace.recipe.metric["kind"], facts.evaluation.labels["validation"]),
        "metric_is_share": workspace.metric.share,
        "classifies": workspace.classifies,
        "outputs": {name: kind_of(task) for name, task in workspace.heads.tasks.items()},
        **coverage.of_bundle(workspace.recipe, facts.decided),
        "seed": workspace.recipe.seed,
        "split_sizes": lengths,
        "host": first.host,
        "shippable": not facts.quick,
        "stages": stages,
        "targets": targets,
        "details": _details(facts),
    }
    document["details"]["attribution"] = _attribution(workspace.plan, stages, targets)
    if facts.baseline is not None:
        document["details"]["baseline"] = {**facts.baseline, "told": baseline.better(document)}
    return document


def _by_metric(facts: BuildFacts) -> list[str]:
    """What each head's own metric says of the files that ship, where the report's value is a mean of several."""
    heads, sentences = facts.workspace.recipe.heads, []
    for target, choice in facts.choices.items() if len(heads) > 1 else ():
        if choice.shipped is not None:
            measured, shipped = facts.measured[target], choice.shipped
            cuts = measured.candidates[shipped].cuts
            values = measured.evaluation.by_head("test", facts.tested(target, shipped), cuts)
            parts = [f"{heads[name].measured['kind']} of {name} {value:.4g}" for name, value in values.items()]
            sentences.append(f"{target}: on test {', '.join(parts)}")
    return sentences


def _doubts(facts: BuildFacts) -> list[str]:
    """Where a wish was met on validation, and is in doubt."""
    sentences, is_share = [], facts.workspace.metric.share
    for name, measured in facts.measured.items():
        if (shipped := facts.choices[name].shipped) is None:
            continue
        evaluation, candidate = measured.evaluation, measured.candidates[shipped]
        held = "test", facts.tested(name, shipped), candidate.cuts
        values = {"validation": candidate.value_validation, "test": evaluation.value(*held)}
        ends = {"validation": candidate.drop_ci95, "test": evaluation.intervals(*held)["drop_ci95"]}
        validation, test = (
            doubts.Drop(split, evaluation.length(split), evaluation.teacher_value(split) - value, ends[split], is_share)
            for split, value in values.items()
        )
        sentence = doubts.about_drop(f"{name}, {shipped}", facts.budget, validation, test)
        sentences += [] if sentence is None else [sentence]
    return sentences


def samples(facts: BuildFacts) -> Samples:
    """samples.json: every latency, in ns, by target and candidate."""
    return {
        name: {c.name: c.samples_ns for c in measured.candidates.values()} for name, measured in facts.measured.items()
    }


def _attribution(plan: Plan, stages: list[Stage], targets: dict[str, Target]) -> dict[str, list[Row]]:
    """What each stage cost and bought, by target."""
    teacher = next(stage for stage in stages if stage["name"] == "teacher")
    return {
        name: attribution.rows(as_judged(target, teacher), target, attribution.parents(plan, name))
        for name, target in targets.items()
    }


def _details(facts: BuildFacts) -> Details:
    """What the page draws beyond the contract: curves, agreement by class, the recipe."""
    analysis = student_analysis.make(facts.workspace, facts.trained, facts.shown)
    analysis["losses"] = None
    if facts.explained is not None:
        before = functools.partial(facts.torch_reference, "student")
        analysis["losses"] = loss_ablation.gains(facts.workspace, facts.explained, facts.evaluation, before)
    return {
        "history": {name: cast(list[Epoch], trained.history) for name, trained in facts.trained.items()},
        "validated": _validated(facts),
        "agreement": _by_class(facts),
        "learned": analysis,
        "kept": _kept(facts.workspace),
        "notes": [*facts.workspace.notes, *facts.workspace.found],
        "baseline": facts.baseline,
        "compression": [
            taken.row(name, trained.student.lineage[-1])
            for name, trained in facts.trained.items()
            if "taken" in trained.student.lineage[-1]
        ],
        "recipe": public.recipe(facts.workspace.recipe),
    }


def _kept(workspace: Workspace) -> Kept | None:
    """What of the teachers is kept for training, and what is computed anew; None where no loss asks for answers."""
    if not any("teacher" in term.loss.needs for term in workspace.terms):
        return None
    outputs = sum(sum(workspace.heads_of(name).values()) for name in workspace.feeds)
    a_view = 4 * outputs * workspace.feed.length("train")
    return {
        "views": workspace.feed.views,
        "samples": workspace.feed.length("train"),
        "memory_bytes": a_view,
        "disk_bytes": a_view * workspace.feed.views,
        "anew": [term.name for term in workspace.terms if term.on_features],
    }


def _validated(facts: BuildFacts) -> dict[str, str]:
    """What the curves of the teachers' own training show, where it is not the report's metric."""
    workspace = facts.workspace
    if metric_of_teacher(workspace.metric, workspace.heads.tasks) is workspace.metric:
        return {}
    kinds = dict.fromkeys(task.metrics[0] for task in workspace.heads.tasks.values())
    return dict.fromkeys(workspace.recipe.ensemble, " and ".join(kinds))


def _by_class(facts: BuildFacts) -> Agreement | None:
    """Agreement by class; where there are several heads of the first of classes, its name, and the other such heads
    under theirs; None where no head is of classes, or of more than anybody reads (of 10,000 it takes seconds and a MB).
    """
    workspace, evaluation, student = facts.workspace, facts.shown.evaluation, facts.shown.scores
    teacher, labels = evaluation.teacher("test"), evaluation.labels["test"]
    by_head = {
        name: per_class(
            student[:, where],
            teacher[:, where],
            workspace.heads.labels_of(labels, name),
            workspace.classes[workspace.heads.name_columns[name]],
            workspace.heads.tasks[name],
        )
        for name, where in workspace.heads.columns.items()
        if workspace.heads.tasks[name].exclusive and workspace.heads[name] <= BY_CLASS
    }
    if not by_head:
        return None
    first, *others = by_head
    agreement = cast(Agreement, {**by_head[first]})
    if len(workspace.heads) > 1:
        agreement |= {"head": first, "others": {name: by_head[name] for name in others}}
    return agreement


def _target(facts: BuildFacts, measured: Measured) -> Target:
    name, choice = measured.target.name, facts.choices[measured.target.name]
    teacher_value = measured.evaluation.teacher_value("validation")
    shipped = choice.shipped or min(measured.candidates.values(), key=lambda c: -c.value_validation).name
    contender = next(c for c in measured.contenders() if c.name == shipped)
    profiles = measured.profiles
    row: Target = {
        "shipped": choice.shipped,
        "reason": choice.reason,
        "candidates": [_candidate(facts, measured, c, profiles[c.name]) for c in measured.candidates.values()],
        "parity": _parity(facts, measured, measured.candidates[shipped]),
        "budget": choose.budget_record(contender, facts.budget, teacher_value, measured.candidates[shipped].drop_ci95),
        "runtime": measured.version,
        "batch": measured.target.shapes.batch,
        "threads": int(measured.target.options.get("threads", 1)),
        "description": f"{measured.target.backend} {measured.version}: {name}",
    }
    if isinstance(facts.workspace.runner, LocalRunner):
        row["preprocess_ms"] = measured.preprocess_ms
    if any(not measured.evaluation.whole(split) for split in JUDGED):
        row["teacher"] = {split: measured.evaluation.teacher_value(split) for split in JUDGED}
    if choice.shipped is not None:
        coverage.tell(row, facts.workspace, facts.decided, name, facts.tested(name, choice.shipped))
    if measured.target.also:
        row["also"] = {kind: dict(other) for kind, other in measured.candidates[shipped].also.items()}
    if measured.length is not None:
        row["timed_length"] = measured.length
    return row


def _candidate(
    facts: BuildFacts, measured: Measured, candidate: MeasuredCandidate, profile: fallbacks.Profile
) -> Candidate:
    summary = benching.summary(candidate.samples)
    middle, low, high = measured.ratio("fp32", candidate.name)
    got = facts.tested(measured.target.name, candidate.name)
    row: Candidate = {
        "name": candidate.name,
        "numerics": candidate.numerics.name,
        "pruned": candidate.pruned,
        "size_bytes": candidate.size_bytes,
        "value_validation": candidate.value_validation,
        "value_test": measured.evaluation.value("test", got, candidate.cuts),
        "scored": {split: measured.evaluation.length(split) for split in JUDGED},
        "latency_ms": {
            "p50": summary["p50"],
            "p90": summary["p90"],
            "p99": summary["p99"],
            "mean": summary["mean"],
            "min": summary["min"],
            "max": summary["max"],
        },
        "throughput": measured.target.shapes.batch / (summary["p50"] / 1e3),
        "samples": len(candidate.samples_ns),
        "sessions_p50_ms": candidate.sessions_p50_ms,
        "value_ci95": candidate.value_ci95,
        "drop_ci95": candidate.drop_ci95,
        "speedup_vs_fp32": {"p50": middle, "ci95": [low, high]},
        "verdict": facts.choices[measured.target.name].verdicts.get(candidate.name, ""),
        "kernels": fallbacks.record(profile),
        "outside": candidate.name in facts.choices[measured.target.name].outside,
    }
    if candidate.mixed is not None:
        row["mixed"] = candidate.mixed
    if candidate.cosine is not None:
        row["cosine"] = candidate.cosine
    return row


def _parity(facts: BuildFacts, measured: Measured, candidate: MeasuredCandidate) -> Parity:
    """The file on its runtime against the torch model it came from, over all splits up to 10,000 samples."""
    evaluation, left = measured.evaluation, PARITY_SAMPLES
    step = facts.step_of(measured.target.name, candidate.name)
    got, wanted = [], []
    for split in SPLITS:
        count = min(left, evaluation.length(split))
        left -= count
        if count:
            got.append(measured.scores(candidate.name, split, count))
            wanted.append(
                evaluation.of_rows(split, facts.torch_reference(step, split, numerics=candidate.numerics))[:count]
            )
    return parity.compare(np.concatenate(got), np.concatenate(wanted), heads=facts.decided.heads).as_dict()
