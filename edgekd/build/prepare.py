"""From a build request to a workspace: every part of a recipe is built and checked before the first batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from torch import nn

from edgekd.base.errors import RecipeError
from edgekd.build import (
    clock,
    code_keys,
    network_key,
    pairs,
    parsed_recipe,
    planner,
    reading,
    set_up,
    step_keys,
    target_runtime,
    text_lengths,
)
from edgekd.build.parsed_recipe import ParsedRecipe
from edgekd.build.request import BuildRequest
from edgekd.build.set_up import Views
from edgekd.build.target_runtime import TargetRuntime
from edgekd.build.workspace import Workspace
from edgekd.learn.data import Dataset, LabelsByHead, Samples, loaded, remembered_in, without
from edgekd.learn.feed import Feed, some
from edgekd.learn.student import Student
from edgekd.learn.teacher import check_classes
from edgekd.learn.teaching import AnswerSource
from edgekd.lower.column import passes
from edgekd.metrics import ByHead, classifies, of_head
from edgekd.runtime import decisions
from edgekd.runtime.runners import BuildRunner, LocalRunner
from edgekd.spec.quick import SAMPLES
from edgekd.spec.recipe import Recipe, Schedule
from edgekd.tasks import Heads, Task, certainties_of, kind_of, make_task
from edgekd.teachers import AnswersKind, Asked


@dataclass(frozen=True)
class Objects:
    """What a notebook user brings instead of a recipe's tables; None where the recipe says it."""

    dataset: Dataset | None = None
    teacher: nn.Module | None = None
    student: nn.Module | None = None


def prepare(request: BuildRequest, objects: Objects, runner: BuildRunner | None = None) -> Workspace:
    """Build and check every part of a recipe before the first batch.

    Args:
        runner: where latencies are measured; here by default.

    Raises:
        UnavailableError: a target can't run where it is measured.
        RecipeError, TargetError, DataError, FactoryError: what would have failed later.
    """
    recipe, runner = request.recipe, runner or LocalRunner()
    runtimes = opened_targets(request, runner)
    parsed = parsed_recipe.parse(recipe)
    with _remembering(request):
        dataset, outside = inside(request, parsed, objects.dataset or _loaded(request.source, parsed))
    task, quick, given = task_of(parsed, dataset), request.quick, objects.teacher is not None
    shown = set_up.views(recipe, dataset, objects.student, parsed.changes, task, quick=quick)
    parsed = parsed.by_head(shown.heads)
    check_heads(recipe, shown)
    check_student(parsed, shown, has_student=objects.student is not None)
    check_labels(request, shown, parsed, has_teacher=objects.teacher is not None)
    reading.check_room(shown.dataset.classes, shown.feed)
    check_weights_of_classes(parsed, shown, has_teacher=objects.teacher is not None)
    roots = set_up.roots(recipe, shown, objects.teacher, objects.student, parsed.network_makers)
    nets = networks(request, objects, {n: make for n, make in roots.items() if n not in parsed.teachers}, shown)
    if shown.order:
        nets["student"] = step_keys.digest(nets.get("student", ""), shown.order[: shown.feed.sample_shape[0]])
    code_keys.keep_seen(step_keys.tables(recipe, request.targets), request.store.root)
    answer_notes: list[str] = []
    sources = sources_of(request, parsed, shown, answer_notes)
    check_mixing(recipe, shown, sources)
    check_form(parsed)
    check_metric(parsed)
    runtimes, of_lengths = text_lengths.known(runtimes, shown.feed, roots, recipe.seed)
    plan = planner.make(parsed, runtimes, request.data, shown.feed.length("train"), quick, given, nets)
    return Workspace(
        recipe=recipe,
        plan=plan,
        store=request.store,
        feed=shown.feed,
        feeds=shown.feeds,
        classes=shown.dataset.classes,
        heads=shown.heads,
        order=shown.order,
        roots=roots,
        terms=parsed.terms,
        metric=parsed.metric,
        progress=request.progress,
        runner=runner,
        clocks={runtime.name: clock.of(runtime, run=runner) for runtime in runtimes},
        sources=sources,
        outside=outside,
        notes=(
            *shown.dataset.notes,
            *reading.notes(shown.feed),
            *unweighed(parsed),
            *dict.fromkeys(answer_notes),
            *of_lengths,
        ),
    )


def dataset_of(request: BuildRequest) -> Dataset:
    """The data of a request, with the labels that its recipe's tasks take.

    Raises:
        DataError, RecipeError, FactoryError: see ``loaded``.
    """
    with _remembering(request):
        return _loaded(request.source, parsed_recipe.parse(request.recipe))


def _remembering(request: BuildRequest) -> AbstractContextManager[None]:
    """What reading this data finds out is kept, for whoever reads it again by the same code."""
    read_by = step_keys.digest(request.data, code_keys.own("learn"), code_keys.versions("learn"))
    return remembered_in(request.store.root, read_by)


