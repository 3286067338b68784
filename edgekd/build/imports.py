"""Which source files a module of the user's brings: found by reading them, nothing is imported.

A recipe names ``package.module:name``. What that module imports (at its top, inside functions, under conditions,
relative or absolute, packages too) is followed to the last file. The standard library counts for nothing, an installed
distribution by its version and its list of hashes, and all else by its bytes, wherever it lies: beside the module, in
the project's folder, in an editable install. What only a running program knows (names put together, registries) is
added by ``live``.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import site
import sys
import sysconfig
import types
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

CALLS = ("import_module", "__import__")


@dataclass(frozen=True)
class Module:
    """Where a module stands: its file (None: a namespace, built in) and, of a package, its folders."""

    file: Path | None
    folders: tuple[str, ...] = ()


@dataclass
class Closure:
    """What some modules bring.

    Attributes:
        files: of the user's modules, by module.
        versions: of installed distributions that these import, and what was installed, by the name that is imported.
    """

    files: dict[str, Path] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def hashes(self) -> dict[str, str]:
        """SHA-256 of every file by its module, and the versions: what a key holds. No path is in it."""
        return {**{name: hash_file(file) for name, file in sorted(self.files.items())}, **self.versions}


def closure(roots: Iterable[str]) -> Closure:
    """Everything that modules bring, transitively, themselves among it."""
    reached, seen = Closure(), set[str]()
    todo: list[tuple[str, str | None]] = [(root, None) for root in roots]
    while todo:
        name, beside = todo.pop()
        if name in seen or (top := name.partition(".")[0]) == "edgekd":
            continue
        seen.add(name)
        if (module := find(name, beside)) is None:
            continue
        if module.file is not None:
            if _is_standard(module.file):
                continue
            if _is_installed(module.file) and (number := _installed(top)):
                reached.versions[top] = number
                continue
            reached.files[name] = module.file
            folder = str(module.file.parent)
            todo += [(wanted, folder) for wanted in _wanted(name, module, module.file)]
        parent = name.rpartition(".")[0]
        todo += [(parent, beside)] if parent else []
    return reached


def find(name: str, beside: str | None = None) -> Module | None:
    """A module by its full name, as an import would find it; None where there is none.

    ``beside``: a folder to look into last, for modules that put their own folder on the path.
    """
    if name == "__main__":
        file = getattr(sys.modules.get(name), "__file__", None)
        return Module(Path(file)) if file and not _is_ours(Path(file)) else None
    top, _, rest = name.partition(".")
    module = _module(top, _spec(top, None)) or (None if beside is None else _module(top, _spec(top, [beside])))
    for part in rest.split(".") if rest else ():
        if module is None:
            return None
        top = f"{top}.{part}"
        module = _module(top, _spec(top, list(module.folders))) or _namespace(part, module)
    return module


def hash_file(file: Path) -> str:
    """SHA-256 of a file's bytes; of one inside an archive, the archive's."""
    place = next((p for p in (file, *file.parents) if p.is_file()), None)
    if place is None:
        return "not found"
    try:
        with place.open("rb") as data:
            return hashlib.file_digest(data, "sha256").hexdigest()
    except OSError:
        return "unreadable"


def live(roots: Iterable[str]) -> list[str]:
    """Modules that imported ones hold objects of: whose functions, classes and tables of these can be reached.

    That is how a module that was imported by a name put together at run time is found: for what it gave.
    """
    users: dict[str, bool] = {}
    todo = [*roots]
    while todo:
        name = todo.pop()
        module = sys.modules.get(name)
        if name in users or module is None:
            continue
        if users.setdefault(name, _is_users(name)):
            todo += [home for value in list(vars(module).values()) for home in _homes(value)]
    return sorted(name for name, counts in users.items() if counts)


def at(files: Collection[str]) -> list[str]:
    """Imported modules whose source is one of some files."""
    if not files:
        return []
    names = {os.path.basename(file) for file in files}  # thousands of modules: an absolute path of each takes 10 ms
    paths = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
    named = {name: file for name, file in paths.items() if isinstance(file, str) and os.path.basename(file) in names}
    return sorted(name for name, file in named.items() if os.path.abspath(file) in files)


def module_of(value: object) -> str:
    """The module that a class or a function was defined in, or ""."""
    return str(getattr(value, "__module__", None) or "")


def typed() -> str:
    """A hash of the functions and classes of a notebook, which has no file."""
    digest = hashlib.sha256()
    for name, value in sorted(vars(sys.modules["__main__"]).items()):
        if module_of(value) == "__main__" and isinstance(value, types.FunctionType | type):
            inner = vars(value).values() if isinstance(value, type) else [value]
            codes = [code(part.__code__) for part in inner if isinstance(part, types.FunctionType)]
            digest.update(repr((name, codes)).encode())
    return digest.hexdigest()


def code(compiled: types.CodeType) -> str:
    """What a function does, the same in every process; not where it stands."""
    return repr((compiled.co_code, compiled.co_names, compiled.co_varnames, _const(compiled.co_consts)))


def _const(value: object) -> object:
    """A constant in a form that is the same in every process: sets are told in an order of their own."""
    if isinstance(value, types.CodeType):
        return code(value)
    if isinstance(value, frozenset):
        return sorted(repr(_const(inner)) for inner in value)
    return [_const(inner) for inner in value] if isinstance(value, tuple) else repr(value)


def _homes(value: object) -> Iterator[str]:
    if isinstance(value, types.ModuleType):
        yield value.__name__
    elif isinstance(value, Mapping | list | tuple | set) and not isinstance(value, str):
        for inner in list(value.values()) if isinstance(value, Mapping) else list(value):
            if isinstance(inner, type | types.FunctionType | types.ModuleType):
                yield from _homes(inner)
    elif isinstance(value, type | types.FunctionType) or module_of(type(value)):
        yield module_of(value if isinstance(value, type | types.FunctionType) else type(value))


def _is_users(name: str) -> bool:
    if name.partition(".")[0] in ("edgekd", "builtins"):
        return False
    module = find(name)
    return module is not None and (module.file is None or not (_is_standard(module.file) or _is_installed(module.file)))


def _wanted(name: str, module: Module, file: Path) -> Iterator[str]:
    """The full names that a module's text imports, or may: ``from a import b`` is a, and a.b if that is a module."""
    try:
        written = _written(file.read_bytes())
    except OSError:  # inside an archive
        return
    package = name if module.folders else name.rpartition(".")[0]
    for base, names in written:
        yield from _from(_absolute(base, package), names)


