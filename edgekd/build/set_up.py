"""What training reads: the data as each network is shown it, and how each network is made."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from torch import nn

from edgekd.base import preprocess, table_rows
from edgekd.base.errors import RecipeError
from edgekd.build import network_key, tokens
from edgekd.build.tokens import Order
from edgekd.compress import Pass
from edgekd.learn import calls, nets
from edgekd.learn import teacher as teachers
from edgekd.learn.answers import blocks
from edgekd.learn.data import Dataset, fitted, grouped, taken_first
from edgekd.learn.feed import Feed
from edgekd.learn.flat import FlatScores, Form
from edgekd.learn.foreign import Foreign
from edgekd.learn.rescaled import Rescaled
from edgekd.learn.student import SplitHeads, TensorSpec
from edgekd.learn.teacher import PickedOutput
from edgekd.spec.quick import SAMPLES
from edgekd.spec.recipe import Data, Recipe, Teacher
from edgekd.tasks import CLASSES, Heads, Task

NetworkOf = Callable[[Sequence[TensorSpec], str], nn.Module]


@dataclass(frozen=True)
class Views:
    """The data, with heads, as the student is shown it (``feed``) and as each teacher is (``feeds``, by step).

    Attributes:
        whole: as the student would be shown it without the passes that change how it reads; it is built for that.
        order: of the rows of its table of tokens; () where they stay as they are. See ``tokens``.
    """

    dataset: Dataset
    heads: Heads
    feed: Feed
    feeds: Mapping[str, Feed]
    whole: Feed
    order: Order


def views(
    recipe: Recipe,
    dataset: Dataset,
    student: nn.Module | None = None,
    changes: Sequence[Pass] = (),
    task: Task = CLASSES,
    *,
    quick: bool,
) -> Views:
    """The data of a recipe, preprocessed and augmented as it says.

    Args:
        student: the user's own, where it is no table of the recipe's.
        changes: the passes that the student goes through.
        task: what it answers.

    Raises:
        RecipeError: preprocessing that can't be, augmentation for other samples, a teacher of no head.
    """
    if recipe.data.heads:
        if not task.exclusive:
            allowed = "a task of classes, which are grouped"
            raise RecipeError("heads of other labels", where="data.heads", found=recipe.task["kind"], allowed=allowed)
        dataset = grouped(dataset, recipe.data.heads)
    dataset = _for_student(recipe, dataset, student)
    heads = dataset.heads_of(fitted(task, dataset.train.y))
    check_taught(recipe, heads)
    ops = recipe.data.preprocess if recipe.data.preprocess is not None else dataset.preprocess
    preprocess.check(ops, "data.preprocess")
    _check_gaps(dataset, ops)
    limit = SAMPLES if quick else None
    whole = Feed(dataset, ops, recipe.augment, recipe.seed, limit, heads)
    whole.check_views()
    students_ops, order = tokens.of_student(changes, ops, dataset.train.x)
    feed = Feed(dataset, students_ops, recipe.augment, recipe.seed, limit, heads) if order else whole
    feeds = dict.fromkeys(recipe.ensemble, whole)
    for name, teacher in recipe.ensemble.items():
        raw = dataset.train.x
        teacher_ops, note = teachers.preprocess_of(
            teacher, raw.shape[1:], str(raw.dtype), name, ops, learned=_learns_vocabulary(recipe.data)
        )
        teacher_ops = dataset.teacher_preprocess if teacher_ops is None else teacher_ops
        if note:
            dataset = replace(dataset, notes=(*dataset.notes, note))
        if teacher_ops is not None:
            preprocess.check(teacher_ops, f"{name}.preprocess")
            feeds[name] = Feed(dataset, teacher_ops, recipe.augment, recipe.seed, limit, heads)
        if teacher.head is not None and len(heads) > 1:
            feeds[name] = feeds[name].of_head(heads, teacher.head)
    if heads.dense:
        check_tokens(dataset, {"student": feed, **feeds})
    return Views(dataset, heads, feed, feeds, whole, order)


def _check_gaps(dataset: Dataset, ops: preprocess.Ops) -> None:
    """Raise RecipeError where a table has missing values, and what reads it instead of its own op knows none."""
    if table_rows.op_of(dataset.preprocess) is None or table_rows.op_of(ops) is not None:
        return
    every = [split.x for split in dataset.splits.values()]
    if any(np.isnan(np.asarray(x[rows])).any() for x in every for rows in blocks((len(x), x.shape[1]))):
        names, allowed = [op["op"] for op in ops], f"the op {table_rows.OP}, or data without missing values"
        raise RecipeError("a table with missing values", where="data.preprocess", found=names, allowed=allowed)


def check_tokens(dataset: Dataset, feeds: Mapping[str, Feed]) -> None:
    """Raise RecipeError where a network reads other tokens of a text than those that the labels count."""
    last = dataset.preprocess[-1] if dataset.preprocess else {}
    for name, feed in feeds.items() if last.get("op") == "wordpiece" else ():
        if not feed.ops or any(feed.ops[-1].get(key) != value for key, value in last.items()):
            hint = "data.tokenizer names one for all; without data.preprocess and the pass vocabulary"
            raise RecipeError("reads other tokens than those that have a tag", where=name, hint=hint)


def _learns_vocabulary(data: Data) -> bool:
    """Whether texts are read by a vocabulary of their own, and not by one that somebody brings."""
    users = data.source == "python" or ":" in data.source or data.preprocess is not None
    return not users and not data.table.get("tokenizer")


def _for_student(recipe: Recipe, dataset: Dataset, student: nn.Module | None) -> Dataset:
    """A data set of several inputs with names, of which a student of the user's own code may take some."""
    model = recipe.student.model
    users = student is not None or (model is not None and _is_users(model))
    if len(dataset.inputs) < 2 or recipe.data.preprocess is not None or not users:
        return dataset
    if student is None:
        student = network_key.seeded(lambda: teachers.build(model or {}, "student.model", (), 0), recipe.seed)
    return taken_first(dataset, calls.Arguments.of(student).takes(dataset.inputs, True, "student"))


