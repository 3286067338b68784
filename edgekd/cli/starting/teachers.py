"""What a teacher is that a user names: the ``[teacher]`` table that reads it, whatever its kind."""

from __future__ import annotations

import inspect
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import onnx

from edgekd.base import plugins, preprocess
from edgekd.base.errors import DataError, FactoryError, UsageError
from edgekd.learn.data import Dataset, file_content, fitted, read_vocabulary, refuse_pointer, same_name
from edgekd.runtime import look
from edgekd.runtime.backend import Port
from edgekd.spec.recipe import Table
from edgekd.tasks import CLASSES, LISTED, Task
from edgekd.teachers.onnx import check_shape
from edgekd.teachers.recorded import FORMS, Classes, Recorded, best_reading

# What transformers calls a head's labels: whether one excludes the others, and what makes shares of its scores.
PROBLEMS = {
    "single_label_classification": (True, "softmax"),
    "multi_label_classification": (False, "sigmoid"),
    "regression": (False, ""),
}
CONFIG, CLASSIFIERS = "config.json", ("ForSequenceClassification", "ForImageClassification")
RECORDED = (".npz", ".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
ALLOWED = (
    "an .onnx file; recorded answers (.npz, .csv, .tsv, .jsonl, .parquet, or a folder of them by split); a checkpoint "
    "folder of transformers; a TorchScript archive; a .pt2; mypkg.mod:name of a network's factory, or of a function "
    "that answers"
)
WHOLE = (onnx.TensorProto.UINT8, onnx.TensorProto.INT8, onnx.TensorProto.INT32, onnx.TensorProto.INT64)
WHERE = "--teacher"
Says = Literal["scores", "labels", "top"]


@dataclass(frozen=True)
class Teacher:
    """A teacher as a recipe names it.

    Attributes:
        table: its ``[teacher]`` section.
        says: what its answers are, which the losses follow.
        remark: what the user is to know of it, behind ``model``.
        more: keys that may be wanted, as comments below.
        is_network: it has weights that a checkpoint may bring.
        image: (C, H, W) of the one kind of images that it takes, where its file says it.
        in_order: its answers have no ids.
    """

    table: Table
    says: Says = "scores"
    remark: str = ""
    more: tuple[str, ...] = field(default=("preprocess = []  # where it reads samples otherwise than the student",))
    is_network: bool = False
    image: tuple[int, int, int] | None = None
    in_order: bool = False


def teacher(
    named: str, dataset: Dataset, task: Task = CLASSES, given: Table | None = None, *, allow_code: bool
) -> Teacher:
    """What a user names.

    Args:
        named: a file or folder, from the current one; or ``package.module:name``.
        task: what it answers.
        given: keys of its ``model`` that the user says.
        allow_code: files that may run code of their maker's may be opened.

    Raises:
        UsageError: nothing of that name, or of no kind that is known. DataError, IntegrityError: half a file, or one
            that is not to be opened.
    """
    path = Path(named)
    if path.is_dir():
        if (path / CONFIG).is_file():
            return _folder(path, dataset, task)
        return _recorded(path, dataset, task, given or {})
    if path.is_file():
        return _file(path, dataset, task, given or {}, allow_code)
    if ":" in named:
        return _code(named)
    hint = "mypkg.mod:name stands for code of yours" if "." in named and "/" not in named else None
    raise UsageError("no such file or folder", where=WHERE, found=named, allowed=ALLOWED, hint=hint)


def image_of(named: str) -> tuple[int, int, int] | None:
    """(C, H, W) of the images that an ONNX file takes; None where it says none, or there is no such file."""
    path = Path(named)
    if path.suffix.lower() != ".onnx" or not path.is_file():
        return None
    return _image(_graph(path))


def _file(path: Path, dataset: Dataset, task: Task, given: Table, allow_code: bool) -> Teacher:
    name = path.name.lower()
    refuse_pointer(path, WHERE)
    if name.endswith(".onnx"):
        return _onnx(path, dataset, task)
    if name.removesuffix(".gz").endswith(RECORDED):
        return _recorded(path, dataset, task, given)
    members = _members(path)
    if any("/code/" in member and member.endswith(".py") for member in members):
        return Teacher(_read("torchscript", path), remark="a TorchScript archive; it is looked at before it is opened")
    if any(member.endswith(("/archive_format", "/models/model.json")) for member in members):
        remark = (
            "opening it may run code: whoever wrote it is trusted"
            if allow_code
            else ("true opens it: it may run code, so say so where you know who wrote it")
        )
        return Teacher(_read("torch_export", path, allow_code=allow_code), remark=remark)
    if any(member.endswith("/data.pkl") for member in members) or name.endswith(".safetensors"):
        hint = f"--teacher mypkg.zoo:factory --checkpoint {path}"
        raise UsageError("weights without their network", where=WHERE, found=path.name, hint=hint)
    raise UsageError("no teacher that is known", where=WHERE, found=path.name, allowed=ALLOWED)


def _read(kind: str, path: Path, **more: object) -> Table:
    return {"model": {"kind": kind, "path": str(path.resolve()), **more}}


def _members(path: Path) -> Sequence[str]:
    """What lies in a zip file; nothing of others."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError):
        return ()


def _graph(path: Path) -> onnx.ModelProto:
    place = f"{WHERE}: {path.name}"
    refuse_pointer(path, WHERE)
    data = file_content(path, place)
    look.check(data, place)
    model = onnx.load_model_from_string(data)
    if not model.graph.output:
        raise DataError("no ONNX model: nothing is answered by it", where=place, found=f"{len(data):,} bytes")
    return model


def _onnx(path: Path, dataset: Dataset, task: Task) -> Teacher:
    """A file; of several outputs the one that has a number for each class; inputs made as it takes them."""
    model = _graph(path)
    outputs = {output.name: _shape(output) for output in model.graph.output}
    fitting = [name for name, shape in outputs.items() if len(dataset.classes) in shape[1:]]
    table, remark = _read("onnx", path), ""
    if len(outputs) > 1 and len(fitting) == 1:
        table["output"] = fitting[0]
    elif len(outputs) > 1:
        remark = f"its outputs are {', '.join(outputs)}: output = NAME says which holds the scores"
    counts = [shape[1] for shape in outputs.values() if len(shape) == 2]
    if task.exclusive and not task.dense and not fitting and counts and all(counts):
        remark = f"it answers {counts[0]} numbers, and the classes are {len(dataset.classes)}: see classes"
    if (ops := _ops(model, dataset)) is not None:
        table["preprocess"] = ops
        remark = remark or "it reads samples otherwise than the student: see preprocess"
    return Teacher(table, remark=remark, image=_image(model))


def _inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    constants = {constant.name for constant in model.graph.initializer}
    return [given for given in model.graph.input if given.name not in constants]


def _ops(model: onnx.ModelProto, dataset: Dataset) -> list[dict[str, Any]] | None:
    """How the one input of a file is made, where that is not as the data says; None: it is, or nothing is known."""
    inputs, usual = _inputs(model), list(dataset.preprocess)
    if len(inputs) != 1 or (usual and usual[-1]["op"] not in ("layout", "scale", "normalise")):
        return None
    layout, shape = [op for op in usual if op["op"] == "layout"], _shape(inputs[0])
    is_whole = inputs[0].type.tensor_type.elem_type in WHOLE
    ways = [[], layout] if is_whole else [usual, [op for op in usual if op["op"] != "layout"]]
    sizes = [shape[1:3], shape[2:4]] if len(shape) == 4 else []
    resized = [{"op": "resize", "height": height, "width": width} for height, width in sizes if height and width]
    for ops in (*ways, *([resize, *way] for resize in resized for way in ways)):
        if _fits(shape, ops, dataset):
            return None if ops == usual else ops
    return None


def _fits(shape: Sequence[int], ops: Sequence[dict[str, Any]], dataset: Dataset) -> bool:
    """Whether a file's axes, of which 0 is free, are those of the data's one input as ops make it."""
    (given,) = preprocess.specs(tuple(ops), dataset.train.x[0])
    if not shape:
        return True
    sizes = zip(shape[1:], given.shape[1:], strict=False)
    return len(shape) == len(given.shape) and all(a in (0, b) or b is None for a, b in sizes)


def hold(section: Table, dataset: Dataset, task: Task) -> list[str]:
    """Hold a teacher of a recipe against the data, as a build does before it asks: answers whose samples are none of
    it, a file that takes other inputs.

    Returns:
        What the user is to know.

    Raises:
        RecipeError, DataError: a build would refuse it.
    """
    model, notes = dict(section["model"]), list[str]()
    kind = model.pop("kind", "")
    if kind == "recorded":
        answers: Recorded = plugins.build("teachers", {"kind": kind, **model}, "teacher.model")
        classes = Classes(dataset.classes, section.get("classes"), answers.unknown)
        answers.matched(dataset.splits, classes, fitted(task, dataset.train.y), "teacher.model", notes.append)
    if kind == "onnx" and len(inputs := _inputs(_graph(Path(model["path"])))) == 1:
        ops, shape = section.get("preprocess", dataset.preprocess), _shape(inputs[0])
        if shape and not (ops and ops[-1]["op"] in ("wordpiece", "columns", "parts")):
            (given,) = preprocess.specs(tuple(ops), dataset.train.x[0])
            dtype = onnx.helper.tensor_dtype_to_np_dtype(inputs[0].type.tensor_type.elem_type).name
            check_shape(Port(inputs[0].name, tuple(size or None for size in shape), dtype), given, "teacher.model")
    return notes


def _image(model: onnx.ModelProto) -> tuple[int, int, int] | None:
    shapes = [_shape(given) for given in _inputs(model)]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        return None
    _, channels, height, width = shapes[0]
    return (channels, height, width) if channels in (1, 3) and height and width else None


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    """Its axes; 0 where one is free."""
    return tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim)


def _recorded(path: Path, dataset: Dataset, task: Task, given: Table) -> Teacher:
    """Answers in a file; of several kinds in it the one that says most."""
    form, has_several, ignore, named_by = best_reading(
        str(path), dataset.classes, WHERE, task, given.get("form", ""), given.get("ignore", ())
    )
    more_keys = {"form": form} if has_several else {}
    more_keys |= {"id": named_by} if named_by not in (None, "id", "ids") else {}
    table = _read("recorded", path, **more_keys, **({"ignore": list(ignore)} if ignore else {}))
    says: Says = "top" if form == "top" else "labels" if form == "labels" else "scores"
    comments = ('model.missing = "skip"  # a sample without an answer is taught by its label alone',)
    return Teacher(table, says, remark=f"read as {form}", more=comments, in_order=named_by is None)


def _folder(path: Path, dataset: Dataset, task: Task) -> Teacher:
    """A checkpoint folder of transformers: with its own head where that fits, else under a new one."""
    try:
        config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as err:
        raise DataError(f"not JSON ({err})", where=f"{WHERE}: {path.name}/{CONFIG}") from err
    if not isinstance(config, dict):
        raise DataError("no table", where=f"{WHERE}: {path.name}/{CONFIG}", found=config)
    if not any(path.glob("*.safetensors")):
        kinds = ", ".join(sorted(file.name for file in path.iterdir())[:8])
        raise DataError("no weights that are read", where=f"{WHERE}: {path.name}", found=kinds, allowed="*.safetensors")
    if dataset.preprocess and dataset.preprocess[-1]["op"] == "wordpiece":
        _check_tokenizer(path)
    model = {"kind": "transformers", "folder": str(path.resolve())}
    architecture = str((config.get("architectures") or [""])[0])
    labels = config.get("id2label")
    count = len(labels) if isinstance(labels, dict) else config.get("num_labels", 2)
    names = {str(name): int(n) for n, name in labels.items() if str(n).isdigit()} if isinstance(labels, dict) else {}
    order = _order(names, dataset.classes)
    learned = str(config.get("problem_type") or "")
    is_other = learned in PROBLEMS and PROBLEMS[learned] != (task.exclusive, task.link)
    if not architecture.endswith(CLASSIFIERS) or is_other or (count != len(dataset.classes) and not order):
        why = f", as its own is of {learned.replace('_', ' ')}" if is_other else ""
        remark = f"a new head over {architecture or 'its body'}, which stays as it is{why}"
        return Teacher({"model": {**model, "head": "linear"}, "epochs": 10}, remark=remark)
    table: Table = {"model": {**model, "head": "own"}, "epochs": 0}
    remark = f"{architecture} as it stands: it is not trained"
    if order and order != list(range(count)):
        table["classes"] = order
    elif not order and not all(re.fullmatch(r"LABEL_\d+", name) for name in names):
        called = ", ".join(sorted(names, key=names.__getitem__)[:LISTED])
        remark = f"its labels are {called}: taken as the classes in this order, which classes = [...] changes"
    return Teacher(table, remark=remark)


def _check_tokenizer(folder: Path) -> None:
    """Raise DataError where the tokens of a folder are of a kind that a build refuses."""
    if not any((folder / name).is_file() for name in ("vocab.txt", "tokenizer.json")):
        return
    try:
        read_vocabulary(str(folder), lower=True)
    except DataError as err:
        hint = "recorded answers, or an ONNX file behind a callable, need no tokenizer here"
        where = f"{WHERE}: {folder.name}"
        raise DataError(f"its tokenizer: {err.message}", where=where, found=err.found, hint=hint) from err


def _order(names: Mapping[str, int], classes: Sequence[str]) -> list[int]:
    """For each of our classes the number of the folder's label of that name; []: one has none."""
    numbers = {same_name(name): number for name, number in names.items()}
    order = [numbers.get(same_name(name), -1) for name in classes]
    return order if min(order) >= 0 and len({*order}) == len(order) else []


def _code(named: str) -> Teacher:
    """Code of the user's: a kind of teacher, what makes a network, or a function that answers.

    A function that can be called with nothing makes a network; it is not called here, as an answer may cost.
    """
    users = plugins.load_object(named, WHERE)
    if hasattr(users, "network") or hasattr(users, "answers"):
        return Teacher({"model": {"kind": named}})
    if not callable(users):
        raise FactoryError("not callable", where=WHERE, found=named)
    try:
        parameters = inspect.signature(users).parameters.values()
    except (TypeError, ValueError):
        parameters = {}.values()
    wanted = [
        one.name
        for one in parameters
        if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    if not wanted:
        remark = "called with nothing it makes the network, weights and all"
        return Teacher({"model": {"kind": "python", "factory": named}, "epochs": 0}, remark=remark, is_network=True)
    model = {"kind": "callable", "function": named, "version": "1", "form": "logits"}
    more = (
        f"form: {', '.join(FORMS)}, as it answers",
        "version: of what answers behind it; another one is asked anew",
        "model.batch, per_minute, price, most: how it is asked, and what a build may ask",
    )
    return Teacher({"model": model}, remark="asked in batches; each answer is kept", more=more)
