"""The laws of the house: imports run one way, three lazy places, no pickle, no network, files of a size to read."""

from __future__ import annotations

import ast
import functools
import graphlib
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import edgekd
from edgekd.base import backend_facts, plugins

ROOT = Path(__file__).parent.parent / "edgekd"
FILES = sorted(ROOT.rglob("*.py"))
# What each folder may import, beside itself. Nothing at the root is imported from a folder but ``edgekd`` itself.
ROWS: dict[str, set[str]] = {
    "base": set(),
    "spec": {"base", "tasks"},
    "document": {"base"},
    "tasks": {"base"},
    "metrics": {"base", "spec", "tasks"},
    "learn": {"base", "spec", "metrics", "tasks"},
    "compress": {"base", "spec", "metrics", "learn", "tasks"},
    "lower": {"base", "spec", "metrics", "learn", "tasks"},
    "runtime": {"base", "document", "tasks"},
    "teachers": {"base", "learn", "runtime", "tasks"},
    "loggers": {"base"},
    "decide": {"base", "document", "spec"},
    "build": {"base", "spec", "document", "metrics", "learn", "compress", "lower", "runtime", "teachers", "decide"},
    "report": {"base", "document", "decide", "tasks"},
}
ROWS["build"] |= {"loggers", "tasks"}
ROWS["analysis"] = {*ROWS["build"], "build"}
ROWS["publish"] = {*ROWS["analysis"], "analysis", "report"}
ROWS["tune"] = {*ROWS["build"], "build", "report"}
ROWS["cli"] = {*ROWS["publish"], "publish", "tune", "pipeline"}
ROWS["api"] = {*ROWS["cli"], "cli"}
AT_ROOT = {"__init__", "__main__", "pipeline"}
ANYS = 225  # lines of edgekd/ with ``Any``, imports aside
LAZY = {"base/plugins.py", "__init__.py"}
CALLS_USERS = {"base/plugins.py"}
LIGHT = ["__init__.py"]
LIGHT += [
    p.relative_to(ROOT).as_posix()
    for folder in ("base", "document", "runtime", "tasks")
    for p in (ROOT / folder).rglob("*.py")
]


def of_every_file(law: Callable[[Path], None]) -> Callable[[], None]:
    """One test of all files, which names those that break the law: 4,500 tests of a millisecond took 20 s to keep."""

    def test() -> None:
        broken = []
        for path in FILES:
            try:
                law(path)
            except AssertionError as err:
                broken.append(f"{path.relative_to(ROOT).as_posix()}: {err}")
        assert not broken, "\n".join(broken)

    test.__doc__ = law.__doc__
    return test


def upward(root: Path) -> list[str]:
    """Every import of a tree that goes up, or stands in a folder that has no row."""
    found = []
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root)
        here = name.parts[0] if len(name.parts) > 1 else None
        if here is None:
            found += [] if path.stem in AT_ROOT else [f"{name}: the root holds {', '.join(sorted(AT_ROOT))} alone"]
            continue
        if here not in ROWS:
            found.append(f"{name}: no row says what {here}/ may import")
            continue
        for module, _ in imports(path):
            top = module.split(".")[1] if module.startswith("edgekd.") else here
            if top not in {here, "__version__", "fetch", *ROWS[here]}:
                found.append(f"{name}: {here}/ may not import {module}")
    return found


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """(module, whether inside a function) of each import; ``from edgekd import x`` counts as edgekd.x."""
    tree = tree_of(path.read_text())
    inner = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node in inner) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                yield (f"edgekd.{alias.name}" if node.module == "edgekd" else str(node.module)), node in inner


def test_imports_run_one_way() -> None:
    assert upward(ROOT) == []


@pytest.mark.parametrize(
    ("place", "text", "why"),
    [
        ("runtime/mine.py", "from edgekd.build import plan", "runtime/ may not import edgekd.build"),
        ("base/mine.py", "from edgekd.spec.recipe import Recipe", "base/ may not import edgekd.spec.recipe"),
        ("decide/mine.py", "def f():\n    import edgekd.learn.train", "decide/ may not import edgekd.learn.train"),
        ("spec/mine.py", "from edgekd import pipeline", "spec/ may not import edgekd.pipeline"),
        ("mine.py", "", "the root holds"),
        ("mine/mine.py", "", "no row says what mine/ may import"),
    ],
)
def test_the_law_sees_a_module_in_a_wrong_folder_and_an_import_that_goes_up(
    tmp_path: Path, place: str, text: str, why: str
) -> None:
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text(text)
    (told,) = upward(tmp_path)
    assert told.startswith(place) and why in told