def check_taught(recipe: Recipe, heads: Heads) -> None:
    """Every teacher's head exists, and every head has a teacher."""
    for name, table in recipe.ensemble.items():
        if table.head is not None and table.head not in heads:
            raise RecipeError("no such head", where=f"{name}.head", found=table.head, allowed=list(heads))
    taught = {table.head for table in recipe.ensemble.values()}
    if None not in taught and (alone := [name for name in heads if name not in taught]):
        raise RecipeError("a head without a teacher", where="teachers", found=alone[0])


def roots(
    recipe: Recipe,
    shown: Views,
    teacher: nn.Module | None,
    student: nn.Module | None,
    read: Mapping[str, NetworkOf] = MappingProxyType({}),
) -> dict[str, Callable[[], nn.Module]]:
    """How to make each network, by step: a copy of the user's object, else what the recipe's table says.

    Args:
        read: teachers whose networks are no family's, by step: from the model's inputs and a place for errors.
    """
    makers: dict[str, Callable[[], nn.Module]] = {}
    for name, table in recipe.ensemble.items():
        heads = shown.heads if table.head is None else shown.heads.only(table.head)
        classes = heads.width
        if name in read:
            makers[name] = _read(read[name], table, shown.feeds[name].specs, _form(shown, table.head), name)
            continue
        shape = shown.feeds[name].sample_shape
        makers[name] = functools.partial(_teacher, table, shape, classes, name, shown)
        if table.checkpoint is None and table.epochs and not _is_users(table.model):
            makers[name] = _in_units(makers[name], heads)
    if teacher is not None:
        given, heads = teacher, shown.heads
        makers["teacher"] = lambda: teachers.wrap(
            _form(shown).flat(_called(nets.copied(given, "teacher"), shown, "teacher")),
            recipe.teacher,
            heads.width,
            heads=heads,
        )
    if (bare := _student(recipe, shown, student)) is not None:
        sizes, names = list(shown.heads.values()), list(shown.heads)
        points = _form(shown).points
        makers["student"] = bare if len(names) == 1 else lambda: SplitHeads(bare(), sizes, names, points)
    return makers


