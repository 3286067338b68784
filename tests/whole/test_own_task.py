"""A user's own task, the one that the documentation shows, through the whole life: from its labels to its programs."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import tomli_w

import edgekd
from edgekd import cli, report
from edgekd.base.errors import FactoryError, IntegrityError, RecipeError, UnavailableError, UsageError
from edgekd.publish import examples
from edgekd.publish.examples import About
from edgekd.runtime import bundle, decisions, manifest, replay
from edgekd.tasks import Heads, Task, Unnamed, Values, kind_of, make_task, path_of
from edgekd.tasks._own import SAYS, check_class
from edgekd.tasks.multi_label import MultiLabel
from edgekd.tasks.regression import Regression

PAGE = Path(__file__).parents[2] / "docs/extending/task.md"
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
PACKAGE = "grades_of_a_user"
NAME = f"{PACKAGE}.tasks:Ordinal"
X = np.random.default_rng(3).standard_normal((40, 6)).astype(np.float32)
COMPRESS = [{"kind": "channel_prune", "ratio": 0.5, "epochs": 1}, {"kind": "int8_qat", "epochs": 1}]
MORE = '''
from dataclasses import dataclass as _dataclass

@_dataclass(frozen=True)
class Silent(Ordinal):
    """None of the programs decodes it."""
    program = ""

@_dataclass(frozen=True)
class Wordy(Ordinal):
    """Writes down what a bundle does not hold."""
    def record(self, decided):
        return {"grade": decided.value}
'''
FAULTY = """
from dataclasses import dataclass
from PACKAGE import tasks

@dataclass(frozen=True)
class Ordinal(tasks.Ordinal):
    def decode(self, shares, names):
        return shares.nothing
"""


def forget() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The page's package and recipe in a folder that modules are imported from."""
    folder = tmp_path_factory.mktemp("own_task")
    for kind, title, body in BLOCK.findall(PAGE.read_text()):
        body = body.replace("mypkg", PACKAGE)
        if title:
            file = folder / title.replace("mypkg", PACKAGE)
            file.parent.mkdir(exist_ok=True)
            file.write_text(body + MORE * (file.name == "tasks.py"))
        elif kind == "toml":
            table = {"name": "ordinal", **tomllib.loads(body), "compress": COMPRESS, "budget": {"max_drop": 1.0}}
            (folder / "r.toml").write_text(tomli_w.dumps(table))
    (folder / PACKAGE / "faulty.py").write_text(FAULTY.replace("PACKAGE", PACKAGE))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        importlib.invalidate_caches()
        yield folder
    forget()


@pytest.fixture(scope="module")
def out(place: Path) -> Path:
    """Pruned, quantized, exported and lowered to both runtimes."""
    line = ["build", str(place / "r.toml"), "--quick", "--target", "ort-cpu", "--target", "openvino"]
    assert cli.run([*line, "--out", str(place / "out"), "--cache", str(place / "cache")]) == 0
    return place / "out"


def decided(scores: np.ndarray) -> list[Values]:
    return [Values((float((row >= 0).sum()),), ("grade",)) for row in scores]


def test_it_is_trained_pruned_quantized_and_held_on_both_runtimes(out: Path) -> None:
    document = json.loads((out / "report.json").read_text())
    assert (document["task"], document["outputs"]) == ("plugin:Ordinal", {"logits": "plugin:Ordinal"})
    assert [stage["name"] for stage in document["stages"]] == ["teacher", "student", "channel_prune", "int8_qat"]
    for target in document["targets"].values():
        assert {c["name"] for c in target["candidates"]} == {"fp32", "fp32-pruned", "int8"}
        assert target["parity"]["argmax_agreement"] >= 0.9, "grades, by the task's own rule"
    about = json.loads((out / "manifest.json").read_text())["additional_metadata"]["edgekd"]
    assert about["task"] == {"kind": "plugin:Ordinal"} and PACKAGE not in (out / "manifest.json").read_text()
    assert about["outputs"] == [{"axes": ["batch", "value"], "labels": ["above 0", "above 1"], "name": "logits"}]


