"""A first recipe: who teaches, what of, a student that suits the samples, losses that suit the answers."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekd.base.disk import disk
from edgekd.base.errors import OutputError, UsageError
from edgekd.build import parsed_recipe
from edgekd.build import request as requests
from edgekd.cli import inspection
from edgekd.cli.starting import data as start_data
from edgekd.cli.starting import teachers as start_teachers
from edgekd.cli.starting import written
from edgekd.cli.starting.teachers import Teacher
from edgekd.learn.data import Dataset, loaded
from edgekd.spec import recipe as recipes
from edgekd.spec.recipe import Table
from edgekd.tasks import Task, make_task

USUAL = ("ort-cpu", "openvino")  # targets, where the user names none: the first that this machine can run
SMALL = 64  # sides of pictures, in pixels, whose students see every one of them
FRAMES = 50  # of sounds, in a second
HEADER = """\
# Written by edgekd init, to be read and changed: every key stands in the documentation (Recipe).
#
#   edgekd build {0} --quick                   first: seconds, every step
#   edgekd build {0} --set student.epochs=40   any key from the command line
"""
DATA = re.compile(r"data[.=]")  # settings of the data
ANSWERS = re.compile(r"teacher\.model\.")
TASK = re.compile(r"task[.=]")


@dataclass(frozen=True)
class Parts:
    """What a user has of a recipe.

    Attributes:
        teachers: see ``start_teachers.teacher``; several teach together.
        data: see ``start_data.table``.
        checkpoint: weights of the teacher whose network a factory makes.
        allow_code: files that may run code of their maker's may be opened.
    """

    teachers: Sequence[str] = ()
    data: str | None = None
    checkpoint: Path | None = None
    allow_code: bool = False


def write(
    path: Path, parts: Parts, targets: Sequence[str] = (), settings: Sequence[str] = (), builtin: str | None = None
) -> list[str]:
    """Write a recipe that builds as it stands.

    Args:
        path: of the file.
        targets: names or files.
        settings: ``key=value`` as of ``build``, written instead of what would be.
        builtin: the name of a built-in recipe, which has a teacher of its own.

    Returns:
        What the user is to know of the data, a sentence each.

    Raises:
        UsageError, DataError, RecipeError, FactoryError: no such teacher, data or key, or none that a student is made
            for; nothing is written.
        OutputError: the file exists.
    """
    if not parts.teachers or parts.data is None:
        raise UsageError("one goes with the other", where="--teacher and --data", allowed="both, or neither")
    if builtin is not None:
        raise UsageError("a built-in recipe has a teacher", where="--recipe", found=builtin, allowed="no --teacher")
    if os.path.lexists(path):
        raise OutputError("exists", where=str(path), hint="choose another name")
    keys = frozenset(setting.partition("=")[0] for setting in settings)
    asked = recipes.with_settings({"task": "classification"}, [one for one in settings if TASK.match(one)])["task"]
    task = make_task(asked if isinstance(asked, dict) else {"kind": asked}, "task")
    data = start_data.table(parts.data, keys, task)
    table: Table = {"name": name_of(path, parts.teachers), "task": asked, "data": data}
    image = next(filter(None, map(start_teachers.image_of, parts.teachers)), None)
    if table["data"].get("source") == "imagefolder" and image is not None:
        table["data"] |= {"size": [*image[1:]], **({"grey": True} if image[0] == 1 else {})}
    of_answers = recipes.with_settings({"model": {}}, [one[8:] for one in settings if ANSWERS.match(one)])["model"]
    of_data = [one for one in settings if DATA.match(one)]
    dataset = _loaded(recipes.with_settings(table, of_data)["data"], task)
    known = [
        start_teachers.teacher(name, dataset, task, {} if i else of_answers, allow_code=parts.allow_code)
        for i, name in enumerate(parts.teachers)
    ]
    if any(one.in_order for one in known) and "id" in table["data"]:  # rows are counted, and so are answers
        table["data"] = start_data.counted(table["data"], dataset)
        dataset = _loaded(recipes.with_settings(table, of_data)["data"], task)
    _give_weights(known, parts.checkpoint)
    _fit_images(known, dataset)
    table = recipes.with_settings(_ordered(table | _sections(known, dataset, task, targets, keys)), settings)
    recipe = recipes.parse(table, path.name)
    parsed_recipe.parse(recipe)
    requests.load_targets(recipe, ())
    sections = [table["teacher"], *table.get("teachers", ())]
    held = [line for one in sections for line in start_teachers.hold(one, dataset, task)]
    for section, key in recipes.inputs(table):
        section[key] = _from(path, section[key])
    text = HEADER.format(path.name) + written.toml(table, *_comments(known, dataset, task))
    with disk(path), open(path, "x", encoding="utf-8") as file:
        file.write(text)
    return [*start_data.notes(table["data"]), *dataset.notes, *held]


def name_of(path: Path, named: Sequence[str]) -> str:
    """A recipe's name: its file's, else its teacher's."""
    for stem in (path.stem, re.split(r"[/\\:]", named[0].rstrip("/\\"))[-1].partition(".")[0]):
        plain = re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("-._")[:64]
        if plain and plain != "edgekd":
            return plain
    return "student"