def circle(root: Path) -> list[str]:
    """Modules of a tree that import each other in a circle, those that only a type checker follows included."""
    places = {path: ".".join(("edgekd", *path.relative_to(root).with_suffix("").parts)) for path in root.rglob("*.py")}
    modules = {name.removesuffix(".__init__"): path for path, name in places.items()}
    graph: dict[str, set[str]] = {}
    for name, path in modules.items():
        inner = {full if (full := f"{module}.{alias}") in modules else module for module, alias in _names(path)}
        graph[name] = (inner & set(modules)) - {name, "edgekd"}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as err:
        return list(err.args[1])
    return []


def _names(path: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of what a module imports; of the root, whose names are fetched when they are used, nothing."""
    for node in ast.walk(tree_of(path.read_text())):
        if isinstance(node, ast.ImportFrom) and path != ROOT / "__init__.py":
            yield from ((str(node.module), alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)


def test_no_circle_of_imports(tmp_path: Path) -> None:
    assert circle(ROOT) == []
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "one.py").write_text("from edgekd.base import other")
    (tmp_path / "base" / "other.py").write_text("def f() -> None:\n    from edgekd.base.one import g")
    assert sorted(set(circle(tmp_path))) == ["edgekd.base.one", "edgekd.base.other"]


@pytest.mark.parametrize("folder", ROWS)
def test_a_package_says_what_it_may_import(folder: str) -> None:
    """Its docstring names the folders of its row, or those that it may not import, and no others."""
    purpose = ast.get_docstring(tree_of((ROOT / folder / "__init__.py").read_text())) or ""
    (sentence,) = re.findall(r"May import (.*?)[.;:](?:\s|$)", purpose.replace("\n", " "))
    named = {word for word in re.findall(r"[a-z]+", sentence.split(", with")[0]) if word in ROWS or word == "pipeline"}
    if "all but" in sentence or "every other" in sentence:
        assert named | ROWS[folder] | {folder} >= set(ROWS) and not named & ROWS[folder]
    elif "all below it" in sentence:
        assert named <= ROWS[folder] and ROWS["build"] <= ROWS[folder]
    else:
        assert named == ROWS[folder]


DOORS = [path.parent for path in FILES if path.name == "__init__.py" and "\n__all__ = " in path.read_text()]


@pytest.mark.parametrize("door", DOORS, ids=lambda p: p.relative_to(ROOT.parent).as_posix())
def test_a_package_exports_what_it_names(door: Path) -> None:
    package = importlib.import_module(".".join(door.relative_to(ROOT.parent).parts))
    assert all(hasattr(package, name) for name in package.__all__)


# What is known of backends is asked for where numpy is not imported: their door stands beside their package.
PROTOCOLS = {**plugins.FAMILIES, "backends": "edgekd.runtime.backend"}


@pytest.mark.parametrize("door", PROTOCOLS.values())
def test_a_plugin_family_exports_its_protocol(door: str) -> None:
    """An author of a plugin imports from the package, never from one of its inner modules."""
    package = importlib.import_module(door)
    names = getattr(package, "__all__", dir(package))
    kinds = [getattr(package, n) for n in names if n not in ("Protocol", "ABC")]
    protocols = [k for k in kinds if getattr(k, "_is_protocol", False) or inspect.isabstract(k)]
    assert protocols, f"{door} exports no Protocol"


def full_imports(path: Path) -> Iterator[str]:
    """Every imported name of edgekd's with its module: ``from edgekd.a import _b`` is ``edgekd.a._b``."""
    for node in ast.walk(tree_of(path.read_text())):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("edgekd."):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@of_every_file
def test_inner_modules_stay_inside_their_package(path: Path) -> None:
    for module in full_imports(path):
        package, _, name = module.rpartition("._")
        if name and package.startswith("edgekd.") and path != ROOT / "runtime/backend.py":
            assert path.is_relative_to(ROOT.joinpath(*package.split(".")[1:])), f"{module}: import it from {package}"


@functools.cache
def tree_of(text: str) -> ast.Module:
    """What is parsed; the laws only read it."""
    return ast.parse(text)


@pytest.fixture(scope="module", autouse=True)
def _trees_go_with_the_laws() -> Iterator[None]:
    """They are 139 MB."""
    yield
    tree_of.cache_clear()


def lazy(name: str, text: str) -> list[str]:
    """What a file imports elsewhere than at its top though it may not; ``name``: below ``edgekd/``."""
    if name in LAZY or name.startswith("cli/"):
        return []
    tree, found = tree_of(text), []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found += [ast.unparse(n) for n in ast.walk(node) if isinstance(n, ast.Import | ast.ImportFrom)]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in (
            "import_module",
            "__import__",
        ):
            found.append(ast.unparse(node))
    return found


def broad_excepts(name: str, text: str) -> list[str]:
    """Handlers and ``suppress`` of every error in a file that may have none; ``name``: below ``edgekd/``."""
    if name in CALLS_USERS or name.startswith("cli/"):
        return []
    kinds: list[ast.expr | None] = []
    for node in ast.walk(tree_of(text)):
        if isinstance(node, ast.ExceptHandler):
            kinds += node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "suppress":
            kinds += node.args
    words = ["except:" if kind is None else ast.unparse(kind) for kind in kinds]
    return [word for word in words if word.rpartition(".")[2] in ("except:", "Exception", "BaseException")]


@of_every_file
def test_imports_stand_at_the_top_but_in_three_places(path: Path) -> None:
    assert lazy(path.relative_to(ROOT).as_posix(), path.read_text()) == []


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("build/mine.py", "def f():\n    import torch", 1),
        (
            "build/mine.py",
            "class A:\n    def f(self):\n        from edgekd import api",
            2,
        ),  # of the class and the method
        ("runtime/backends/mine.py", "import importlib\nimportlib.import_module('torch')", 1),
        ("tune/plugins.py", "x = lambda: __import__('torch')", 1),
        ("learn/__init__.py", "def f():\n    import torch", 1),
        ("base/plugins.py", "def f():\n    import torch", 0),
        ("cli/mine.py", "def f():\n    import torch", 0),
        ("build/mine.py", "try:\n    import resource\nexcept ImportError:\n    resource = None", 0),
    ],
)
def test_the_law_sees_lazy_imports(name: str, text: str, found: int) -> None:
    assert len(lazy(name, text)) == found