def test_a_bundle_runs_and_is_verified_without_its_class_and_imports_nothing(out: Path) -> None:
    forget()
    model = edgekd.load(out)
    (scores,) = model.run({"input": X}).values()
    assert scores.shape == (40, 2)
    with pytest.raises(UnavailableError, match=r"needs a task of its maker's own.*'Ordinal'.*plugins=") as caught:
        model.predict(X)
    assert caught.value.exit_code == 4
    checks = edgekd.verify(out)
    assert [row["check"].partition(":")[0] for row in checks if "skipped" in row] == ["ort-cpu", "openvino"]
    assert all("Ordinal" in str(row["skipped"]) for row in checks if "skipped" in row)
    assert not [name for name in sys.modules if name.startswith(PACKAGE)]


def test_named_by_its_place_or_given_as_a_class_it_predicts(out: Path) -> None:
    ordinal = importlib.import_module(f"{PACKAGE}.tasks").Ordinal
    for plugin in (NAME, ordinal):
        model = edgekd.load(out, target="ort-cpu", plugins=[plugin])
        answers = model.predict(X)
        assert answers == decided(model.run({"input": X})["logits"]) and model.predict(X[0]) == answers[0]
    assert len({one.value for one in answers}) > 1
    checks = edgekd.verify(out, plugins=[ordinal])
    assert all(row.get("ok") for row in checks) and sum("raw samples" in row["check"] for row in checks) == 2
    assert cli.run(["verify", str(out), "--allow-plugin", NAME]) == 0


def test_what_cannot_be_found_by_a_name_is_told(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="plugins: nothing that can be found by its name"):
        edgekd.load(out, plugins=[type("<locals>.Mine", (), {})])
    mine = type("Mine", (), {"__module__": "__main__"})
    with pytest.raises(UsageError, match=r"a class of this program.*another process"):
        edgekd.verify(out, plugins=[mine])
    with pytest.raises(FactoryError, match="can't import"):
        bundle.read(out, [f"{PACKAGE}.nothing:Ordinal"])


def test_a_manifest_names_no_module(out: Path) -> None:
    """Else a stranger's bundle would import what it likes."""
    table = json.loads((out / "manifest.json").read_text())
    table["additional_metadata"]["edgekd"]["task"] = {"kind": NAME}
    with pytest.raises(IntegrityError, match="no kind of task"):
        manifest.parse(table, out, "m", {"plugin:Ordinal": NAME})
    table["additional_metadata"]["edgekd"]["task"] = {"kind": "plugin:Ordinal", "steps": 3}
    heads = manifest.parse(table, out, "m").heads
    assert heads.tasks["logits"] == Unnamed("plugin:Ordinal", ("batch", "value"))
    assert kind_of(heads.tasks["logits"]) == "plugin:Ordinal"
    with pytest.raises(IntegrityError, match=r"task\.steps: unknown key"):
        manifest.parse(table, out, "m", {"plugin:Ordinal": NAME})


def test_the_card_says_how_it_is_opened_and_what_it_answers(out: Path) -> None:
    card = (out / "README.md").read_text()
    assert f'edgekd.load("path/to/this/folder", plugins=["{NAME}"])' in card
    assert "2 steps (above 0, above 1)" in card and "print(answer.value)" in card
    assert 'pipeline_tag: "tabular-regression"' in card


