"""``recipe.toml`` -> Recipe (frozen): data, teacher, student, losses, compress, budget."""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from edgekd.base import limits, plugins, toml_files
from edgekd.base.disk import users_path
from edgekd.base.errors import RecipeError, UsageError
from edgekd.base.plain import plain
from edgekd.base.recipe_files import NAME as NAME
from edgekd.base.recipe_files import builtin_folder as builtin_folder
from edgekd.base.recipe_files import builtins as builtins
from edgekd.spec.abstain import Abstain as Abstain
from edgekd.spec.heads import Head as Head
from edgekd.spec.heads import completed
from edgekd.spec.knob import Knob as Knob
from edgekd.spec.knob import flat as flat
from edgekd.spec.schedule import SCHEDULE_KEYS as SCHEDULE_KEYS
from edgekd.spec.schedule import ClassWeights as ClassWeights
from edgekd.spec.schedule import Schedule as Schedule
from edgekd.spec.teacher_outputs import TeacherOutputs as TeacherOutputs
from edgekd.spec.validation import Frozen, explain
from edgekd.tasks import class_of

Table = dict[str, Any]
# Tables that change no step of a build.
UNREAD = ("tune", "log")
# Keys of a loss's table that say when and how much it counts; the others are the plugin's own.
TIMING = ("weight", "final_weight", "start", "stop", "head")
# Keys whose values are paths of inputs: what lies there counts, and not where.
INPUTS = (
    *("data.path", "data.tokenizer", "teacher.checkpoint", "teacher.model.folder", "teacher.model.path"),
    *("student.checkpoint", "student.model.folder"),
)


class Data(Frozen):
    """``source`` picks the plugin; keys that are not named here are the plugin's own.

    ``preprocess`` is the list of ``{op = ..., ...}`` steps of ``preprocess.py``; absent, the source's own default.
    """

    model_config = ConfigDict(extra="allow")

    source: str = Field(description="a built-in data source, or package.module:Class")
    preprocess: tuple[Table, ...] | None = Field(default=None, description="ops from a raw sample to model inputs")
    made: Table | None = Field(default=None, description="table of a made source, for --quick where no path is given")
    heads: dict[str, dict[str, tuple[int, ...]]] = Field(
        default={}, description="several questions about a sample: for each the groups of classes, {} the classes"
    )

    @property
    def table(self) -> Table:
        """The plugin's table."""
        return {"kind": self.source, **(self.model_extra or {})}


class Augment(Frozen):
    """Views of a training sample. View v of a sample is a function of (seed, sample, v); v = epoch mod ``views``.

    What is asked for is done in turn: the crop, the flip, and each of ``ops``, which hold plugin tables.
    """

    flip: bool = Field(default=False, description="mirror left and right, half of the views")
    crop: int = Field(default=0, ge=0, le=64, description="pixels of zero padding to crop from at random")
    views: int = Field(default=8, ge=1, le=1024, description="of each sample, in turns over the epochs")
    ops: tuple[Table, ...] = Field(default=(), description="more augmentation, in order, a table each")

    @field_validator("ops")
    @classmethod
    def _have_kinds(cls, tables: tuple[Table, ...]) -> tuple[Table, ...]:
        return with_kinds(tables)


Checkpoint = Annotated[
    str | None,
    Field(min_length=1, description="safetensors, a pickle read with weights_only, the index of several, or a folder"),
]
StateKey = Annotated[str | None, Field(description="dotted path to the state_dict inside the checkpoint")]
StripPrefix = Annotated[
    str | None, Field(description="those names count that begin so: 'module.', 'ema.'; '': those without")
]


class Teacher(Schedule):
    """A model to train, or one with a checkpoint that is only read."""

    epochs: int = Field(default=10, ge=0, le=10_000, description="0: the model is read, and taken as it stands")
    model: Table = Field(description="its architecture: a model family's table")
    seed: int | None = Field(default=None, ge=0, le=2**32 - 1, description="of its own training; absent: the recipe's")
    checkpoint: Checkpoint = None
    state_key: StateKey = None
    strip_prefix: StripPrefix = None
    output: str | int | None = Field(default=None, description="which output holds the logits, by name or index")
    classes: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(
        default=None, description="for each of our classes, the teacher's index"
    )
    preprocess: tuple[Table, ...] | None = Field(default=None, description="where the teacher's differs from ours")
    head: str | None = Field(default=None, description="the one that it teaches, of several; absent: all")
    augment: bool = Field(default=True, description="false: it learns labels of the samples as they are, not of views")
    weight: float = Field(default=1.0, gt=0, le=1e6, description="among the teachers of a head")


