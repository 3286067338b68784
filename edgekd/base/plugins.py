"""Plugins: one file each, found by file name, built from a TOML table.

A plugin is a frozen dataclass whose fields are its TOML keys; its class is the file name in CamelCase
(``losses/cross_entropy.py`` holds ``CrossEntropy``). ``kind = "mypkg.mod:Class"`` loads a user's own.
A backend is a folder: its class stands in ``backend.py``, and what is known without it in ``__init__.py``.
Files that start with an underscore are shared parts of a family, not plugins.

A plugin that finds a value out of range raises ``ValueError("<field>: <what is allowed>")`` in ``__post_init__``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import math
import pkgutil
import sysconfig
import traceback
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekd import __version__
from edgekd.base import watch
from edgekd.base.errors import EdgekdError, FactoryError, RecipeError, UsageError, out_of_memory

FAMILIES = {
    "tasks": "edgekd.tasks",
    "data": "edgekd.learn.data",
    "models": "edgekd.learn.models",
    "teachers": "edgekd.teachers",
    "losses": "edgekd.learn.losses",
    "views": "edgekd.learn.views",
    "baselines": "edgekd.learn.baselines",
    "metrics": "edgekd.metrics",
    "compress": "edgekd.compress",
    "passes": "edgekd.lower.passes",
    "backends": "edgekd.runtime.backends",
    "devices": "edgekd.runtime.devices",
    "loggers": "edgekd.loggers",
}
# Families whose plugins are folders, and the module in the folder that holds the class.
IN_FOLDERS = {"backends": "backend"}


def kinds(family: str) -> list[str]:
    """The built-in kinds of a family, sorted: the file names of its folder. Imports nothing of them."""
    folder = Path(__file__).parent.parent.joinpath(*FAMILIES[family].split(".")[1:])
    return sorted(m.name for m in pkgutil.iter_modules([str(folder)]) if not m.name.startswith("_"))


def load(family: str, kind: str, where: str, error: type[EdgekdError] = RecipeError) -> type[Any]:
    """The class of a kind.

    Args:
        family: a key of ``FAMILIES``.
        kind: a built-in kind, or ``"package.module:Class"`` for a user's own.
        where: file and key, for the error.
        error: which error an unknown kind is.
    """
    if ":" in kind:
        plugin_class = load_object(kind, where)
        if not (isinstance(plugin_class, type) and dataclasses.is_dataclass(plugin_class)):
            raise FactoryError("a plugin is a frozen dataclass", where=where, found=kind)
        return plugin_class
    if kind not in (known := kinds(family)):
        raise error(f"unknown kind of {family}", where=where, found=kind, allowed=known)
    inside = f".{IN_FOLDERS[family]}" if family in IN_FOLDERS else ""
    module = importlib.import_module(f"{FAMILIES[family]}.{kind}{inside}")
    return typing.cast(type[object], getattr(module, class_name(kind)))


def constant(family: str, kind: str, name: str) -> object:
    """A constant of a built-in plugin's own module or folder. Of a folder it imports the ``__init__`` alone."""
    value: object = getattr(importlib.import_module(f"{FAMILIES[family]}.{kind}"), name)
    return value


def version(distribution: str) -> str | None:
    """The installed version of a distribution, or None. Imports nothing of it.

    edgekd's own is that of its code: the metadata of an editable install are as old as the install.
    """
    import importlib.metadata  # here: it would be a tenth of an app's start, which never asks

    try:
        installed = importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
    return __version__ if distribution == "edgekd" else installed


def path_of(plugin: str | type[object]) -> str:
    """``"package.module:Class"`` of a class, by which another process finds it too; a text is that already.

    Raises:
        UsageError: a class inside of a function, or an object that is none.
    """
    if isinstance(plugin, str):
        return plugin
    if not isinstance(plugin, type) or "<locals>" in plugin.__qualname__:
        allowed = 'a class of a module, or "package.module:Class"'
        raise UsageError("nothing that can be found by its name", where="plugins", found=plugin, allowed=allowed)
    return f"{plugin.__module__}:{plugin.__qualname__}"