@pytest.mark.parametrize("name", LIGHT)
def test_the_light_part_needs_numpy_and_one_runtime(name: str) -> None:
    path = ROOT / name
    allowed = {*sys.stdlib_module_names, "edgekd", "numpy"}
    if path.parent.parent.name == "backends" and path.name != "__init__.py":  # which states facts without the runtime
        allowed |= {*backend_facts.of(path.parent.name).modules}
    found = {module.split(".")[0] for module, _ in imports(path)}
    assert found <= allowed, found - allowed


@of_every_file
def test_no_pickle_no_network_and_one_printer(path: Path) -> None:
    modules = {module.split(".")[0] for module, _ in imports(path)}
    assert not modules & {"socket", "http", "urllib", "requests", "ftplib", "shelve", "marshal", "dill", "joblib"}
    text = path.read_text()
    tree = tree_of(text)
    if "pickle" in modules:  # only the name of the error that reading a foreign checkpoint raises
        attributes = {
            n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and getattr(n.value, "id", "") == "pickle"
        }
        assert attributes == {"UnpicklingError"}
    for call in (n for n in ast.walk(tree) if isinstance(n, ast.Call)):
        name = ast.unparse(call.func)
        if name == "torch.load":
            assert any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in call.keywords)
        if name in ("np.load", "numpy.load"):
            wanted = [k for k in call.keywords if k.arg == "allow_pickle"]
            assert all(ast.unparse(k.value) == "False" for k in wanted)
        assert name not in ("torch.save", "np.save_pickle", "eval", "exec"), name
        assert name != "print" or path.parent.name == "cli", "only cli/ prints"