def _loaded(source: object, parsed: ParsedRecipe) -> Dataset:
    """The source's data, with the labels of each head where these have tasks of their own."""
    return source.load(parsed.tasks) if isinstance(source, LabelsByHead) else loaded(source, parsed.task)


def inside(request: BuildRequest, parsed: ParsedRecipe, dataset: Dataset) -> tuple[Dataset, dict[str, Samples]]:
    """The data without the classes that ``[abstain]`` calls outside, and their samples by split.

    Raises:
        RecipeError: they can't be left out.
    """
    recipe = request.recipe
    if recipe.abstain is None or not recipe.abstain.outside:
        return dataset, {}
    if recipe.data.heads:
        what, allowed = "the student has several heads", "data without data.heads"
        raise RecipeError(what, where="abstain.outside", found=list(recipe.data.heads), allowed=allowed)
    known, outside = without(dataset, recipe.abstain.outside, task_of(parsed, dataset))
    if not request.quick:
        return known, outside
    return known, {split: samples[some(len(samples), SAMPLES)] for split, samples in outside.items()}


def opened_targets(request: BuildRequest, runner: BuildRunner) -> list[TargetRuntime]:
    """The targets of an order, each of which can run where it is measured.

    Raises:
        UnavailableError, TargetError: one can't.
    """
    runtimes = [target_runtime.parse(target) for target in request.targets]
    for runtime in runtimes:
        runtime.check(runner.isa())
        passes(runtime.target.passes)
    return runtimes


def sources_of(request: BuildRequest, parsed: ParsedRecipe, shown: Views, notes: list[str]) -> dict[str, AnswerSource]:
    """By step, the teachers that bring answers and no network, held against the samples.

    Args:
        notes: what the user is to know is added.

    Raises:
        RecipeError: the student, a loss or a wish needs more of a teacher than its answers.
    """
    kinds = {name: kind for name, kind in parsed.teachers.items() if isinstance(kind, AnswersKind)}
    if "teacher" in kinds and (layers := [term for term in parsed.terms if term.on_features]):
        kind, place = parsed.recipe.teacher.model["kind"], f"{layers[0].where}.kind"
        allowed = "losses on outputs: the teacher has answers, and no layers"
        raise RecipeError("compares layers", where=place, found=f"{layers[0].name}, of {kind}", allowed=allowed)
    if kinds and parsed.recipe.budget.max_size_share is not None:
        allowed = "max_size_kb: the teacher has answers, and no size"
        raise RecipeError("a share of nothing", where="budget.max_size_share", found=next(iter(kinds)), allowed=allowed)
    opened: dict[str, AnswerSource] = {}
    for name, kind in kinds.items():
        table = parsed.recipe.ensemble[name]
        where = shown.heads.name_columns[table.head] if table.head else slice(None)
        classes, folder = shown.dataset.classes[where], request.store.root / "asked"
        code = step_keys.digest(code_keys.sources(table.model))
        check_classes(table, len(classes), name)

        def tell(line: str, step: str = name) -> None:
            request.progress({"step": f"{step}: {line}", "epoch": None})

        splits, place = shown.dataset.splits, f"{name}.model"
        if table.head is None and parsed.tasks and len(shown.heads) > 1:
            what, kind_named = "answers of one task alone are read", table.model["kind"]
            raise RecipeError(what, where=f"{name}.head", found=kind_named, allowed=list(shown.heads))
        feed, task = shown.feeds[name], shown.heads.tasks[table.head or next(iter(shown.heads))]
        asked = Asked(feed, splits, classes, table.classes, folder, code, place, notes.append, tell, task)
        opened[name] = kind.answers(asked)
    return opened


def networks(
    request: BuildRequest, objects: Objects, roots: Mapping[str, Callable[[], nn.Module]], shown: Views
) -> dict[str, str]:
    """Fingerprints of the networks that users' code gives, by step: what they are is in the key, however they came.

    Raises:
        FactoryError: a factory gives another network each time.
    """
    ensemble, student = request.recipe.ensemble, request.recipe.student
    fingerprints: dict[str, str] = {}
    for role, make in roots.items():
        model = (ensemble[role].model if role in ensemble else student.model) or {}
        example = Student(nn.Identity(), shown.feeds.get(role, shown.feed).specs, ()).example()
        seed = (ensemble[role].seed or 0) if role in ensemble else request.recipe.seed
        if getattr(objects, role, None) is not None:
            fingerprints[role] = network_key.fingerprint(make(), example)
        elif model.get("kind") == "python" or ":" in str(model.get("kind")):
            fingerprints[role] = network_key.of_factory(make, seed, example, f"{role}.model")
    return fingerprints


