"""manifest.json: from a bundle to a table and back. Format 2 is written; format 1 still opens.

It is a valid ONNX Runtime model package 1.0; everything of edgekd stands under ``additional_metadata.edgekd`` (what the
student is) and ``executor_info.edgekd`` (of each variant)::

    format      2
    task        {"kind": "classification"}, with the task's own keys; {"kind": "several", "outputs"}: one of each output
    sample      {"dtype", "rate", "shape"} of one raw sample; a text has dtype "text" and shape []
    preprocess  from raw sample to model inputs
    outputs     [{"axes": ["batch", "class"], "labels", "name"}], in the order of the labels; with
                "shape" where the flat row of a sample's scores has more than one axis
    thresholds  {output: {"labels": [0.5, ...], "sure": {"by", "least", "temperature"}}}, either or both; {}: none
    decisions   the file of raw samples and what is decided about them, or null
    sbom        the file that lists what the bundle was made with, or null
    plan, shippable, files (SHA-256 and size of each)

    a variant:  also, backend, batch, checked, files, graphs, isa, numerics, options, quantized, tolerance

What is read must be, key by key, what would be written of it: nothing stands there that nobody reads. No module path
does: a user's own backend or task is named ``plugin:Class``, and opens where the app names its module.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final, cast

from edgekd.base import limits, plugins
from edgekd.base.errors import IntegrityError
from edgekd.base.preprocess import TEXT, TYPES, Ops
from edgekd.document import manifest as documents
from edgekd.document.manifest import About, Manifest, Op, Output
from edgekd.document.manifest import Task as TaskTable
from edgekd.document.thresholds import Thresholds
from edgekd.runtime import allowed, thresholds
from edgekd.runtime._checks import MOST, Table, check_path, keys, listed, table_at, texts, wholes
from edgekd.runtime.backend import PLUGIN
from edgekd.runtime.contents import Bundle, Checked, Graph, Variant
from edgekd.tasks import SEVERAL, Heads, Task, Unnamed, make_task

SCHEMA_VERSION: Final = "1.0"
FORMAT: Final = 2
COMPONENT: Final = "student"
TOP_KEYS = ("additional_metadata", "components", "layout", "package_name", "schema_version")
ABOUT_KEYS = {
    1: ("files", "format", "heads", "labels", "plan", "preprocess", "sample_shape", "shippable", "task"),
    2: (
        *("decisions", "files", "format", "outputs", "plan", "preprocess", "sample", "sbom", "shippable", "task"),
        "thresholds",
    ),
}
VARIANT_KEYS = {
    1: ("also", "backend", "batch", "files", "isa", "numerics", "options", "quantized", "tolerance"),
    2: (
        *("also", "backend", "batch", "checked", "files", "graphs", "isa", "numerics", "options", "quantized"),
        "tolerance",
    ),
}
# What a reader of the older format goes without.
MISSING = {1: "an older format: without raw samples to decide about, the runtimes it was checked on, and a digest"}


def table(bundle: Bundle, ops: Ops, files: Mapping[str, tuple[str, int]]) -> Manifest:
    """The manifest of a bundle with its preprocessing as it is written down, and these files: SHA-256 and size."""
    about: About = {
        "decisions": bundle.decisions or None,
        "files": {name: {"bytes": size, "sha256": digest} for name, (digest, size) in sorted(files.items())},
        "format": FORMAT,
        "outputs": [
            _output(bundle.heads, name, list(bundle.labels[where])) for name, where in bundle.heads.name_columns.items()
        ],
        "plan": bundle.plan,
        "preprocess": [cast(Op, op) for op in ops],
        "sample": {"dtype": bundle.sample_dtype, "rate": bundle.rate, "shape": list(bundle.sample_shape)},
        "sbom": bundle.sbom or None,
        "shippable": bundle.shippable,
        "task": cast(TaskTable, dict(bundle.task)),
        "thresholds": {name: cast(Thresholds, table) for name, table in bundle.thresholds.items()},
    }
    ordered = portable_first(bundle.variants)  # JSON objects keep their order
    return {
        "schema_version": SCHEMA_VERSION,
        "package_name": bundle.name,
        "layout": "portable",
        "components": {COMPONENT: {"variants": {v.target: _variant_table(v) for v in ordered}}},
        "additional_metadata": {"edgekd": about},
    }


def portable_first(variants: Sequence[Variant]) -> list[Variant]:
    """The first is the one for who knows no better."""
    return sorted(variants, key=lambda v: (len(v.isa), v.backend != "ort", v.target))


def named(backend: str) -> str:
    """A backend as a manifest names it: of a user's own the class, never the module."""
    return PLUGIN + backend.rpartition(":")[2] if ":" in backend else backend


