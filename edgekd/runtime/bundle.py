"""The bundle: write and read. A folder that is a valid ONNX Runtime model package 1.0.

::

    manifest.json                 components.student.variants.<target>; SHA-256 and size of every file
    <target>/model.onnx           or openvino_model.xml and .bin
    <target>/target.json          the exact target
    <target>/test_data_set_0/     golden input_0.pb ... and output_0.pb ...
    recipe.json                   the exact recipe
    vocab.txt                     the tokens of a preprocessing that reads text
    examples/                     programs in several languages, a raw sample, and the answer to it
    report.json, report.html, samples.json, README.md

Everything of edgekd stands under ``additional_metadata.edgekd`` and ``executor_info.edgekd``, where other consumers of
model packages do not look. Paths are relative POSIX, never leave the bundle, and there are no symbolic links.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from edgekd import preprocess
from edgekd.disk import replace_folder
from edgekd.errors import IntegrityError, RecipeError, UsageError
from edgekd.heads import Heads
from edgekd.preprocess import Inputs
from edgekd.runtime import tensor_pb
from edgekd.runtime._checks import MOST, check_path, keys, listed, no_duplicates, table_at, texts, wholes
from edgekd.runtime.batches import Outputs

SCHEMA_VERSION, FORMAT = "1.0", 1
COMPONENT = "student"
MANIFEST = "manifest.json"
MAX_MANIFEST = 4_000_000
TOP_KEYS = ("additional_metadata", "components", "layout", "package_name", "schema_version")
ABOUT_KEYS = ("files", "format", "heads", "labels", "plan", "preprocess", "sample_shape", "shippable", "task")
VARIANT_KEYS = ("also", "backend", "batch", "files", "isa", "numerics", "options", "quantized", "tolerance")


@dataclass(frozen=True)
class Variant:
    """What ships for one target.

    Attributes:
        files: what the runtime opens, by name, the one to open first.
        isa: CPU features that the files need.
        also: other backends that open the same files, and their options: where the first is not installed.
        tolerance: for ``verify``, as a share of the score range; absolute for float files.
        golden: model inputs by name and the outputs by name that this file gave for them, (N, ...) each.
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
    record: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Bundle:
    """What ``write`` writes and what ``read`` gives back (then without files and golden tensors).

    Attributes:
        labels: class names, those of several heads one after another.
        heads: how many of them each output has, by its name.
    """

    name: str
    task: str
    plan: str
    labels: Sequence[str]
    heads: Heads
    preprocess: Sequence[Mapping[str, Any]]
    sample_shape: Sequence[int]
    shippable: bool
    variants: Sequence[Variant]
    recipe: Mapping[str, Any] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)
    hashes: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    folder: Path = Path()

    def file(self, name: str) -> bytes:
        """One file of a bundle on disk, held against its hash.

        Raises:
            IntegrityError: missing, or not what the manifest says.
        """
        path = self.folder / name
        if name not in self.hashes:
            raise IntegrityError("not a file of this bundle", where=str(self.folder), found=name, allowed=self.hashes)
        try:
            for part in (path, *list(path.parents)[: len(PurePosixPath(name).parts) - 1]):
                if part.is_symlink():
                    raise IntegrityError("a symbolic link", where=str(part))
            data = path.read_bytes()
        except OSError as err:
            raise IntegrityError(f"can't be read ({err.strerror})", where=str(path)) from err
        digest, size = self.hashes[name]
        if len(data) != size:
            raise IntegrityError("has another size", where=str(path), found=len(data), allowed=str(size))
        if hashlib.sha256(data).hexdigest() != digest:
            raise IntegrityError("is damaged: its SHA-256 differs from the manifest's", where=str(path))
        return data

    def variant(self, target: str) -> Variant:
        """The variant of a target."""
        for variant in self.variants:
            if variant.target == target:
                return variant
        raise IntegrityError(
            "no such variant", where=str(self.folder), found=target, allowed=[v.target for v in self.variants]
        )

    def files_of(self, variant: Variant) -> dict[str, bytes]:
        """What the runtime opens, checked."""
        return {name: self.file(f"{variant.target}/{name}") for name in variant.files}

    def golden_of(self, variant: Variant) -> tuple[Inputs, Outputs]:
        """Golden inputs and outputs by name, checked."""
        found = []
        for kind in ("input", "output"):
            start = f"{variant.target}/test_data_set_0/{kind}_"
            places = sorted(name for name in self.hashes if name.startswith(start))
            if not places:
                raise IntegrityError(f"no golden {kind}s", where=str(self.folder), found=start)
            found.append(dict(tensor_pb.read(self.file(place), place) for place in places))
        return found[0], found[1]