def task_of(parsed: ParsedRecipe, dataset: Dataset) -> Task:
    """What the student answers: without labels, and with a metric of values, values where the recipe names no task."""
    unnamed = parsed.recipe.task == {"kind": "classification"} and dataset.train.y is None
    if unnamed and not isinstance(parsed.metric, ByHead) and not classifies(parsed.metric):
        return make_task({"kind": "regression"}, "task")
    return parsed.task


def check_heads(recipe: Recipe, shown: Views) -> None:
    """Heads are outputs of the file, beside its inputs; thresholds and wishes fit them; decisions can be written."""
    heads, feed = shown.heads, shown.feed
    decisions.check_forms(heads, shown.dataset.classes)
    inputs = [spec.name for spec in feed.specs]
    for name in heads:
        if not name or name in inputs:
            allowed = f"a name, and none of the inputs' ({', '.join(inputs)})"
            where = "heads" if recipe.heads else "data.heads"
            raise RecipeError("can't be an output's name", where=where, found=name, allowed=allowed)
    check_thresholds(recipe, heads, feed)


def check_thresholds(recipe: Recipe, heads: Heads, feed: Feed) -> None:
    """The task's own thresholds fit its labels, and ``[abstain]`` fits the task.

    Raises:
        RecipeError: another number of thresholds, a task without answers to be sure of, a score that it does not have,
            or labels of which there are none.
    """
    for name, task in heads.tasks.items():
        task.check_size(heads.shapes[name][task.axis], f"heads.{name}.task" if recipe.heads else "task", RecipeError)
    if (wish := recipe.abstain) is None:
        return
    if not (sure := heads.sure()):
        kinds = " and ".join(map(kind_of, heads.tasks.values()))
        allowed = "none: its answers are not right or wrong"
        if any(task.dense for task in heads.tasks.values()):  # a promise counts answers that stand by themselves
            allowed = "a task of one answer a sample: places beside each other are right or wrong together"
        raise RecipeError("no answers to be sure of", where="abstain", found=kinds, allowed=allowed)
    for name in sure:
        known = certainties_of(heads.tasks[name])
        if wish.by is not None and wish.by not in known:
            raise RecipeError("no score of this task's", where="abstain.by", found=wish.by, allowed=known)
    if wish.against == "labels" and {*sure} & {*heads.unlabelled(feed.labels("validation"))}:
        raise RecipeError("the data has no labels", where="abstain.against", found=wish.against, allowed="teacher")


def check_student(parsed: ParsedRecipe, shown: Views, *, has_student: bool) -> None:
    """A student has one origin; made of the teacher it reads and answers what that does, and is not quantized yet."""
    where = "student.from_teacher"
    for key in ("from_teacher", "checkpoint"):
        if has_student and getattr(parsed.recipe.student, key) is not None:
            raise RecipeError("a student was given as well", where=f"student.{key}", allowed="one of the two")
    if parsed.from_teacher is None:
        return
    if "teacher" in parsed.teachers:
        kind = parsed.recipe.teacher.model["kind"]
        raise RecipeError("its teacher is only asked", where=where, found=kind, allowed="a student.model of its own")
    if len(shown.heads) > 1:
        raise RecipeError("the student has several heads", where=where, found=list(shown.heads), allowed="one")
    for i, one in enumerate(parsed.from_teacher):
        if one.change.quantizes or one.change.timed:
            place = f"{where}[{i}].kind"
            raise RecipeError("depends on the target", where=place, found=one.kind, allowed="in [[compress]]")
    if shown.whole.specs != shown.feeds["teacher"].specs:
        raise RecipeError("the teacher has inputs of its own", where="teacher.preprocess", allowed="the student's")


def check_labels(request: BuildRequest, shown: Views, parsed: ParsedRecipe, *, has_teacher: bool) -> None:
    """Heads without labels take teacher-only losses and a teacher that needs no training; pairs stay whole."""
    schedules = schedules_of(parsed, has_teacher=has_teacher)
    pairs.check_batches(shown.feed.together("train"), {where: one.batch_size for where, one in schedules.items()})
    pairs.check_labels(parsed, shown.heads, shown.feed)
    heads, labels = shown.heads, shown.feed.labels("train")
    if not (missing := heads.unlabelled(labels)):
        return
    for term in parsed.terms:
        if "labels" in term.loss.needs and (labels is None or term.only in missing):
            where = f"{term.where}.kind"
            raise RecipeError("this loss needs labels and the data has none", where=where, found=term.name)
    for name, table in request.recipe.ensemble.items():
        is_given = name in parsed.teachers or (has_teacher and name == "teacher")
        untaught = [head for head in missing if table.head in (None, head)]
        if untaught and table.checkpoint is None and table.epochs and not is_given:
            what, where = "a teacher can't be trained on data without labels", f"{name}.checkpoint"
            if labels is None:
                raise RecipeError(what, where=where)
            allowed = "a checkpoint, or [[teachers]] with one of its own for each head"
            raise RecipeError(what, where=where, found=f"none of {', '.join(untaught)}", allowed=allowed)