@of_every_file
def test_broad_excepts_stand_in_two_places(path: Path) -> None:
    assert broad_excepts(path.relative_to(ROOT).as_posix(), path.read_text()) == []


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("build/mine.py", "try:\n    f()\nexcept:\n    pass", 1),
        ("build/mine.py", "try:\n    f()\nexcept (OSError, Exception):\n    pass", 1),
        ("build/mine.py", "with contextlib.suppress(BaseException):\n    f()", 1),
        ("build/plugins.py", "try:\n    f()\nexcept builtins.Exception:\n    pass", 1),
        ("base/plugins.py", "try:\n    f()\nexcept Exception:\n    pass", 0),
        ("cli/mine.py", "try:\n    f()\nexcept Exception:\n    pass", 0),
        ("build/mine.py", "try:\n    f()\nexcept OSError:\n    pass", 0),
    ],
)
def test_the_law_sees_broad_excepts(name: str, text: str, found: int) -> None:
    assert len(broad_excepts(name, text)) == found


@of_every_file
def test_no_assert_narrows_a_type(path: Path) -> None:
    """``python -O`` drops asserts: what must hold is a type, a branch or an error that says where."""
    asserts = [ast.unparse(node) for node in ast.walk(tree_of(path.read_text())) if isinstance(node, ast.Assert)]
    assert asserts == []


@of_every_file
def test_files_and_functions_are_of_a_size_to_read(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    for node in ast.walk(tree_of(text)):
        if isinstance(node, ast.FunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= 60, f"{node.name} has {length} lines"


@of_every_file
def test_public_things_are_documented(path: Path) -> None:
    tree = tree_of(path.read_text())
    if not tree.body:
        return
    assert ast.get_docstring(tree), "no module docstring"
    for node in tree.body:
        public = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
        if public and not (isinstance(node, ast.FunctionDef) and node.name == "main"):
            assert isinstance(node, ast.FunctionDef | ast.ClassDef)
            assert ast.get_docstring(node) or len(node.body) <= 3, f"{node.name} has no docstring"


def test_few_things_are_of_any_type() -> None:
    """Where nothing more is known: an object of a library without types, JSON before it is looked at."""
    lines = [line for path in FILES for line in path.read_text().splitlines()]
    untyped = [line for line in lines if re.search(r"\bAny\b", line) and "import" not in line]
    assert len(untyped) <= ANYS, f"{len(untyped)} lines; give the new ones a type: object, a TypedDict of document/"


# Words that say where a value comes from and not what it holds. Those left are fields and the errors' own ``found``.
EMPTY = {"found", "made", "told", "own", "said"}
EMPTY_NAMES = 12


def test_names_say_what_they_hold() -> None:
    names = []
    for path in FILES:
        for node in ast.walk(tree_of(path.read_text())):
            if isinstance(node, ast.arg) and node.arg in EMPTY:
                names.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.arg}")
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in EMPTY:
                names.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.id}")
    assert len(names) <= EMPTY_NAMES, names


def test_checkers_know_every_public_name() -> None:
    """``edgekd/__init__.py`` fetches its names when they are used: checkers know what stands under TYPE_CHECKING."""
    (block,) = (n for n in tree_of((ROOT / "__init__.py").read_text()).body if ast.unparse(n).startswith("if TYPE_CH"))
    imported = {alias.asname for node in ast.walk(block) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert imported == {*edgekd.__all__} - {"__version__"}


def test_import_edgekd_loads_nothing_else() -> None:
    code = (
        "import sys, edgekd; top = {m.split('.')[0] for m in sys.modules} - set(sys.stdlib_module_names);"
        "print(sorted(m for m in top if not m.startswith('_') and 'editable' not in m))"
    )
    done = subprocess.run([sys.executable, "-S", "-c", f"import sys; sys.path.insert(0, {str(ROOT.parent)!r}); {code}"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout.strip() == "['edgekd']"


def test_build_is_a_function_whatever_was_imported() -> None:
    """A package stands under the same name."""
    import edgekd.build.evaluation

    with pytest.raises(edgekd.EdgekdError, match="recipe: name: missing"):
        edgekd.build({"data": {"source": "digits"}})


def test_every_door_of_security_names_tests_that_there_are() -> None:
    text = (ROOT.parent / "SECURITY.md").read_text()
    rows = [row.split("|")[1:-1] for row in text.partition("## Doors")[2].splitlines() if row.startswith("|")][2:]
    assert len(rows) > 10
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)`", row[-1])
        assert named and all((ROOT.parent / name).is_file() for name in named), row
        for stops in re.findall(r"`((?:\w+/)?\w+\.py)`", row[3]):
            where = ROOT / stops
            assert where.is_file() or list(ROOT.rglob(stops)), stops
