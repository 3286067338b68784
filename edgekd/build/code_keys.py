"""Fingerprints of code: edgekd's own files that a step runs, library versions, what users' code brings and opens.

In a key stands all that is hashed here. A user's code counts by every source file that it imports
(``build/imports.py``) and by every file that it opened when it was last imported and called (``base/watch.py``), which
the cache remembers by the hash of that code.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import json
import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekd.base import backend_facts, closure, places, plugins, watch
from edgekd.base.disk import replace_file
from edgekd.base.door import open_inside
from edgekd.base.errors import EdgekdError
from edgekd.build import imports
from edgekd.build.store import canonical, sha256
from edgekd.spec import target

MAX_RECORD = 100_000_000  # bytes; a folder of a million files that users' code opens is listed in one
# By kind of step what runs it; what these import is found (``base/closure.py``), and plugins by their families.
STEPS: dict[str, tuple[str, ...]] = {
    "learn": ("build/teach.py", "build/distil.py", "build/set_up.py", "learn/data", "metrics"),
    "compress": ("build/compress.py", "build/distil.py", "build/set_up.py", "learn/data", "metrics", "compress"),
    "teachers": ("build/teach.py", "build/set_up.py", "learn/data", "metrics", "teachers"),
    "lower": ("build/exports.py",),
    "measure": ("build/measure.py", "build/mixed.py", "build/clock.py", "build/torch_reference.py"),
    "baseline": ("build/baseline.py",),
    "choose": ("pipeline.py",),
}
_TRAINING = ("torch", "accelerate", "numpy", "pillow", "pyarrow", "scikit-learn", "scipy", "transformers", "timm")
_STEP_VERSIONS = {
    "learn": (*_TRAINING, "tokenizers"),
    "compress": (*_TRAINING, "torchao"),
    "teachers": ("torch", "numpy", "pillow", "onnx", "pyarrow", "tokenizers", "transformers"),  # and the runtimes
    "lower": ("torch", "torchao", "onnx", "onnx-ir", "onnxscript", "numpy"),
    "measure": ("numpy", "onnx"),  # and the runtimes
    "baseline": ("numpy", "scikit-learn"),
}


_ENTRY = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_known: dict[str, _Code] = {}


@functools.cache
def own(step: str) -> str:
    """SHA-256 over edgekd's own source files that a kind of step runs, and the built-in targets."""
    files = {path.relative_to(closure.PACKAGE): path for path in files_of(step)}
    targets = {Path("targets") / path.name: path for path in target.folder().glob("*.toml")}
    return _hash_files({**files, **targets})


def files_of(step: str) -> list[Path]:
    """Edgekd's own files that a kind of step runs."""
    return closure.closure(STEPS[step], closure.PACKAGE)


@functools.cache
def versions(step: str) -> dict[str, str | None]:
    """Installed versions of the libraries that matter to a kind of step."""
    runtimes = backend_facts.distributions() if step in ("measure", "teachers") else ()
    return {name: plugins.version(name) for name in (*_STEP_VERSIONS[step], *runtimes)}


@dataclass(frozen=True)
class _Code:
    """What a user's entry was when it was looked at: its hashes, its modules, and whether its files are known."""

    hashes: Mapping[str, Any]
    modules: tuple[str, ...] = ()
    seen: bool = False


def of_users(table: object) -> dict[str, object]:
    """For every ``package.module:name`` inside a table: the hash of every source file that it brings, and of the files
    that it opened when it last ran.

    As it was when ``refresh`` last looked: a file that is edited while a build trains does not change what it built.
    """
    references = owners(table)
    _known.update({who: _look(who, None) for who in references if who not in _known})
    return {who: _known[who].hashes for who in references}


def sources(table: object) -> dict[str, dict[str, str]]:
    """For every ``package.module:name`` inside a table the hashes of the source files that its import brings, however
    often it ran."""
    with watch.untouched_path():
        return {who: imports.closure([_module_of(who)]).hashes() for who in owners(table)}


def refresh(table: object, root: Path | None = None) -> bool:
    """Look at users' code again. What was edited since is imported anew, so that what is hashed runs.

    Args:
        root: of the cache, which knows the files that each opened when it last ran.

    Returns:
        Whether those are known of every one: it ran before, with this code.
    """
    importlib.invalidate_caches()
    for who in owners(table):
        now, before = _look(who, root), _known.get(who)
        if before is not None and (before.hashes, before.modules) != (now.hashes, now.modules):
            _forget({*before.modules, *now.modules})
            watch.forget([who])
        _known[who] = now
    return all(_known[who].seen for who in owners(table))


