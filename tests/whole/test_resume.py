"""A build that is killed, a build that is repeated, a factory that is edited."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import _whole as whole
import pytest
from kills import content

from edgekd import cli
from edgekd.learn import threads

FIXED = threads.fixed  # which tests do without: see conftest.py
ROOT = Path(__file__).parents[2]
FRESH = (sys.executable, "-P", "-m", "edgekd")
RECIPE = """
name = "small"
[data]
source = "made"
shape = [16, 16, 1]
classes = 3
train = 200
validation = 40
test = 40
[teacher]
model = { kind = "convnet", width = 48, depth = 2 }
epochs = 6
[student]
model = { kind = "convnet", width = 48, depth = 2 }
epochs = 6
[[losses]]
kind = "kl"
[[compress]]
kind = "channel_prune"
ratio = 0.25
epochs = 2
[[compress]]
kind = "int8_qat"
epochs = 2
[budget]
max_drop = 1.0
prefer = "size"
"""


@pytest.mark.usefixtures("no_clock_bars")
def test_a_killed_build_ends_with_the_bytes_of_an_undisturbed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The killed one is a fresh Python's, the others are this process's; ``whole_kills.py`` kills hundreds."""
    monkeypatch.setattr(threads, "fixed", FIXED)
    for name in ("killed", "whole"):
        (tmp_path / name).mkdir()
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    killed = subprocess.Popen([*FRESH, *whole.BUILD], cwd=tmp_path / "killed", env=env, stderr=subprocess.DEVNULL)
    try:
        while killed.poll() is None and not list(tmp_path.glob("killed/cache/artifacts/*/[!.]*/model.safetensors")):
            time.sleep(0.01)
    finally:
        killed.kill()
    assert killed.wait() == -signal.SIGKILL and not (tmp_path / "killed" / "out").exists()
    for name in ("killed", "whole"):
        monkeypatch.chdir(tmp_path / name)
        capsys.readouterr()
        assert cli.run(whole.BUILD) == 0
        assert ("teacher  from the cache" in capsys.readouterr().err) is (name == "killed")
    assert content(tmp_path / "killed" / "out") == content(tmp_path / "whole" / "out")


FACTORY = """
from torch import nn
def student():
    return nn.Sequential(nn.Flatten(), nn.Linear(256, 32), nn.ReLU(), nn.Linear(32, 3))
"""


def test_an_edited_factory_is_trained_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, _, after = RECIPE.partition("[[compress]]")
    text = kept.replace(
        '[student]\nmodel = { kind = "convnet", width = 48, depth = 2 }',
        '[student]\nmodel = { kind = "python", factory = "zoo_of_mine.nets:student" }',
    )
    (tmp_path / "recipe.toml").write_text(text + "[budget]" + after.partition("[budget]")[2])
    package = tmp_path / "zoo_of_mine"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "nets.py").write_text(textwrap.dedent(FACTORY))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def build() -> dict[str, object]:
        line = ["build", "recipe.toml", "--target", "ort-cpu", "--out", "out", "--json", "--overwrite", "--quick"]
        assert cli.run(line) == 0
        printed = capsys.readouterr()
        return {**json.loads(printed.out), "said": printed.err}

    one = build()
    assert "student  loss" in str(one["said"])
    assert "student" not in str(build()["said"]), "an unchanged build trains nothing"
    (package / "nets.py").write_text(textwrap.dedent(FACTORY).replace("32", "48"))
    two = build()
    assert "student  loss" in str(two["said"]), "the changed student was not trained"
    assert "teacher  from the cache" in str(two["said"])
    assert one["stages"][1]["params"] != two["stages"][1]["params"]  # type: ignore[index]


@pytest.mark.usefixtures("no_clock_bars")
def test_a_damaged_cache_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE.replace("width = 48", "width = 32").replace("0.25", "0.5"))
    line = [
        "build",
        str(tmp_path / "recipe.toml"),
        "--target",
        "ort-cpu",
        "--quick",
        "--cache",
        str(tmp_path / "cache"),
    ]
    assert cli.run([*line, "--out", str(tmp_path / "one")]) == 0
    for file in (tmp_path / "cache" / "artifacts").rglob("model.*"):
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(data)
    assert cli.run([*line, "--out", str(tmp_path / "two")]) == 0
    one, two = ((tmp_path / name / "ort-cpu" / "model.onnx").read_bytes() for name in ("one", "two"))
    assert len(one) == len(two)


def test_an_interrupted_build_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from edgekd.build import run as running

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "train_all", interrupt)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    line = ["build", str(tmp_path / "recipe.toml"), "--quick", "--target", "ort-cpu"]
    assert cli.run([*line, "--out", str(tmp_path / "out")]) == 130
    assert "go on where it stopped" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
