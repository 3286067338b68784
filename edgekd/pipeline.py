"""The compiler, as one paragraph: rehearse, teach, distil, compress, export, measure, choose, bundle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from edgekd import (
    choose,
    explain,
    host,
    learned,
    measure,
    orders,
    plan,
    plugins,
    preprocess,
    record,
    rehearsal,
    report,
    steps,
)
from edgekd.choose import Choice
from edgekd.disk import disk, replace_file, replace_folder
from edgekd.errors import GateError, RecipeError, reading
from edgekd.learn.data._base import Dataset
from edgekd.learn.feed import Feed
from edgekd.learn.objective import Term, make_terms
from edgekd.measure import Measured
from edgekd.orders import Order
from edgekd.recipe import Augment
from edgekd.runtime import bundle
from edgekd.store import canonical


@dataclass(frozen=True)
class Objects:
    """What a notebook user brings instead of a recipe's tables; None where the recipe says it."""

    dataset: Dataset | None = None
    teacher: nn.Module | None = None
    student: nn.Module | None = None


def run(order: Order, objects: Objects | None = None) -> Mapping[str, Any]:
    """Build the bundle of an order and return its report.

    Raises:
        GateError: nothing inside the budget on some target; an earlier bundle stays as it was.
        EdgekdError: see ``errors``.
    """
    for target in order.targets:
        measure.check_target(target)
    with reading(order.file):
        bench = prepare(order, objects or Objects())
        rehearsal.run(bench, order.targets, host.measured_key(0))
    trained, watching = train_all(bench)
    onnx = export_all(bench, trained)
    stage_scores = steps.StageScores(bench, trained)
    exam = measure.Exam.of(bench.feed, watching.split, bench.metric)
    measured = measure_all(bench, onnx, stage_scores, exam)
    budget = None if order.quick else order.recipe.budget
    choices = choose_all(measured, budget, exam)
    explained = explain.train(bench, watching) if order.explain else None
    facts = record.Facts(bench, trained, stage_scores, exam, measured, choices, order.quick, explained)
    document = record.make(facts)
    pages = write_pages(document, record.samples(facts))
    apart = report.samples_page(document, learned.samples(bench, exam, facts.shown)).encode()
    if order.keep_candidates:
        keep_candidates(order.out, measured)
    gate(order, choices, {**pages, "samples.html": apart})
    replace_file(orders.samples_page(order.out), apart)  # first: a bundle that stands is not built again
    bundle.write(order.out, record.bundle(facts, order.identity), pages, overwrite=order.overwrite)
    return document


def describe(order: Order, objects: Objects | None = None) -> dict[str, Any]:
    """The plan of an order as plain data, everything resolved and checked; nothing is trained."""
    for target in order.targets:
        measure.check_target(target)
    with reading(order.file):
        bench = prepare(order, objects or Objects())
    rehearsed = rehearsal.known(bench.plan, order.store, host.measured_key(0)) or {"seconds_per_sample": {}}
    rows = []
    more = [(1, step) for _, step in explain.steps_of(bench).values()] if order.explain else []
    for depth, step in [*bench.plan.walk(), *more]:
        rate = rehearsed["seconds_per_sample"].get(step.kind if step.kind == "student" else step.name)
        rows.append(
            {
                "name": step.name,
                "depth": depth,
                "key": step.key,
                "targets": list(step.targets),
                "epochs": step.schedule.epochs if step.schedule else 0,
                "samples": bench.plan.samples,
                "seconds": None if rate is None else rate * bench.plan.cost(step),
                "cached": is_cached(bench, step),
            }
        )
    return {
        "name": order.recipe.name,
        "targets": [t.name for t in order.targets],
        "identity": order.identity,
        "steps": rows,
    }


def is_cached(bench: steps.Bench, step: plan.Step) -> bool:
    """Whether a build would find the result of a step. A measurement also depends on the machine and on the files."""
    if step.kind != "measure":
        return bench.store.has(step.key)
    target = next(target for target in bench.plan.targets if target.name in step.targets)
    onnx = {c.name: bench.store.get(bench.plan.steps[c.export].key) for c in bench.plan.candidates[target.name]}
    if not all(onnx.values()):
        return False
    files = measure.lower_all(target, {name: found["model.onnx"] for name, found in onnx.items() if found})
    return bench.store.has(measure.stored_key(target, files, step.key))