def keep_seen(table: object, root: Path) -> None:
    """Write down which files users' code opened, after all of it ran, and which modules it brought besides.

    From now on both are in the keys; the code counts as ``refresh`` found it.
    """
    of_users(table)
    for who in owners(table):
        with watch.untouched_path():
            static = imports.closure([_module_of(who)])
            more = [name for name in imports.live([_module_of(who)]) if name not in static.files]
            modules = {**static.files, **imports.closure(more).files}
        files = _opened(who, modules)
        known, hashes = _known[who].hashes["modules"], static.hashes()
        if any(known.get(name) != file_hash for name, file_hash in hashes.items()):
            continue  # edited since it was imported: nothing is known of the code that stands there now
        record, text = _record(who, static, hashes, root), json.dumps({"modules": more, "files": files}).encode()
        if _kept(record) != json.loads(text):
            if places.kind(record) == "folder":  # which no file can take the place of
                places.remove(record)
            replace_file(record, text)
        _known[who] = _look(who, root)


def _opened(who: str, modules: Mapping[str, Path]) -> dict[str, bool]:
    """What an owner opened that is no library's, and no source of these modules; and all that it imported besides."""
    names, before, sources = {*modules}, set[str](), {str(file) for file in modules.values()}
    files: dict[str, bool] = {}
    while names != before:  # what it imported opened other files, and imported more
        before = names
        files = {
            path: folder
            for path, folder in watch.opened(who, sorted(names)).items()
            if path not in sources
            and not path.startswith(("/proc/", "/sys/", "/dev/"))
            and not imports.is_libraries(Path(path))
        }
        names = names | {*imports.at(files)}
    return files


def owners(value: object) -> list[str]:
    """Every entry of users' code inside a table, whatever the key: a kind, a factory (with its arguments), a backend, a
    graph pass of a target, a name among the arguments."""
    return sorted(set(_owners(value)))


def _owners(value: object) -> Iterator[str]:
    if isinstance(value, str) and _ENTRY.fullmatch(value):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            factory = key == "factory" and isinstance(inner, str) and _ENTRY.fullmatch(inner)
            yield from [watch.owner(inner, value.get("args"))] if factory else _owners(inner)
            yield from _owners(key)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _owners(inner)


def _module_of(who: str) -> str:
    return who.partition(":")[0]


def _record(who: str, code: imports.Closure, hashes: Mapping[str, str], root: Path) -> Path:
    """Where it is kept what an entry opened: another code, folder or argument is another record."""
    places = [str(file) for file in code.files.values()]
    return root / "seen" / f"{sha256(canonical([who, hashes, places, os.getcwd()]))}.json"


def _look(who: str, root: Path | None) -> _Code:
    with watch.untouched_path():
        code = imports.closure([_module_of(who)])
        hashes = code.hashes()
        record = _kept(_record(who, code, hashes, root)) if root else None
        more = imports.closure(record["modules"]) if record else imports.Closure()
    opened: dict[str, bool] = record["files"] if record else {}
    files = [[ascii(Path(path).name), _content(Path(path), folder)] for path, folder in opened.items()]
    known = {**more.hashes(), **hashes}
    if not known:
        known = {_module_of(who): imports.typed() if _module_of(who) == "__main__" else "not found"}
    modules = (*code.files, *more.files, *imports.at(opened))
    return _Code({"modules": known, "files": sorted(files)}, modules, record is not None)


def _kept(record: Path) -> dict[str, Any] | None:
    """What ``keep_seen`` wrote down; None where that can't be read, or is something else."""
    try:
        content = json.loads(open_inside(record.parent, record.name, MAX_RECORD))
        modules, files = content["modules"], content["files"]
        fits = all(isinstance(name, str) for name in modules) and all(isinstance(f, bool) for f in files.values())
    except (EdgekdError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return content if fits else None


def _content(path: Path, folder: bool) -> str:
    """Of a file its bytes, of a folder the names in it."""
    if not folder:
        return imports.hash_file(path) if path.is_file() else "not found"
    try:
        names = sorted(name for name in os.listdir(path) if name != "__pycache__")
    except OSError:
        return "not found"
    return sha256(canonical([os.fsencode(name).hex() for name in names]))


def _forget(modules: Collection[str]) -> None:
    """Import packages anew, whole: a part that stays would belong to the package that was there before."""
    tops = {name.partition(".")[0] for name in modules} - {"__main__", "edgekd"}
    again = [name for name in sys.modules if name.partition(".")[0] in tops]
    for name in again:
        del sys.modules[name]
    watch.forget([*again, *modules])  # whoever took one away from there left what it had opened


def _hash_files(files: Mapping[Path, Path]) -> str:
    """Of each file its name inside edgekd and its bytes: where edgekd is installed is in no key, nor in the order."""
    digest = hashlib.sha256()
    for name, path in sorted(files.items()):
        digest.update(name.as_posix().encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
