"""From an order to a bench: every part of a recipe is built and checked before the first batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn

from edgekd.base import preprocess
from edgekd.base.errors import RecipeError
from edgekd.base.heads import SINGLE, Heads
from edgekd.build import cache_keys, network_key, plan, reading, steps
from edgekd.build.request import Order
from edgekd.learn.data._base import Dataset
from edgekd.learn.data._checks import loaded
from edgekd.learn.data._heads import grouped
from edgekd.learn.feed import Feed
from edgekd.learn.objective import Term, make_terms
from edgekd.learn.student import Student
from edgekd.lower.column import passes
from edgekd.metrics._make import make_metric
from edgekd.spec.compress_tables import build_pass, losses_of
from edgekd.spec.recipe import Augment, Recipe


@dataclass(frozen=True)
class Objects:
    """What a notebook user brings instead of a recipe's tables; None where the recipe says it."""

    dataset: Dataset | None = None
    teacher: nn.Module | None = None
    student: nn.Module | None = None


def prepare(order: Order, objects: Objects) -> steps.Bench:
    """Build and check every part of a recipe before the first batch."""
    recipe = order.recipe
    judge = make_metric(recipe.metric)
    for i, table in enumerate(recipe.compress):
        build_pass(table, i)
    dataset = objects.dataset or loaded(order.source)
    if recipe.data.heads:
        dataset = grouped(dataset, recipe.data.heads)
    heads = dict(dataset.heads) or {SINGLE: len(dataset.classes)}
    terms = make_terms(recipe.losses, heads=heads)
    for i, table in enumerate(recipe.compress):
        if own := losses_of(table, recipe.losses, i):
            make_terms(own, f"compress[{i}].losses", heads)
    check_taught(recipe, heads)
    ops = recipe.data.preprocess if recipe.data.preprocess is not None else dataset.preprocess
    preprocess.check(ops, "data.preprocess")
    limit = plan.QUICK_SAMPLES if order.quick else None
    augments = recipe.augment.flip or recipe.augment.crop
    augment = recipe.augment if augments else Augment(views=1)
    if augments and not is_images(dataset):
        found = dataset.train.x.shape[1:]
        raise RecipeError("flip and crop are for images, channels last", where="augment", found=found)
    feed = Feed(dataset, ops, augment, recipe.seed, limit)
    feeds = dict.fromkeys(recipe.panel, feed)
    for name, teacher in recipe.panel.items():
        if teacher.preprocess is not None:
            preprocess.check(teacher.preprocess, f"{name}.preprocess")
            feeds[name] = Feed(dataset, teacher.preprocess, augment, recipe.seed, limit)
        if teacher.head is not None and len(heads) > 1:
            feeds[name] = feeds[name].of_head(list(heads).index(teacher.head))
    check_names(heads, feed)
    check_from_teacher(recipe, feed, feeds["teacher"], heads, has_student=objects.student is not None)
    check_labels(order, feed, terms, has_teacher=objects.teacher is not None)
    roots = steps.make_roots(recipe, feed, feeds, heads, objects.teacher, objects.student)
    nets = networks(order, objects, roots, feed, feeds)
    for target in order.targets:
        passes(target.passes)
    cache_keys.keep_seen(plan.tables(recipe, order.targets), order.store.root)
    count, given = feed.length("train"), objects.teacher is not None
    tree = plan.make(recipe, order.targets, order.data, count, order.quick, given, nets)
    made = (recipe, tree, order.store, feed, feeds, dataset.classes, heads, roots, terms, judge, order.progress)
    return steps.Bench(*made, notes=(*dataset.notes, *reading.notes(feed)))


def networks(
    order: Order,
    objects: Objects,
    roots: Mapping[str, Callable[[], nn.Module]],
    feed: Feed,
    feeds: Mapping[str, Feed],
) -> dict[str, str]:
    """Fingerprints of the networks that users' code gives, by step: what they are is in the key, however they came.

    Raises:
        FactoryError: a factory gives another network each time.
    """
    panel, student = order.recipe.panel, order.recipe.student
    found: dict[str, str] = {}
    for role, make in roots.items():
        model = (panel[role].model if role in panel else student.model) or {}
        example = Student(nn.Identity(), feeds.get(role, feed).specs, ()).example()
        seed = (panel[role].seed or 0) if role in panel else order.recipe.seed
        if getattr(objects, role, None) is not None:
            found[role] = network_key.fingerprint(make(), example)
        elif model.get("kind") == "python" or ":" in str(model.get("kind")):
            found[role] = network_key.of_factory(make, seed, example, f"{role}.model")
    return found


def check_taught(recipe: Recipe, heads: Heads) -> None:
    """Every teacher's head exists, and every head has a teacher."""
    for name, table in recipe.panel.items():
        if table.head is not None and table.head not in heads:
            raise RecipeError("no such head", where=f"{name}.head", found=table.head, allowed=list(heads))
    taught = {table.head for table in recipe.panel.values()}
    if None not in taught and (alone := [name for name in heads if name not in taught]):
        raise RecipeError("a head without a teacher", where="teachers", found=alone[0])


def check_names(heads: Heads, feed: Feed) -> None:
    """Heads are outputs of the file, beside its inputs."""
    inputs = [spec.name for spec in feed.specs]
    for name in heads:
        if not name or name in inputs:
            allowed = f"a name, and none of the inputs' ({', '.join(inputs)})"
            raise RecipeError("can't be an output's name", where="data.heads", found=name, allowed=allowed)


def is_images(dataset: Dataset) -> bool:
    """Whether samples are (H, W, C) with 1, 3 or 4 channels."""
    return dataset.train.x.ndim == 4 and dataset.train.x.shape[-1] in (1, 3, 4)


def check_from_teacher(recipe: Recipe, feed: Feed, teacher_feed: Feed, heads: Heads, *, has_student: bool) -> None:
    """A student made of the teacher reads and answers what the teacher does, and is not quantized yet."""
    where = "student.from_teacher"
    if (tables := recipe.student.from_teacher) is None:
        return
    if has_student:
        raise RecipeError("a student was given as well", where=where, allowed="one of the two")
    if len(heads) > 1:
        raise RecipeError("the student has several heads", where=where, found=list(heads), allowed="one")
    for i, table in enumerate(tables):
        change = steps.make_pass(table, f"{where}[{i}]")
        if change.quantizes or change.timed:
            place = f"{where}[{i}].kind"
            raise RecipeError("depends on the target", where=place, found=table["kind"], allowed="in [[compress]]")
    if feed.specs != teacher_feed.specs:
        raise RecipeError("the teacher has inputs of its own", where="teacher.preprocess", allowed="the student's")


def check_labels(order: Order, feed: Feed, terms: tuple[Term, ...], *, has_teacher: bool) -> None:
    """Data without labels takes teacher-only losses and a teacher that needs no training."""
    if feed.labels("train") is not None:
        return
    for term in terms:
        if "labels" in term.loss.needs:
            where = f"{term.where}.kind"
            raise RecipeError("this loss needs labels and the data has none", where=where, found=term.name)
    for name, table in order.recipe.panel.items():
        if table.checkpoint is None and not (has_teacher and name == "teacher"):
            raise RecipeError("a teacher can't be trained on data without labels", where=f"{name}.checkpoint")
