"""The wheel holds what a pip-installed edgekd needs."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import table  # of benchmarks/

import edgekd
from edgekd.base import host, plugins

ROOT = Path(__file__).parent.parent


def test_targets_recipes_and_the_page_are_in_the_wheel(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(line, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"edgekd/targets/openvino.toml", "edgekd/spec/recipes/digits.toml", "edgekd/report/page.html"} <= names
    assert not any(name.startswith(("tests/", "benchmarks/")) for name in names)
    installed = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(installed)
    code = (
        "from edgekd.base import recipe_files, target_files as t; print(t.folder(), t.names(), recipe_files.builtins())"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], env={"PYTHONPATH": str(installed)},
                          capture_output=True, text=True, check=True, cwd=tmp_path)  # fmt: skip
    assert str(installed / "edgekd" / "targets") in done.stdout
    assert "openvino" in done.stdout and "fashion-mnist" in done.stdout


def test_the_readme_says_what_was_measured() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert table.headlines() in text, "run: python benchmarks/table.py --write"


def test_the_version_stands_in_one_place() -> None:
    line = [sys.executable, "-m", "hatchling", "version"]
    done = subprocess.run(line, cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == edgekd.__version__ == plugins.version("edgekd")
    assert host.facts()["versions"]["edgekd"] == edgekd.__version__
    assert f"## {edgekd.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