def _variant_table(variant: Variant) -> documents.Variant:
    execution: documents.Execution = {
        "also": {named(name): dict(options) for name, options in variant.also.items()},
        "backend": named(variant.backend),
        "batch": variant.batch,
        "checked": [{"arch": c.arch, "isa": sorted(c.isa), "runtime": c.runtime} for c in variant.checked],
        "files": list(variant.files),
        "graphs": [
            {
                "file": graph.file,
                "inputs": [{"dtype": dtype, "name": name, "shape": list(shape)} for name, shape, dtype in graph.inputs],
                "name": graph.name,
                "outputs": list(graph.outputs),
            }
            for graph in variant.graphs
        ],
        "isa": sorted(variant.isa),
        "numerics": variant.numerics,
        "options": dict(variant.options),
        "quantized": variant.quantized,
        "tolerance": variant.tolerance,
    }
    body: documents.Variant = {"variant_directory": variant.target, "executor_info": {"edgekd": execution}}
    provider = str(variant.options.get("provider", "CPUExecutionProvider"))
    if variant.backend == "ort":
        body["ep"], body["device"] = provider, "cpu" if provider == "CPUExecutionProvider" else "gpu"
        body["executor_info"]["ort"] = {
            "model_file": next(iter(variant.files)),
            "session_options": {},
            "provider_options": {},
        }
    return body


def parse(document: object, folder: Path, where: str, classes: Mapping[str, str] = MappingProxyType({})) -> Bundle:
    """A bundle from its manifest, every key and type checked; its files are not read.

    Args:
        classes: the user's own that may be imported, ``plugin:Class`` to ``package.module:Class``.

    Raises:
        IntegrityError: whatever is not as ``table`` writes it. FactoryError: one of ``classes`` can't be imported.
    """
    top = keys(document, TOP_KEYS, where)
    if top["schema_version"] != SCHEMA_VERSION:
        raise IntegrityError("unknown schema version", where=where, found=top["schema_version"], allowed=SCHEMA_VERSION)
    place = f"{where}: additional_metadata.edgekd"
    about = table_at(table_at(top["additional_metadata"], where).get("edgekd"), place)
    version = about.get("format")
    if type(version) is not int or version not in ABOUT_KEYS:
        raise IntegrityError("unknown format", where=where, found=version, allowed=", ".join(map(str, ABOUT_KEYS)))
    keys(about, ABOUT_KEYS[version], place)
    hashes = _hashes(about["files"], where)
    components = table_at(top["components"], f"{where}: components")
    keys(components, (COMPONENT,), f"{where}: components")
    keys(components[COMPONENT], ("variants",), f"{where}: components.{COMPONENT}")
    bodies = table_at(components[COMPONENT]["variants"], f"{where}: variants")
    variants = [_variant(name, body, hashes, version, f"{where}: variants.{name}") for name, body in bodies.items()]
    if not variants:
        raise IntegrityError("no variants", where=where)
    more = _about_1(about, where) if version == 1 else _about_2(about, hashes, where, classes)
    bundle = Bundle(
        name=str(top["package_name"]),
        plan=str(about["plan"]),
        preprocess=[table_at(op, f"{where}: preprocess") for op in listed(about["preprocess"], f"{where}: preprocess")],
        shippable=bool(about["shippable"]),
        variants=variants,
        hashes=hashes,
        folder=folder,
        format=version,
        **more,
    )
    if version > 1 and (off := _differs(document, table(bundle, bundle.preprocess, hashes), where)):
        raise IntegrityError("not as edgekd writes it", where=off)
    return bundle