def with_kinds(tables: tuple[Table, ...]) -> tuple[Table, ...]:
    """The tables, each of which says which plugin it is for."""
    for i, table in enumerate(tables):
        if not isinstance(table.get("kind"), str):
            raise ValueError(f"entry {i} has no kind")
    return tables


class StudentTable(Schedule):
    """The network that ships: a model of its own, or one made of the trained teacher by compression passes.

    One of its own begins with the weights of its ``checkpoint``, where it has one. One that is made of the teacher
    takes its weights over; with no passes it is the teacher itself. Either is compressed as it stands with 0 epochs.
    Of several ``generations`` the last ships; each begins alike, and is taught by the one before it.
    """

    epochs: int = Field(
        default=10, ge=0, le=10_000, description="0: as it stands; only with a checkpoint or from_teacher"
    )
    model: Table | None = Field(default=None, description="a model family's table; or from_teacher")
    checkpoint: Checkpoint = None
    state_key: StateKey = None
    strip_prefix: StripPrefix = None
    from_teacher: tuple[Table, ...] | None = Field(default=None, description="compress tables, in order")
    generations: int = Field(default=1, ge=1, le=16, description="students, each taught by the one before it")
    labels: int | None = Field(
        default=None, ge=1, description="of so many training samples alone it is told the label; a teacher knows all"
    )

    @field_validator("from_teacher")
    @classmethod
    def _have_kinds(cls, tables: tuple[Table, ...] | None) -> tuple[Table, ...] | None:
        return None if tables is None else with_kinds(tables)

    @model_validator(mode="after")
    def _one_of_two(self) -> StudentTable:
        if (self.model is None) == (self.from_teacher is None):
            raise ValueError("either model or from_teacher, one of them")
        if self.checkpoint is not None and self.model is None:
            raise ValueError("checkpoint: one that is made of its teacher has the teacher's weights")
        untrained = self.checkpoint is None and (self.model or {}).get("kind") != "object"
        if self.epochs == 0 and self.from_teacher is None and untrained:
            raise ValueError("epochs: 0 is for a student that is made of its teacher, or has a checkpoint")
        return self


class Budget(Frozen):
    """Wishes. ``max_drop`` is against the teacher, on the exported file, in the metric's unit.

    ``min_cosine`` is of vectors, of a compressed file to the fp32 file of the same network: an index that one of them
    filled is searched by the other.

    ``prefer`` says which of the candidates inside ships: the fastest, the smallest, or the one with the best value. It
    chooses among those that may ship: where dense fp32 is inside, too, nothing ships that is clearly slower than it.
    """

    max_drop: float | None = Field(default=0.01, ge=0, description="below the teacher, in the metric's unit")
    max_latency_ms: float | None = Field(default=None, gt=0, description="p50 on the target")
    max_size_kb: float | None = Field(default=None, gt=0, description="of all files that the runtime opens")
    max_size_share: float | None = Field(
        default=None, gt=0, description="of the teacher: of its own file, else of 4 bytes a parameter"
    )
    min_cosine: float | None = Field(
        default=None, ge=0, le=1, description="of an int8 file's vectors to the fp32 file's, the mean on validation"
    )
    prefer: Literal["latency", "size", "value"] = Field(default="latency", description="which of those inside ships")


