"""The steps that make students: train a teacher, distil, compress with the teacher watching.

Each takes its inputs from the store by key and puts its result there; a step that is found is not run.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from edgekd.base import notes, plugins
from edgekd.base.errors import FactoryError, out_of_memory
from edgekd.base.heads import SINGLE, Heads
from edgekd.base.plain import plain
from edgekd.build import clock, context, lineage, network_key, taken
from edgekd.build.ensemble import Watching
from edgekd.build.lineage import ABOUT, PROBE, WEIGHTS
from edgekd.build.plan import Plan, Step
from edgekd.build.store import Store, canonical
from edgekd.compress._base import Clock, Context, Pass
from edgekd.learn import nets, train
from edgekd.learn import teacher as teachers
from edgekd.learn.feed import Feed, some
from edgekd.learn.objective import Term, make_terms
from edgekd.learn.student import Heads as HeadsModule
from edgekd.learn.student import Student, TensorSpec
from edgekd.metrics._base import Metric
from edgekd.metrics._judge import Judge
from edgekd.metrics._make import metric_of_teacher
from edgekd.runtime.runners import Here, Machine
from edgekd.spec.recipe import Recipe, Table

Progress = Callable[[dict[str, Any]], None]
PROBED = 16  # samples that a network is tried on before it is trusted


@dataclass(frozen=True)
class Trained:
    """The result of a trained step."""

    student: Student
    history: list[dict[str, Any]]
    seconds: float


@dataclass(frozen=True)
class Bench:
    """What every step works with: the recipe's parts, already built and checked.

    Attributes:
        feed: the student's view of the data; ``feeds`` are the teachers', by step.
        classes, heads: what the columns of the scores are called, and which head has which.
        runner: where latencies are measured.
        roots: how to make each untrained teacher and "student" (a recipe's model table, or a user's object).
        notes: what the user is to know of the data; ``found``: what else, as it is found on the way.
    """

    recipe: Recipe
    plan: Plan
    store: Store
    feed: Feed
    feeds: Mapping[str, Feed]
    classes: tuple[str, ...]
    heads: Heads
    roots: Mapping[str, Callable[[], nn.Module]]
    terms: tuple[Term, ...]
    metric: Metric
    progress: Progress
    clocks: dict[str, Clock] = field(default_factory=dict)
    runner: Machine = field(default_factory=Here)
    notes: tuple[str, ...] = ()
    found: list[str] = field(default_factory=list)

    def clock_of(self, step: Step) -> Clock:
        """The clock of a step's target: one for a whole build, so that what the rehearsal timed is known already."""
        chosen = self.plan.target_of(step)
        return self.clocks.setdefault(chosen.name, clock.of(chosen, run=self.runner))

    def feed_of(self, step: str) -> Feed:
        """What a step's network is shown."""
        return self.feeds.get(step, self.feed)

    @property
    def taught(self) -> Feed:
        """What students are trained on: their feed, with the labels that they are told."""
        count = self.recipe.student.labels
        return self.feed if count is None else self.feed.with_labels(count)

    def heads_of(self, step: str) -> Heads:
        """What a step's network answers: a teacher may know one head of several."""
        taught = self.recipe.panel[step].head if step in self.feeds else None
        return self.heads if taught is None else {taught: self.heads[taught]}

    def judge_of(self, step: str) -> Judge:
        """What a step's network is measured by."""
        return Judge(self.metric, self.heads_of(step))

    @property
    def classifies(self) -> bool:
        """Whether scores stand for classes; those that are held to the teacher's values as they are, don't."""
        return self.metric.against == "labels" or self.metric.share

    def untrained(self, role: str) -> Student:
        """A teacher (by its step's name) or the "student" as its factory makes it, seeded."""
        heads, teaches = self.heads_of(role), role in self.feeds
        outputs = {SINGLE: sum(heads.values())} if teaches and len(heads) > 1 else heads
        specs = tuple(TensorSpec(name, (None, size)) for name, size in outputs.items())
        seed = (self.recipe.panel[role].seed or 0) if teaches else self.recipe.seed
        x, sizes = self.probe(role), list(outputs.values())
        # Under the seed, too: a lazy layer draws its weights when it sees its first input.
        module = network_key.seeded(lambda: nets.ready(self.roots[role](), x, sizes, role, self.note), seed)
        # Which of the teachers it is, its step knows: in another recipe the same one may stand in another place.
        return Student(module, self.feed_of(role).specs, specs, ({"kind": "teacher" if teaches else "student"},))

    def probe(self, role: str) -> tuple[torch.Tensor, ...]:
        """A few training samples as a step's network is given them."""
        feed = self.feed_of(role)
        return train.tensors(feed.plain("train", some(feed.length("train"), PROBED)))

    def note(self, sentence: str) -> None:
        """Tell the user something once; it stands in the report, too."""
        if sentence not in self.found:
            self.found.append(sentence)
            notes.tell(self.progress, [sentence])

    def told(self, step: Step) -> Progress:
        """Progress that names its step."""
        return lambda event: self.progress({"step": step.name, **event})