def _differs(actual: object, wanted: object, place: str) -> str | None:
    """Where a manifest first differs from the one that would be written of what was read: by key, type or value.

    What reads a key as something else (``"no"`` as true, 17 as a text) would let it claim what nobody holds, and other
    readers of model packages open the file that ``executor_info.ort`` names.
    """
    if type(actual) is not type(wanted):
        return place
    inner: Iterable[tuple[str, object, object]] = ()
    if isinstance(actual, dict) and isinstance(wanted, dict):
        if odd := sorted(actual.keys() ^ wanted.keys()):
            return f"{place}: {odd[0]}"
        inner = ((f"{place}: {key}", value, wanted[key]) for key, value in actual.items())
    elif isinstance(actual, list) and isinstance(wanted, list):
        if len(actual) != len(wanted):
            return place
        inner = ((f"{place}[{i}]", *pair) for i, pair in enumerate(zip(actual, wanted, strict=True)))
    elif actual != wanted:
        return place
    return next((off for name, one, other in inner if (off := _differs(one, other, name))), None)


def _hashes(files: object, where: str) -> dict[str, tuple[str, int]]:
    hashes: dict[str, tuple[str, int]] = {}
    places: dict[str, str] = {}
    for name, entry in table_at(files, f"{where}: files").items():
        check_path(name, f"{where}: files")
        if (twin := places.setdefault(_caseless(name), name)) != name:
            raise IntegrityError("one name to some disks", where=f"{where}: files", found=f"{twin} and {name}")
        keys(entry, ("bytes", "sha256"), f"{where}: files.{name}")
        if not isinstance(entry["bytes"], int) or not isinstance(entry["sha256"], str):
            raise IntegrityError("not a size and a hash", where=f"{where}: files.{name}", found=entry)
        hashes[name] = (entry["sha256"], entry["bytes"])
    return hashes


