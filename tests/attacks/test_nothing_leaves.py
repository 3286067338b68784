"""Law 6 by effect: with an empty HOME and TMPDIR a process leaves no file there, whatever runtime it opened."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import _watched as watched
import pytest

from edgekd.learn import quiet

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys, time
import numpy as np, edgekd
model = edgekd.load(sys.argv[1], target=sys.argv[2])
model.predict(np.zeros((8, 8), np.uint8))
edgekd.verify(sys.argv[1])
time.sleep(float(sys.argv[3]))
"""


class Begun(NamedTuple):
    """A process that opens a bundle, and where it may leave what it should not."""

    process: subprocess.Popen[str]
    folder: Path

    @property
    def sockets(self) -> Path:
        return self.folder / "sockets"


@pytest.fixture(scope="module", autouse=True)
def begun(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Begun]]:
    """One for each runtime, from the first test of this file on: the last one looks at what they did."""
    processes: dict[str, Begun] = {}
    for target in ("ort-cpu", "openvino"):
        folder = tmp_path_factory.mktemp(target)
        home, temporary = folder / "home", folder / "tmp"
        home.mkdir()
        temporary.mkdir()
        env = {**os.environ, "HOME": str(home), "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}
        env.pop("ORT_DISABLE_TELEMETRY", None)
        traced = watched.can_watch()
        watch = ["strace", "-f", "-e", "trace=network", "-o", str(folder / "sockets")] if traced else []
        seconds = "12" if traced and target == "ort-cpu" else "0"  # it looks its collector's host up after 10
        line = [*watch, sys.executable, "-c", PROGRAM, str(digits / "out"), target, seconds]
        processes[target] = Begun(subprocess.Popen(line, stderr=subprocess.PIPE, text=True, env=env), folder)
    yield processes
    for one in processes.values():
        one.process.kill()
        with one.process:
            pass


def test_a_value_of_the_users_counts() -> None:
    program = "import os, edgekd.runtime.backends.ort.backend; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    for given, found in (({}, "1"), ({"ORT_DISABLE_TELEMETRY": "0"}, "0")):
        env = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"} | given
        line = [sys.executable, "-c", program]
        done = subprocess.run(line, capture_output=True, text=True, env={**env, "PYTHONPATH": str(ROOT)}, check=True)
        assert done.stdout.strip() == found


COMMANDS = {
    "report": ("-m", "edgekd", "report", "{bundle}", "--out", "{made}/page.html"),
    "a device": ("-m", "edgekd", "bench", "{bundle}", "--target", "openvino", "--seconds", "0.05", "--device", "board",
                 "--devices", "{devices}"),
    "predict.py": ("{bundle}/examples/python/predict.py",),
    "predict_openvino.py": ("{bundle}/examples/python/predict_openvino.py",),
}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_what_runs_asks_nobody_and_writes_where_it_was_told(name: str, digits: Path, tmp_path: Path) -> None:
    """Some rows of ``benchmarks/no_network.py``, which waits a minute after each of all."""
    if not watched.can_watch():
        pytest.skip("strace is not installed")
    devices = tmp_path / "devices.toml"
    devices.write_text(f'[board]\nkind = "local"\npython = "{sys.executable}"\n')
    places = {"{bundle}": str(digits / "out"), "{devices}": str(devices)}
    line = [sys.executable, *COMMANDS[name]]
    for word, place in places.items():
        line = [part.replace(word, place) for part in line]
    found = watched.watch(line, tmp_path / "row", more={"EDGEKD_CACHE": "{made}/cache"})
    assert watched.is_clean(found), found


SEEN = """\
7 socket(AF_UNIX, SOCK_STREAM, 0) = 3<socket:[1]>
7 socket(AF_INET6, SOCK_STREAM, IPPROTO_IP) = 3<socket:[2]>
7 bind(3<socket:[2]>, {sa_family=AF_INET6, sin6_port=htons(0), inet_pton(AF_INET6, "::1", &sin6_addr)}, 28) = 0
8 socket(AF_INET, SOCK_DGRAM, IPPROTO_IP <unfinished ...>
7 openat(AT_FDCWD</here>, "a.txt", O_WRONLY|O_CREAT, 0666 <unfinished ...>
8 <... socket resumed>) = 4<socket:[3]>
7 <... openat resumed>) = 5</here/a.txt>
8 connect(4<socket:[3]>, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("10.0.0.1")}, 16) = 0
7 openat(AT_FDCWD</here>, "/etc/resolv.conf", O_RDONLY|O_CLOEXEC) = 6</etc/resolv.conf>
7 openat(AT_FDCWD</here>, "made/b", O_RDWR|O_CREAT, 0666) = 7</here/made/b>
7 renameat2(7</here/made>, "b", AT_FDCWD</here>, "/there/c", 0) = 0
7 mkdir("/there", 0777) = -1 EEXIST (File exists)
"""


def test_the_watch_sees_what_there_is() -> None:
    found = watched.calls(SEEN, ["/here/made"])
    assert found["sockets"] == {"AF_UNIX": 1, "loopback": 1, "AF_INET": 1}
    assert found["lookups"] == 2
    assert found["outside"] == {"/here/a.txt", "/there/c"}


def test_the_folder_that_torch_makes_goes_unless_something_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quiet, "_IS_THE_USERS", False)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))  # torch sets it, too
    with quiet.quiet():
        (tmp_path / "inductor").mkdir()
    assert not (tmp_path / "inductor").exists()
    with quiet.quiet():
        (tmp_path / "inductor" / "kernel").mkdir(parents=True)
    assert (tmp_path / "inductor" / "kernel").exists()


@pytest.mark.parametrize("target", ["ort-cpu", "openvino"])
def test_no_file_is_left_and_no_host_is_asked(target: str, begun: dict[str, Begun]) -> None:
    one = begun[target]
    _, said = one.process.communicate()
    assert one.process.returncode == 0, said
    assert [path for name in ("home", "tmp") for path in (one.folder / name).rglob("*") if path.is_file()] == []
    if watched.can_watch():
        assert "AF_INET" not in one.sockets.read_text()
