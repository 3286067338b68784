"""``edgekd.build``: the command's work from Python, with a recipe or with objects from a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgekd import pipeline
from edgekd.api.watched import watched
from edgekd.base import preprocess
from edgekd.base.disk import users_path
from edgekd.base.errors import UsageError, in_python
from edgekd.base.notes import Progress
from edgekd.build import network_key
from edgekd.build import request as requests
from edgekd.build.prepare import Objects
from edgekd.build.store import canonical, sha256
from edgekd.document.report import Report
from edgekd.learn.data import Dataset, fingerprint, from_arrays, from_splits
from edgekd.learn.readers import NetworkReader
from edgekd.spec import recipe as recipes
from edgekd.tasks import make_task

Table = Mapping[str, Any]  # of a recipe, as its author gives it
# What a build of objects starts from; the caller's own tables go over it.
OBJECTS: dict[str, object] = {
    "name": "student",
    "data": {"source": "objects"},
    "teacher": {"model": {"kind": "object"}},
    "student": {"model": {"kind": "object"}},
    "losses": [
        {"kind": "kl", "temperature": 4.0, "weight": 0.9},
        {"kind": "cross_entropy", "weight": 0.1},
    ],
    "compress": [{"kind": "int8_qat", "epochs": 3}],
}


@in_python()
def build(
    recipe: str | Path | Mapping[str, object] | None = None,
    *,
    targets: Sequence[str] = (),
    out: str | Path | None = None,
    teacher: nn.Module | None = None,
    student: nn.Module | None = None,
    data: object = None,
    classes: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    budget: Mapping[str, object] | None = None,
    settings: Sequence[str] = (),
    quick: bool = False,
    overwrite: bool = False,
    keep_candidates: bool = False,
    explain: bool = False,
    measure_on: str = "local",
    cache: str | Path | None = None,
    progress: Progress | bool | None = None,
) -> Report:
    """Build a bundle and return its report (the contract of report.json).

    Args:
        recipe: a built-in name, a file, or a table. With objects, a table whose keys go over the defaults, such as
            ``{"student": {"epochs": 20}, "compress": []}``.
        targets: names or files; none: those that the recipe names.
        out: the bundle's folder; default ``dist/<name>``.
        teacher: a trained network; it is only read. Without one the recipe's is trained.
        student: a network that is copied and trained. Both map (N, ...) float32 to (N, classes) logits, alone or among
            other outputs (``learn/outputs.py``); columns go to the arguments of forward that are called so.
        data: (train, validation, test), each (x, y) arrays or a re-iterable of batches: ``data/_batches.py``. Without
            labels only losses that need none are used, and the metric is agreement with the teacher. Of heads y is a
            dict by name, as classes are: names; without them labels are numbered. Data without labels needs them.
        budget: keys of ``[budget]``; settings: ``key=value`` overrides, as ``--set`` takes them.
        quick, overwrite, keep_candidates, explain, measure_on, cache: as in ``edgekd build``.
        progress: called with a dict after each epoch; or whether it is shown on stderr as by the command. By default
            it is where somebody watches: in a notebook, or at an interactive prompt.

    Raises:
        EdgekdError: ``exit_code`` is the command's. GateError: a wish was missed; ``report`` is the build's.
    """
    known, more = _read_once(recipe, settings) if data is not None else (recipe, settings)
    given = Objects(_collected(data, classes, _readers(student, teacher), known, more), teacher, student)
    table = _table(known, given, budget, more, is_whole=known is not recipe)
    with watched(progress) as callback:
        request = requests.make(
            table,
            [targets] if isinstance(targets, str) else targets,
            () if isinstance(table, Mapping) else settings,
            data=None if given.dataset is None else fingerprint(given.dataset),
            objects=_objects_key(given, table),
            out=None if out is None else users_path(out, "out"),
            cache=None if cache is None else users_path(cache, "cache"),
            quick=quick,
            overwrite=overwrite,
            keep_candidates=keep_candidates,
            explain=explain,
            measure_on=measure_on,
            progress=callback,
        )
        return requests.standing(request) or pipeline.run(request, given)


def _read_once(
    recipe: str | Path | Mapping[str, object] | None, settings: Sequence[str]
) -> tuple[Mapping[str, object] | None, Sequence[str]]:
    """A recipe of a name or a file as its table, and the settings that are left to apply: the data is read by its task
    before the build reads it.
    """
    if recipe is None or isinstance(recipe, Mapping):
        return recipe, settings
    return _loaded(str(recipe), settings), ()


def _loaded(name: str | None, settings: Sequence[str]) -> recipes.Table:
    """A recipe by its name or file, settings applied; as JSON inf would be None, and a date a text."""
    return recipes.load(name, settings)[0].model_dump(exclude_unset=True)


def _collected(
    data: object,
    classes: Sequence[str] | Mapping[str, Sequence[str]] | None,
    readers: Sequence[NetworkReader],
    recipe: object,
    settings: Sequence[str],
) -> Dataset | None:
    """A user's own arrays; their labels are read as the recipe's task says. None: there are none."""
    if data is None:
        return None
    tops = recipe if isinstance(recipe, Mapping) else {}
    table = recipes.with_settings(_over(OBJECTS, tops), settings)
    if table.get("heads"):
        return _by_head(data, classes, readers, recipes.parse(table, "recipe").heads)
    if isinstance(classes, Mapping):
        allowed = "names; by head where the recipe has [heads]"
        raise UsageError("classes by head", where="classes", found=list(classes), allowed=allowed)
    given = table.get("task", "classification")
    task = make_task({"kind": given} if isinstance(given, str) else given, "task")
    return from_splits(data, "data", classes, readers, task)


def _by_head(
    data: object,
    classes: Sequence[str] | Mapping[str, Sequence[str]] | None,
    readers: Sequence[NetworkReader],
    heads: Mapping[str, recipes.Head],
) -> Dataset:
    """A user's own arrays, with labels by head."""
    for name, head in heads.items():
        if head.data:
            allowed = "task and metric: labels are a dict by the head's name, beside the samples"
            raise UsageError("arrays have no keys", where=f"heads.{name}", found=list(head.data), allowed=allowed)
    if classes is not None and not isinstance(classes, Mapping):
        allowed = "a dict of names, by the head's name"
        raise UsageError("classes of several heads", where="classes", found=type(classes).__name__, allowed=allowed)
    tasks = {name: make_task(head.task, f"heads.{name}.task") for name, head in heads.items()}
    return from_arrays(data, "data", classes or {}, readers, tasks)