@functools.lru_cache(1000)
def _written(source: bytes) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What a text imports, as it is written there, and what it takes from that.

    A build asks for the same files some fifteen times, for its keys; a text of 2,000 lines takes a tenth of a second.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # compiled, or told when it is imported
        return ()
    imported: list[tuple[str, tuple[str, ...]]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported += [(alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imported.append(("." * node.level + (node.module or ""), tuple(alias.name for alias in node.names)))
        elif isinstance(node, ast.Call) and _called(node.func) in CALLS:
            first = [a.value for a in node.args[:1] if isinstance(a, ast.Constant)]
            imported += [(name, ()) for name in first if isinstance(name, str)]
    return tuple(imported)


def _called(function: ast.expr) -> str:
    """The last name of what is called."""
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _from(base: str, names: Iterable[str]) -> Iterator[str]:
    if not base:
        return
    yield base
    for name in names:
        if name != "*":
            yield f"{base}.{name}"
        elif (module := find(base)) and module.folders:  # __all__ of a package may name modules
            inside = (file for folder in module.folders for file in Path(folder).glob("*.py"))
            yield from (f"{base}.{file.stem}" for file in inside if file.stem != "__init__")


def _absolute(name: str, package: str) -> str:
    """``..b`` inside package a.c is a.b; "" where it leads out of every package."""
    bare = name.lstrip(".")
    if not (level := len(name) - len(bare)):
        return name
    parts = package.split(".") if package else []
    if level - 1 >= len(parts):
        return ""
    above = parts[: len(parts) - level + 1]
    return ".".join([*above, *([bare] if bare else [])])


def _spec(name: str, path: list[str] | None) -> ModuleSpec | None:
    """What the import system would load, asked of every finder; ``find_spec`` itself would import the parents."""
    for finder in sys.meta_path if path is None or "." in name else [PathFinder]:
        look = getattr(finder, "find_spec", None)
        try:
            spec: ModuleSpec | None = look(name, path, None) if look else None
        except (ImportError, KeyError, ValueError, AttributeError):  # KeyError: a namespace in one not yet imported
            continue
        if spec is not None:
            return spec
    return None


def _module(name: str, spec: ModuleSpec | None) -> Module | None:
    if spec is None:
        return None
    folders = tuple(spec.submodule_search_locations or ())
    real = spec.origin and spec.has_location
    return Module(Path(spec.origin) if real and spec.origin else None, folders) if real or folders else None


def _namespace(part: str, parent: Module) -> Module | None:
    """A folder without ``__init__.py`` inside a package."""
    folders = tuple(str(Path(folder, part)) for folder in parent.folders if Path(folder, part).is_dir())
    return Module(None, folders) if folders else None


@functools.cache
def _installed_folders() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    return tuple(Path(p).resolve() for p in (paths["purelib"], paths["platlib"], site.getusersitepackages()))


@functools.cache
def _standard_folders() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    return tuple(Path(paths[name]).resolve() for name in ("stdlib", "platstdlib"))


@functools.lru_cache(4096)
def _is_installed(file: Path) -> bool:
    if {"site-packages", "dist-packages"} & set(file.parts):
        return True
    return any(file.resolve().is_relative_to(folder) for folder in _installed_folders())


@functools.lru_cache(4096)
def _is_standard(file: Path) -> bool:
    return not _is_installed(file) and any(file.resolve().is_relative_to(f) for f in _standard_folders())


def is_libraries(file: Path) -> bool:
    """Whether a file belongs to Python, to an installed distribution or to edgekd: their versions count."""
    return _is_installed(file) or _is_standard(file) or _is_ours(file)


def _is_ours(file: Path) -> bool:
    return file.resolve().is_relative_to(Path(__file__).resolve().parent.parent)


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


@functools.cache
def _installed(top: str) -> str | None:
    """The version of what brings a top-level name, and a hash of what was installed under it; None: nothing says so.

    A package may be installed again with another content and the same version; where it lies, counts for nothing.
    """
    try:
        distribution = importlib.metadata.distribution(top)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        names = _distributions().get(top, ())
        if not names:
            return None
        distribution = importlib.metadata.distribution(names[0])
    lines = (distribution.read_text("RECORD") or "").splitlines()
    kept = sorted(line for line in lines if line.startswith((f"{top}/", f"{top}.py,")) and "/__pycache__/" not in line)
    return f"{distribution.version} {hashlib.sha256(chr(10).join(kept).encode()).hexdigest()}"