def _caseless(name: str) -> str:
    """A name as disks may see it that tell no case, and no spelling of an accent, from another."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def _about_1(about: Table, where: str) -> Table:
    texts(about["labels"], f"{where}: labels")
    heads = table_at(about["heads"], f"{where}: heads")
    sizes = wholes(list(heads.values()), f"{where}: heads")
    if not sizes or sum(sizes) != len(about["labels"]):
        raise IntegrityError("heads that don't fit the labels", where=where, found=heads)
    return {
        "task": {"kind": str(about["task"])},
        "labels": tuple(about["labels"]),
        "heads": Heads(dict(zip(heads, sizes, strict=True))),
        "sample_shape": tuple(wholes(about["sample_shape"], f"{where}: sample_shape")),
    }


def _about_2(about: Table, hashes: Collection[str], where: str, classes: Mapping[str, str]) -> Table:
    task = table_at(about["task"], f"{where}: task")
    sample = table_at(about["sample"], f"{where}: sample")
    keys(sample, ("dtype", "rate", "shape"), f"{where}: sample")
    if type(sample["rate"]) is not int or not 0 <= sample["rate"] <= MOST:
        raise IntegrityError("not a rate in Hz", where=f"{where}: sample.rate", found=sample["rate"])
    dtypes = TYPES if sample["shape"] else (TEXT,)
    if sample["dtype"] not in dtypes:
        what = f"no type of a raw sample of shape {sample['shape']}"
        raise IntegrityError(what, where=f"{where}: sample.dtype", found=sample["dtype"], allowed=dtypes)
    labels: list[str] = []
    heads: dict[str, tuple[int, ...]] = {}
    tasks: dict[str, Task] = {}
    for i, entry in enumerate(listed(about["outputs"], f"{where}: outputs")):
        place = f"{where}: outputs[{i}]"
        known = ("axes", "labels", "name")
        shaped = isinstance(entry, dict) and "shape" in entry
        output = keys(entry, (*known, "shape") if shaped else known, place)
        name = str(output["name"])
        if name in heads or not output["labels"]:
            raise IntegrityError("an output twice, or without labels", where=place, found=name)
        axes = tuple(texts(output["axes"], f"{place}.axes"))
        tasks[name] = _task(task, name, axes, f"{where}: task", classes)
        if axes != tasks[name].axes:
            allowed = str(tasks[name].axes)
            raise IntegrityError("not the axes of the task", where=f"{place}.axes", found=list(axes), allowed=allowed)
        heads[name], tasks[name] = _shape(output, tasks[name], place)
        tasks[name].check_size(len(output["labels"]), f"{where}: task", IntegrityError)
        labels += output["labels"]
    if not heads:
        raise IntegrityError("no outputs", where=f"{where}: outputs")
    return {
        "task": task,
        "labels": tuple(labels),
        "heads": thresholds.decided(Heads(heads, tasks), about["thresholds"], f"{where}: thresholds"),
        "thresholds": about["thresholds"],
        "sample_shape": tuple(wholes(sample["shape"], f"{where}: sample.shape")),
        "sample_dtype": str(sample["dtype"]),
        "rate": sample["rate"],
        "decisions": _listed_file(about["decisions"], hashes, f"{where}: decisions"),
        "sbom": _listed_file(about["sbom"], hashes, f"{where}: sbom"),
    }


def _output(heads: Heads, name: str, labels: list[str]) -> Output:
    task, shape = heads.tasks[name], heads.shapes[name]
    output: Output = {"axes": list(task.axes), "labels": labels, "name": name}
    return {**output, "shape": list(shape)} if len(shape) > 1 else output


def _shape(output: Table, task: Task, place: str) -> tuple[tuple[int, ...], Task]:
    """The natural shape of an output, which is told where it has more than one axis; and its task, which fits it."""
    count = len(texts(output["labels"], f"{place}.labels"))
    shape = tuple(wholes(output["shape"], f"{place}.shape")) if "shape" in output else (count,)
    if isinstance(task, Unnamed) and count in shape:  # only its class would say which axis the names count
        task = replace(task, axis=shape.index(count))
    fits = len(shape) == len(task.axes) - 1 and shape[task.axis] == count and math.prod(shape) <= MOST
    if not fits or ("shape" in output) != (len(shape) > 1):
        allowed = f"sizes of {', '.join(task.axes[1:])}, with a name for each of {count}"
        raise IntegrityError("no shape of the task", where=f"{place}.shape", found=list(shape), allowed=allowed)
    return shape, task


def _task(table: Table, output: str, axes: tuple[str, ...], where: str, classes: Mapping[str, str]) -> Task:
    """The task of an output, as its own table or that of all outputs says.

    Of a stranger: built-in kinds alone. A user's own is made of the class that the app named, else nothing is imported
    and ``Unnamed`` stands in its place.
    """
    if table.get("kind") == SEVERAL:
        keys(table, ("kind", "outputs"), where)
        outputs, place = table_at(table["outputs"], f"{where}.outputs"), f"{where}.outputs.{output}"
        return _task(table_at(outputs.get(output), place), output, axes, place, classes)
    kind = str(table.get("kind"))
    if kind.startswith(PLUGIN):
        return (
            make_task({**table, "kind": classes[kind]}, where, IntegrityError)
            if kind in classes
            else Unnamed(kind, axes)
        )
    if kind not in plugins.kinds("tasks"):
        raise IntegrityError("no kind of task", where=where, found=kind, allowed=plugins.kinds("tasks"))
    return make_task(table, where, IntegrityError)


def _listed_file(name: object, hashes: Collection[str], where: str) -> str:
    """A file of the bundle, or "" for null."""
    if name is None:
        return ""
    if not isinstance(name, str) or name not in hashes:
        raise IntegrityError("not a file of this bundle", where=where, found=name)
    return name


def _variant(name: str, body: object, hashes: Collection[str], version: int, where: str) -> Variant:
    check_path(name, where)
    variant = table_at(body, where)
    if variant.get("variant_directory") != name:
        raise IntegrityError(
            "a variant's folder has its name", where=where, found=variant.get("variant_directory"), allowed=name
        )
    execution = table_at(table_at(variant.get("executor_info"), where).get("edgekd"), f"{where}: executor_info.edgekd")
    keys(execution, VARIANT_KEYS[version], f"{where}: executor_info.edgekd")
    if not execution["files"]:
        raise IntegrityError("no files", where=where)
    for file in texts(execution["files"], f"{where}: files"):
        check_path(file, f"{where}: files")
        if f"{name}/{file}" not in hashes:
            raise IntegrityError("a file without a hash", where=where, found=file)
    most = limits.most_tolerance(execution["quantized"] is True)
    if type(execution["tolerance"]) not in (int, float) or not 0 <= execution["tolerance"] <= most:
        raise IntegrityError("not a tolerance", where=where, found=execution["tolerance"], allowed=f"0 to {most:g}")
    if wholes([execution["batch"]], f"{where}: batch")[0] > limits.BATCH:
        raise IntegrityError("not a batch", where=where, found=execution["batch"], allowed=f"1 to {limits.BATCH}")
    as_named = named if version == 1 else str
    also = {as_named(kind): table_at(options, where) for kind, options in table_at(execution["also"], where).items()}
    backend = as_named(str(execution["backend"]))
    for kind, options in ((backend, table_at(execution["options"], where)), *also.items()):
        allowed.check(kind, options, where)
        allowed.check_files(kind, execution["files"], f"{where}: files")
    return Variant(
        target=name,
        backend=backend,
        options=execution["options"],
        files=dict.fromkeys(execution["files"], b""),
        isa=tuple(texts(execution["isa"], f"{where}: isa")),
        numerics=str(execution["numerics"]),
        quantized=bool(execution["quantized"]),
        batch=execution["batch"],
        tolerance=execution["tolerance"],
        also=also,
        graphs=_graphs(execution.get("graphs", []), execution["files"], f"{where}: graphs"),
        checked=_checked(execution.get("checked", []), f"{where}: checked"),
    )


def _graphs(entries: object, files: Collection[str], where: str) -> tuple[Graph, ...]:
    graphs = []
    for entry in listed(entries, where):
        graph = keys(entry, ("file", "inputs", "name", "outputs"), where)
        if graph["file"] not in files:
            raise IntegrityError("not a file of the variant", where=where, found=graph["file"], allowed=files)
        inputs = []
        for item in listed(graph["inputs"], where):
            port = keys(item, ("dtype", "name", "shape"), where)
            wholes([size for size in listed(port["shape"], where) if size is not None], f"{where}: shape")
            inputs.append((str(port["name"]), tuple(port["shape"]), str(port["dtype"])))
        graphs.append(Graph(str(graph["name"]), graph["file"], tuple(inputs), tuple(texts(graph["outputs"], where))))
    return tuple(graphs)


def _checked(entries: object, where: str) -> tuple[Checked, ...]:
    checked = []
    for entry in listed(entries, where):
        place = keys(entry, ("arch", "isa", "runtime"), where)
        checked.append(Checked(str(place["runtime"]), str(place["arch"]), tuple(texts(place["isa"], where))))
    return tuple(checked)
