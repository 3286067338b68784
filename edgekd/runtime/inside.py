"""What is in a bundle or a model file: the child of ``edgekd inspect``."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

from edgekd.base import backend_facts, confined
from edgekd.base.door import open_inside
from edgekd.base.errors import IntegrityError, UsageError
from edgekd.document.commands import Inspection, ModelFile, Operator
from edgekd.runtime import bundle as bundles
from edgekd.runtime import look_ir, manifest, operators
from edgekd.runtime.backends.ort_mobile import CONFIG
from edgekd.tasks import Heads

MOST = 1 << 40  # bytes of a file; more than the limits of the child


def inspect(path: str | Path) -> Inspection:
    """``{"path", "about": {key: text}, "models": [{"file", "bytes", "ops": [{"op", "count", "quantized"}]}]}``.

    Of ONNX Runtime's own format for phones the operators are those of the list beside the file, and the counts None;
    of a format that only another backend reads there are none.
    """
    place = Path(path)
    if place.is_dir():
        bundle = bundles.read(place)
        models = []
        for variant in bundle.variants:
            confined.at(f"reading {variant.target}")
            files = bundle.files_of(variant)
            name, data = next(iter(files.items()))  # the one that a runtime opens
            size, config = sum(map(len, files.values())), files.get(CONFIG, b"")
            read = _model if _is_known(variant, name) else _unread
            models.append(read(f"{variant.target}/{name}", data, size, config))
        return {"path": str(path), "about": _about(bundle), "models": models}
    if not place.exists():
        raise UsageError("no such bundle or model file", where=str(path))
    real = place.resolve()
    data, beside = open_inside(real.parent, real.name, MOST), real.with_suffix(".bin")
    more = beside.stat().st_size if real.suffix == ".xml" and beside.is_file() else 0
    if real.suffix == ".xml":
        look_ir.check(data, None, str(path))
    listed = real.with_name(CONFIG)
    config = open_inside(listed.parent, CONFIG, MOST) if real.suffix == ".ort" and listed.is_file() else b""
    return {"path": str(path), "about": {}, "models": [_model(str(path), data, len(data) + more, config)]}


def _about(bundle: bundles.Bundle) -> dict[str, str | bool]:
    checked = dict.fromkeys(place.runtime for variant in bundle.variants for place in variant.checked)
    missing = f" ({manifest.MISSING[bundle.format]})" if bundle.format in manifest.MISSING else ""
    return {
        "name": bundle.name,
        "format": f"{bundle.format}{missing}",
        "digest": bundle.digest,
        "task": ", ".join(str(value) for value in bundle.task.values() if value is not None),
        **{key: ", ".join(bundle.labels[where]) for key, where in _labels(bundle.heads).items()},
        "sample": " x ".join(map(str, bundle.sample_shape)) or "text",
        "preprocess": ", ".join(str(op["op"]) for op in bundle.preprocess),
        "shippable": bundle.shippable,
        "checked on": ", ".join(checked) or "not told",
        "variants": ", ".join(f"{v.target} ({v.numerics}, {v.backend})" for v in bundle.variants),
    }


def _labels(heads: Heads) -> dict[str, slice]:
    """What the line of each head's labels begins with."""
    slices = heads.name_columns
    return {f"labels of {name}" if len(slices) > 1 else "labels": where for name, where in slices.items()}


def _is_known(variant: bundles.Variant, name: str) -> bool:
    """Whether a variant's first file is of a format that is read here."""
    return backend_facts.of(variant.backend).reads == "onnx" or name.endswith((".onnx", ".xml"))


def _unread(name: str, data: bytes, size: int, config: bytes) -> ModelFile:
    """A file whose operators only its backend's runtime knows; arguments as of ``_model``."""
    return {"file": Path(name).name, "bytes": size, "ops": []}


def _model(name: str, data: bytes, size: int, config: bytes) -> ModelFile:
    confined.at(f"counting the operators of {name}")
    if name.endswith(".ort"):
        listed: list[Operator] = [{"op": op, "count": None, "quantized": None} for op in _listed(config)]
        return {"file": Path(name).name, "bytes": size, "ops": listed}
    ops = _openvino_ops(data, name) if name.endswith(".xml") else operators.of_onnx(data, name)
    rows: list[Operator] = [{"op": op, "count": count, "quantized": ops[1][op]} for op, count in sorted(ops[0].items())]
    return {"file": Path(name).name, "bytes": size, "ops": rows}


def _listed(config: bytes) -> list[str]:
    """The operators in lines of ``domain;opset;operator,operator``."""
    lines = [line for line in config.decode("utf-8", "replace").splitlines() if not line.startswith("#")]
    return sorted({op for line in lines for op in line.rpartition(";")[2].split(",") if op})


def _openvino_ops(xml: bytes, where: str) -> tuple[Counter[str], Counter[str]]:
    """Operators, and how many of each read a FakeQuantize's output."""
    try:
        net = ElementTree.fromstring(xml)
    except ElementTree.ParseError as err:
        raise IntegrityError("not an OpenVINO file", where=where) from err
    types = {layer.get("id"): str(layer.get("type")) for layer in net.iter("layer")}
    count, quantized = Counter(types.values()), Counter[str]()
    readers = {e.get("to-layer") for e in net.iter("edge") if types.get(e.get("from-layer")) == "FakeQuantize"}
    for reader in readers & set(types):
        quantized[types[reader]] += 1
    return count, quantized


if __name__ == "__main__":
    sys.exit(confined.serve(inspect))
