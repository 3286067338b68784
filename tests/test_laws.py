"""The laws of the house: imports run one way, three lazy places, no pickle, no network, files of a size to read."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import edgekd

ROOT = Path(__file__).parent.parent / "edgekd"
FILES = sorted(ROOT.rglob("*.py"))
# What each folder may import, beside itself. Nothing at the root is imported from a folder but ``edgekd`` itself.
ROWS: dict[str, set[str]] = {
    "base": set(),
    "spec": {"base"},
    "document": {"base"},
    "metrics": {"base", "spec"},
    "learn": {"base", "spec", "metrics"},
    "compress": {"base", "spec", "metrics", "learn"},
    "lower": {"base", "spec", "metrics", "learn"},
    "runtime": {"base", "document"},
    "decide": {"base", "document", "spec"},
    "build": {"base", "spec", "document", "metrics", "learn", "compress", "lower", "runtime", "decide"},
    "report": {"base", "document", "decide"},
}
ROWS["analysis"] = {*ROWS["build"], "build"}
ROWS["publish"] = {*ROWS["analysis"], "analysis", "report"}
ROWS["tune"] = {*ROWS["build"], "build", "report"}
ROWS["cli"] = {*ROWS["publish"], "publish", "tune", "pipeline"}
ROWS["api"] = {*ROWS["cli"], "cli"}
AT_ROOT = {"__init__", "__main__", "pipeline"}
ANYS = 200  # lines of edgekd/ with ``Any``, imports aside
LAZY = {"base/plugins.py", "__init__.py"}
LIGHT = ["__init__.py"]
LIGHT += [
    p.relative_to(ROOT).as_posix() for folder in ("base", "document", "runtime") for p in (ROOT / folder).rglob("*.py")
]
RUNTIMES = {
    **dict.fromkeys(("ort.py", "ort_cuda.py", "ort_mobile.py"), "onnxruntime"),
    "openvino.py": "openvino",
    "reference.py": "onnx",
}


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
    tree = ast.parse(path.read_text())
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


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_three_lazy_places(path: Path) -> None:
    text = path.read_text()
    lazy = [module for module, inside in imports(path) if inside]
    if path.relative_to(ROOT).as_posix() in LAZY or path.parent.name == "cli":
        return
    assert not lazy, f"imports inside a function: {lazy}"
    if "import_module(" in text:
        assert path.relative_to(ROOT).as_posix() == "runtime/backends/openvino.py", "importlib outside the lazy places"


@pytest.mark.parametrize("name", LIGHT)
def test_the_light_part_needs_numpy_and_one_runtime(name: str) -> None:
    path = ROOT / name
    allowed = {*sys.stdlib_module_names, "edgekd", "numpy"}
    if path.parent.name == "backends" and path.name in RUNTIMES:
        allowed.add(RUNTIMES[path.name])
    if path.name == "reference.py":
        allowed.add("google")  # protobuf, which onnx is made of
    found = {module.split(".")[0] for module, _ in imports(path)}
    assert found <= allowed, found - allowed


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_no_pickle_no_network_and_one_printer(path: Path) -> None:
    modules = {module.split(".")[0] for module, _ in imports(path)}
    assert not modules & {"socket", "http", "urllib", "requests", "ftplib", "shelve", "marshal", "dill", "joblib"}
    text = path.read_text()
    tree = ast.parse(text)
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


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_broad_excepts_stand_in_two_places(path: Path) -> None:
    broad = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in ("Exception", "BaseException"))
    ]
    assert not broad or path.parent.name == "cli" or path.name == "plugins.py"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_files_and_functions_are_of_a_size_to_read(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 450
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= 65, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_public_things_are_documented(path: Path) -> None:
    tree = ast.parse(path.read_text())
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


def test_the_stub_types_every_public_name() -> None:
    """``edgekd/__init__.py`` fetches its names when they are used: what checkers know of them is what the stub says."""
    stub = ast.parse((ROOT / "__init__.pyi").read_text())
    assigned = [node for node in stub.body if isinstance(node, ast.Assign)]
    (listed,) = (ast.literal_eval(node.value) for node in assigned if ast.unparse(node.targets[0]) == "__all__")
    imported = {a.asname for node in stub.body if isinstance(node, ast.ImportFrom) for a in node.names}
    assert listed == edgekd.__all__
    assert set(listed) - {"__version__"} == {name for name in imported if name}
    for node in stub.body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("edgekd."):
            for alias in node.names:
                assert edgekd.fetch(alias.name) is getattr(importlib.import_module(node.module), alias.name)


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
