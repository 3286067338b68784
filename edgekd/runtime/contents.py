"""What a bundle holds: its variants, and what its manifest says of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgekd.base import backend_facts, limits
from edgekd.base.door import hash_inside, open_inside
from edgekd.base.errors import IntegrityError
from edgekd.base.preprocess import Inputs
from edgekd.runtime import look, look_ir, tensor_pb
from edgekd.runtime.batches import Outputs
from edgekd.tasks import Heads


@dataclass(frozen=True)
class Checked:
    """Where a variant's answers were scored and held against the network's.

    Attributes:
        runtime: with its version, such as ``onnxruntime 1.31.1``.
        arch: the machine's, such as ``x86_64``.
        isa: its CPU features, sorted; see ``host.FEATURES``.
    """

    runtime: str
    arch: str
    isa: Sequence[str]


@dataclass(frozen=True)
class Graph:
    """One computation of a variant.

    Attributes:
        name: ``main`` where there is but one.
        file: which of the variant's files a runtime opens for it.
        inputs: name, shape (None is any size) and type of each.
        outputs: their names.
    """

    name: str
    file: str
    inputs: Sequence[tuple[str, Sequence[int | None], str]]
    outputs: Sequence[str]


@dataclass(frozen=True)
class Variant:
    """What ships for one target.

    Attributes:
        files: what the runtime opens, by name, the one to open first.
        isa: CPU features that the files need.
        also: other backends that open the same files, and their options: where the first is not installed.
        tolerance: for ``verify``, as a share of the score range.
        golden: model inputs by name and the outputs by name that this file gave for them, (N, ...) each.
        graphs: the computations in the files.
        checked: the runtimes and CPUs that it was scored on.
    """

    target: str
    backend: str
    options: Mapping[str, Any]
    files: Mapping[str, bytes]
    isa: Sequence[str]
    numerics: str
    quantized: bool
    batch: int
    tolerance: float
    also: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    golden: tuple[Inputs, Outputs] | None = None
    record: Mapping[str, object] = field(default_factory=dict)
    graphs: Sequence[Graph] = ()
    checked: Sequence[Checked] = ()


@dataclass(frozen=True)
class Bundle:
    """What ``write`` writes and what ``read`` gives back (then without files and golden tensors).

    Attributes:
        task: what the student answers, ``{"kind": ...}`` and the task's own keys.
        labels: names of classes, labels or values, those of several outputs one after another.
        heads: how many of them each output has, by its name, and its task, with the thresholds.
        sample_shape, sample_dtype: of one raw sample; () is a text. Format 1 does not tell the type: "".
        rate: of raw sounds, in Hz; 0: samples are none.
        thresholds: by output, those that were chosen on validation, see ``document.thresholds``; ``heads`` know them.
        decisions: the file of raw samples and what is decided about them; "" where there is none.
        sbom: the file that lists what the bundle was made with; "" where there is none.
        digest: SHA-256 of the manifest.
    """

    name: str
    task: Mapping[str, object]
    plan: str
    labels: Sequence[str]
    heads: Heads
    preprocess: Sequence[Mapping[str, object]]
    sample_shape: Sequence[int]
    shippable: bool
    variants: Sequence[Variant]
    recipe: Mapping[str, object] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)
    hashes: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    folder: Path = Path()
    sample_dtype: str = ""
    rate: int = 0
    thresholds: Mapping[str, object] = field(default_factory=dict)
    decisions: str = ""
    sbom: str = ""
    format: int = 2
    digest: str = ""

    def file(self, name: str, most: int | None = None) -> bytes:
        """One file of a bundle on disk, held against its hash.

        Args:
            most: bytes; else as many as the manifest says, which a stranger wrote.

        Raises:
            IntegrityError: missing, too large, or not what the manifest says.
        """
        digest, size = self._listed(name)
        data = open_inside(self.folder, name, size if most is None else most, size)
        self._hold(name, hashlib.sha256(data).hexdigest(), digest)
        return data

    def check(self, name: str) -> None:
        """The same without holding it: of a file of any size."""
        digest, size = self._listed(name)
        self._hold(name, hash_inside(self.folder, name, size), digest)

    def _listed(self, name: str) -> tuple[str, int]:
        if name not in self.hashes:
            raise IntegrityError("not a file of this bundle", where=str(self.folder), found=name, allowed=self.hashes)
        return self.hashes[name]

    def _hold(self, name: str, actual: str, digest: str) -> None:
        if actual != digest:
            raise IntegrityError("is damaged: its SHA-256 differs from the manifest's", where=str(self.folder / name))

    def variant(self, target: str) -> Variant:
        """The variant of a target."""
        for variant in self.variants:
            if variant.target == target:
                return variant
        raise IntegrityError(
            "no such variant", where=str(self.folder), found=target, allowed=[v.target for v in self.variants]
        )

    def files_of(self, variant: Variant) -> dict[str, bytes]:
        """What the runtime opens, checked, and looked at as the variant's backend reads it: ``look``, ``look_ir``.

        ONNX Runtime's own format (``.ort``) is for its verifier alone.
        """
        files = {name: self.file(f"{variant.target}/{name}") for name in variant.files}
        facts = backend_facts.of(variant.backend)
        opened = next(iter(files)) if facts.reads == "onnx" else None
        for name, data in files.items():
            where = f"{variant.target}/{name}"
            if name.endswith(".ort") and ".ort" in facts.suffixes and look.is_ort_format(data):
                continue
            if name == opened or name.endswith(".onnx"):
                look.check(data, where)
            elif name.endswith(".xml"):
                look_ir.check(data, files.get(f"{name[:-4]}.bin", b""), where)
        return files

    def golden_of(self, variant: Variant) -> tuple[Inputs, Outputs]:
        """Golden inputs and outputs by name, checked: as many samples of each; outputs are floats, (samples, ...)."""
        golden = []
        for kind in ("input", "output"):
            start = f"{variant.target}/test_data_set_0/{kind}_"
            places = sorted(name for name in self.hashes if name.startswith(start))
            if not places:
                raise IntegrityError(f"no golden {kind}s", where=str(self.folder), found=start)
            golden.append(dict(tensor_pb.read(self.file(place, limits.GOLDEN_BYTES), place) for place in places))
            if len(golden[-1]) < len(places):
                raise IntegrityError(f"a golden {kind} twice", where=f"{self.folder}: {start}", found=len(places))
        if set(golden[1]) != set(self.heads):  # what is not there is held against nothing
            where, names = f"{self.folder}: {variant.target}", sorted(golden[1])
            raise IntegrityError("golden outputs of other names", where=where, found=names, allowed=list(self.heads))
        for name, array in (golden[0] | golden[1]).items():
            if array.ndim < (2 if name in golden[1] else 1) or not array.size:
                where = f"{self.folder}: {variant.target}: golden {name}"
                raise IntegrityError("not the numbers of samples", where=where, found=array.shape)
        if len(counts := {len(array) for array in (*golden[0].values(), *golden[1].values())}) > 1:
            raise IntegrityError(
                "unequal numbers of golden samples", where=f"{self.folder}: {variant.target}", found=sorted(counts)
            )
        if any(scores.dtype.kind != "f" for scores in golden[1].values()):
            raise IntegrityError("golden outputs that are no floats", where=f"{self.folder}: {variant.target}")
        return golden[0], golden[1]
