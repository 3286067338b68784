"""The documentation says what is so: its code runs, its recipes plan, its commands exist, its paths are there."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import shlex
import shutil
import sys
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import pytest
from pydantic import BaseModel

import edgekd
from edgekd import cli, pipeline
from edgekd.base import plugins
from edgekd.cli.commands import cli as commands
from edgekd.runtime import devices
from edgekd.spec import recipe as recipes
from edgekd.spec import target as targets
from edgekd.tune import search

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
GENERATE = DOCS / "_generate"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<kind>[a-z]*)(?P<more>[^\n]*)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
TITLE = re.compile(r'title="([^"]+)"')
OUTPUT = ("text", "json")  # shown, and not run
# Commands that are not run here, by how they begin: why, and what runs them instead.
NOT_RUN = {
    "pip install": "it is the user's own environment; tests/runtime makes a light one",
    "make ": "each is a line of .github/workflows/ci.yml or starts this very suite",
    "pre-commit ": "it runs the commands of `make check`",
    "edgekd sign": "needs a key; tests/attacks/test_signatures.py signs",
    "edgekd verify dist/digits --key": "needs a key; tests/attacks/test_signatures.py verifies",
    "edgekd init my.toml --teacher": "needs their files; tests/cli/starting has each kind of teacher",
    "edgekd inspect ours.onnx": "needs two files; tests/runtime/test_profiling.py has them",
    "edgekd tune": "minutes; tests/tune searches",
    "edgekd measure": "it ends when it is told to; tests/runtime/test_shared_folder.py starts it",
    "edgekd bench dist/digits --device local --device ssh://": "no such host; tests/runtime measures over ssh",
    "edgekd build my.toml --target ort-arm64": "no such device; the tests of --measure-on have one",
}


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, what stands behind it, its text, and the line where it begins."""

    kind: str
    title: str | None
    body: str
    line: int


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            kind=match["kind"],
            title=titled.group(1) if (titled := TITLE.search(match["more"])) else None,
            body=textwrap.dedent(match["body"]),
            line=text.count("\n", 0, match.start()) + 1,
        )
        for match in BLOCK.finditer(text)
    ]


def command_lines(body: str) -> Iterator[str]:
    """The commands of a console block; a backslash at the end goes on with the next line."""
    for line in body.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            yield line.removeprefix("$ ").partition("  #")[0].strip()


def not_run(line: str) -> str | None:
    """The entry of ``NOT_RUN`` that a command falls under."""
    return next((start for start in NOT_RUN if line.startswith(start)), None)


@dataclass
class Page:
    """A page whose blocks are run in one folder and one namespace, one after the other.

    ``dist/digits`` in the folder is a bundle; a recipe that names too little is laid over the recipe ``digits``.
    """

    file: Path
    folder: Path
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "page"})

    def run(self) -> None:
        """Run every block; what fails names the page and the line."""
        for block in blocks(self.file):
            importlib.invalidate_caches()
            try:
                self._run(block)
            except Exception as err:
                raise AssertionError(f"{self.file.name}, line {block.line}: {type(err).__name__}: {err}") from err

    def _run(self, block: Block) -> None:
        if block.title:
            place = self.folder / block.title
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(block.body, encoding="utf-8")
        if block.kind == "python" and block.title:
            importlib.import_module(block.title.removesuffix(".py").replace("/", "."))
        elif block.kind == "python":
            exec(compile(block.body, f"{self.file.name}:{block.line}", "exec"), self.names)
        elif block.kind == "toml":
            self._check_toml(block)
        elif block.kind == "console":
            for line in command_lines(block.body):
                self._command(line)
        else:
            assert block.kind in OUTPUT, f"a block says python, toml, console, or for output {', '.join(OUTPUT)}"

    def _check_toml(self, block: Block) -> None:
        """Devices are found, a target is read, and a recipe is planned."""
        table = tomllib.loads(block.body)
        if block.title == "devices.toml":
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("EDGEKD_DEVICES", str(self.folder / block.title))
                assert all(devices.find(name).name for name in table)
        elif "backend" in table:
            assert block.title, "a target has a file's name"
            targets.load(str(self.folder / block.title))
        else:
            plan(table if "student" in table and "teacher" in table and "name" in table else over_digits(table))

    def _command(self, line: str) -> None:
        program, *words = shlex.split(line)
        skipped = not_run(line)
        if program != "edgekd":
            assert skipped, f"neither edgekd nor among those that are not run: {line}"
            return
        name, *args = words
        if name == "schema" and name not in commands.commands:
            return
        if skipped:
            commands.commands[name].make_context(name, args)  # its options are there
            return
        args = [*args, "--dry-run"] if name == "build" else args
        assert cli.run([name, *args]) == 0, line


def over_digits(table: Mapping[str, Any]) -> dict[str, Any]:
    """Tables of a recipe in place of those of the recipe ``digits``."""
    base = tomllib.loads((recipes.builtin_folder() / "digits.toml").read_text(encoding="utf-8"))
    return {**base, **table}