class Recipe(Frozen):
    """A whole recipe. ``losses`` and ``compress`` hold plugin tables; their keys are checked when they are built."""

    name: Annotated[str, Field(pattern=f"^{NAME}$", description="of the bundle and its folder, dist/<name>")]
    description: str = Field(default="", description="what it is, for the report and the model card")
    task: Table = Field(default={"kind": "classification"}, description="what the student answers: a name, or a table")
    seed: int = Field(default=0, ge=0, le=2**32 - 1, description="of weights, order of samples and augmentation")
    threads: int = Field(
        default=2, ge=1, le=1024, description="of torch, on however many CPUs: another count trains other weights"
    )
    data: Data = Field(description="samples and labels")
    heads: dict[str, Head] = Field(
        default={}, description="several questions about a sample, each with a task, a metric and labels of its own"
    )
    augment: Augment = Field(default=Augment(views=1), description="views of training images")
    teacher: Teacher = Field(description="who teaches")
    teachers: tuple[Teacher, ...] = Field(default=(), description="more of them, beside ``teacher``")
    combine: Literal["average", "confidence"] = Field(
        default="average", description="several teachers' logits: by their weights; or also by each one's certainty"
    )
    teacher_outputs: TeacherOutputs = Field(
        default=TeacherOutputs(), description="how teachers' answers to the training samples are kept"
    )
    student: StudentTable = Field(description="the network that ships")
    metric: Table = Field(
        default={"kind": "accuracy"},
        description="a name, or a table with its kind; absent: the task's first",
    )
    losses: tuple[Table, ...] = Field(min_length=1, description="what the student minimises, a table a loss")
    compress: tuple[Table, ...] = Field(default=(), description="compression passes, in order")
    budget: Budget = Field(default=Budget(), description="what may ship")
    abstain: Abstain | None = Field(default=None, description="what sure answers keep; absent: none is told to be sure")
    targets: tuple[str, ...] = Field(default=(), description="names or files, where the command names none")
    golden: Literal["synthetic", "data"] = Field(
        default="synthetic", description="golden inputs of the bundle: made ones, or samples of the test split"
    )
    log: tuple[Table, ...] = Field(default=(), description="who else is told of the training, a table or several")
    tune: dict[str, Knob] = Field(default={}, description="keys that edgekd tune turns, as in --set; no build reads it")

    @field_validator("tune", mode="before")
    @classmethod
    def _dotted(cls, tables: object) -> object:
        return flat(tables) if isinstance(tables, Mapping) else tables

    @model_validator(mode="before")
    @classmethod
    def _default_metric(cls, tables: object) -> object:
        """The metric of a recipe that names none is its task's first; an unknown task is told when it is made."""
        if isinstance(tables, Mapping) and tables.get("heads"):
            return completed(tables)
        if not isinstance(tables, Mapping) or "metric" in tables or "task" not in tables:
            return tables
        task = tables["task"]
        kind = task.get("kind") if isinstance(task, Mapping) else task
        known = isinstance(kind, str) and (":" in kind or kind in plugins.kinds("tasks"))
        if not known:
            return tables
        return {**tables, "metric": {"kind": class_of(str(kind), "task.kind").metrics[0]}}

    @property
    def ensemble(self) -> dict[str, Teacher]:
        """Every teacher by the name of its step: ``teacher``, ``teacher 2`` and so on, each with its own seed."""
        teachers = {}
        for i, table in enumerate((self.teacher, *self.teachers)):
            seed = self.seed + i if table.seed is None else table.seed
            teachers[f"teacher {i + 1}" if i else "teacher"] = table.model_copy(update={"seed": seed})
        return teachers

    @field_validator("metric", "task", mode="before")
    @classmethod
    def _named(cls, plugin: object) -> object:
        return {"kind": plugin} if isinstance(plugin, str) else plugin

    @field_validator("log", mode="before")
    @classmethod
    def _several(cls, log: object) -> object:
        return (log,) if isinstance(log, Mapping) else log

    @field_validator("losses", "compress", "log")
    @classmethod
    def _have_kinds(cls, tables: tuple[Table, ...]) -> tuple[Table, ...]:
        return with_kinds(tables)


def find(name: str | None) -> Path:
    """A recipe by path or built-in name; without one ``./edgekd.toml``, else the built-in ``digits``."""
    if name is None:
        here = Path("edgekd.toml")
        return here if here.is_file() else builtin_folder() / "digits.toml"
    if name in builtins():
        return builtin_folder() / f"{name}.toml"
    path = users_path(name, "RECIPE")
    if path.is_file():
        return path
    if path.suffix == ".toml" or "/" in name:
        raise RecipeError("no such recipe file", where=name, allowed=builtins())
    raise UsageError("unknown recipe", where="RECIPE", found=name, allowed=builtins())


def load(name: str | None, settings: Sequence[str] = ()) -> tuple[Recipe, Path]:
    """Read and check a recipe.

    Args:
        name: see ``find``.
        settings: ``key=value`` overrides; values are TOML, anything else is taken as a string.

    Returns:
        The recipe, its input paths made absolute, and the file it came from.
    """
    path = find(name)
    table = toml_files.read(path, RecipeError)
    _anchor(table, path.parent)
    for setting in settings:
        _apply(table, setting)
    return parse(table, path.name), path