def make_pass(table: Table, where: str = "compress") -> Pass:
    """A compression pass from its own keys."""
    made: Pass = plugins.build("compress", table, where)
    return made


def teacher(bench: Bench, step: Step) -> Trained:
    """Train a teacher on the labels, or read its checkpoint."""

    def make(scratch: Path) -> Trained:
        untrained, seed = bench.untrained(step.name), bench.recipe.panel[step.name].seed or 0
        if step.schedule is None:
            return Trained(untrained, [], 0.0)
        task = train.Task(
            make_terms(({"kind": "cross_entropy"},), step.name, bench.heads_of(step.name)),
            bench.feed_of(step.name).seeded(seed),
            step.schedule,
            seed,
            judge=replace(bench.judge_of(step.name), metric=metric_of_teacher(bench.metric)),
            progress=bench.told(step),
            where=step.name,
        )
        history = train.fit(untrained.module, task, scratch)
        return Trained(untrained, history, 0.0)

    return _stored(bench, step, make)


def student(bench: Bench, step: Step, above: Student, heard: Watching, watching: Watching) -> Trained:
    """Distil: the student trains on the recipe's losses, the teacher's outputs kept per view.

    Args:
        above: the first teacher, trained: its layers may be tapped, and the student may be made of it.
        heard: whom it learns from: the teachers, or the student of an earlier generation.
        watching: the teachers, which a metric against the teacher holds every generation to.
    """

    def make(scratch: Path) -> Trained:
        begun = begin(bench, step, above)
        if step.schedule is None:
            return Trained(begun, [], 0.0)
        return Trained(begun, _fit(bench, step, begun, (heard, watching), above.module, scratch), 0.0)

    return _stored(bench, step, make)


def begin(bench: Bench, step: Step, above: Student) -> Student:
    """The student before its first batch: untrained, or the teacher after the passes of ``from_teacher``."""
    tables = bench.recipe.student.from_teacher
    if tables is None:
        return bench.untrained("student")
    made = above.with_module(nets.copied(above.module, step.name))
    thaw(made.module, bench)
    for i, table in enumerate(tables):
        change = make_pass(table, f"student.from_teacher[{i}]")
        made = structure(table, change, made, context_of(bench, step, change))
    return made


def thaw(module: nn.Module, bench: Bench) -> None:
    """A teacher may be frozen throughout, as usual where it only teaches; a student that is made of it is trained."""
    if not any(p.requires_grad for p in module.parameters()):
        module.requires_grad_(True)
        bench.note("the student is made of a teacher that is frozen throughout: it is thawed")