def _loaded(table: Table, task: Task) -> Dataset:
    table = dict(table)
    table.pop("preprocess", None)
    source = requests.source_of({"kind": table.pop("source"), **table})
    return loaded(source, task)


def _give_weights(known: Sequence[Teacher], checkpoint: Path | None) -> None:
    """Put a checkpoint into the table of the one teacher that it can be of."""
    if checkpoint is None:
        return
    networks = [one for one in known if one.is_network]
    if len(networks) != 1:
        allowed = "one --teacher mypkg.zoo:factory, whose network the weights are of"
        raise UsageError("weights of nobody", where="--checkpoint", found=str(checkpoint), allowed=allowed)
    if not checkpoint.exists():
        raise UsageError("no such file", where="--checkpoint", found=str(checkpoint))
    networks[0].table.pop("epochs")
    networks[0].table["checkpoint"] = str(checkpoint.resolve())


def _fit_images(known: Sequence[Teacher], dataset: Dataset) -> None:
    """A teacher of pictures of another size is given them resized."""
    shape = dataset.train.x.shape[1:]
    for one in known:
        if one.image is None or "preprocess" in one.table or len(shape) != 3 or one.image[1:] == shape[:2]:
            continue
        height, width = one.image[1:]
        one.table["preprocess"] = [{"op": "resize", "height": height, "width": width}, *dataset.preprocess]


def _sections(
    known: Sequence[Teacher], dataset: Dataset, task: Task, targets: Sequence[str], keys: frozenset[str]
) -> Table:
    first, *others = known
    labels = dataset.train.y
    loss, metric = task.suited(labels)
    of_labels = "" if labels is None else loss
    more: Table = {"teachers": [one.table for one in others]} if others else {}
    return {
        "seed": 0,
        "targets": list(targets) or [_target()],
        "teacher": first.table,
        **more,
        "student": {"model": {} if "student.model" in keys else student(dataset, task), "epochs": 20},
        **({} if metric == task.metrics[0] else {"metric": metric}),
        "losses": losses(known, task, of_labels),
        "compress": [{"kind": "int8_qat", "epochs": 4}],
        "budget": {"max_drop": 0.02},
    }


def _ordered(table: Table) -> Table:
    """In the order of the built-in recipes."""
    known = (
        "name",
        "task",
        "metric",
        "seed",
        "targets",
        "data",
        "teacher",
        "teachers",
        "student",
        "losses",
        "compress",
        "budget",
    )
    return {key: table[key] for key in known if key in table}


def _target() -> str:
    able = {row["name"] for row in inspection.targets() if row["available"]}
    return next((name for name in USUAL if name in able), USUAL[0])