def schedules_of(parsed: ParsedRecipe, *, has_teacher: bool) -> dict[str, Schedule]:
    """What trains here, by its place in the recipe."""
    schedules: dict[str, Schedule] = {"student": parsed.recipe.student}
    schedules |= {one.where: one.training({}) for one in parsed.compressions}
    for name, table in parsed.recipe.ensemble.items():
        is_given = name in parsed.teachers or (has_teacher and name == "teacher")
        if table.checkpoint is None and not is_given:
            schedules[name] = table
    return schedules


def check_weights_of_classes(parsed: ParsedRecipe, shown: Views, *, has_teacher: bool) -> None:
    """Data whose classes are to count or come alike has labels; and a list of weights has one for each class."""
    recipe = parsed.recipe
    for where, schedule in schedules_of(parsed, has_teacher=has_teacher).items():
        heads = shown.heads if (head := getattr(schedule, "head", None)) is None else shown.heads.only(head)
        weights = schedule.class_weights
        if shown.feed.labels("train") is None:
            keys = {"sampler": schedule.sampler == "balanced", "class_weights": weights is not None}
            for key in (key for key, asked in keys.items() if asked):
                raise RecipeError("the data has no labels", where=f"{where}.{key}", allowed="none, or data with labels")
        if not heads.exclusive and (weights is not None or schedule.sampler == "balanced"):
            key = "class_weights" if weights is not None else "sampler"
            kind, ask = recipe.task["kind"], "none: only of classes of which one is right may some count more"
            raise RecipeError("no classes to weigh", where=f"{where}.{key}", found=kind, allowed=ask)
        if isinstance(weights, tuple) and [len(weights)] != [*heads.values()]:
            allowed = [f"{count} numbers" for count in heads.values()] if len(heads) == 1 else ["balanced"]
            raise RecipeError("not one weight a class", where=f"{where}.class_weights", found=weights, allowed=allowed)


def check_mixing(recipe: Recipe, shown: Views, sources: Mapping[str, AnswerSource]) -> None:
    """Who answers to views that hold two samples is shown them: answers to one of the two are none to both. So is who
    answers of places in pictures where views move these: a mask of a picture is none of the mirrored one.
    """
    for name in (name for name, source in sources.items() if not source.sees_views):
        if shown.feed.mixes:
            allowed = "none that mixes samples: its teacher knows the samples as they are"
            raise RecipeError("nobody answers to mixed views", where="augment.ops", found=name, allowed=allowed)
        head = recipe.ensemble[name].head
        heads = shown.heads if head is None else shown.heads.only(head)
        if shown.feed.moves and any(task.geometry for task in heads.tasks.values()):
            allowed = "none that moves what is in a picture: its teacher knows the places as they are"
            raise RecipeError("nobody answers to moved places", where="augment", found=name, allowed=allowed)


def check_form(parsed: ParsedRecipe) -> None:
    """Of what are no classes of which one is right, the others can't be told from the best, and all are kept."""
    exclusive = all(task.exclusive for task in parsed.by_name.values())
    is_of_values = not exclusive or not all(classifies(of_head(parsed.metric, name)) for name in parsed.by_name)
    if parsed.recipe.teacher_outputs.form == "top" and is_of_values:
        kind, allowed = parsed.recipe.metric["kind"], "float32, float16: every number of an answer counts"
        raise RecipeError("keeps the likeliest classes", where="teacher_outputs.form", found=kind, allowed=allowed)
    if parsed.recipe.combine == "confidence" and not exclusive:
        kind = parsed.recipe.task["kind"]
        raise RecipeError("no classes to be sure of", where="combine", found=kind, allowed="average")


def check_metric(parsed: ParsedRecipe) -> None:
    """A built-in metric is of what the task answers."""
    by_head = {name: head.measured for name, head in parsed.recipe.heads.items()}
    for name, task in parsed.by_name.items():
        kind = str(by_head.get(name, parsed.recipe.metric)["kind"])
        if ":" not in kind and kind not in task.metrics:
            what, where = f"not a metric of {type(task).__name__}", f"heads.{name}.metric" if by_head else "metric.kind"
            raise RecipeError(what, where=where, found=kind, allowed=task.metrics)


def unweighed(parsed: ParsedRecipe) -> tuple[str, ...]:
    """A note where classes have weights that nothing reads."""
    read = any("labels" in term.loss.needs for term in parsed.terms)
    idle = parsed.recipe.student.class_weights is not None and not read
    return ("student.class_weights change nothing: no loss compares labels",) if idle else ()
