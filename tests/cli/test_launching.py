"""``edgekd build --launch``: mistakes, and a build in two processes beside one in one."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

import click
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgekd import cli
from edgekd.build import request as requests
from edgekd.cli import launching, options
from edgekd.learn import threads

ROOT = Path(__file__).parents[2]
TORCHRUN = f"{sys.executable} -m torch.distributed.run --nproc-per-node 2"
NET = "{ kind = 'convnet', width = 8, depth = 2 }"
RECIPE = f"""
name = "small"
[data]
source = "made"
shape = [8, 8, 1]
classes = 3
train = 96
validation = 40
test = 8
[teacher]
model = {NET}
epochs = 2
[student]
model = {NET}
epochs = 2
[[losses]]
kind = "kl"
[budget]
max_drop = 1.0
"""
LINE = ("build", "small.toml", "--target", "ort-cpu", "--quick", "--json", "--out")
FIXED = threads.fixed  # which tests do without: see conftest.py


def weights(bundle: Path) -> dict[str, np.ndarray]:
    """Of the file that ships, by name."""
    (file,) = bundle.rglob("*.onnx")
    return {one.name: numpy_helper.to_array(one) for one in onnx.load(file).graph.initializer}


def test_two_processes_build_the_student_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The first rank alone writes and prints; another rank's cache, were it to write there, would be the same folder,
    so that what it prints is looked for: one document."""
    monkeypatch.chdir(tmp_path)
    Path("small.toml").write_text(RECIPE)
    monkeypatch.setattr(threads, "fixed", FIXED)
    launcher = f"{sys.executable} {ROOT / 'benchmarks' / '_launcher.py'}"
    assert cli.run([*LINE, "two", "--cache", "cache-of-two", "--launch", launcher]) == 0
    two = json.loads(capfd.readouterr().out)
    assert cli.run([*LINE, "one", "--cache", "cache-of-one"]) == 0
    one = json.loads(capfd.readouterr().out)
    for stage, other in zip(one["stages"], two["stages"], strict=True):
        assert (stage["name"], stage["value_validation"]) == (other["name"], other["value_validation"])
    for name, value in weights(Path("one")).items():
        np.testing.assert_allclose(weights(Path("two"))[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
    # Ranks whose folders this machine does not see say nothing here: what they built is looked at.
    Path("copy.py").write_text("import shutil; shutil.copytree('one', 'three')")
    elsewhere = f"{sys.executable} copy.py"
    assert cli.run([*LINE, "three", "--cache", "cache-of-one", "--launch", elsewhere]) == 0
    # What stands is found without a launcher, were it one that starts nothing.
    assert cli.run([*LINE, "two", "--cache", "cache-of-two", "--launch", "true"]) == 0


RANK = """
import os, subprocess, sys
import click
from edgekd.cli import running

code, rank, *local = sys.argv[1].split(",")
os.environ.update({"RANK": rank, "LOCAL_RANK": local[0]} if local else {"SLURM_PROCID": rank, "SLURM_LOCALID": "0"})
if len(sys.argv) > 2:
    subprocess.run([sys.executable, __file__, *sys.argv[2:]])
del sys.argv[1:]
running.started(click.Command("x", callback=lambda: int(code)))
"""


@pytest.mark.parametrize(
    ("ranks", "code"),
    [
        (["0,2,0", "4,3,1"], None),  # the second of two machines: its own first rank says it
        (["4,2,0"], 4),
        (["0,0,0", "4,2,0"], None),  # both machines' see the folder: the first of all says it
        (["7,4"], 7),  # srun
    ],
)
def test_the_first_rank_of_a_machine_says_how_it_ended(tmp_path: Path, ranks: list[str], code: int | None) -> None:
    (tmp_path / "rank.py").write_text(RANK)
    line = [sys.executable, str(tmp_path / "rank.py"), *ranks[::-1]]
    request = requests.make("digits", ["ort-cpu"], out=tmp_path / "out", cache=tmp_path / "cache")
    with contextlib.nullcontext() if code is None else pytest.raises(click.exceptions.Exit) as ended:
        launching.start(line, request)
    assert ended is None or ended.value.exit_code == code
    assert not list((tmp_path / "cache" / launching.FOLDER).iterdir())


@pytest.mark.parametrize(
    ("launch", "message"),
    [
        ("", "--launch: is empty; allowed: torchrun --nproc-per-node 2 or "),
        ("torchrun 'a", "--launch: is no command: No closing quotation"),
        ("torchrunn -n 2", "--launch: no such program; found 'torchrunn'; .* did you mean 'torchrun'?"),
        ("true", "--launch: it ended, and no first rank told how"),
        ("false", "--launch: a rank ended, and all with it; found 'exit code 1'; run the same command again"),
    ],
)
def test_a_launcher_that_can_not_be(launch: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.run(["build", "digits", "--quick", "--target", "ort-cpu", "--launch", launch])
    assert code == (4 if launch == "false" else 2)
    error = capsys.readouterr().err
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(error)


def test_a_rank_starts_no_launcher(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "here", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    assert cli.run(["build", "digits", "--launch", "true"]) == 2
    assert "--launch: this process was started by a launcher" in capsys.readouterr().err
    monkeypatch.delenv("WORLD_SIZE")
    assert cli.run(["build", "digits"]) == 2
    assert "half an environment of ranks; found 'no WORLD_SIZE'" in capsys.readouterr().err


def test_the_mistakes_of_a_recipe_are_told_before_anything_is_launched(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["build", "digits", "--set", "name=Bad/", "--launch", "false"]) == 2
    assert "name: string should match" in capsys.readouterr().err


def test_the_build_has_the_arguments_but_the_launcher() -> None:
    with click.Context(cli.cli.commands["build"]) as context:
        given = ["r.toml", "--launch", "srun --ntasks 2", "--set", "a=b", "--launch=x", "--out", "--launch"]
        options.Launched.parse_args(cli.cli.commands["build"], context, given[:-2])  # type: ignore[arg-type]
    left = context.meta[options.ARGUMENTS]
    assert left == ["r.toml", "--set", "a=b"]
    assert launching.command("env -i", left)[1:] == ["-i", sys.executable, "-m", "edgekd", "build", *left]
    beside = os.path.dirname(sys.executable)
    assert launching.command(f"{sys.executable} -m torch.distributed.run", left)[1:3] == ["-m", "torch.distributed.run"]
    accelerate = f"{sys.executable} -m accelerate.commands.launch --cpu"
    assert launching.command(accelerate, left)[3:] == ["--cpu", "-m", "edgekd", "build", *left]
    assert launching.command(TORCHRUN, left)[-6:] == ["-m", "edgekd", "build", *left], beside
