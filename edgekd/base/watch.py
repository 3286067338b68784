"""Which files a user's own code opens while it is imported or called.

An audit hook sees what Python opens, ``torch.load`` and ``np.load`` among it, and folders that are listed; of modules,
by whatever name or place they are imported, the source. safetensors and the runtimes open files themselves: their
readers are wrapped meanwhile. Not seen: what other C or C++ code and other programs open by themselves, whether a file
is there (``os.path.exists``), the environment, and what was read before edgekd looked.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from edgekd.base.plain import plain

# Readers that open files past Python: (module, owner inside it or "", attribute). Those of modules not loaded are none.
READERS = (
    ("safetensors", "", "safe_open"),
    ("safetensors.torch", "", "safe_open"),
    ("safetensors.numpy", "", "safe_open"),
    ("torch.jit", "", "load"),
    ("onnxruntime", "InferenceSession", "__init__"),
    ("openvino", "Core", "read_model"),
    ("openvino", "Core", "compile_model"),
)
_LISTINGS = ("os.listdir", "os.scandir")
_PATHS = ("ctypes.dlopen", "sqlite3.connect")
_WRITING = os.O_WRONLY | os.O_CREAT | os.O_TRUNC  # to read and write is to read, as np.memmap does by default
_opened: dict[str, dict[str, bool]] = {}  # by owner, or by the module whose import did it: path, whether a folder
_written: set[str] = set()
_added: set[str] = set()  # to the path that modules are looked for on, by what was looked at
_ESCAPED = re.compile(rb"%([0-9a-fA-F]{2})")
_owners: list[tuple[str, FrameType]] = []  # who is looked at, and the frame that looks
_hooked: list[bool] = []


def owner(entry: str, args: Mapping[str, object] | None = None) -> str:
    """What calls of user code are told apart by: ``package.module:name``, and the arguments of a factory."""
    return f"{entry} {json.dumps(plain(args), sort_keys=True)}" if args else entry


@contextmanager
def watching(who: str) -> Iterator[None]:
    """Note what is opened inside: what runs while a module is imported for that module, the rest for ``who``."""
    if not _hooked:
        _hooked.append(True)
        sys.addaudithook(_hook)
    with ExitStack() as stack:
        for module, inside, name in READERS:
            place = sys.modules.get(module)
            if place is not None and (place := getattr(place, inside, None) if inside else place) is not None:
                stack.enter_context(_wrapped(place, name))
        _owners.append((who, sys._getframe(2)))
        stack.callback(_owners.pop)
        before = set(sys.path)
        stack.callback(lambda: _added.update(set(sys.path) - before))
        yield


@contextmanager
def untouched_path() -> Iterator[None]:
    """The path for modules as it is in a process where users' code has not run yet, which may add to it."""
    whole = sys.path
    sys.path = [place for place in whole if place not in _added]
    try:
        yield
    finally:
        sys.path = whole


def opened(who: str, modules: Iterable[str]) -> dict[str, bool]:
    """The files and folders (True) that an owner's calls and the import of some modules read and did not write."""
    paths: dict[str, bool] = {}
    for name in (who, *modules):
        paths |= _opened.get(name, {})
    return {path: folder for path, folder in sorted(paths.items()) if path not in _written}


def forget(names: Iterable[str]) -> None:
    """Of modules that are imported anew, and of owners that are called anew."""
    for name in names:
        _opened.pop(name, None)


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if not _owners:
        return
    with suppress(TypeError, ValueError, OSError, IndexError):  # an error here would be the user's call's
        if event == "open":
            path, mode, flags = args
            writes = any(char in mode for char in "wax") if isinstance(mode, str) else bool(flags & _WRITING)
            _note(path, False, writes)
        elif event in _LISTINGS:
            _note("." if args[0] is None else args[0], True)
        elif event in _PATHS:
            _note(_without_scheme(args[0]), False)


def _without_scheme(path: object) -> object:
    """The file of SQLite's ``file:a%20b.db?mode=ro`` or ``file://localhost/a.db``; else what it was."""
    if not isinstance(path, str) or not path.startswith("file:"):
        return path
    local = re.sub(r"^file:(?://[^/?#]*)?", "", path)
    name = re.split(r"[?#]", local, maxsplit=1)[0]
    return _ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), name.encode())


def _note(path: Any, folder: bool, writes: bool = False) -> None:
    if isinstance(path, int) or path is None:
        return
    frame = sys._getframe(2)
    name = os.path.abspath(os.fsdecode(path))
    if frame.f_code.co_filename.startswith("<frozen importlib"):
        if writes or folder:  # what is compiled, and where it looks
            return
        name = _source(name)
    if writes:
        _written.add(name)
    else:
        _opened.setdefault(_importing(frame) or _owners[-1][0], {})[name] = folder


def _source(path: str) -> str:
    """What a compiled file was made of."""
    try:
        source = importlib.util.source_from_cache(path)
    except (ValueError, NotImplementedError):  # none of ``__pycache__``
        return path
    return source if os.path.isfile(source) else path


def _importing(frame: FrameType | None) -> str:
    """The innermost module whose own text runs inside the look; "" where it is a call."""
    while frame is not None and frame is not _owners[-1][1]:
        if frame.f_code.co_name == "<module>" and not frame.f_code.co_filename.startswith("<"):
            return str(frame.f_globals.get("__name__"))
        frame = frame.f_back
    return ""


@contextmanager
def _wrapped(place: object, name: str) -> Iterator[None]:
    """A reader that also tells which of its arguments are files."""
    real: Callable[..., object] = getattr(place, name)

    def reader(*args: object, **kwargs: object) -> object:
        for value in (*args, *kwargs.values()):
            if _owners and isinstance(value, str | os.PathLike):
                with suppress(OSError, ValueError):
                    for path in _model_files(Path(value)):
                        _note(path, False)
        return real(*args, **kwargs)

    setattr(place, name, reader)
    try:
        yield
    finally:
        setattr(place, name, real)


def _model_files(path: Path) -> list[Path]:
    """Nothing where that is no file, such as a device's name; an OpenVINO model is two."""
    files = [path, path.with_suffix(".bin")] if path.suffix == ".xml" else [path]
    return [file for file in files if file.is_file()]
