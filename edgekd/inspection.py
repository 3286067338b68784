"""Looking at things: bundles and model files, targets, this machine, the cache. With numpy and a runtime alone."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from edgekd import host
from edgekd.base import target_files
from edgekd.disk import cache_root
from edgekd.errors import EdgekdError, IntegrityError, UsageError
from edgekd.heads import Heads, columns
from edgekd.runtime import availability, manifest, operators
from edgekd.runtime import bundle as bundles
from edgekd.store import Store


def inspect(path: Path) -> dict[str, Any]:
    """What is in a bundle, an ``.onnx`` or an OpenVINO ``.xml``: metadata, and per operator how many are quantized."""
    if path.is_dir():
        bundle = bundles.read(path)
        about: dict[str, Any] = {
            "name": bundle.name,
            "format": f"{bundle.format}{_missing(bundle.format)}",
            "digest": bundle.digest,
            "task": ", ".join(str(value) for value in bundle.task.values()),
            **{key: ", ".join(bundle.labels[where]) for key, where in _labels(bundle.heads).items()},
            "sample": " x ".join(map(str, bundle.sample_shape)) or "text",
            "preprocess": ", ".join(str(op["op"]) for op in bundle.preprocess),
            "shippable": bundle.shippable,
            "checked on": ", ".join(dict.fromkeys(c.runtime for v in bundle.variants for c in v.checked)) or "not told",
            "variants": ", ".join(f"{v.target} ({v.numerics}, {v.backend})" for v in bundle.variants),
        }
        for variant in bundle.variants:
            bundle.files_of(variant)
        models = [_model(path / v.target / next(iter(v.files))) for v in bundle.variants]
        return {"path": str(path), "about": about, "models": models}
    if not path.is_file():
        raise UsageError("no such bundle or model file", where=str(path))
    return {"path": str(path), "about": {}, "models": [_model(path)]}


def _missing(version: int) -> str:
    return f" ({manifest.MISSING[version]})" if version in manifest.MISSING else ""


def _labels(heads: Heads) -> dict[str, slice]:
    """What the line of each head's labels begins with."""
    found = columns(heads)
    return {f"labels of {name}" if len(found) > 1 else "labels": where for name, where in found.items()}


def _model(path: Path) -> dict[str, Any]:
    ops = _openvino_ops(path) if path.suffix == ".xml" else operators.of_onnx(path.read_bytes(), str(path))
    rows = [{"op": op, "count": count, "quantized": ops[1][op]} for op, count in sorted(ops[0].items())]
    weights = path.with_suffix(".bin")
    total = path.stat().st_size + (weights.stat().st_size if path.suffix == ".xml" and weights.is_file() else 0)
    return {"file": path.name, "bytes": total, "ops": rows}


def _openvino_ops(path: Path) -> tuple[Counter[str], Counter[str]]:
    """Operators, and how many of each read a FakeQuantize's output."""
    try:
        net = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as err:
        raise IntegrityError("not an OpenVINO file", where=str(path)) from err
    types = {layer.get("id"): str(layer.get("type")) for layer in net.iter("layer")}
    count, quantized = Counter(types.values()), Counter[str]()
    readers = {e.get("to-layer") for e in net.iter("edge") if types.get(e.get("from-layer")) == "FakeQuantize"}
    for reader in readers:
        quantized[types[reader]] += 1
    return count, quantized


def targets() -> list[dict[str, Any]]:
    """Every built-in target, and whether this machine can run it."""
    rows = []
    for name in target_files.names():
        table = target_files.read(target_files.folder() / f"{name}.toml")
        backend, options, also = table["backend"], table.get("options", {}), table.get("also", {})
        try:
            availability.check(name, backend, options, also, table.get("isa", ()), host.isa())
            reason = None
        except EdgekdError as err:
            reason = str(err)
        rows.append(
            {
                "name": name,
                "backend": backend,
                "numerics": [scheme["name"] for scheme in table["numerics"]],
                "available": reason is None,
                "reason": reason,
                "description": table.get("description", ""),
            }
        )
    return rows


def doctor() -> dict[str, Any]:
    """Facts about this machine, what is wrong with it, and what is missing to build on it."""
    facts = host.facts()
    versions = facts["versions"]
    problems = []
    if versions.get("onnxruntime") and versions.get("onnxruntime-gpu"):
        problems.append(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other: "
            "pip uninstall -y onnxruntime onnxruntime-gpu, then install one"
        )
    problems += [f"{row['name']}: {row['reason']}" for row in targets() if row["reason"]]
    missing = [name for name in host.TO_BUILD if name not in versions]
    return {"host": facts, "problems": problems, "missing": missing}


def cache(root: Path | None, days: float | None) -> dict[str, Any]:
    """The cache's place and size; with ``days`` pruned first."""
    store = Store(root or cache_root())
    freed = 0 if days is None else store.prune(days, time.time())
    count, total = store.size()
    return {"path": str(store.root), "artifacts": count, "bytes": total, "freed_bytes": freed}