def plan(table: Mapping[str, Any]) -> None:
    """Check a whole recipe as ``edgekd plan`` does: its parts are built, its data is read, nothing is trained."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "run", pipeline.describe)
        edgekd.build(table, targets=["ort-cpu"], out="dist/planned")


def only_planned(run: Any, report: Mapping[str, Any]) -> Any:
    """In place of ``pipeline.run``: everything is checked and planned, and a report of another build returned."""

    def planned(*args: Any, **kwargs: Any) -> Mapping[str, Any]:
        inspect.signature(run).bind(*args, **kwargs)
        pipeline.describe(*args, **kwargs)
        return report

    return planned


WITH_BLOCKS = [page for page in PAGES if blocks(page)]


@pytest.fixture
def folder(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder with a bundle in ``dist/digits``, which is the current one, and whose modules can be imported."""
    here = tmp_path / "page"
    shutil.copytree(digits / "out", here / "dist" / "digits")
    report = json.loads((here / "dist" / "digits" / "report.json").read_text(encoding="utf-8"))
    monkeypatch.chdir(here)
    monkeypatch.syspath_prepend(str(here))
    monkeypatch.setattr(pipeline, "run", only_planned(pipeline.run, report))
    monkeypatch.setattr(search, "run", lambda *args, **kwargs: {"met": True, "report": report})
    yield here
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(here)):
            del sys.modules[name]


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_shows_runs(page: Path, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Page(page, folder).run()


def test_a_block_that_fails_is_told_with_its_line(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n```python\n1 / 0\n```\n")
    with pytest.raises(AssertionError, match=r"page.md, line 3: ZeroDivisionError"):
        Page(page, tmp_path).run()
    page.write_text("```\nedgekd build\n```\n")
    with pytest.raises(AssertionError, match="a block says python, toml, console"):
        Page(page, tmp_path).run()
    page.write_text("```console\n$ edgekd build digits --no-such-option\n```\n")
    with pytest.raises(AssertionError, match="no-such-option"):
        Page(page, tmp_path).run()
    page.write_text('```toml\nlosses = [{ kind = "kl", temprature = 2.0 }]\n```\n')
    with pytest.raises(AssertionError, match="did you mean 'temperature'"):
        Page(page, tmp_path).run()


def test_what_is_not_run_is_still_there() -> None:
    lines = [line for page in PAGES for block in blocks(page) if block.kind == "console"
             for line in command_lines(block.body)]  # fmt: skip
    assert set(NOT_RUN) == {start for line in lines if (start := not_run(line))}


def test_every_file_that_a_page_names_is_there() -> None:
    missing = {
        f"{page.relative_to(ROOT)}: {name}"
        for page in PAGES
        for name in re.findall(
            r"`((?:edgekd|tests|benchmarks|docs|targets)/[\w./-]*)`", page.read_text(encoding="utf-8")
        )
        if not (ROOT / name).exists()
    }
    assert not missing


def test_the_path_of_a_recipe_takes_twelve_files() -> None:
    text = (DOCS / "architecture" / "index.md").read_text(encoding="utf-8")
    path = text.split("## Follow a recipe")[1].split("\n## ")[0]
    steps = re.findall(r"^\d+\. `(edgekd/[\w/.]+\.py)`", path, re.MULTILINE)
    assert 5 <= len(steps) <= 12 and len(set(steps)) == len(steps)


def test_the_readme_is_short_and_loads_nothing() -> None:
    text = (ROOT / "README.md").read_bytes()
    assert len(text) <= 9_000
    assert b"<img" not in text and b"![" not in text


@pytest.fixture
def generators(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The modules of ``docs/_generate`` that need no mkdocs."""
    monkeypatch.syspath_prepend(str(GENERATE))
    names = [
        "_models",
        "_plugin_families",
        "_commands",
        "_documents",
        "_measured",
        "_texts",
        "_markdown",
        "_schemas",
        "_packages",
    ]
    yield lambda name: __import__(name)
    for name in names:
        sys.modules.pop(name, None)


def test_references_hold_every_key_of_the_code(generators: Any) -> None:
    recipe = generators("_models").recipe()
    tables: list[type[BaseModel]]
    tables = [recipes.Recipe, recipes.Teacher, recipes.StudentTable, recipes.Budget, recipes.Knob, recipes.Schedule]
    for key, described in ((key, of.description) for table in tables for key, of in table.model_fields.items()):
        assert f"| `{key}` |" in recipe
        assert described, f"{key} says nothing of what it means"
    families = generators("_plugin_families").families()
    for family in set(plugins.FAMILIES) - {"passes"}:
        for kind in plugins.kinds(family):
            assert f"### {kind} {{#{family}-{kind}}}" in families
    options = generators("_commands").reference()
    for name, command in commands.commands.items():
        assert f"## edgekd {name}\n" in options
        assert all(f"`{option.opts[0]}" in options for option in command.params if isinstance(option, click.Option))


def test_every_package_says_what_it_may_import(generators: Any) -> None:
    packages = generators("_packages").packages()
    for place in Path(edgekd.__file__).parent.glob("*/__init__.py"):
        assert f"| `{place.parent.name}/` |" in packages


def test_a_key_of_report_json_without_a_meaning_fails(
    generators: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = generators("_documents")
    assert "`targets.*.candidates[].latency_ms.p50`" in documents.report()
    short = tmp_path / "report_keys.toml"
    short.write_text(documents.MEANINGS.read_text().replace("schema_version =", "schema_versions ="))
    monkeypatch.setattr(documents, "MEANINGS", short)
    with pytest.raises(ValueError, match="schema_version"):
        documents.report()
