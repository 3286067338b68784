"""Which source files a user's module brings: read, not imported, and to the last one."""

from __future__ import annotations

import importlib
import sys
import types
import zipfile
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from edgekd.build import code_keys, imports


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path; what is imported from it is forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(folder: Path, **files: str) -> None:
    """Files by dotted name: ``a__b`` is a/b.py."""
    for name, text in files.items():
        file = folder.joinpath(*name.split("__")).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.mark.parametrize(
    ("text", "brings"),
    [
        ("import kx_b", {"kx_b"}),
        ("import kx_p.deep.c", {"kx_p", "kx_p.deep", "kx_p.deep.c"}),
        ("from kx_p.deep import c", {"kx_p", "kx_p.deep", "kx_p.deep.c"}),
        ("from kx_p.deep.c import NAME", {"kx_p", "kx_p.deep", "kx_p.deep.c"}),
        ("def f():\n    if f:\n        import kx_b", {"kx_b"}),
        ("try:\n    import kx_b\nexcept ImportError:\n    pass", {"kx_b"}),
        ("import importlib\nx = importlib.import_module('kx_b')", {"kx_b"}),
        ("from kx_space.inner import c", {"kx_space.inner.c"}),
        ("from kx_stars import *", {"kx_stars", "kx_stars.one", "kx_stars.two"}),
        ("import json, os.path, kx_nowhere", set()),
        ("import kx_chain", {"kx_chain", "kx_b"}),
        ("import kx_circle", {"kx_circle"}),
    ],
)
def test_every_form_of_an_import_is_followed(project: Path, text: str, brings: set[str]) -> None:
    write(project, kx_a=text, kx_b="", kx_p____init__="", kx_p__deep____init__="", kx_p__deep__c="NAME = 1")
    (project / "kx_p").mkdir(exist_ok=True)
    for package in ("kx_p", "kx_p/deep", "kx_stars"):
        (project / package).mkdir(parents=True, exist_ok=True)
        (project / package / "__init__.py").write_text("__all__ = ['one', 'two']\n")
    write(project, kx_space__inner__c="", kx_stars__one="", kx_stars__two="", kx_chain="import kx_b")
    write(project, kx_circle="import kx_a")
    assert set(imports.closure(["kx_a"]).files) == {"kx_a", *brings}
    assert not [name for name in sys.modules if name.startswith("kx_")], "nothing is imported"


def test_relative_imports_count_from_their_package(project: Path) -> None:
    write(
        project,
        ky_p__sub__a="from . import b\nfrom ..top import x\nfrom .... import out",
        ky_p__sub__b="",
        ky_p__top="",
    )
    (project / "ky_p" / "__init__.py").write_text("from . import unasked\n")
    write(project, ky_p__unasked="", ky_p__alone="")
    names = set(imports.closure(["ky_p.sub.a"]).files)
    assert names == {"ky_p", "ky_p.sub.a", "ky_p.sub.b", "ky_p.top", "ky_p.unasked"}


def test_what_is_installed_counts_by_its_version_and_its_list_of_hashes(project: Path) -> None:
    site = project / "lib" / "site-packages"
    write(site, kz_lib="", kz_copied="")
    (site / "kz_lib-1.5.dist-info").mkdir()
    (site / "kz_lib-1.5.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: kz-lib\nVersion: 1.5\n")
    sys.path.append(str(site))
    try:
        write(project, kz_a="import kz_lib, kz_copied, torch")
        found = imports.closure(["kz_a"])
        assert set(found.files) == {"kz_a", "kz_copied"}, "what no distribution says it brought counts by its bytes"
        assert found.versions["kz_lib"].startswith("1.5 ") and "torch" in found.versions
        (site / "kz_lib-1.5.dist-info" / "RECORD").write_text("kz_lib.py,sha256=other,0\n")
        imports._installed.cache_clear()
        assert imports.closure(["kz_lib"]).versions != {"kz_lib": found.versions["kz_lib"]}, "installed again"
    finally:
        sys.path.remove(str(site))


def test_compiled_modules_and_archives_count_by_their_bytes(project: Path) -> None:
    def hashes(content: bytes) -> dict[str, str]:
        (project / f"kw_fast{EXTENSION_SUFFIXES[0]}").write_bytes(content)
        with zipfile.ZipFile(project / "kw.zip", "w") as archive:
            archive.writestr("kw_zipped.py", content)
        importlib.invalidate_caches()
        return imports.closure(["kw_a"]).hashes()

    write(project, kw_a="import kw_fast, kw_zipped")
    sys.path.append(str(project / "kw.zip"))
    try:
        before, after = hashes(b"1"), hashes(b"2")
    finally:
        sys.path.remove(str(project / "kw.zip"))
    assert {name for name in before if before[name] != after[name]} == {"kw_fast", "kw_zipped"}


def test_a_notebook_counts_by_what_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    def session(text: str) -> dict[str, str]:
        cell = types.ModuleType("__main__")
        exec(text, vars(cell))
        monkeypatch.setitem(sys.modules, "__main__", cell)
        return code_keys._look("__main__:net", None).hashes["modules"]

    cell = "class Net:\n    def forward(self, x):\n        return x + 1\n\n\ndef net():\n    return Net()\n"
    assert session(cell) == session("# once more\n" + cell) != session(cell.replace("x + 1", "x + 2"))


def test_a_folder_that_a_module_puts_on_the_path_itself(project: Path) -> None:
    write(project, kv_a="import sys\nsys.path.insert(0, 'lib')\nimport kv_beside", lib__kv_beside="")
    (project / "lib" / "kv_main.py").write_text("import kv_beside\n")
    assert set(imports.closure(["lib.kv_main"]).files) == {"lib.kv_main", "kv_beside"}


def test_a_module_that_a_running_program_named_is_found_by_what_it_gave(project: Path) -> None:
    write(project, ku_ops="class Op:\n    pass\n", ku_other="")
    write(project, ku_a="import importlib\nTABLE = {'op': importlib.import_module('ku_' + 'ops').Op}\n")
    assert set(imports.closure(["ku_a"]).files) == {"ku_a"}
    __import__("ku_a")
    __import__("ku_other")
    assert imports.live(["ku_a"]) == ["ku_a", "ku_ops"]