def _readers(student: object, teacher: object) -> list[NetworkReader]:
    """The networks that say how they read the data; what is none is told later."""
    networks = {"student": student, "teacher": teacher}
    return [NetworkReader(module, role) for role, module in networks.items() if isinstance(module, nn.Module)]


def _table(
    recipe: str | Path | Mapping[str, object] | None,
    given: Objects,
    budget: Mapping[str, object] | None,
    settings: Sequence[str] = (),
    *,
    is_whole: bool = False,
) -> str | Mapping[str, object] | None:
    """What ``request.make`` reads: a name, or the caller's table over the defaults for objects, settings applied.

    Args:
        is_whole: a table is all of a recipe, which was read already: nothing is laid below it.
    """
    some = given.dataset is not None or given.teacher is not None or given.student is not None
    _check_networks(given)
    if isinstance(recipe, Path):
        recipe = str(recipe)
    if isinstance(recipe, str) or (recipe is None and not some):
        if not some and budget is None:
            return recipe
        table = _loaded(recipe, settings)
    elif is_whole:
        table = dict(recipe or {})
    else:
        table = _over(_defaults(given, recipe or {}), recipe or {}) if some else dict(recipe or {})
        table = recipes.with_settings(table, settings)
        if some:
            _check_complete(table, given)
    return table if budget is None else _over(table, {"budget": dict(budget)})


def _defaults(given: Objects, top: Table) -> recipes.Table:
    labelled = given.dataset is None or given.dataset.train.y is not None
    overrides: dict[str, object] = {} if labelled else {"losses": [{"kind": "kl", "temperature": 4.0}]}
    if "from_teacher" in (top.get("student") or {}):
        overrides["student"] = {}
    return {**OBJECTS, **overrides}


def _over(base: Table, top: Table) -> recipes.Table:
    """Tables merged key by key; lists and values replaced."""
    merged = dict(base)
    for key, value in top.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _over(merged[key], value) if both else value
    return merged


def _check_networks(given: Objects) -> None:
    for role, module in (("teacher", given.teacher), ("student", given.student)):
        if module is not None and not isinstance(module, nn.Module):
            raise UsageError("not a network", where=role, found=type(module).__name__, allowed="an nn.Module")


def _check_complete(table: Table, given: Objects) -> None:
    for role, module in (("teacher", given.teacher), ("student", given.student)):
        if module is None and (table[role].get("model") or {}).get("kind") == "object":
            raise UsageError("missing", where=role, allowed=f"an nn.Module, or {role}.model in the recipe")
    if given.dataset is None and table["data"].get("source") == "objects":
        raise UsageError("missing", where="data", allowed="(train, validation, test), or [data] in the recipe")


def _objects_key(given: Objects, table: object) -> str:
    """What identifies the networks: see ``network_key``; "" where none was given."""
    fingerprints = {
        role: network_key.fingerprint(module, _example(given.dataset, table, role))
        for role, module in (("teacher", given.teacher), ("student", given.student))
        if module is not None
    }
    return sha256(canonical(fingerprints)) if fingerprints else ""


def _example(dataset: Dataset | None, table: object, role: str) -> tuple[torch.Tensor, ...] | None:
    """Two samples as a network is shown them; None where the data is the recipe's, and read later."""
    if dataset is None:
        return None
    ops = _ops(dataset, table, role)
    preprocess.check(ops, "preprocess")
    return tuple(torch.tensor(x) for x in preprocess.apply(ops, dataset.train.x[:2]).values())


def _ops(dataset: Dataset, table: Any, role: str) -> Any:
    """The preprocessing before a network: the teacher's own, the recipe's, or the data's."""
    if role == "teacher" and (ops := table["teacher"].get("preprocess") or dataset.teacher_preprocess):
        return ops
    return table["data"].get("preprocess") or dataset.preprocess
