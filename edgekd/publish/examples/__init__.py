"""A bundle's ``examples/``: short programs in several languages, with the bundle's own names, shapes and labels.

Every file of a folder here is a template; ``NEEDS`` says which a bundle gets. All of them read the same raw sample and
print the same line of JSON, ``{head: {"label": .., "scores": [..]}}``, so that they can be held against each other;
with ``"sure"`` where the recipe has ``[abstain]``. A mask is the class of every pixel, row after row, and how many
pixels each class has, and so are pixels that are normal, 0, or anomalies, 1; tags are those of the words, and the spans
that they mark.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from edgekd.base import table_rows
from edgekd.base.arrays import AnyArray
from edgekd.base.preprocess import Op, Spec, widths_of
from edgekd.publish.examples import literals, steps, unicode_tables
from edgekd.tasks import Certainty, Heads, Shown, Task
from edgekd.tasks.tagging import Tagging

SUFFIX = ".j2"
FOLDERS = ("python", "cpp", "js", "node", "web")
# What a template needs: a file that ONNX Runtime, its JavaScript or OpenVINO opens, raw samples of a kind, a step.
NEEDS = {
    "python/predict.py": ("ort",),
    "python/predict_openvino.py": ("openvino",),
    "python/table.py": ("table",),
    "cpp/predict_ort.cpp": ("ort",),
    "cpp/predict_openvino.cpp": ("openvino",),
    "cpp/wordpiece.h": ("text",),
    "cpp/resample.h": ("resample",),
    "cpp/table.h": ("table",),
    "js/student.mjs": ("web",),
    "js/wordpiece.mjs": ("web", "text"),
    "js/resample.mjs": ("web", "resample"),
    "js/table.mjs": ("web", "table"),
    "node/predict.mjs": ("web",),
    "node/package.json": ("web",),
    "web/index.html": ("web",),
    "web/app.mjs": ("web",),
    "web/ink.mjs": ("web", "ink"),
    "web/sound.mjs": ("web", "sound"),
}
# Raw samples are written down in one of these; whatever else a data set holds is float32 to an app.
NUMBERS = {"uint8": "uint8", "int16": "int16", "int32": "int64", "int64": "int64"}


COARSE = (1, 2, 3, 4)  # how many numbers in a row are alike, in made samples


@dataclass(frozen=True)
class About:
    """What a template is told.

    Attributes:
        ops: the preprocessing as it is written down; of texts ``vocabulary`` names a file of the bundle.
        shape: of one raw sample; () is a text.
        dtype: of its numbers: uint8, int16, int64 or float32.
        inputs: of the network.
        labels: names of classes, labels or values by head.
        files: what each runtime opens, by ``ort``, ``web`` and ``openvino``, as a path in the bundle.
        rate: of sounds, in Hz.
        settings: what each runtime is told when it opens its file: OpenVINO's properties; of the others ``threads`` and
            ``config``, session entries.
        gpu: the page's file is made for WebGPU.
        certainties: by head, of those whose answers are told to be sure or not.
        white: the largest number of a raw image.
        shapes: of one sample's scores, by head, such as (C, H, W) of a mask.
    """

    name: str
    ops: Sequence[Mapping[str, Any]]
    shape: tuple[int, ...]
    dtype: str
    inputs: Sequence[Spec]
    labels: Mapping[str, Sequence[str]]
    tasks: Mapping[str, Task]
    files: Mapping[str, str]
    rate: int = 0
    gpu: bool = False
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    certainties: Mapping[str, Certainty] = field(default_factory=dict)
    white: int = 255
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """``text``, ``ink`` (an image of one channel), ``picture``, ``sound``, or ``numbers``."""
        if not self.shape:
            return "text"
        if self.rate and len(self.shape) == 1 and self.dtype == "int16":
            return "sound"
        if len(self.shape) == 3 and self.dtype == "uint8":
            return {1: "ink", 3: "picture"}.get(self.shape[-1], "numbers")
        return "numbers"

    @property
    def classifies(self) -> bool:
        """Whether every head says a class."""
        return all(task.program == "class" for task in self.tasks.values())

    @property
    def alike(self) -> bool:
        """Whether every head says a class and no more, so that the programs need to tell no head from another."""
        return self.classifies and not self.certainties

    @property
    def tags(self) -> bool:
        """Whether some head tags words: it is decoded with the text."""
        return any(task.program == "tags" for task in self.tasks.values())

    @property
    def is_decoded(self) -> bool:
        """Whether a program decodes every head, as it may not that of a user's task; words are those of a text."""
        return all(task.program for task in self.tasks.values()) and (not self.tags or self.kind == "text")

    @property
    def programs(self) -> dict[str, dict[str, object]]:
        """How each head is decoded, the numbers that this takes, and when its answers are sure: None, nobody tells."""
        return {
            head: {"decode": task.program, **task.constants, "sure": self.certainties.get(head)}
            for head, task in self.tasks.items()
        }

    @property
    def measures(self) -> dict[str, list[object]]:
        """By head, of those that are sure by ``distance``: its shift, axes, means and weights."""
        by_head = {head: certainty.distance for head, certainty in self.certainties.items()}
        return {head: [of.shift, of.axes, of.means, of.weights] for head, of in by_head.items() if of is not None}

    @functools.cached_property
    def steps(self) -> list[Op]:
        """What a program does: see ``steps.of``."""
        return steps.of(self.ops, self.extent, self.dtype) if self.shape else list(self.ops)

    @property
    def names(self) -> list[str]:
        """The steps."""
        return [op["op"] for op in self.steps]

    @property
    def code(self) -> str:
        """The numbers as numpy writes their type."""
        return {"uint8": "u1", "int16": "i2", "int64": "i8", "float32": "f4"}[self.dtype]

    @property
    def array(self) -> str:
        """The numbers as JavaScript's typed array."""
        arrays = {"uint8": "Uint8Array", "int16": "Int16Array", "int64": "BigInt64Array", "float32": "Float32Array"}
        return arrays[self.dtype]

    @property
    def temperatures(self) -> dict[str, float]:
        """By head, what scores are divided by before they become probabilities, where that is not 1."""
        return {head: of.temperature for head, of in self.certainties.items() if of.temperature != 1}

    @property
    def packages(self) -> list[str]:
        """What Python programs import beside their runtime, as pip names it."""
        return ["numpy", *["edgekd"] * (self.kind == "text" or "resample" in self.names)]

    @property
    def widths(self) -> dict[str, int]:
        """Pixels of a row of the mask that a page shows over its picture, by head."""
        masks = [head for head, task in self.tasks.items() if task.program in ("mask", "anomaly_map")]
        return {head: self.shapes[head][-1] for head in masks} if self.kind in ("ink", "picture") else {}

    @property
    def pointed(self) -> list[str]:
        """The heads whose values a page shows as points in its picture: x and y in pixels of a raw sample."""
        heads = [head for head, task in self.tasks.items() if task.program == "values" and task.geometry == "points"]
        return heads if self.kind in ("ink", "picture") else []

    @property
    def page(self) -> str:
        """How a page is asked, by a kind of raw sample; where it marks places it is shown grey pictures, too."""
        return "picture" if self.widths or self.pointed else self.kind

    @property
    def extent(self) -> tuple[int, ...]:
        """Height, width and channels; anything else is one row of columns of channels."""
        if len(self.shape) == 3:
            return self.shape
        return (1, int(np.prod(self.shape[:-1])), self.shape[-1])

    @property
    def fixed(self) -> list[int]:
        """The shape of one sample of the only input."""
        return [int(size or 0) for size in self.inputs[0].shape[1:]]

    @property
    def columns(self) -> list[tuple[str, int, int]]:
        """Of the ops ``columns`` and ``parts``: name, first and last + 1."""
        widths = widths_of(self.ops)
        ends = np.cumsum(widths).tolist()
        return [(n, end - w, end) for n, w, end in zip(self.ops[-1]["names"], widths, ends, strict=True)]

    @property
    def parts(self) -> list[tuple[str, int, int, list[int]]]:
        """The same with the shape of each."""
        return [(*column, list(shape)) for column, shape in zip(self.columns, self.ops[-1]["shapes"], strict=True)]

    @property
    def table(self) -> list[dict[str, object]]:
        """Of the op ``table``: its columns, numbers as float32 has them and truth values as 0 and 1."""
        columns = table_rows.op_of(self.ops) or {"columns": []}
        return [{key: _plain(value) for key, value in column.items()} for column in columns["columns"]]

    @property
    def missing(self) -> list[str]:
        """Texts of a table's cells that say that there is no value, in lower case."""
        return list(table_rows.MISSING)

    def setting(self, runtime: str) -> Mapping[str, Any]:
        """Of ``settings``; one thread where nothing is told."""
        return self.settings.get(runtime) or {"threads": 1, "config": {}}

    @property
    def properties(self) -> Mapping[str, Any]:
        """OpenVINO's."""
        defaults = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        return self.settings.get("openvino") or defaults

    @staticmethod
    def numbers(value: float | Sequence[float]) -> str:
        """``0.5`` or ``[0.5, 0.25]`` -> what stands in a list."""
        return ", ".join(repr(float(v)) for v in np.atleast_1d(value))

    @staticmethod
    def floats(value: float | Sequence[float]) -> str:
        """The same as C++'s floats: those of numpy, which rounds a double, where C++ rounds what is written."""
        return ", ".join(f"{float(np.float32(v))!r}f" for v in np.atleast_1d(value))