def prepare(order: Order, objects: Objects) -> steps.Bench:
    """Build and check every part of a recipe before the first batch."""
    recipe = order.recipe
    terms = make_terms(recipe.losses)
    judge = plugins.build("metrics", recipe.metric, "metric")
    for i, table in enumerate(recipe.compress):
        steps.make_pass(plan.split_table(table, where=f"compress[{i}]")[0], f"compress[{i}]")
    dataset = objects.dataset or order.source.load()
    ops = recipe.data.preprocess if recipe.data.preprocess is not None else dataset.preprocess
    preprocess.check(ops, "data.preprocess")
    limit = plan.QUICK_SAMPLES if order.quick else None
    augments = recipe.augment.flip or recipe.augment.crop
    augment = recipe.augment if augments else Augment(views=1)
    if augments and not is_images(dataset):
        found = dataset.train.x.shape[1:]
        raise RecipeError("flip and crop are for images, channels last", where="augment", found=found)
    feed = teacher_feed = Feed(dataset, ops, augment, recipe.seed, limit)
    if recipe.teacher.preprocess is not None:
        preprocess.check(recipe.teacher.preprocess, "teacher.preprocess")
        teacher_feed = Feed(dataset, recipe.teacher.preprocess, augment, recipe.seed, limit)
    check_labels(order, feed, terms, has_teacher=objects.teacher is not None)
    tree = plan.make(recipe, order.targets, order.data, feed.length("train"), order.quick, objects.teacher is not None)
    roots = steps.make_roots(recipe, feed, teacher_feed, len(dataset.classes), objects.teacher, objects.student)
    return steps.Bench(
        recipe, tree, order.store, feed, teacher_feed, dataset.classes, roots, terms, judge, order.progress
    )


def is_images(dataset: Dataset) -> bool:
    """Whether samples are (H, W, C) with 1, 3 or 4 channels."""
    return dataset.train.x.ndim == 4 and dataset.train.x.shape[-1] in (1, 3, 4)


def check_labels(order: Order, feed: Feed, terms: tuple[Term, ...], *, has_teacher: bool) -> None:
    """Data without labels takes teacher-only losses and a teacher that needs no training."""
    if feed.labels("train") is not None:
        return
    for i, term in enumerate(terms):
        if "labels" in term.loss.needs:
            kind = order.recipe.losses[i]["kind"]
            raise RecipeError("this loss needs labels and the data has none", where=f"losses[{i}].kind", found=kind)
    if order.recipe.teacher.checkpoint is None and not has_teacher:
        raise RecipeError("a teacher can't be trained on data without labels", where="teacher.checkpoint", found="none")


def train_all(bench: steps.Bench) -> tuple[dict[str, steps.Trained], steps.Teacher]:
    """Every trained step of the plan, in the order of the tree."""
    root = bench.plan.steps["teacher"]
    trained = {root.name: steps.teacher(bench, root)}
    watching = steps.Teacher(bench, root.key, trained[root.name].student.module)
    for _, step in bench.plan.walk(root.name):
        if step.kind == "student":
            trained[step.name] = steps.student(bench, step, watching)
        elif step.trains:
            trained[step.name] = steps.compress(bench, step, trained[step.parent or ""].student, watching)
    return trained, watching


def export_all(bench: steps.Bench, trained: Mapping[str, steps.Trained]) -> dict[str, dict[str, bytes]]:
    """The ONNX file of every candidate, by target and name."""
    metadata = record.metadata(bench)
    return {
        target.name: {
            c.name: steps.export(bench, bench.plan.steps[c.export], trained[c.step].student, metadata)
            for c in bench.plan.candidates[target.name]
        }
        for target in bench.plan.targets
    }


def measure_all(
    bench: steps.Bench,
    onnx: Mapping[str, Mapping[str, bytes]],
    stage_scores: steps.StageScores,
    exam: measure.Exam,
) -> dict[str, Measured]:
    """Every target's candidates, measured there."""
    found = {}
    for target in bench.plan.targets:
        step = bench.plan.steps[f"measure {target.name}"]
        bench.progress({"step": step.name})
        candidates = bench.plan.candidates[target.name]
        of_torch = {c.name: stage_scores(c.step, "validation") for c in candidates}
        found[target.name] = measure.run(target, candidates, onnx[target.name], exam, of_torch, bench.store, step.key)
    return found


def choose_all(measured: Mapping[str, Measured], budget: Any, exam: measure.Exam) -> dict[str, Choice]:
    """What ships on each target; validation decides."""
    says = exam.teacher("validation")
    value = exam.value("validation", says)
    return {name: choose.choose(m.contenders(), budget, value, m.ratio) for name, m in measured.items()}


def write_pages(document: Mapping[str, Any], samples: Mapping[str, Any]) -> dict[str, bytes]:
    """report.json, report.html, README.md and samples.json."""
    return {
        "report.json": (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode(),
        "report.html": report.html(document, samples).encode(),
        "README.md": report.readme(document).encode(),
        "samples.json": canonical(samples),
    }


def keep_candidates(out: Path, measured: Mapping[str, Measured]) -> None:
    """``<out>.candidates/<target>/<name>.onnx``, or ``.xml`` and ``.bin``; those of an earlier build go."""
    files = {
        f"{target}/{name}{Path(file).suffix}": data
        for target, result in measured.items()
        for name, candidate in result.candidates.items()
        for file, data in candidate.files.items()
    }
    replace_folder(out.with_name(out.name + ".candidates"), files)


def gate(order: Order, choices: Mapping[str, Choice], pages: Mapping[str, bytes]) -> None:
    """Where a target has nothing to ship, keep the report in the cache and raise: nothing is published."""
    failed = [f"{name}: {choice.reason}" for name, choice in choices.items() if choice.shipped is None]
    if not failed:
        return
    folder = order.store.root / "reports" / order.identity[:16]
    with disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in pages.items():
            (folder / name).write_bytes(data)
    raise GateError("; ".join(failed), hint=f"nothing was published; the report is at {folder / 'report.html'}")
