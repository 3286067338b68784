"""Looking at things: bundles and model files, targets, this machine, the cache; and starting a recipe."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import onnx
from google.protobuf.message import DecodeError

from edgekd import host, measure, recipe, report
from edgekd import target as targets_
from edgekd.disk import cache_root, disk
from edgekd.errors import EdgekdError, IntegrityError, OutputError, UsageError
from edgekd.heads import Heads, columns
from edgekd.runtime import bundle as bundles
from edgekd.runtime import manifest
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
    ops = _openvino_ops(path) if path.suffix == ".xml" else _onnx_ops(path)
    rows = [{"op": op, "count": count, "quantized": ops[1][op]} for op, count in sorted(ops[0].items())]
    weights = path.with_suffix(".bin")
    total = path.stat().st_size + (weights.stat().st_size if path.suffix == ".xml" and weights.is_file() else 0)
    return {"file": path.name, "bytes": total, "ops": rows}


def _onnx_ops(path: Path) -> tuple[Counter[str], Counter[str]]:
    """Operators, and how many of each read a DequantizeLinear's output."""
    try:
        graph = onnx.load(path).graph
    except DecodeError as err:
        raise IntegrityError("not an ONNX file", where=str(path)) from err
    dequantized = {out for node in graph.node if node.op_type == "DequantizeLinear" for out in node.output}
    count, quantized = Counter(node.op_type for node in graph.node), Counter[str]()
    for node in graph.node:
        if node.op_type != "QuantizeLinear" and any(name in dequantized for name in node.input):
            quantized[node.op_type] += 1
    return count, quantized


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
    for name in targets_.names():
        target = targets_.load(name)
        try:
            measure.check_target(target)
            reason = None
        except EdgekdError as err:
            reason = str(err)
        rows.append(
            {
                "name": name,
                "backend": target.backend,
                "numerics": [n.name for n in target.numerics],
                "available": reason is None,
                "reason": reason,
                "description": target.description,
            }
        )
    return rows


def init(path: Path, name: str) -> None:
    """Write a commented recipe, named after its file (``edgekd.toml`` keeps the built-in's name)."""
    if name not in recipe.builtins():
        raise UsageError("no such built-in recipe", where="--recipe", found=name, allowed=recipe.builtins())
    if path.exists():
        raise OutputError("exists", where=str(path), hint="choose another name")
    text = (recipe.builtin_folder() / f"{name}.toml").read_text(encoding="utf-8")
    if re.fullmatch(recipe.NAME, path.stem) and path.stem != "edgekd":
        text = text.replace(f'name = "{name}"', f'name = "{path.stem}"', 1)
    with disk(path):
        path.write_text(text, encoding="utf-8")


def write_report(folder: Path, out: Path | None) -> Path:
    """Render a bundle's report.json again."""
    bundle = bundles.read(folder)
    if not bundle.report:
        raise IntegrityError("no report.json", where=str(folder))
    bundle.file("report.json")
    samples = json.loads(bundle.file("samples.json")) if "samples.json" in bundle.hashes else {}
    place = out or Path(f"{folder.name}.report.html")
    with disk(place):
        place.write_text(report.html(bundle.report, samples), encoding="utf-8")
    return place


def doctor() -> dict[str, Any]:
    """Facts about this machine, and what is wrong with it."""
    facts = host.facts()
    versions = facts["versions"]
    problems = []
    if versions.get("onnxruntime") and versions.get("onnxruntime-gpu"):
        problems.append(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other: "
            "pip uninstall -y onnxruntime onnxruntime-gpu, then install one"
        )
    problems += [f"{row['name']}: {row['reason']}" for row in targets() if row["reason"]]
    return {"host": facts, "problems": problems}


def cache(root: Path | None, days: float | None) -> dict[str, Any]:
    """The cache's place and size; with ``days`` pruned first."""
    store = Store(root or cache_root())
    freed = 0 if days is None else store.prune(days, time.time())
    count, total = store.size()
    return {"path": str(store.root), "artifacts": count, "bytes": total, "freed_bytes": freed}