def _plain(value: object) -> object:
    """The same literal in every language, and the same float32."""
    if isinstance(value, bool):
        return int(value)
    return float(np.float32(value)) if isinstance(value, int | float) else value


def number(dtype: np.dtype[Any]) -> str:
    """In which numbers raw samples of a data set are written down."""
    return NUMBERS.get(str(dtype), "float32")


def labels_by_head(labels: Sequence[str], heads: Heads) -> dict[str, list[str]]:
    """Names of classes, labels or values of each head."""
    return {head: list(labels[where]) for head, where in heads.name_columns.items()}


def said(about: About, head: str, scores: AnyArray, sample: object = None) -> dict[str, Any]:
    """What every program prints of one head; ``sample``: what was asked about, where its words are tagged."""
    names, task = about.labels[head], about.tasks[head]
    if task.program == "tags":
        rows = scores.reshape(-1, len(names)).astype(np.float64)
        tagging = Tagging()  # whatever a user's own task decodes, its programs decode so
        record = tagging.record(tagging.decode_shown(rows, names, Shown(sample, about.ops)))
        texts = [str(sample)[slice(*span["characters"])] for span in record["spans"]]
        spans = [{**span, "text": text} for span, text in zip(record["spans"], texts, strict=True)]
        return {"tags": record["tags"], "spans": spans}
    if task.program == "mask":
        classes = scores.reshape(len(names), -1).argmax(axis=0)
        counts = np.bincount(classes, minlength=len(names)).tolist()
        pixels = {name: count for name, count in zip(names, counts, strict=True) if count}
        return {"pixels": pixels, "classes": classes.tolist()}
    if task.program == "anomaly_map":
        return _spotted(scores, task.constants.get("cut"))
    numbers = [float(f"{score:.9g}") for score in scores]
    if task.program == "anomaly":
        is_anomaly = task.answers(scores[None]).item() == 1 if "cut" in task.constants else None
        return {"is_anomaly": is_anomaly, "score": numbers[0]}
    certainty = about.certainties.get(head)
    sure = {} if certainty is None else {"sure": bool(certainty.sure(task, scores[None])[0])}
    if task.program == "class":
        return {"label": names[int(scores.argmax())], **sure, "scores": numbers}
    if task.program == "labels":
        applies = task.answers(scores[None])[0]
        return {"labels": [name for name, hit in zip(names, applies, strict=True) if hit], **sure, "scores": numbers}
    return {"values": numbers}