def write(folder: Path, bundle: Bundle, pages: Mapping[str, bytes], *, overwrite: bool = False) -> None:
    """Write a bundle in one rename: it is whole or it is not there, and an earlier one stays until the new one stands.

    Args:
        pages: report.json, report.html, samples.json, README.md, as they are.

    Raises:
        OutputError: ``folder`` holds something else (without ``overwrite``) or can't be written.
        ResourceError: the disk is full; nothing is left behind.
    """
    files = {**_contents(bundle), **pages}
    files[MANIFEST] = (json.dumps(_manifest(bundle, files), indent=2, ensure_ascii=False) + "\n").encode()
    replace_folder(folder, files, lambda: overwrite or _replaceable(folder, bundle))


def _replaceable(folder: Path, bundle: Bundle) -> bool:
    """An empty folder, or the bundle of the same plan."""
    if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
        return True
    try:
        return read(folder).plan == bundle.plan
    except IntegrityError:
        return False


def read(folder: Path) -> Bundle:
    """Read and check a manifest; a vocabulary is read with it, the other files are checked when they are read.

    Raises:
        UsageError: there is no such folder.
        IntegrityError: whatever is not as ``write`` writes it: version, keys, types, paths.
    """
    path = folder / MANIFEST
    where = str(path)
    if not folder.exists() and not folder.is_symlink():
        raise UsageError("no such bundle", where=str(folder))
    try:
        if folder.is_symlink() or path.is_symlink():
            raise IntegrityError("a symbolic link", where=where)
        if path.stat().st_size > MAX_MANIFEST:
            raise IntegrityError(
                "too large for a manifest", where=where, found=path.stat().st_size, allowed=str(MAX_MANIFEST)
            )
        table = json.loads(path.read_bytes().decode("utf-8"), object_pairs_hook=no_duplicates)
    except OSError as err:
        raise IntegrityError(f"not a bundle: {err.strerror}", where=where) from err
    except (ValueError, RecursionError) as err:  # ValueError: no UTF-8, no JSON, or a number of thousands of digits
        raise IntegrityError(f"not valid JSON: {err}", where=where) from err
    found = _parse(table, folder, where)
    try:
        return replace(found, preprocess=preprocess.resolved(found.preprocess, found.file))
    except RecipeError as err:
        raise IntegrityError(f"not a preprocessing: {err}", where=where) from err


def portable_first(variants: Sequence[Variant]) -> list[Variant]:
    """The first is the one for who knows no better."""
    return sorted(variants, key=lambda v: (len(v.isa), v.backend != "ort", v.target))


def pretty(value: object) -> bytes:
    """JSON that a person reads, with one spelling for each value."""
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _contents(bundle: Bundle) -> dict[str, bytes]:
    files: dict[str, bytes] = {"recipe.json": pretty(bundle.recipe), **preprocess.stored(bundle.preprocess)[1]}
    for variant in bundle.variants:
        base = variant.target
        files |= {f"{base}/{name}": data for name, data in variant.files.items()}
        files[f"{base}/target.json"] = pretty(variant.record)
        if variant.golden is not None:
            for kind, tensors in zip(("input", "output"), variant.golden, strict=True):
                for i, (name, array) in enumerate(tensors.items()):
                    files[f"{base}/test_data_set_0/{kind}_{i}.pb"] = tensor_pb.write(array, name)
    return files


def _manifest(bundle: Bundle, files: Mapping[str, bytes]) -> dict[str, Any]:
    about = {
        "files": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in sorted(files.items())
        },
        "format": FORMAT,
        "heads": dict(bundle.heads),
        "labels": list(bundle.labels),
        "plan": bundle.plan,
        "preprocess": preprocess.stored(bundle.preprocess)[0],
        "sample_shape": list(bundle.sample_shape),
        "shippable": bundle.shippable,
        "task": bundle.task,
    }
    ordered = portable_first(bundle.variants)  # JSON objects keep their order
    return {
        "schema_version": SCHEMA_VERSION,
        "package_name": bundle.name,
        "layout": "portable",
        "components": {COMPONENT: {"variants": {v.target: _variant_body(v) for v in ordered}}},
        "additional_metadata": {"edgekd": about},
    }


def _variant_body(variant: Variant) -> dict[str, Any]:
    own = {
        "also": {name: dict(options) for name, options in variant.also.items()},
        "backend": variant.backend,
        "batch": variant.batch,
        "files": list(variant.files),
        "isa": sorted(variant.isa),
        "numerics": variant.numerics,
        "options": dict(variant.options),
        "quantized": variant.quantized,
        "tolerance": variant.tolerance,
    }
    body: dict[str, Any] = {"variant_directory": variant.target, "executor_info": {"edgekd": own}}
    provider = str(variant.options.get("provider", "CPUExecutionProvider"))
    if variant.backend == "ort":
        body |= {"ep": provider, "device": "cpu" if provider == "CPUExecutionProvider" else "gpu"}
        body["executor_info"]["ort"] = {
            "model_file": next(iter(variant.files)),
            "session_options": {},
            "provider_options": {},
        }
    return body