def compress(bench: Bench, step: Step, before: Student, watching: Watching, live: nn.Module) -> Trained:
    """One pass and, where it trains, the fine-tuning that follows it, by distillation."""

    def make(scratch: Path) -> Trained:
        change = make_pass(step.table)
        changed = structure(step.table, change, before, context_of(bench, step, change, watching))
        history = []
        if step.schedule is not None:
            history = _fit(bench, step, changed, (watching, watching), live, scratch, change)
        plugins.call_user(change.ensures, step.name, before, changed)
        return Trained(changed, history, 0.0)

    trained = _stored(bench, step, make)
    tell_taken(bench, step, trained.student)
    return trained


def tell_taken(bench: Bench, step: Step, changed: Student) -> str | None:
    """How much a pass took, to the log, and what it left whole, as notes; the sentence of the log."""
    record = changed.lineage[-1]
    said = taken.sentence(record)
    if said is not None:
        bench.progress({"step": f"{step.name}: {said}", "epoch": None})
    for note in taken.notes(record):
        bench.note(note)
    return said


def structure(table: Table, change: Pass, before: Student, context: Context) -> Student:
    """What a pass makes of a student; the record in its lineage also holds the pass's own table."""
    where = f"compress: {table['kind']}"
    plugins.call_user(change.requires, where, before, context)
    changed: Student = plugins.call_user(change.apply, where, before, context)
    plugins.call_user(change.ensures, where, before, changed)
    *earlier, last = changed.lineage
    return replace(changed, lineage=(*earlier, {**last, "table": plain(table)}))


def context_of(bench: Bench, step: Step, change: Pass, watching: Watching | None = None) -> Context:
    """What a pass is told. ``watching``: the teachers, where they are trained."""
    told = context.make(bench.taught, step, change, terms_of(bench, step), watching)
    return replace(told, clock=bench.clock_of(step)) if change.timed else told


def terms_of(bench: Bench, step: Step) -> tuple[Term, ...]:
    """The losses that a step learns from."""
    return make_terms(step.losses, heads=bench.heads) if step.losses else bench.terms


def tapped(bench: Bench, teacher: nn.Module, terms: Sequence[Term]) -> tuple[nn.Module, Feed] | None:
    """The first teacher and its view of the data, where a loss taps its layers; its answers alone are kept."""
    return (teacher, bench.feed_of("teacher")) if any(term.on_features for term in terms) else None


def _fit(
    bench: Bench,
    step: Step,
    subject: Student,
    whom: tuple[Watching, Watching],
    live: nn.Module,
    scratch: Path,
    change: Pass | None = None,
) -> list[dict[str, Any]]:
    """``whom``: it learns from the first, and validation holds it against the second."""
    assert step.schedule is not None
    heard, watching = whom
    held_against_teacher = bench.metric.against == "teacher" or bench.feed.labels("validation") is None
    terms = terms_of(bench, step)
    needs_teacher = any("teacher" in term.loss.needs for term in terms)
    task = train.Task(
        terms,
        bench.taught,
        step.schedule,
        bench.recipe.seed,
        teacher=heard.view if needs_teacher else None,
        live=tapped(bench, live, terms),
        validation_teacher=watching.split("validation") if held_against_teacher else None,
        judge=bench.judge_of(step.name),
        begin_epoch=None if change is None else functools.partial(change.begin_epoch, subject),
        progress=bench.told(step),
        where=step.name,
    )
    return train.fit(subject.module, task, scratch)


def _stored(bench: Bench, step: Step, make: Callable[[Path], Trained]) -> Trained:
    files = lineage.kept(bench.store, step, bench.recipe, bench.plan)
    if files is None:
        with bench.store.scratch(step.key) as scratch:
            files = lineage.kept(bench.store, step, bench.recipe, bench.plan)
            if files is None:
                started = time.monotonic()
                made = make(scratch)
                took = max(time.monotonic() - started, sum(epoch["seconds"] for epoch in made.history))
                files = bench.store.put(
                    step.key, pack(replace(made, seconds=took), probe_of(bench, step, made.student))
                )
    else:
        bench.progress({"step": step.name, "cached": True})
        try:
            return unpack(bench, files, step)
        except lineage.ODD as err:
            if out_of_memory(err):
                raise
            bench.store.drop(step.key)
            return _stored(bench, step, make)
    return unpack(bench, files, step)