def _spotted(scores: AnyArray, cut: float | list[float] | None) -> dict[str, object]:
    """Of the scores of all pixels, and of the threshold, where there is one."""
    score = float(f"{scores.max():.9g}")
    if cut is None:
        return {"is_anomaly": None, "score": score, "pixels": {}, "classes": []}
    classes = (scores.reshape(-1) >= np.asarray(cut, np.float32)).astype(np.int64)
    counts = {"normal": int((classes == 0).sum()), "anomaly": int(classes.sum())}
    pixels = {name: count for name, count in counts.items() if count}
    return {"is_anomaly": "anomaly" in pixels, "score": score, "pixels": pixels, "classes": classes.tolist()}


def make(about: About, sample: AnyArray | str, answer: Mapping[str, object]) -> dict[str, bytes]:
    """The files below ``examples/``; none where no program decodes an output, as a user's own task may say.

    Args:
        sample: one raw sample; every program asks about it where it is given no other.
        answer: what the bundle's first file says to it, by head.
    """
    if not about.is_decoded:
        return {}
    has = {*about.files, about.page, *about.names}
    environment = _environment()
    last: Mapping[str, Any] = about.ops[-1] if about.ops else {"op": ""}
    values: dict[str, object] = {
        "about": literals.foreign(about),
        "last": literals.foreign(last),
        "count": int(np.prod(about.shape)),
    }
    if about.kind == "text":
        values["tables"] = unicode_tables.of(last["vocabulary"], last["lower"])
    files = {}
    for name in templates():
        if set(NEEDS.get(name, ())) <= has:
            files[f"examples/{name}"] = environment.get_template(name + SUFFIX).render(values).encode()
    files |= _samples(about, sample)
    files["examples/answer.json"] = (json.dumps(answer, ensure_ascii=False) + "\n").encode()
    return files