def _parse(table: Any, folder: Path, where: str) -> Bundle:
    keys(table, TOP_KEYS, where)
    if table["schema_version"] != SCHEMA_VERSION:
        raise IntegrityError(
            "unknown schema version", where=where, found=table["schema_version"], allowed=SCHEMA_VERSION
        )
    about = table_at(
        table_at(table["additional_metadata"], where).get("edgekd"), f"{where}: additional_metadata.edgekd"
    )
    keys(about, ABOUT_KEYS, f"{where}: additional_metadata.edgekd")
    if about["format"] != FORMAT:
        raise IntegrityError("unknown format", where=where, found=about["format"], allowed=str(FORMAT))
    hashes = {}
    for name, entry in table_at(about["files"], f"{where}: files").items():
        check_path(name, f"{where}: files")
        keys(entry, ("bytes", "sha256"), f"{where}: files.{name}")
        if not isinstance(entry["bytes"], int) or not isinstance(entry["sha256"], str):
            raise IntegrityError("not a size and a hash", where=f"{where}: files.{name}", found=entry)
        hashes[name] = (entry["sha256"], entry["bytes"])
    components = table_at(table["components"], f"{where}: components")
    keys(components, (COMPONENT,), f"{where}: components")
    keys(components[COMPONENT], ("variants",), f"{where}: components.{COMPONENT}")
    bodies = table_at(components[COMPONENT]["variants"], f"{where}: variants")
    variants = [_parse_variant(name, body, hashes, f"{where}: variants.{name}") for name, body in bodies.items()]
    if not variants:
        raise IntegrityError("no variants", where=where)
    texts(about["labels"], f"{where}: labels")
    return Bundle(
        name=str(table["package_name"]),
        task=str(about["task"]),
        plan=str(about["plan"]),
        labels=tuple(about["labels"]),
        heads=_heads(about, where),
        preprocess=[table_at(op, f"{where}: preprocess") for op in listed(about["preprocess"], f"{where}: preprocess")],
        sample_shape=tuple(wholes(about["sample_shape"], f"{where}: sample_shape")),
        shippable=bool(about["shippable"]),
        variants=variants,
        report=_report(folder),
        hashes=hashes,
        folder=folder,
    )


def _parse_variant(name: str, body: Any, hashes: Mapping[str, Any], where: str) -> Variant:
    check_path(name, where)
    table_at(body, where)
    if body.get("variant_directory") != name:
        raise IntegrityError(
            "a variant's folder has its name", where=where, found=body.get("variant_directory"), allowed=name
        )
    own = table_at(table_at(body.get("executor_info"), where).get("edgekd"), f"{where}: executor_info.edgekd")
    keys(own, VARIANT_KEYS, f"{where}: executor_info.edgekd")
    if not own["files"]:
        raise IntegrityError("no files", where=where)
    for file in texts(own["files"], f"{where}: files"):
        check_path(file, f"{where}: files")
        if f"{name}/{file}" not in hashes:
            raise IntegrityError("a file without a hash", where=where, found=file)
    if not isinstance(own["tolerance"], int | float) or not 0 <= own["tolerance"] <= MOST:
        raise IntegrityError("not a tolerance", where=where, found=own["tolerance"])
    wholes([own["batch"]], f"{where}: batch")
    return Variant(
        target=name,
        backend=str(own["backend"]),
        options=table_at(own["options"], where),
        files=dict.fromkeys(own["files"], b""),
        isa=tuple(texts(own["isa"], f"{where}: isa")),
        numerics=str(own["numerics"]),
        quantized=bool(own["quantized"]),
        batch=own["batch"],
        tolerance=float(own["tolerance"]),
        also={kind: table_at(options, where) for kind, options in table_at(own["also"], where).items()},
    )


def _heads(about: Mapping[str, Any], where: str) -> Heads:
    """Heads whose sizes are those of the labels."""
    found = table_at(about["heads"], f"{where}: heads")
    sizes = wholes(list(found.values()), f"{where}: heads")
    if not sizes or sum(sizes) != len(about["labels"]):
        raise IntegrityError("heads that don't fit the labels", where=where, found=found)
    return found


def _report(folder: Path) -> Mapping[str, Any]:
    try:
        found = json.loads((folder / "report.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
