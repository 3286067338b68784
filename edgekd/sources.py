"""Fingerprints of code: edgekd's own files that a step runs, library versions, and a user's package."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edgekd import plugins, target

_HERE = Path(__file__).parent
_NAMES = ("errors", "plugins", "heads", "preprocess", "recipe", "target", "vocabulary", "wordpiece")
_VOCABULARY = ("base", *(f"{name}.py" for name in _NAMES))
_LIGHT = ("base", "errors.py", "host.py", "preprocess.py", "wordpiece.py")
_LEARNED = ("learned.py", "layers.py", "likeness.py", "explain.py")
_VETO = ("veto.py", "qdq.py", "attribution.py")
_CHOOSE = ("plan.py", "orders.py", "prepare.py", "pipeline.py", "choose.py", "record.py", *_VETO)
_STEP_FILES = {
    "learn": (*_VOCABULARY, "metrics", "metric.py", "learn", "panel.py", "prepare.py", "pipeline.py", "steps.py"),
    "compress": (
        *_VOCABULARY,
        "metrics",
        "learn",
        "compress",
        "panel.py",
        "passes.py",
        "clock.py",
        "context.py",
        "steps.py",
    ),
    "lower": (*_VOCABULARY, "metrics", "learn", "compress", "lower", "steps.py", "record.py"),
    "measure": (*_LIGHT, "heads.py", "metric.py", "metrics", "runtime", "build", "measure.py", "stage_scores.py"),
    "choose": (*_CHOOSE, *_LEARNED, "decide", "build", "report"),
}
_known: dict[str, str] = {}
_STEP_VERSIONS = {
    "learn": ("torch", "accelerate", "numpy", "pillow", "scikit-learn", "transformers", "tokenizers"),
    "compress": ("torch", "accelerate", "numpy", "pillow", "scikit-learn", "torch-pruning", "torchao", "transformers"),
    "lower": ("torch", "torchao", "onnx", "onnx-ir", "onnxscript", "openvino", "numpy"),
    "measure": ("numpy", "scikit-learn", "onnxruntime", "onnxruntime-gpu", "openvino", "onnx"),
}


@functools.cache
def own(step: str) -> str:
    """SHA-256 over edgekd's own source files that a kind of step runs, and the built-in targets."""
    files = [file for name in _STEP_FILES[step] for file in _python_files(_HERE / name)]
    return _hash_files(sorted({*files, *target.folder().glob("*.toml")}))


@functools.cache
def versions(step: str) -> dict[str, str | None]:
    """Installed versions of the libraries that matter to a kind of step."""
    return {name: plugins.version(name) for name in _STEP_VERSIONS[step]}


def of_users(table: Any) -> dict[str, str]:
    """For every ``package.module:name`` inside a table: the hash of every source file of its top-level package.

    As it was when ``refresh`` last looked: a file that is edited while a build trains does not change what it built.
    """
    return {top: _known.setdefault(top, _package(top)) for top in sorted(set(_packages(table)))}


def refresh(table: Any) -> None:
    """Look at the packages of users again. One that was edited since is imported anew, so that what is hashed runs."""
    for top in set(_packages(table)):
        now = _package(top)
        if _known.get(top, now) != now:
            for name in [name for name in sys.modules if name == top or name.startswith(f"{top}.")]:
                del sys.modules[name]
            importlib.invalidate_caches()
        _known[top] = now


def _packages(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("kind", "factory", "source", "backend") and isinstance(inner, str) and ":" in inner:
                yield inner.split(":", 1)[0].split(".", 1)[0]
            yield from _packages(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _packages(inner)


def _package(top: str) -> str:
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return "not found"
    if spec.submodule_search_locations:  # a package, with or without __init__.py
        return _hash_files(sorted(f for place in spec.submodule_search_locations for f in Path(place).rglob("*.py")))
    return _hash_files([Path(spec.origin)]) if spec.origin and Path(spec.origin).is_file() else "not found"


def _python_files(path: Path) -> list[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def _hash_files(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