def _teacher(table: Teacher, shape: tuple[int, ...], classes: int, name: str, shown: Views) -> nn.Module:
    """A teacher of a recipe's table."""
    loaded = teachers.load_teacher(table, shape, classes, name, _form(shown, table.head))
    if _is_users(table.model) and isinstance(loaded, PickedOutput):
        loaded.module = _called(loaded.module, shown, name)
    return loaded


def _read(
    network: NetworkOf, table: Teacher, inputs: Sequence[TensorSpec], form: Form, name: str
) -> Callable[[], nn.Module]:
    """A teacher that is only read. What another program runs is opened once: nothing can change it."""
    opened: list[Foreign] = []

    def make() -> nn.Module:
        module = opened[0] if opened else network(inputs, f"{name}.model")
        opened[:] = [module] if isinstance(module, Foreign) else []
        return teachers.wrap(form.flat(module), table, form.heads.width, name, form.heads)

    teachers.check_classes(table, form.heads.width, name, form.heads)
    return make


def _student(recipe: Recipe, shown: Views, given: nn.Module | None) -> Callable[[], nn.Module] | None:
    """None where it is made of the teacher."""
    if given is not None:
        return lambda: _form(shown, joined=False).flat(_called(nets.copied(given, "student"), shown, "student"))
    if (model := recipe.student.model) is None:
        return None
    outputs = shown.heads.width
    shape, form = shown.whole.sample_shape, _form(shown, joined=False)
    make = functools.partial(teachers.load_student, recipe.student, shape, outputs, form)
    if _is_users(model):
        return lambda: _called(make(), shown, "student")
    return make if recipe.student.checkpoint else _in_units(make, shown.heads)


def _form(shown: Views, head: str | None = None, *, joined: bool = True) -> Form:
    """What a network has to answer, of one head or of all; a teacher's outputs are joined."""
    return Form(shown.heads if head is None else shown.heads.only(head), shown.feed.reads_texts, joined)


def _in_units(make: Callable[[], nn.Module], heads: Heads) -> Callable[[], nn.Module]:
    """A family's network that is trained from nothing, with its values in the unit of their labels."""
    if all(task.scale is None for task in heads.tasks.values()):
        return make
    scales = [task.scale or ((0.0,) * heads[name], (1.0,) * heads[name]) for name, task in heads.tasks.items()]
    mean, std = ([number for scale in scales for number in scale[i]] for i in range(2))
    sizes = {name: (heads[name], task.scale is not None) for name, task in heads.tasks.items()}

    def rescaled() -> nn.Module:
        module = make()
        return module if getattr(teachers.bare(module), "in_units", False) else Rescaled(module, mean, std, sizes)

    return rescaled


def _is_users(model: Mapping[str, object]) -> bool:
    """Whether a network is of a user's own code, whose forward may call its arguments as it likes."""
    return model.get("kind") == "python" or ":" in str(model.get("kind"))


def _called(module: nn.Module, shown: Views, name: str) -> nn.Module:
    """A user's network as it is called with the model's inputs: in their order, see ``calls``."""
    if isinstance(module, FlatScores):
        module.module = _called(module.module, shown, name)
        return module
    specs, users_names = shown.feeds.get(name, shown.feed).specs, shown.dataset.inputs
    whole = frozenset(i for i, spec in enumerate(specs) if spec.dtype == "float32" and spec.high is not None)
    if not users_names and not whole:
        return module
    names = users_names if len(specs) == 1 else [spec.name for spec in specs]
    return calls.arranged(module, names, bool(users_names), name, whole)
