"""The compiler, as one paragraph: rehearse, teach, distil, compress, export, measure, choose, bundle."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from edgekd import (
    embed,
    explain,
    host,
    learned,
    measure,
    orders,
    panel,
    plan,
    record,
    rehearsal,
    report,
    steps,
    veto,
)
from edgekd.base import notes
from edgekd.build import baseline, exports, teacher_check
from edgekd.build.evaluation import Exam
from edgekd.decide import choose, doubts
from edgekd.decide.budget import resolved
from edgekd.decide.choose import Choice
from edgekd.disk import as_it_was, replace_file, replace_folder, samples_page
from edgekd.errors import GateError, reading
from edgekd.learn import threads
from edgekd.measure import Measured
from edgekd.orders import Order
from edgekd.panel import Answers, Watching
from edgekd.prepare import Objects, prepare
from edgekd.publish import sbom
from edgekd.recipe import Budget
from edgekd.runtime import bundle, runners
from edgekd.stage_scores import StageScores
from edgekd.store import canonical

SECONDS = 1.0  # of timing a candidate
QUICK_SECONDS = 0.1  # of timing a candidate with --quick: whether it runs, not how fast


def run(order: Order, objects: Objects | None = None) -> Mapping[str, Any]:
    """Build the bundle of an order and return its report.

    Raises:
        GateError: nothing inside the budget on some target; an earlier bundle stays as it was.
        EdgekdError: see ``errors``.
    """
    if (cpus := host.cores()) > order.recipe.threads:
        order.progress({"step": threads.told(order.recipe.threads, cpus), "epoch": None})
    with threads.fixed(order.recipe.threads):
        return _run(order, objects or Objects())


def _run(order: Order, objects: Objects) -> Mapping[str, Any]:
    bench = checked(order, objects)
    whole = orders.identified(order, seen=True)
    if whole.identity != order.identity and (found := orders.standing(whole)) is not None:
        return found
    order = whole
    with reading(order.file):
        if order.quick:
            rehearsal.check(bench)  # such a build is a rehearsal itself
        else:
            rehearsal.run(bench, order.targets, bench.runner.facts()["key"])
    trained, watching, stage_scores, exam, measured = make_all(bench, QUICK_SECONDS if order.quick else SECONDS)
    budget = resolved(order.recipe.budget, teacher_bytes(bench, trained))
    choices = choose_all(measured, budget, gated=not order.quick)
    explained = explain_losses(bench, trained, watching) if order.explain else None
    plain = baseline.make(bench, exam, quick=order.quick)
    facts = record.Facts(bench, trained, stage_scores, exam, measured, choices, budget, order.quick, explained, plain)
    document = record.make(facts)
    pages = write_pages(document, record.samples(facts))
    apart = report.samples_page(document, learned.samples(bench, facts.shown)).encode()
    if order.keep_candidates:
        keep_candidates(order.out, measured)
    hints = [] if order.quick else advice(order, measured, choices, budget)
    gate(order, choices, {**pages, "samples.html": apart}, hints)
    made = record.bundle(facts, order.identity)
    files = {**pages, **embed.make(facts, made, document), made.sbom: sbom.make(made)}
    page = samples_page(order.out)
    with as_it_was(page):
        replace_file(page, apart)  # first: a bundle that stands is not built again
        remember = functools.partial(orders.remember, order)
        bundle.write(order.out, made, files, overwrite=order.overwrite, remember=remember)
    return document


class Made(NamedTuple):
    """Everything that a plan's steps give, before the choice."""

    trained: dict[str, steps.Trained]
    watching: Watching
    stage_scores: StageScores
    exam: Exam
    measured: dict[str, Measured]


def make_all(bench: steps.Bench, seconds: float) -> Made:
    """Train, export and measure; ``seconds``: of timing each candidate, at least."""
    trained, watching = train_all(bench)
    onnx = export_all(bench, trained)
    stage_scores = StageScores(bench, trained)
    exam = Exam.of(bench.feed, watching.split, bench.judge_of("student"))
    return Made(trained, watching, stage_scores, exam, measure_all(bench, onnx, stage_scores, exam, seconds))


def checked(order: Order, objects: Objects) -> steps.Bench:
    """The parts of an order, built; every target can be run where it is measured."""
    run = runners.of(order.measure_on, lambda line: order.progress({"step": line, "epoch": None}))
    for target in order.targets:
        measure.check_target(target, run)
    with reading(order.file):
        bench = replace(prepare(order, objects), runner=run)
    notes.tell(order.progress, bench.notes)
    return bench


def describe(order: Order, objects: Objects | None = None) -> dict[str, Any]:
    """The plan of an order as plain data, everything resolved and checked; nothing is trained."""
    bench = checked(order, objects or Objects())
    order = orders.identified(order, seen=True)
    rehearsed = rehearsal.known(bench.plan, order.store, bench.runner.facts()["key"]) or {"seconds_per_sample": {}}
    rows, tree = [], list(bench.plan.walk())
    if order.explain:
        place, depth = next((i, depth) for i, (depth, step) in enumerate(tree) if step.name == "student")
        tree[place:place] = [(depth, step) for _, step in explain.steps_of(bench).values()]
    for depth, step in tree:
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
                **({"taken": said} if (said := rehearsed.get("taken", {}).get(step.name)) else {}),
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
    exports = {c.name: bench.plan.steps[c.export].key for c in bench.plan.candidates[target.name]}
    onnx = {name: bench.store.get(key, ("model.onnx",)) for name, key in exports.items()}
    if not all(onnx.values()):
        return False
    files = measure.lower_all(target, {name: found["model.onnx"] for name, found in onnx.items() if found})
    return bench.store.has(measure.stored_key(target, files, step.key, bench.runner))