def paths_of(plugins: object) -> list[str]:
    """``path_of`` each; one alone is taken for a list of it.

    Raises:
        UsageError: no classes and no names of them.
    """
    if isinstance(plugins, str | type):
        return [path_of(plugins)]
    if not isinstance(plugins, list | tuple):
        allowed = 'a list of classes, or of "package.module:Class"'
        raise UsageError("no list of plugins", where="plugins", found=plugins, allowed=allowed)
    return [path_of(plugin) for plugin in plugins]


def class_name(kind: str) -> str:
    """``cross_entropy`` -> ``CrossEntropy``."""
    return "".join(part[:1].upper() + part[1:] for part in kind.split("_"))


def load_object(path: str, where: str) -> object:
    """Import ``"package.module:name"``. This is a place that runs the user's code: whatever it raises is told."""
    module_name, _, name = path.partition(":")
    if not module_name or not name:
        raise FactoryError("not of the form 'package.module:name'", where=where, found=path)
    try:
        with watch.watching(path):
            module = importlib.import_module(module_name)
    except ImportError as err:
        raise FactoryError(f"can't import {module_name!r} ({err})", where=where, found=path) from err
    except Exception as err:
        raise FactoryError(f"importing {module_name!r} raised {type(err).__name__}: {err}", where=where) from err
    loaded = module
    for part in name.split("."):
        if not hasattr(loaded, part):
            names = [n for n in vars(loaded) if not n.startswith("_")]
            raise FactoryError(f"{module_name!r} has no {part!r}", where=where, found=part, allowed=names)
        loaded = getattr(loaded, part)
    return loaded


def call_user(function: Any, where: str, /, *args: Any, **kwargs: Any) -> Any:
    """Call what may be the user's own code: a factory, a network, a loss, a metric, a data source, a pass.

    Raises:
        FactoryError: whatever it raised; names the user's module, call and line. What edgekd's own parts raise, where
            no code of a user's had a part in it, is a bug and goes through as it is; a note says where.
    """
    try:
        return function(*args, **kwargs)
    except EdgekdError:
        raise
    except (Exception, SystemExit) as err:
        owner = getattr(function, "__self__", None)
        function = owner if hasattr(owner, "forward") else function  # a method of a network is the network's
        called, frames, theirs = _called(function), list(traceback.walk_tb(err.__traceback__)), _of_users(err)
        if out_of_memory(err) or (called.startswith("edgekd.") and not theirs and not hasattr(function, "forward")):
            err.add_note(f"in {where}")
            raise
        frame, line = (theirs or frames)[-1]
        if theirs:
            called = _named(frame)
        raise FactoryError(_raised(called, err, frame, line), where=where) from err


def users_line(err: BaseException) -> str | None:
    """Module, call and line of the user's code in which an error, or what it was raised from, began; None: in none."""
    place, at = None, typing.cast("BaseException | None", err)
    while at is not None:
        if theirs := _of_users(at):
            frame, line = theirs[-1]
            place = f"{_named(frame)} at {_place(frame, line)}"
        at = at.__cause__ or at.__context__
    return place


def users_own(err: BaseException) -> FactoryError | None:
    """An error that a user's code raised, or a library that it called, where no ``call_user`` stands between; None: it
    began in edgekd's own."""
    ours = Path(__file__).parent.parent
    for frame, line in reversed([*traceback.walk_tb(err.__traceback__)]):
        file = Path(frame.f_code.co_filename)
        if file.is_relative_to(ours):
            return None
        if not _is_librarys(str(file)):
            return FactoryError(_raised(_named(frame), err, frame, line))
    return None


def _of_users(err: BaseException) -> list[tuple[types.FrameType, int]]:
    frames = traceback.walk_tb(err.__traceback__)
    return [(frame, line) for frame, line in frames if not _is_librarys(frame.f_code.co_filename)]


def _named(frame: types.FrameType) -> str:
    return f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_qualname}"


def _raised(called: str, err: BaseException, frame: types.FrameType, line: int) -> str:
    return f"{called} raised {type(err).__name__} at {_place(frame, line)}: {_first_line(err)}"


def _place(frame: types.FrameType, line: int) -> str:
    return f"{Path(frame.f_code.co_filename).name}:{line}"


def _called(function: object) -> str:
    """Module and name of what is called; of a network that edgekd has wrapped those of the user's inside."""
    while (
        hasattr(function, "forward")
        and type(function).__module__.startswith("edgekd.")
        and (inner := getattr(function, "module", None))
    ):
        function = inner
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}".removeprefix("builtins.")


