"""What the keys know of a user's own code, and what a process that lives on makes of an edit."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgekd.base import closure, plugins
from edgekd.build import code_keys, planner
from edgekd.build import request as requests
from edgekd.build.plan import CompressStep
from edgekd.spec import target

TABLE = {"model": {"kind": "python", "factory": "names_of_mine.zoo:net"}}


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """``names_of_mine/zoo.py``, a package without ``__init__.py``."""
    file = tmp_path / "names_of_mine" / "zoo.py"
    file.parent.mkdir()
    file.write_text("net = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield file
    for name in [name for name in sys.modules if name.startswith("names_of_mine")]:
        del sys.modules[name]


def test_a_package_without_init_is_hashed(module: Path) -> None:
    code_keys.refresh(TABLE)
    before = code_keys.of_users(TABLE)
    module.write_text("net = 22\n")
    assert code_keys.of_users(TABLE) == before, "an edit while a build runs changes nothing"
    code_keys.refresh(TABLE)
    assert code_keys.of_users(TABLE) != before


def test_an_edited_package_is_imported_anew(module: Path) -> None:
    code_keys.refresh(TABLE)
    assert plugins.load_object("names_of_mine.zoo:net", "here") == 1
    module.write_text("net = 22\n")
    code_keys.refresh(TABLE)
    assert plugins.load_object("names_of_mine.zoo:net", "here") == 22


def test_a_users_backend_is_in_the_keys(module: Path) -> None:
    assert list(code_keys.of_users([{"backend": "names_of_mine.zoo:Backend"}])) == ["names_of_mine.zoo:Backend"]


def test_the_identity_is_of_the_code_as_it_was(module: Path, tmp_path: Path) -> None:
    def take() -> requests.BuildRequest:
        return requests.make("digits", ["ort-cpu"], ['student.model={kind="python",factory="names_of_mine.zoo:net"}'])

    order = take()
    before = order.identity
    module.write_text("net = 22\n")
    assert order.identity == before
    assert take().identity != before


VIEW = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Same:
    reads = frozenset({"images"})

    def __call__(self, x, draws):
        return x
"""


def test_a_users_augmentation_is_in_the_key_of_all_that_trains_on_it(module: Path) -> None:
    def keys() -> dict[str, str]:
        request = requests.make("digits", ["ort-cpu"], ['augment.ops=[{kind="names_of_mine.zoo:Same"}]'])
        steps = planner.of_recipe(request.recipe, request.targets, request.data, 100).steps
        return {name: step.key for name, step in steps.items()} | {"build": request.identity}

    module.write_text(VIEW)
    before = keys()
    assert keys() == before
    module.write_text(VIEW.replace("return x", "return x[:, ::-1]"))
    assert not {*before.values()} & {*keys().values()}


RARE = ("student.sampler=balanced", "student.class_weights=balanced")


def test_compress_steps_train_like_the_student() -> None:
    order = requests.make("digits", ["ort-cpu"], ["student.optimizer=sgd", "student.precision=fp32", *RARE])
    steps = planner.of_recipe(order.recipe, order.targets, order.data, 100).steps.values()
    schedules = [step.schedule for step in steps if isinstance(step, CompressStep)]
    assert schedules
    assert {(s.optimizer, s.precision) for s in schedules if s} == {("sgd", "fp32")}
    assert {(s.sampler, s.class_weights) for s in schedules if s} == {("balanced", "balanced")}


def test_where_edgekd_stands_is_in_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The built-in targets once before and once behind it in the order of paths."""
    found, edgekd, no_bytecode = set(), closure.PACKAGE, shutil.ignore_patterns("__pycache__")
    shutil.copytree(target.folder(), tmp_path / "m" / "targets")
    monkeypatch.setattr(target, "folder", lambda: tmp_path / "m" / "targets")
    for name in ("a", "z"):
        shutil.copytree(edgekd, tmp_path / name / "edgekd", ignore=no_bytecode)
        monkeypatch.setattr(closure, "PACKAGE", tmp_path / name / "edgekd")
        found.add(code_keys.own.__wrapped__("lower"))
    assert len(found) == 1
