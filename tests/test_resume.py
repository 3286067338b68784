"""A build that is killed, a build that is repeated, a factory that is edited."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from edgekd import cli

ROOT = Path(__file__).parent.parent
# Large enough that on no CPU int8 takes longer than fp32: the choice between them would be the clock's. Such a build
# takes 15 s of CPU, nearly all of it PyTorch's exports, and the rehearsal 9 more: the builds are ``--quick``, with the
# same steps.
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


def test_killed_builds_end_with_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    line = [sys.executable, str(ROOT / "benchmarks" / "kills.py"), "--kills", "1", "--no-result"]
    line += ["--recipe", str(tmp_path / "recipe.toml"), "--set", "seed=0", "--target", "ort-cpu", "--quick"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(line, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "killed True" in done.stdout


FACTORY = """
from torch import nn
def student():
    return nn.Sequential(nn.Flatten(), nn.Linear(256, 32), nn.ReLU(), nn.Linear(32, 3))
"""


def test_an_edited_factory_is_trained_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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

    def build() -> dict[str, object]:
        line = [sys.executable, "-m", "edgekd", "build", "recipe.toml", "--target", "ort-cpu", "--out", "out"]
        line += ["--cache", "cache", "--json", "--overwrite", "--quick"]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}
        done = subprocess.run(line, capture_output=True, text=True, env=env, cwd=tmp_path, check=False)
        assert done.returncode == 0, done.stderr
        report: dict[str, object] = json.loads(done.stdout)
        report["said"] = done.stderr
        return report

    one = build()
    assert "student  loss" in str(one["said"])
    assert "student" not in str(build()["said"]), "an unchanged build trains nothing"
    (package / "nets.py").write_text(textwrap.dedent(FACTORY).replace("32", "48"))
    two = build()
    assert "student  loss" in str(two["said"]), "the changed student was not trained"
    assert "teacher  from the cache" in str(two["said"])
    assert one["stages"][1]["params"] != two["stages"][1]["params"]  # type: ignore[index]


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
    from edgekd import pipeline

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "train_all", interrupt)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    line = ["build", str(tmp_path / "recipe.toml"), "--quick", "--target", "ort-cpu"]
    assert cli.run([*line, "--out", str(tmp_path / "out")]) == 130
    assert "go on where it stopped" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