def student(dataset: Dataset, task: Task) -> Table:
    """A small network for such samples and answers.

    Raises:
        UsageError: no built-in family reads them, or answers so.
    """
    x, last = dataset.train.x, dataset.preprocess[-1] if dataset.preprocess else {}
    if last.get("op") == "wordpiece":
        kind = "tagger" if task.dense else "embedder" if task.vectors else "bert"
        return {"kind": kind, "width": 128, "layers": 2, "heads": 2, "positions": last["length"]}
    if task.false_alarms is not None and x.ndim in (2, 4):
        return {"kind": "auto_encoder", "width": 16}
    if task.dense and x.ndim == 4:
        return {"kind": "deeplab", "width": 16}
    if task.geometry == "points" and x.ndim == 4:
        return {"kind": "keypoint_net", "width": 16}
    if dataset.rate and not task.dense:
        high = min(4000.0, dataset.rate / 2)
        return {"kind": "keyword_cnn", "width": 64, "rate": dataset.rate, "hop": dataset.rate // FRAMES, "high": high}
    if x.ndim == 4 and not task.dense:
        small = max(x.shape[1:3]) <= SMALL
        tiny = max(x.shape[1:3]) <= SMALL // 4
        wide = {"kind": "convnet", "width": 64, "depth": 3 if tiny else 5}
        strides = [1, 1, 2] if tiny else [1, 2, 1, 2, 1]
        return {**wide, "strides": strides} if small else {"kind": "mobilenet", "stem_stride": 4}
    if x.dtype.kind == "f" and not task.dense and last.get("op") not in ("columns", "parts"):
        if x.ndim == 2:
            return {"kind": "mlp", "width": 64, "depth": 2}
        if x.ndim == 3:
            return {"kind": "sensor_cnn", "width": 32}
    sample = f"{x.dtype} {tuple(x.shape[1:])} a sample, {type(task).__name__}"
    hint = '--set \'student.model={kind="python", factory="mypkg.zoo:student"}\''
    raise UsageError("no built-in student reads such samples", where="student.model", found=sample, hint=hint)


def losses(known: Sequence[Teacher], task: Task, label_loss: str) -> list[Table]:
    """The teacher's answers by what they are; and the labels by ``label_loss``, "": there are none."""
    says = {one.says for one in known}
    if not task.exclusive:
        soft = "kl" in task.losses
        answers: Table = {"kind": "kl", "temperature": 2.0} if soft else {"kind": task.losses[0]}
        of_labels: list[Table] = [{"kind": label_loss, "weight": 0.5}] if label_loss else []
        return [{**answers, "weight": 0.5 if of_labels else 1.0}, *of_labels]
    if says == {"labels"}:
        answers = {"kind": "soft_cross_entropy", "weight": 0.9}
    elif "top" in says:
        answers = {"kind": "kl", "temperature": 1.0, "rest": "together", "weight": 0.9}
    else:
        answers = {"kind": "kl", "temperature": 4.0, "weight": 0.9}
    return [answers, {"kind": label_loss, "weight": 0.1}] if label_loss else [answers]


def _from(recipe: Path, place: str) -> str:
    """An input's path as it is written: from the recipe's folder, where that is on the same drive."""
    try:
        return Path(os.path.relpath(place, recipe.resolve().parent)).as_posix()
    except ValueError:
        return str(place)


def _comments(
    known: Sequence[Teacher], dataset: Dataset, task: Task
) -> tuple[Mapping[str, str], Mapping[str, Sequence[str]]]:
    """What stands behind keys, and what may be wanted below sections."""
    answers = {"labels": "its labels, as shares", "top": "what it leaves unsaid counts as one class"}
    says = next((one.says for one in known if one.says != "scores"), "scores")
    behind = {
        "name": "of the bundle: a-z 0-9 . _ -",
        "targets": "see: edgekd targets",
        "data.source": f"{len(dataset.train):,} training samples; {task.holds.format(f'{len(dataset.classes):,}')}",
        "teacher.model": known[0].remark,
        "student.epochs": "more where the student is still learning: the report has its curve",
        "losses.kind": answers.get(says, "the teacher's soft answers (Hinton et al. 2015)" if task.link else ""),
        "compress.kind": "in the numerics of the target, the teacher watching",
        "budget.max_drop": "against the teacher, on validation, on the exported file; a miss exits 3",
    }
    if len(known) > 1 and known[1].remark:
        behind["teachers.model"] = known[1].remark
    section = "teachers" if len(known) > 1 else "teacher"
    below = {
        section: known[-1].more,
        "budget": ("max_latency_ms = 1.0", "max_size_kb = 700", 'prefer = "latency"  # or "size"'),
    }
    return {key: text for key, text in behind.items() if text}, below
