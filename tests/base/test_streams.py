"""What is printed goes to whatever there is: ASCII terminals, pipes that end, full disks; and light installs."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgekd import cli
from edgekd.base import disk, streams
from edgekd.base.errors import UsageError
from edgekd.cli import console, running

# What neither a device nor a light install has.
ABSENT = ("torch", "onnx", "onnx_ir", "onnxscript", "pydantic", "jinja2", "google", "safetensors", "sklearn", "PIL")
LIGHT = f"""
import json, sys
for name in {ABSENT!r}:
    sys.modules[name] = None
from edgekd import cli
codes = {{}}
for args in (["doctor"], ["targets"], ["cache"], ["init", "new.toml"], ["report", "nowhere"], ["nonsense"]):
    codes[args[0]] = cli.run(args)
sys.stderr.write(json.dumps(codes) + "\\n")
"""


def written(text: str, encoding: str, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """What ``console.show`` leaves on a stdout of an encoding."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    streams.prepare()
    console.show(text)
    sys.stdout.flush()
    return raw.getvalue()


@pytest.mark.parametrize(
    ("encoding", "wanted"),
    [("ascii", b"ok Gr\\xfc\\xdfe . \\U0001f600 \\udcff"), ("latin-1", b"ok Gr\xfc\xdfe \xb7 \\U0001f600 \\udcff")],
)
def test_every_encoding_takes_every_text(encoding: str, wanted: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also half a surrogate, which a file's name that is no UTF-8 is read as."""
    assert written(f"{console.SHIPS} Grüße · 😀 \udcff", encoding, monkeypatch).rstrip() == wanted
    assert b"\\udcff" in written("\udcff", "utf-8", monkeypatch)


@pytest.mark.parametrize("args", [["cache"], ["cache", "--json"], ["--help"]])
def test_a_full_stdout_is_an_error_and_a_closed_pipe_none(args: list[str], tmp_path: Path) -> None:
    command = f"import sys; from edgekd import cli; sys.exit(cli.run({[*args]!r}))"
    env = {**os.environ, "EDGEKD_CACHE": str(tmp_path)}
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", command], stdout=full, stderr=subprocess.PIPE, text=True, env=env)
    assert done.returncode == 6 and done.stderr.count("\n") == 1 and "the disk is full" in done.stderr
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "-c", command], stdout=writing, stderr=subprocess.PIPE, text=True, env=env)
    os.close(writing)
    assert done.stderr == "" and (done.returncode == 0 or args == ["--help"])


def test_closed_streams_take_text_and_keep_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert cli.run(["cache", "--cache", str(tmp_path)]) == 0
    assert cli.run(["cache", "--nonsense"]) == 2
    for stream in (sys.stdout, sys.stderr):
        stream.close()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EPIPE])
def test_progress_ends_no_build(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """stderr on a full disk, and a pipe that nobody reads on."""

    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(sys, "stderr", Broken())
    with console.ProgressBars() as progress:
        progress({"step": "teacher"})
        progress({"step": "note", "note": "a note"})
    running.tell("a line")


def test_what_a_light_install_has_runs_there(tmp_path: Path) -> None:
    env = {**os.environ, "EDGEKD_CACHE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", LIGHT], cwd=tmp_path, capture_output=True, text=True, env=env, check=True
    )
    codes = {"doctor": 0, "targets": 0, "cache": 0, "init": 0, "report": 4, "nonsense": 2}
    assert json.loads(done.stderr.splitlines()[-1]) == codes
    assert "is not installed; pip install 'edgekd[build,ort]'" in done.stderr
    assert (tmp_path / "new.toml").read_text().count('name = "new"') == 1


def test_no_home_and_no_entry_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HOME", "EDGEKD_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def nobody(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr("pwd.getpwuid", nobody)
    with pytest.raises(UsageError, match="no home folder; give --cache, or set EDGEKD_CACHE"):
        disk.cache_root()
    assert cli.run(["cache", "--cache", str(tmp_path)]) == 0
