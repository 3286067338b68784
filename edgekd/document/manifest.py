"""``manifest.json`` of a bundle: an ONNX Runtime model package 1.0, with format 2 of edgekd inside.

``runtime.manifest`` writes it and reads it; a bundle of format 1 is read, too, and has no shape here.
"""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired, TypedDict

from edgekd.document.rules import Count, NotNegative, Range, Some, Spelled, closed
from edgekd.document.thresholds import Thresholds

Positive = Annotated[int, Range(1, 2**53)]


@closed
class File(TypedDict):
    """A file of the bundle."""

    bytes: Count
    sha256: Annotated[str, Spelled(r"[0-9a-f]{64}", "64 hexadecimal digits")]


@closed
class Output(TypedDict):
    """An output of the student: what each axis counts, and the names of its classes.

    ``shape``: of the one flat row that a sample's scores are in the file, where it has more than one axis.
    """

    axes: Annotated[list[str], Some()]
    labels: Annotated[list[str], Some()]
    name: str
    shape: NotRequired[list[Positive]]


@closed
class Sample(TypedDict):
    """A raw sample as an app gives it: numpy's name of its type, or ``text``; its shape; of sounds the rate in Hz."""

    dtype: str
    rate: Count
    shape: list[Positive]


class Task(TypedDict):
    """What the student answers; other keys are the task's own."""

    kind: str


class Op(TypedDict):
    """A step of the preprocessing; other keys are its arguments."""

    op: str


@closed
class About(TypedDict):
    """What edgekd says of the bundle; ``decisions`` and ``sbom`` are files of it, ``plan`` is the build's identity.

    ``thresholds``: by output, those that were chosen on validation.
    """

    decisions: str | None
    files: dict[str, File]
    format: Literal[2]
    outputs: Annotated[list[Output], Some()]
    plan: str
    preprocess: list[Op]
    sample: Sample
    sbom: str | None
    shippable: bool
    task: Task
    thresholds: dict[str, Thresholds]


@closed
class Checked(TypedDict):
    """Where a variant's answers were scored: the machine, its CPU features, the runtime with its version."""

    arch: str
    isa: list[str]
    runtime: str


@closed
class Port(TypedDict):
    """An input of a graph; null is any size."""

    dtype: str
    name: str
    shape: list[Positive | None]


@closed
class Graph(TypedDict):
    """One computation of a variant, and which of its files a runtime opens for it."""

    file: str
    inputs: list[Port]
    name: str
    outputs: list[str]


@closed
class Execution(TypedDict):
    """How edgekd runs a variant; ``also``: the options of other backends that open the same files.

    ``tolerance``: for ``edgekd verify``, as a share of the score range.
    """

    also: dict[str, dict[str, object]]
    backend: str
    batch: Positive
    checked: list[Checked]
    files: Annotated[list[str], Some()]
    graphs: list[Graph]
    isa: list[str]
    numerics: str
    options: dict[str, object]
    quantized: bool
    tolerance: NotNegative


@closed
class Ort(TypedDict):
    """What ONNX Runtime reads of a variant."""

    model_file: str
    session_options: dict[str, object]
    provider_options: dict[str, object]


@closed
class Executors(TypedDict):
    """By who runs it."""

    edgekd: Execution
    ort: NotRequired[Ort]


@closed
class Variant(TypedDict):
    """What ships for one target; ``ep`` and ``device``: ONNX Runtime's execution provider, and where that runs."""

    variant_directory: str
    executor_info: Executors
    ep: NotRequired[str]
    device: NotRequired[Literal["cpu", "gpu"]]


@closed
class Student(TypedDict):
    """Its variants by target, the most portable CPU variant first."""

    variants: Annotated[dict[str, Variant], Some()]


@closed
class Components(TypedDict):
    """A bundle has one."""

    student: Student


@closed
class Metadata(TypedDict):
    """Of the package."""

    edgekd: About


@closed
class Manifest(TypedDict):
    """The manifest of a bundle, format 2: an ONNX Runtime model package of one component."""

    schema_version: Literal["1.0"]
    package_name: str
    layout: Literal["portable"]
    components: Components
    additional_metadata: Metadata