@functools.cache
def _environment() -> Environment:
    """Its templates are compiled once a process: that takes longer than to fill them in."""
    environment = Environment(
        loader=PackageLoader("edgekd.publish.examples", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= literals.FILTERS
    return environment


def templates() -> list[str]:
    """Every template, by the name of what is made of it."""
    root = resources.files("edgekd.publish.examples")
    return sorted(
        f"{folder}/{file.name.removesuffix(SUFFIX)}"
        for folder in FOLDERS
        for file in root.joinpath(folder).iterdir()
        if file.name.endswith(SUFFIX)
    )


def _samples(about: About, sample: AnyArray | str) -> dict[str, bytes]:
    """The sample in a file: a text, or numbers row after row, little-endian."""
    if isinstance(sample, str):
        return {"examples/sample.txt": sample.encode()}
    return {"examples/sample.bin": sample.astype(np.dtype(about.dtype).newbyteorder("<")).tobytes()}


def synthetic(about: About, rng: np.random.Generator, count: int) -> AnyArray:
    """(count, ...) raw samples that belong to nobody: an example shows no data of the training.

    Pictures and sounds are coarse in several degrees, and half of them mostly empty: to most networks all fine noise is
    alike (digits: 2 of 10 classes for 64 samples, and so 9).
    """
    shape = (count, *about.shape)
    if about.ops and about.ops[-1]["op"] == "columns":
        sizes = np.repeat(about.ops[-1]["sizes"], about.ops[-1]["widths"])
        return rng.integers(0, sizes, shape)
    if (table := table_rows.op_of(about.ops)) is not None:
        return table_rows.synthetic(table["columns"], rng, count)
    samples = _noise(about, rng, shape)
    if about.ops and about.ops[-1]["op"] == "parts":
        sizes = np.repeat(about.ops[-1]["sizes"], widths_of(about.ops))
        return np.where(sizes > 0, rng.integers(0, np.maximum(sizes, 1), shape), samples).astype(np.float32)
    if len(about.shape) != 3 and about.kind != "sound":
        return samples
    for i, sample in enumerate(samples):
        if i & 4:
            sample[rng.random(sample.shape[:2]) < rng.uniform(0.1, 0.9)] = 0
        for axis, size in enumerate(sample.shape[:2]):
            sample[:] = sample.take(np.arange(size) // COARSE[i % 4] * COARSE[i % 4], axis)
    return samples


def _noise(about: About, rng: np.random.Generator, shape: tuple[int, ...]) -> AnyArray:
    if about.dtype == "float32":
        return rng.standard_normal(shape).astype(np.float32)
    if about.dtype == "uint8":
        return rng.integers(0, about.white + 1, shape).astype(np.uint8)
    top = {"int16": 2**15, "int64": 256}[about.dtype]
    divide = next((op["divide"] for op in about.ops if op["op"] == "scale"), top - 1)
    low = -top if about.dtype == "int16" else 0
    return rng.integers(low, min(top, int(divide) + 1), shape).astype(about.dtype)