@functools.cache
def _is_librarys(file: str) -> bool:
    """Whether a source file is Python's, an installed library's or edgekd's own."""
    if file.startswith("<"):  # "<frozen importlib>", "<eval_with_key>"; typed in, it is the user's
        return not file.startswith(("<stdin", "<ipython"))
    places = [Path(__file__).parent.parent, Path(sysconfig.get_path("stdlib"))]
    installed = {"site-packages", "dist-packages"} & {*Path(file).parts}
    return bool(installed) or any(Path(file).is_relative_to(place) for place in places)


def _first_line(err: BaseException) -> str:
    """An error's message in one line: its first, with the next where that only announces it; TorchScript's last."""
    lines = [line.strip() for line in str(err).splitlines() if line.strip()]
    if lines and "TorchScript interpreter" in lines[0]:  # a traceback of its own follows
        return lines[-1]
    return " ".join(lines[:2] if lines and lines[0].endswith(":") else lines[:1])


def build(family: str, table: Mapping[str, object], where: str, error: type[EdgekdError] = RecipeError) -> Any:
    """Build the plugin that a table describes: ``kind`` picks the class, the other keys are its fields.

    Raises:
        EdgekdError: (of class ``error``) an unknown kind or key, a missing key, a wrong type, a value out of range.
    """
    if not isinstance(kind := table.get("kind"), str):
        raise error("no kind given", where=f"{where}.kind", found=kind, allowed=kinds(family))
    cls = load(family, kind, f"{where}.kind", error)
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}
    hints = typing.get_type_hints(cls)
    values: dict[str, object] = {}
    for key, value in table.items():
        if key == "kind":
            continue
        if key not in fields:
            raise error(f"unknown key of {kind!r}", where=f"{where}.{key}", found=key, allowed=fields)
        values[key] = _coerce(value, hints[key], f"{where}.{key}", error)
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in values:
            raise error(f"{kind!r} needs {name!r}", where=f"{where}.{name}", allowed=_type_name(hints[name]))
    try:
        with watch.watching(kind) if ":" in kind else contextlib.nullcontext():
            return cls(**values)
    except ValueError as err:
        key, _, rest = str(err).partition(": ")
        where_key = f"{where}.{key}" if key in fields else where
        raise error(rest if key in fields else str(err), where=where_key, found=values.get(key)) from err


def check_ranges(plugin: object, **ranges: tuple[float, float]) -> None:
    """Raise the ValueError that ``build`` turns into a message where a field is not low..high, both allowed."""
    for name, (low, high) in ranges.items():
        if not low <= getattr(plugin, name) <= high:
            raise ValueError(f"{name}: allowed is {low} to {high}")


def _coerce(value: object, hint: object, where: str, error: type[EdgekdError]) -> object:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if isinstance(value, float) and not math.isfinite(value):  # TOML has nan and inf, and no range keeps nan out
        raise error("not a finite number", where=where, found=value, allowed=_type_name(hint))
    if origin in (typing.Union, types.UnionType):
        for arg in args:
            try:
                return _coerce(value, arg, where, error)
            except EdgekdError:
                continue
    elif origin is typing.Literal:
        if value in args:
            return value
        raise error("not one of the choices", where=where, found=value, allowed=[str(a) for a in args])
    elif origin is tuple and isinstance(value, list | tuple):
        if len(args) == 2 and args[1] is Ellipsis:
            return tuple(_coerce(v, args[0], f"{where}[{i}]", error) for i, v in enumerate(value))
        if len(args) == len(value):
            return tuple(
                _coerce(v, a, f"{where}[{i}]", error) for i, (v, a) in enumerate(zip(value, args, strict=True))
            )
    elif origin in (dict, Mapping) or hint is dict:
        if isinstance(value, dict):
            return value
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif (hint is int and isinstance(value, int) and not isinstance(value, bool)) or (
        hint in (str, bool) and isinstance(value, hint)
    ):
        return value
    elif hint is type(None) and value is None:
        return None
    raise error("wrong type", where=where, found=value, allowed=_type_name(hint))


def _type_name(hint: object) -> str:
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint).replace("typing.", "")
