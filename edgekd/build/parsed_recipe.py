"""A recipe with everything in it parsed: what its tables say, as objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import nn

from edgekd.base import plugins
from edgekd.base.errors import RecipeError
from edgekd.base.preprocess import Spec
from edgekd.build import compression
from edgekd.build.compression import Compression
from edgekd.compress import Pass, TablePass
from edgekd.learn.objective import Term, by_head, check_weighs, make_terms
from edgekd.learn.views import Views
from edgekd.metrics import ByHead, Metric, make_metric
from edgekd.spec.recipe import Recipe, Table, Teacher
from edgekd.tasks import CLASSES, SINGLE, Heads, Task, make_task
from edgekd.teachers import AnswersKind, NetworkKind

OBJECT = "object"  # the kind of a network that the Python API was given
WEIGHTS = ("checkpoint", "state_key", "strip_prefix")  # keys of a teacher's weights
TeacherKind = NetworkKind | AnswersKind


@dataclass(frozen=True)
class ParsedRecipe:
    """A recipe, and its plugins.

    Attributes:
        terms: of ``[[losses]]``.
        from_teacher: the passes of ``student.from_teacher``; None where the student has a model of its own.
        tasks: of each head, where the recipe's ``[heads]`` have tasks of their own.
        teachers: by step, those of a kind that is never trained; every other one's model is of a family.
    """

    recipe: Recipe
    task: Task
    metric: Metric | ByHead
    terms: tuple[Term, ...]
    compressions: tuple[Compression, ...]
    from_teacher: tuple[TablePass, ...] | None
    teachers: Mapping[str, TeacherKind]
    tasks: Mapping[str, Task] = field(default_factory=dict)

    @property
    def by_name(self) -> Mapping[str, Task]:
        """The task of each head; the recipe's one task under the name of a single output."""
        return self.tasks or {SINGLE: self.task}

    @property
    def network_makers(self) -> dict[str, Callable[[Sequence[Spec], str], nn.Module]]:
        """By step, how the network of a teacher is read whose kind brings one."""
        return {name: kind.network for name, kind in self.teachers.items() if isinstance(kind, NetworkKind)}

    @property
    def changes(self) -> tuple[Pass, ...]:
        """The passes that the student goes through, in order."""
        return tuple(one.change for one in (*(self.from_teacher or ()), *(c.whole for c in self.compressions)))

    def by_head(self, heads: Heads) -> ParsedRecipe:
        """With the terms of each head, which the data tells.

        Raises:
            RecipeError: a loss names a head that there is none of.
        """
        compressions = tuple(replace(one, terms=by_head(one.terms, heads)) for one in self.compressions)
        return replace(self, terms=by_head(self.terms, heads), compressions=compressions)


def parse(recipe: Recipe) -> ParsedRecipe:
    """Parse every table of a recipe, once; networks and data are read later.

    Raises:
        RecipeError: an unknown kind or key, or a value out of range; names the table.
    """
    views = Views.of(recipe.augment, recipe.seed)
    tasks = {name: make_task(head.task, f"heads.{name}.task") for name, head in recipe.heads.items()}
    metric = _metric(recipe)
    task = CLASSES if tasks else make_task(recipe.task, "task")
    compressions = compression.parse(recipe.compress, recipe.losses)
    made_of = recipe.student.from_teacher
    from_teacher = None if made_of is None else compression.passes(made_of, "student.from_teacher")
    of_kinds = {name: _teacher_kind(table.model, f"{name}.model") for name, table in recipe.ensemble.items()}
    teachers = {name: kind for name, kind in of_kinds.items() if kind is not None}
    for name, kind in teachers.items():
        _check_keys(recipe.ensemble[name], kind, name)
    parsed = ParsedRecipe(recipe, task, metric, make_terms(recipe.losses), compressions, from_teacher, teachers, tasks)
    check_weights(parsed, views)
    if recipe.budget.min_cosine is not None and not any(one.vectors for one in parsed.by_name.values()):
        kinds = [type(one).__name__ for one in parsed.by_name.values()]
        allowed = "none, or a task of vectors: embedding, distribution"
        raise RecipeError("no output holds vectors", where="budget.min_cosine", found=kinds, allowed=allowed)
    return parsed


def _metric(recipe: Recipe) -> Metric | ByHead:
    """The recipe's, or that of each head."""
    if not recipe.heads:
        return make_metric(recipe.metric)
    return ByHead({name: make_metric(head.measured, f"heads.{name}.metric") for name, head in recipe.heads.items()})


def _check_keys(table: Teacher, kind: TeacherKind, name: str) -> None:
    """Of a teacher that is only asked nothing is said that is of networks with weights to read.

    Raises:
        RecipeError: names the key.
    """
    unread = WEIGHTS if isinstance(kind, NetworkKind) else (*WEIGHTS, "output")
    for key in unread:
        if (value := getattr(table, key)) is not None:
            allowed = "none: it brings its weights" if isinstance(kind, NetworkKind) else "none: it brings answers"
            where = f"{name}.{key}"
            raise RecipeError(f"not read of {table.model['kind']!r}", where=where, found=value, allowed=allowed)


def check_weights(parsed: ParsedRecipe, views: Views) -> None:
    """Where labels do not count alike, the losses that compare them can weigh them.

    Raises:
        RecipeError: names the loss.
    """
    student = parsed.recipe.student
    trainings = [(student.class_weights, parsed.terms)]
    for one in parsed.compressions:
        schedule = one.training({"class_weights": student.class_weights})
        trainings.append((schedule.class_weights, one.terms or parsed.terms))
    for class_weights, terms in trainings:
        if views.mixes:
            check_weighs(terms, "views are mixed of two samples")
        if class_weights is not None:
            check_weighs(terms, "classes have weights")


def _teacher_kind(model: Table, where: str) -> TeacherKind | None:
    """The kind of teacher that a ``model`` table names; None: it names a model family, or nothing."""
    kind = model.get("kind")
    if not isinstance(kind, str) or kind == OBJECT:
        return None
    if ":" in kind:
        users = plugins.load("models", kind, f"{where}.kind")
        if hasattr(users, "build") or not (hasattr(users, "network") or hasattr(users, "answers")):
            return None
    elif kind in (families := plugins.kinds("models")):
        return None
    elif kind not in (known := plugins.kinds("teachers")):
        raise RecipeError("unknown kind of teacher", where=f"{where}.kind", found=kind, allowed=[*known, *families])
    built: TeacherKind = plugins.build("teachers", model, where)
    return built