def said(line: list[str], folder: Path) -> Any:
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_its_programs_say_what_the_file_does(out: Path, tmp_path: Path) -> None:
    shutil.copytree(out / "examples", tmp_path / "examples")
    shutil.copytree(out / "ort-cpu", tmp_path / "ort-cpu")
    place, wanted = tmp_path / "examples", json.loads((out / "examples/answer.json").read_text())
    values = wanted["logits"]["values"]
    assert len(values) == 2
    assert said([sys.executable, "predict.py"], place / "python")["logits"]["values"] == pytest.approx(values, abs=1e-5)
    told = {"logits": {"values": [1.5, -2.0]}}
    if shutil.which("node"):
        ask = "import { told } from './student.mjs'; console.log(JSON.stringify(told({ logits: [1.5, -2] })));"
        (place / "js/show.mjs").write_text(ask)
        assert said(["node", "show.mjs"], place / "js") == told
    if shutil.which("g++"):
        tell = 'const float scores[] = {1.5f, -2.0f}; student::tell("logits", scores, 2, true, true);'
        (place / "cpp/show.cpp").write_text(f'#include "student.h"\nint main() {{ {tell} }}\n')
        subprocess.run(["g++", "-std=c++17", "-O0", "show.cpp", "-o", "show"], cwd=place / "cpp", check=True)
        assert said(["./show"], place / "cpp") == told


def test_where_no_program_decodes_it_there_are_none_and_the_card_says_so(out: Path) -> None:
    silent = importlib.import_module(f"{PACKAGE}.tasks").Silent()
    about = About("a", [], (6,), "float32", (), {"logits": ["a", "b"]}, {"logits": silent}, {"ort": "t/m.onnx"})
    assert examples.make(about, np.zeros(6, np.float32), {}) == {}
    document = json.loads((out / "report.json").read_text())
    card = report.readme(document, "numbers", "6", about.labels, (), about.tasks)
    assert "There are no programs without edgekd in it" in card and "examples/" not in card


def test_its_own_mistakes_are_told(out: Path) -> None:
    tasks = importlib.import_module(f"{PACKAGE}.tasks")
    heads = Heads({"logits": 2}, {"logits": tasks.Wordy()})
    with pytest.raises(FactoryError, match=rf"{PACKAGE}.tasks:Wordy.record"):
        decisions.written(["a"], heads, {"t": [Values((1.0,), ("grade",))]})
    faulty = f"{PACKAGE}.faulty:Ordinal"
    with pytest.raises(FactoryError, match=r"predict: .*decode raised AttributeError at faulty.py"):
        edgekd.load(out, plugins=[faulty]).predict(X)
    with pytest.raises(FactoryError, match=r"decode raised AttributeError at faulty.py"):
        replay.checked(out, plugins=[faulty])


@dataclass(frozen=True)
class Unfinished(Task):
    """Leaves its methods open."""


@dataclass(frozen=True)
class Quiet(Regression):
    """A decoding that there is none of."""

    program: ClassVar[str] = "tree"


@dataclass(frozen=True)
class Uncut(MultiLabel):
    """No cut for its programs."""

    @property
    def constants(self) -> dict[str, float | list[float]]:
        return {}


@dataclass(frozen=True)
class Other:
    """No task at all."""


WRONG = [
    ("Unfinished", "a task without a method that it needs; found 'Unfinished'; allowed: check, decode, numbered"),
    ("Quiet", "a decoding that edgekd's programs do not have; found 'tree'"),
    ("Uncut", "a program of 'labels' needs a constant; found 'Uncut'; allowed: cut"),
    ("Other", "no task; found 'Other'; allowed: a subclass of edgekd.tasks.Task"),
]


@pytest.mark.parametrize(("name", "message"), WRONG)
def test_a_class_that_is_not_all_of_a_task_is_refused_before_anything_is_read(name: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        make_task({"kind": f"{__name__}:{name}"}, "task")


def test_a_class_says_all_that_has_no_default() -> None:
    """Each name is asked for where a class does not tell it."""
    said_by_all = {name: getattr(Regression, name) for name in SAYS}
    methods = {name: getattr(Regression, name) for name in Task.__abstractmethods__ - set(SAYS)}
    for missing in SAYS:
        kept = {name: value for name, value in said_by_all.items() if name != missing}
        with pytest.raises(RecipeError, match=f"a task says its '{missing}'"):
            check_class(type("Mine", (Task,), {**kept, **methods}), "task.kind", RecipeError)
    assert path_of(Regression()) is None and not fields(Unfinished)