def with_settings(table: Mapping[str, object], settings: Sequence[str]) -> Table:
    """A recipe's table with ``key=value`` overrides, see ``load``; the one that was given stays as it was."""
    changed = copy.deepcopy(dict(table))
    for setting in settings:
        _apply(changed, setting)
    return changed


def parse(table: Mapping[str, object], file: str) -> Recipe:
    """Check a recipe that is already a table."""
    try:
        recipe = Recipe.model_validate(dict(table))
    except ValidationError as err:
        raise explain(err, Recipe, file, RecipeError) from err
    except RecipeError as err:  # of a table that is looked at before all are
        err.put_in(file)
        raise
    if recipe.data.table.get("path") == "":  # it would be the current folder
        raise RecipeError("an empty path", where=f"{file}: data.path", allowed="a path; . is the recipe's folder")
    plain(recipe.model_dump(exclude={"tune"}))  # an object from Python that no key tells from another is refused here
    return recipe


def _anchor(table: Table, folder: Path) -> None:
    """Relative input paths count from the recipe's folder."""
    for part, key in inputs(table):
        part[key] = str((folder / users_path(part[key], key)).resolve())


def inputs(table: Table) -> Iterator[tuple[Table, str]]:
    """The places of input paths in a recipe, as (table, key)."""
    for path in INPUTS:
        section, *parts, key = path.split(".")
        more = table.get("teachers") if section == "teacher" else None
        for place in (table.get(section), *(more if isinstance(more, list | tuple) else ())):
            parent: object = place
            for part in parts:
                parent = parent.get(part) if isinstance(parent, dict) else None
            if isinstance(parent, dict) and key == "path" and ":" in str(parent.get("kind")):
                continue  # of a user's own kind, whose keys mean what they mean to it
            if isinstance(parent, dict) and parent.get(key) and isinstance(parent[key], str):
                yield parent, key
    student = table.get("student")
    made_of = student.get("from_teacher") if isinstance(student, dict) else None
    for tables in (table.get("compress"), made_of):
        for one in tables if isinstance(tables, list | tuple) else ():
            if isinstance(one, dict) and one.get("kind") == "vocabulary" and isinstance(one.get("file"), str):
                yield one, "file"


def _apply(table: Table, setting: str) -> None:
    """Apply one ``a.b=c`` or ``losses.0.weight=0.5``; a relative path counts from the current folder."""
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise UsageError("not of the form key=value", where="--set", found=setting)
    try:
        value: object = tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        value = text
    except (ValueError, RecursionError) as err:  # a number of thousands of digits, lists in lists
        raise UsageError(f"not a value: {err}", where="--set", found=setting) from err
    toml_files.check(value, "--set", UsageError)
    if re.sub(r"^teachers\.\d+\.", "teacher.", key) in INPUTS and isinstance(value, str):
        value = str(users_path(value, f"--set {key}").resolve())
    parts = key.split(".")
    if len(parts) > limits.DEPTH:
        raise UsageError("a key of too many parts", where="--set", found=key, allowed=f"at most {limits.DEPTH}")
    place: object = table
    for part in parts[:-1]:
        place = _step(place, part, key)
    if isinstance(place, list):
        place[_index(place, parts[-1], key)] = value
    elif isinstance(place, dict):
        place[parts[-1]] = value
    else:
        raise _plain(place, parts[-1], key, setting)


def _step(place: object, part: str, key: str) -> object:
    if isinstance(place, list):
        return place[_index(place, part, key)]
    if isinstance(place, dict):
        return place.setdefault(part, {})
    raise _plain(place, part, key, part)


def _plain(place: object, part: str, key: str, shown: str) -> UsageError:
    """The error of a key below a plain value; a name may stand in a table of its own, as its ``kind``."""
    above = key.removesuffix(f".{part}")
    hint = f"--set '{above}={{kind=\"{place}\", {part}=...}}'" if isinstance(place, str) and "." not in above else None
    return UsageError(f"{key!r} leads into a plain value", where="--set", found=shown, hint=hint)


def _index(place: list[object], part: str, key: str) -> int:
    if not part.isdecimal() or len(part) > 9 or int(part) >= len(place):
        raise UsageError(f"{key!r} counts from 0", where="--set", found=part, allowed=map(str, range(len(place))))
    return int(part)