def train_all(bench: steps.Bench) -> tuple[dict[str, steps.Trained], Watching]:
    """Every trained step of the plan, in the order of the tree."""
    trained = {name: steps.teacher(bench, bench.plan.steps[name]) for name in bench.recipe.panel}
    said = {
        name: (answers(bench, trained, name), table.head, table.weight) for name, table in bench.recipe.panel.items()
    }
    for name, (says, _, _) in said.items():
        teacher_check.check(bench, name, says.split("validation"))
    watching = panel.make(said, bench.heads, bench.recipe.combine)
    live = trained["teacher"].student.module
    for _, step in bench.plan.walk("teacher"):
        if step.kind == "student":
            heard = whom(bench, trained, watching, step)
            trained[step.name] = steps.student(bench, step, trained["teacher"].student, heard, watching)
        elif step.trains:
            trained[step.name] = steps.compress(bench, step, trained[step.parent or ""].student, watching, live)
    return trained, watching


def whom(bench: steps.Bench, trained: Mapping[str, steps.Trained], watching: Watching, step: plan.Step) -> Watching:
    """Whom a student learns from: of a later generation the student before it, else the teachers."""
    before = step.parent or ""
    return watching if before in bench.feeds else answers(bench, trained, before)


def explain_losses(
    bench: steps.Bench, trained: Mapping[str, steps.Trained], watching: Watching
) -> dict[str, steps.Trained | None]:
    """The student once more without each loss; of several generations the last."""
    heard = whom(bench, trained, watching, bench.plan.steps["student"])
    return explain.train(bench, heard, watching, trained["teacher"].student)


def answers(bench: steps.Bench, trained: Mapping[str, steps.Trained], step: str) -> Answers:
    """What a trained step's network says, kept."""
    module = trained[step].student.module
    return Answers(bench.store, bench.plan.steps[step].key, module, bench.feed_of(step), bench.recipe.seed, step)


def export_all(bench: steps.Bench, trained: Mapping[str, steps.Trained]) -> dict[str, dict[str, bytes]]:
    """The ONNX file of every candidate, by target and name."""
    metadata = record.metadata(bench)
    return {
        target.name: {
            c.name: exports.export(bench, bench.plan.steps[c.export], trained[c.step].student, metadata)
            for c in bench.plan.candidates[target.name]
        }
        for target in bench.plan.targets
    }


def measure_all(
    bench: steps.Bench,
    onnx: Mapping[str, Mapping[str, bytes]],
    stage_scores: StageScores,
    exam: Exam,
    seconds: float,
) -> dict[str, Measured]:
    """Every target's candidates, measured there, each for at least so many seconds."""
    found = {}
    for target in bench.plan.targets:
        step = bench.plan.steps[f"measure {target.name}"]
        bench.progress({"step": step.name})
        candidates = bench.plan.candidates[target.name]
        of_torch = {c.name: stage_scores(c.step, "validation", numerics=c.numerics) for c in candidates}
        files = onnx[target.name]
        found[target.name] = measure.run(
            target, candidates, files, exam, of_torch, bench.store, step.key, seconds, bench.runner
        )
        for sentence in found[target.name].exam.left_out(target.name):
            bench.note(sentence)
    return found


def teacher_bytes(bench: steps.Bench, trained: Mapping[str, steps.Trained]) -> int:
    """The size of the teachers' fp32 files, all together."""
    opset, tree = bench.plan.targets[0].opset, bench.plan.steps
    return sum(exports.teacher_size(bench, tree[name], trained[name].student, opset) for name in bench.recipe.panel)


def choose_all(measured: Mapping[str, Measured], budget: Budget, *, gated: bool = True) -> dict[str, Choice]:
    """What ships on each target; validation decides. Not ``gated``: the wishes are only reported."""

    def chosen(on: Measured) -> Choice:
        teacher_value, because = on.exam.teacher_value("validation"), veto.told(on.profiles)
        return choose.choose(on.contenders(), budget, teacher_value, on.ratio, because, gated=gated)

    return {name: chosen(on) for name, on in measured.items()}


def write_pages(document: Mapping[str, Any], samples: Mapping[str, Any]) -> dict[str, bytes]:
    """report.json, report.html and samples.json."""
    return {
        "report.json": (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode(),
        "report.html": report.html(document, samples).encode(),
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
    replace_folder(orders.candidates_of(out), files)


def advice(order: Order, measured: Mapping[str, Measured], choices: Mapping[str, Choice], budget: Budget) -> list[str]:
    """What to change where nothing ships, made of this very miss."""
    said: dict[str, None] = {}
    for name, found in measured.items():
        if choices[name].shipped is None:
            pruned = {c.name: c.pruned for c in found.candidates.values()}
            teacher = found.exam.teacher_value("validation")
            said |= dict.fromkeys(doubts.advice(found.contenders(), pruned, budget, teacher, order.file))
    return list(said)


def gate(order: Order, choices: Mapping[str, Choice], pages: Mapping[str, bytes], hints: Sequence[str] = ()) -> None:
    """Where a target has nothing to ship, keep the report in the cache and raise: nothing is published."""
    failed = [f"{name}: {choice.reason}" for name, choice in choices.items() if choice.shipped is None]
    if not failed:
        return
    folder = order.store.root / "reports" / order.identity[:16]
    replace_folder(folder, pages)
    told = f"nothing was published; the report is at {folder / 'report.html'}"
    missed = GateError("; ".join(failed), hint="; ".join([*hints, told]))
    missed.report = json.loads(pages["report.json"])
    raise missed
