"""Which files a user's code opens: while it is imported, and while it is called."""

from __future__ import annotations

import os
import py_compile
import sqlite3
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from edgekd.base import plugins, watch
from edgekd.build import code_keys


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that is the current one and on the path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("kq_")]:
        del sys.modules[name]


def names(who: str, *modules: str) -> set[str]:
    return {Path(path).name for path in watch.opened(who, modules)}


def test_what_is_read_is_noted_and_what_is_written_is_not(project: Path) -> None:
    np.save("a.npy", np.zeros(1))
    torch.save({"w": torch.zeros(1)}, "b.pt")
    save_file({"w": torch.zeros(1)}, "c.safetensors")
    (project / "d").mkdir()
    with watch.watching("kq:one"):
        np.load("a.npy")
        torch.load("b.pt", weights_only=True)
        load_file("c.safetensors")
        os.listdir("d")
        Path("log.txt").write_text("x")
        Path("log.txt").read_text()
        with pytest.raises(FileNotFoundError):
            Path("not_yet.json").read_text()
    np.load("a.npy")
    assert names("kq:one") == {"a.npy", "b.pt", "c.safetensors", "d", "not_yet.json"}
    assert watch.opened("kq:one", ())[str(project / "d")], "a folder"
    assert names("kq:two") == set()


def test_calls_are_told_apart_and_imports_belong_to_their_module(project: Path) -> None:
    for name in ("shared", "big", "small"):
        (project / f"{name}.json").write_text("{}")
    (project / "kq_zoo.py").write_text("import kq_read\nSHARED = kq_read.text('shared')\n\ndef net(size):\n"
                                       "    return kq_read.text(size)\n")  # fmt: skip
    (project / "kq_read.py").write_text("from pathlib import Path\n\ndef text(name):\n"
                                        "    return Path(name + '.json').read_text()\n")  # fmt: skip
    net = plugins.load_object("kq_zoo:net", "here")
    assert callable(net)
    for size in ("big", "small"):
        with watch.watching(watch.owner("kq_zoo:net", {"size": size})):
            net(size)
    assert names(watch.owner("kq_zoo:net", {"size": "big"}), "kq_zoo", "kq_read") == {
        *("shared.json", "big.json", "kq_read.py")
    }
    assert names(watch.owner("kq_zoo:net", {"size": "small"}), "kq_zoo") == {"shared.json", "small.json", "kq_read.py"}


def test_what_was_seen_is_kept_by_the_code_and_compared(project: Path) -> None:
    (project / "width.json").write_text("1")
    (project / "kq_one.py").write_text("from pathlib import Path\nWIDTH = Path('width.json').read_text()\n")
    table, root = {"loss": {"kind": "kq_one:WIDTH"}}, project / "cache"
    assert not code_keys.refresh(table, root), "it never ran"
    assert plugins.load_object("kq_one:WIDTH", "here") == "1"
    code_keys.keep_seen(table, root)
    assert code_keys.refresh(table, root)
    before = code_keys.of_users(table)
    (project / "width.json").write_text("2")
    assert code_keys.of_users(table) == before, "as it was when the build began"
    assert code_keys.refresh(table, root) and code_keys.of_users(table) != before
    assert plugins.load_object("kq_one:WIDTH", "here") == "2", "what is hashed runs"
    (project / "kq_one.py").write_text("WIDTH = '3'\n")
    assert not code_keys.refresh(table, root), "another code: what it opens is not known"


BY_FILE = """
import importlib.util
def make():
    spec = importlib.util.spec_from_file_location("kq_conf", "other/conf.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.V
"""
IN_PYTHON = {
    "a module whose name is put together": (
        "import importlib\ndef make(): return importlib.import_module('kq_' + 'more').V",
        "kq_more.py",
    ),
    "what such a module imports": (
        "import importlib\ndef make(): return importlib.import_module('kq_' + 'on').V",
        "kq_more.py",
    ),
    "a module by its file": (BY_FILE, "other/conf.py"),
    "a module of a folder that is put on the path": (
        "import sys\nsys.path.insert(0, 'lib')\nimport kq_lib\ndef make(): return kq_lib.V",
        "lib/kq_lib.py",
    ),
    "a file of a package": ("import pkgutil\ndef make(): return pkgutil.get_data('kq_pk', 'd.txt')", "kq_pk/d.txt"),
    "a file that is read and may be written": (
        "def make():\n    with open('d.txt', 'r+') as file:\n        return file.read()",
        "d.txt",
    ),
    "numbers that np.memmap reads": (
        "import numpy as np\ndef make(): return int(np.memmap('d.bin', 'u1')[0])",
        "d.bin",
    ),
}


@pytest.mark.parametrize("name", IN_PYTHON)
def test_what_nothing_but_running_it_shows(name: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these was stale: 12 of 42 ways to read something while a factory runs."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    code, other = IN_PYTHON[name]
    file = project / other
    for folder in ("other", "lib", "kq_pk"):
        (project / folder).mkdir()
    (project / "kq_pk" / "__init__.py").touch()
    (project / "kq_on.py").write_text("from kq_more import V")
    (project / "kq_net.py").write_text(code)
    file.write_text("V = 1")
    if file.suffix == ".py":
        py_compile.compile(str(file))  # what is opened then is not the source
    table, root = {"factory": "kq_net:make"}, project / "cache"
    code_keys.refresh(table, root)
    make = plugins.load_object("kq_net:make", "here")
    assert callable(make)
    with watch.watching("kq_net:make"):
        make()
    code_keys.keep_seen(table, root)
    assert code_keys.refresh(table, root)
    before = code_keys.of_users(table)
    assert code_keys.refresh(table, root) and code_keys.of_users(table) == before
    file.write_text("V = 22")
    code_keys.refresh(table, root)
    assert code_keys.of_users(table) != before


def test_a_database_by_its_address(project: Path) -> None:
    """``sqlite3`` opens it itself, and takes an address as well as a path."""
    sqlite3.connect("d e.db").close()
    with watch.watching("kq:db"):
        sqlite3.connect(f"file:{urllib.parse.quote('d e.db')}?mode=ro", uri=True).close()
        sqlite3.connect(project / "f.db").close()
    assert names("kq:db") == {"d e.db", "f.db"}


def test_every_name_of_users_code_is_found_in_a_table() -> None:
    table = {
        "model": {"kind": "python", "factory": "a.b:net", "args": {"inner": "c:Inner", "width": 2}},
        "passes": ["d:Pass"],
        "also": {"e:Backend": {}},
        "metric": {"kind": "f.g:Metric"},
        "path": "C:/data",
        "url": "https://example.org",
    }
    found = code_keys.owners(table)
    assert found == sorted(['a.b:net {"inner": "c:Inner", "width": 2}', "c:Inner", "d:Pass", "e:Backend", "f.g:Metric"])