def probe_of(bench: Bench, step: Step, subject: Student) -> torch.Tensor | None:
    """(N, C) what the network of a step says to a few training samples, where it is made by a factory or an object.

    None: of a step below those, and of a network that answers otherwise each time it is asked.
    """
    if step.kind not in ("teacher", "student"):
        return None
    first, again = (nets.answers(subject.module, bench.probe(step.name), step.name) for _ in range(2))
    return first if torch.equal(first, again) else None  # NaN is not equal to itself


def pack(trained: Trained, probe: torch.Tensor | None = None) -> dict[str, bytes]:
    """A trained step as files: safetensors and JSON, no pickle. ``probe``: what it says to a few samples."""
    state = {
        name: tensor.detach().cpu().clone().contiguous() for name, tensor in trained.student.module.state_dict().items()
    }
    about = {"lineage": trained.student.lineage, "history": trained.history, "seconds": trained.seconds}
    files = {WEIGHTS: save_tensors(state), ABOUT: canonical(about)}
    return files if probe is None else {**files, PROBE: save_tensors({"probe": probe.contiguous()})}


def unpack(bench: Bench, files: Mapping[str, bytes], step: Step) -> Trained:
    """Rebuild a step's student: its root from the recipe, each pass replayed from its record, then the weights.

    Raises:
        FactoryError: its factory gives another network each time, so that this one is not the one that was trained.
    """
    about = json.loads(files[ABOUT])
    root, *records = about["lineage"]
    rebuilt = bench.untrained(step.name if step.kind == "teacher" else root["kind"])
    tables = lineage.tables(bench.recipe, bench.plan)
    for record in records:
        change = make_pass(tables[canonical(record["table"])])
        rebuilt = plugins.call_user(change.replay, f"compress: {record['kind']}", rebuilt, record)
    fault = nets.fault(rebuilt.module, load_tensors(files[WEIGHTS]))
    if fault is None and PROBE in files:
        told = load_tensors(files[PROBE])["probe"]
        fault = nets.difference(rebuilt.module, bench.probe(step.name), told, step.name)
    if fault:
        raise FactoryError(
            "its factory gives another network each time: rebuilt with the trained weights, it is not the one trained",
            where=step.name,
            found=fault,
            hint="what it draws or counts belongs into the state_dict: register_buffer(name, tensor)",
        )
    if step.kind != "teacher" and root["kind"] == "teacher":
        thaw(rebuilt.module, bench)
    rebuilt.module.eval()
    return Trained(rebuilt, about["history"], about["seconds"])


def make_roots(
    recipe: Recipe,
    feed: Feed,
    feeds: Mapping[str, Feed],
    heads: Heads,
    teacher: nn.Module | None,
    student: nn.Module | None,
) -> dict[str, Callable[[], nn.Module]]:
    """How to make each network: a copy of the user's object, else what the recipe's table says."""
    roots: dict[str, Callable[[], nn.Module]] = {}
    for name, table in recipe.panel.items():
        classes = sum(heads.values()) if table.head is None else heads[table.head]
        roots[name] = functools.partial(teachers.load_teacher, table, feeds[name].sample_shape, classes, name)
    if teacher is not None:
        own = teacher
        roots["teacher"] = lambda: teachers.wrap(nets.copied(own, "teacher"), recipe.teacher)
    if student is not None:
        mine = student
        bare: Callable[[], nn.Module] = lambda: nets.copied(mine, "student")  # noqa: E731
    elif recipe.student.model is None:
        return roots
    else:
        bare = functools.partial(
            teachers.build, recipe.student.model, "student.model", feed.sample_shape, sum(heads.values())
        )
    roots["student"] = bare if len(heads) == 1 else lambda: HeadsModule(bare(), list(heads.values()), list(heads))
    return roots
