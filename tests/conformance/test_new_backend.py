"""A backend is one new folder, and its target one file: nothing else of edgekd is edited to build and open with it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import edgekd
from edgekd.base import target_files

FACTS = """
'''A runtime of tests: ONNX Runtime on a file in a format of its own.'''
from edgekd.base.backend_facts import THREADS, Facts
FACTS = Facts(
    runtime="reversed",
    modules=("onnxruntime",),
    distributions=("jinja2",),  # something that is installed, and no other backend's
    suffixes=(".rev",),
    options={"threads": THREADS},
    passes=("bias_of_matmul",),
)
"""
BACKEND = """
'''Its class.'''
from dataclasses import dataclass
from edgekd.runtime.backends.ort.backend import Ort

@dataclass(frozen=True)
class Reversed:
    '''Files are ONNX, from the last byte to the first.'''
    threads: int = 1
    secret: str = ""  # no option of a bundle

    def check(self):
        '''Runs everywhere.'''
    def version(self):
        return "reversed 1.0"
    def lower(self, onnx):
        return {"model.rev": onnx[::-1]}
    def open(self, files, batch=None):
        return Ort(threads=self.threads).open({name: data[::-1] for name, data in files.items()}, batch)
"""
TARGET = """
description = "a target of tests"
backend = "reversed"
options = { threads = 1 }
[[numerics]]
name = "fp32"
"""
RECIPE = """
name = "points"
data = { source = "digits" }
teacher = { model = { kind = "convnet", width = 8 }, epochs = 1 }
student = { model = { kind = "convnet", width = 8 }, epochs = 1 }
losses = [{ kind = "kl", weight = 0.5 }, { kind = "cross_entropy" }]
budget = { max_drop = 1.0 }
"""
BUNDLE = """
import json, sys
import numpy as np
import edgekd
from edgekd.base import backend_facts, host
from edgekd.cli import inspection
from edgekd.spec import target
out = sys.argv[1]
answer = edgekd.load(out).predict(np.zeros((8, 8, 1), np.uint8))
told = {
    "file": edgekd.__file__,
    "scores": [float(score) for score in answer.scores],
    "verified": [list(row) if isinstance(row, tuple) else str(row) for row in edgekd.verify(out)],
    "models": inspection.inspect(__import__("pathlib").Path(out))["models"],
    "doctor": [row for row in inspection.targets() if row["name"] == "mine"],
    "key": sorted(host.measured_key(1)["versions"]),
    "passes": target.load("mine").passes,
}
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of edgekd with a folder and a target more, a bundle that it built, and how to ask it."""
    root = tmp_path_factory.mktemp("copy")
    package = Path(edgekd.__file__).parent
    shutil.copytree(package, root / "edgekd")
    if not (package / "targets").is_dir():
        shutil.copytree(target_files.folder(), root / "targets")
    folder = root / "edgekd/runtime/backends/reversed"
    folder.mkdir()
    (folder / "__init__.py").write_text(FACTS)
    (folder / "backend.py").write_text(BACKEND)
    (next(root.rglob("ort-cpu.toml")).parent / "mine.toml").write_text(TARGET)
    (root / "recipe.toml").write_text(RECIPE)
    (root / "bundle.py").write_text(BUNDLE)
    python(root, "-m", "edgekd", "build", "recipe.toml", "--target", "mine", "--quick", "--out", "out")
    return root


def python(root: Path, *line: str, code: int = 0) -> str:
    """What an interpreter says that imports the copy."""
    env = {**os.environ, "PYTHONPATH": str(root), "EDGEKD_CACHE": str(root / "cache")}
    done = subprocess.run([sys.executable, *line], env=env, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_it_is_found_built_with_and_its_bundle_opens(place: Path) -> None:
    told = json.loads(python(place, "bundle.py", "out").splitlines()[-1])
    assert Path(told["file"]).is_relative_to(place), "the copy is what ran"
    assert len(told["scores"]) == 10 and np.isfinite(told["scores"]).all()
    assert told["verified"]
    assert [(model["file"], model["ops"]) for model in told["models"]] == [("model.rev", [])]
    assert [row["available"] for row in told["doctor"]] == [True]
    assert "jinja2" in told["key"], "its runtime's version is in the key of what is measured"
    assert told["passes"] == ["bias_of_matmul"]


def test_its_facts_reach_what_a_bundle_holds(place: Path) -> None:
    out = place / "out"
    parts = json.loads((out / "sbom.json").read_text())["components"]
    required = {part["name"] for part in parts if part.get("scope") == "required"}
    assert "jinja2" in required and "onnxruntime" not in required
    assert not list(out.rglob("predict*")), "no program opens its files"
    assert "cmake" not in (out / "README.md").read_text()
    assert "pip install jinja2" in (out / "report.html").read_text()


def test_a_bundle_may_ask_it_for_what_its_folder_allows_alone(place: Path) -> None:
    (next(place.rglob("ort-cpu.toml")).parent / "other.toml").write_text(TARGET.replace("threads = 1", 'secret = "x"'))
    said = python(place, "-m", "edgekd", "plan", "recipe.toml", "--target", "other", code=2)
    assert "options.secret: not for a bundle to ask for" in said and "threads" in said
