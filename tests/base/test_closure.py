"""What a step runs, what travels to a device: found in the source, and nothing kept by hand."""

from __future__ import annotations

import ast
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from edgekd.base import closure
from edgekd.base.plugins import FAMILIES
from edgekd.build import code_keys
from edgekd.runtime import remote


def parsed(tree: ast.AST) -> Iterator[str]:
    """What ``closure.needs`` finds by patterns, by Python's own parser."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("plugins.build", "plugins.load"):
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield f"{FAMILIES[first.value]}.*"
        yield from parsed(node)


def test_patterns_find_what_the_parser_finds() -> None:
    for file in closure.modules(closure.PACKAGE):
        wanted = {name for name in parsed(ast.parse(file.read_text())) if name.split(".")[0] == "edgekd"}
        assert wanted <= set(closure.needs(file)), file


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def names(root: Path, *roots: str) -> list[str]:
    return [file.relative_to(root).as_posix() for file in closure.closure(roots, root)]


def test_a_new_file_is_in_the_key_of_the_step_that_imports_it(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "__init__.py": "",
            "build/__init__.py": "",
            "build/exports.py": "def f():\n    from edgekd.build import (\n        mine as yours,\n    )\n",
            "build/mine.py": "import edgekd.base.other",
            "build/unused.py": "",
            "base/__init__.py": "",
            "base/other.py": "if TYPE_CHECKING:  # for types alone\n    from edgekd.build import unused\n",
        },
    )
    found = names(root, "build/exports.py")
    assert found == ["__init__.py", "base/__init__.py", "base/other.py", "build/__init__.py", "build/exports.py",
                     "build/mine.py"]  # fmt: skip


def test_who_builds_a_plugin_runs_its_family(tmp_path: Path) -> None:
    text = 'from edgekd.base import plugins\nplugins.build("losses", {}, "here")\n'
    files = {"__init__.py": "", "learn/losses/mine.py": "", "learn/losses/parts/deep.py": "", "build/fit.py": text}
    assert {"learn/losses/mine.py", "learn/losses/parts/deep.py"} <= set(names(tree(tmp_path, files), "build/fit.py"))


def test_an_edit_of_what_a_step_imports_is_another_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(tmp_path, {"__init__.py": "", "build/exports.py": "import edgekd.mine", "mine.py": "a = 1", "b.py": ""})
    monkeypatch.setattr(closure, "PACKAGE", root)

    def key() -> str:
        closure.needs.cache_clear()
        return str(code_keys.own.__wrapped__("lower"))

    before = key()
    (root / "b.py").write_text("other")
    assert key() == before
    (root / "mine.py").write_text("a = 2")
    assert key() != before


def folders(step: str) -> set[str]:
    return {path.relative_to(closure.PACKAGE).parts[0] for path in code_keys.files_of(step)}


def test_no_step_hangs_on_what_comes_after_it() -> None:
    """Else an edit of the report's page would train anew."""
    later = {"lower", "runtime", "decide", "analysis", "report", "publish", "tune", "cli"}
    assert not folders("learn") & later and not folders("compress") & later
    assert not folders("lower") & (later - {"lower"})
    assert not folders("measure") & {"analysis", "report", "publish", "tune", "cli"}
    passes = {path.stem for path in code_keys.files_of("learn") if path.parent.name == "compress"}
    assert passes <= {"__init__", "_base"}, "a pass is in the key of the step that it makes"


def test_every_plugin_is_in_the_key_of_a_step() -> None:
    steps = ("learn", "compress", "teachers", "lower", "measure", "baseline")
    keyed = {path for step in steps for path in code_keys.files_of(step)}
    for family, package in FAMILIES.items():
        if family not in (
            "devices",
            "loggers",
        ):  # latencies are keyed by the machine; what is written down changes nothing
            folder = closure.PACKAGE.joinpath(*package.split(".")[1:])
            assert set(closure.modules(folder)) <= keyed, family


def test_what_travels_to_a_device_is_runtime_and_what_it_imports() -> None:
    with zipfile.ZipFile(BytesIO(remote.runtime_zip())) as archive:
        sent = {name.split("/")[1] for name in archive.namelist()}
    assert sent == {"__init__.py", "base", "document", "runtime", "tasks"}
