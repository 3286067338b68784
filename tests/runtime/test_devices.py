"""Measuring on another machine: a real sshd in a network of its own, and whatever can go wrong on the way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
import pytest

from edgekd.base.errors import EdgekdError, UsageError
from edgekd.runtime import bundle as bundles
from edgekd.runtime import remote
from edgekd.runtime.bundle import Bundle, Variant
from edgekd.runtime.devices._find import find
from edgekd.runtime.devices.local import Local
from edgekd.tasks import Heads

ROOT = Path(__file__).parents[2]
PORT = 2222
NET = """
<ir_version: 10, opset_import: ["" : 20]>
net (float[N, 3, 8, 8] x) => (float[N, 3] logits)
{
  p = GlobalAveragePool(x)
  logits = Flatten(p)
}
"""


def make_bundle(folder: Path, *, pad: int = 0, isa: tuple[str, ...] = (), backend: str = "ort") -> Path:
    """A bundle of one small variant; ``pad`` bytes make its file larger."""
    model = onnx.parser.parse_model(NET)
    if pad:
        noise = np.random.default_rng(0).integers(0, 256, pad, dtype=np.uint8).tobytes()
        onnx.helper.set_model_props(model, {"noise": noise.hex()[:pad]})
    x = {"x": np.zeros((1, 3, 8, 8), np.float32)}
    files = {"model.onnx": model.SerializeToString()}
    golden = x, {"logits": np.zeros((1, 3), np.float32)}
    variant = Variant("ort-cpu", backend, {}, files, isa, "float32", False, 1, 1e-3, golden=golden, record={})
    ops = [{"op": "layout"}]
    bundle = Bundle(
        "net",
        {"kind": "classification"},
        "0" * 64,
        list("abc"),
        Heads({"logits": 3}),
        ops,
        [8, 8, 3],
        True,
        [variant],
        sample_dtype="uint8",
    )
    bundles.write(folder, bundle, {})
    return folder


def sh(*line: str) -> str:
    return subprocess.run(line, check=True, capture_output=True, text=True).stdout


@dataclass
class Hosts:
    """Two network namespaces with a cable between them: one has the bundle, the other an sshd and a Python.

    They share one file system, so the device's folders are told apart: ``tmp`` is where it writes.
    """

    folder: Path
    here: str
    there: str
    devices: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def tmp(self) -> Path:
        return self.folder / "there-tmp"

    @property
    def log(self) -> str:
        return (self.folder / "sshd.log").read_text()

    def device(self, name: str, **keys: Any) -> str:
        """Have a device in devices.toml."""
        table = {"kind": "ssh", "host": "10.231.7.2", "user": "root", "port": PORT, "patience": 3}
        self.devices[name] = {**table, "config": str(self.folder / "config"), "python": self.python("plain"), **keys}
        text = "".join(
            f"[{device}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items()) + "\n"
            for device, table in self.devices.items()
        )
        (self.folder / "edgekd").mkdir(exist_ok=True)
        (self.folder / "edgekd" / "devices.toml").write_text(text)
        return name

    def python(self, name: str, *, without: str = "", export: str = "") -> str:
        """A Python with numpy and onnxruntime and nothing else, or without one of these."""
        folder = self.folder / name
        if not folder.exists():
            sh(sys.executable, "-m", "venv", "--without-pip", str(folder))
            packages = next(folder.glob("lib/*/site-packages"))
            source = Path(np.__file__).parents[1]
            for entry in source.iterdir():
                if entry.name.startswith(("numpy", "onnxruntime")) and (
                    not without or not entry.name.startswith(without)
                ):
                    (packages / entry.name).symlink_to(entry)
        if not export:
            return str(folder / "bin" / "python")
        script = self.folder / f"{name}-python"
        script.write_text(f'#!/bin/sh\n{export}\nexec {folder}/bin/python "$@"\n')
        script.chmod(0o755)
        return str(script)

    def start(self, bundle: Path, device: str, *more: str) -> subprocess.Popen[str]:
        line = ["ip", "netns", "exec", self.here, sys.executable, "-m", "edgekd", "bench", str(bundle)]
        env = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(self.folder)}
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        # A suite in the background of a script ignores Ctrl-C, and so would what it starts.
        pipes["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
        return subprocess.Popen([*line, "--device", device, "--json", *more], env=env, **pipes)

    def bench(self, bundle: Path, device: str, *more: str) -> tuple[int, str, str]:
        """The command to its end: exit code, stdout, stderr."""
        process = self.start(bundle, device, *more)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def running(self, word: str) -> list[int]:
        """Processes of the device whose command line has a word in it."""
        found = []
        for pid in sh("ip", "netns", "pids", self.there).split():
            try:
                if word in Path(f"/proc/{pid}/cmdline").read_text():
                    found.append(int(pid))
            except OSError:
                continue
        return found

    def left(self) -> list[str]:
        """What is running or lying about on the device that was not there before."""
        programs = [f"process {pid}" for pid in (*self.running("agent"), *self.running("edgekd"))]
        return programs + [str(path) for path in self.tmp.rglob("*")]

    def link(self, state: str) -> None:
        sh("ip", "-n", self.there, "link", "set", "cable1", state)

    def slow(self, rate: str) -> None:
        """So many bits a second from here to there; an empty rate: as fast as it goes."""
        qdisc = ["ip", "netns", "exec", self.here, "tc", "qdisc"]
        if rate:
            sh(*qdisc, "replace", "dev", "cable0", "root", "tbf", "rate", rate, "burst", "32kbit", "latency", "400ms")
        else:
            sh(*qdisc, "del", "dev", "cable0", "root")


def wait_for(what: Callable[[], Any], seconds: float = 60) -> Any:
    """What something gives once it gives anything."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.1)
    pytest.fail("it did not happen in time")


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    sshd = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if sshd is None or shutil.which("ip") is None or shutil.which("ssh") is None:
        pytest.skip("needs sshd, ssh and ip (Debian: openssh-server, openssh-client, iproute2)")
    folder, number = tmp_path_factory.mktemp("hosts"), os.getpid()
    made = Hosts(folder, f"kd-here-{number}", f"kd-there-{number}")
    if subprocess.run(["ip", "netns", "add", made.here], capture_output=True, check=False).returncode:
        pytest.skip("this system gives no network namespaces")
    server = None
    try:
        sh("ip", "netns", "add", made.there)
        sh(
            "ip",
            "-n",
            made.here,
            "link",
            "add",
            "cable0",
            "type",
            "veth",
            "peer",
            "name",
            "cable1",
            "netns",
            made.there,
        )
        for name, device, address in ((made.here, "cable0", "10.231.7.1/24"), (made.there, "cable1", "10.231.7.2/24")):
            sh("ip", "-n", name, "addr", "add", address, "dev", device)
            for one in ("lo", device):
                sh("ip", "-n", name, "link", "set", one, "up")
        server = _serve(made, sshd)
        made.device("pi")
        yield made
    finally:
        if server is not None:
            server.kill()
            server.wait()
        subprocess.run(["umount", str(folder / "disk")], capture_output=True, check=False)
        for name in (made.here, made.there):
            for pid in subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True).stdout.split():
                os.kill(int(pid), signal.SIGKILL)
            subprocess.run(["ip", "netns", "del", name], check=False)


def _serve(made: Hosts, sshd: str) -> subprocess.Popen[bytes]:
    folder = made.folder
    made.tmp.mkdir()
    (folder / "disk").mkdir()
    sh("mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", str(folder / "disk"))  # now: ip netns exec copies the mounts
    Path("/run/sshd").mkdir(exist_ok=True)
    for key in ("host", "user", "stranger"):
        sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key))
    (folder / "authorized").write_text((folder / "user.pub").read_text())
    (folder / "known").write_text(f"[10.231.7.2]:{PORT} {(folder / 'host.pub').read_text()}")
    (folder / "wrong").write_text(f"[10.231.7.2]:{PORT} {(folder / 'stranger.pub').read_text()}")
    for name, key, known in (
        ("config", "user", "known"),
        ("stranger-config", "stranger", "known"),
        ("wrong-config", "user", "wrong"),
    ):
        text = f"IdentityFile {folder / key}\nIdentitiesOnly yes\nUserKnownHostsFile {folder / known}\n"
        (folder / name).write_text(f"{text}GlobalKnownHostsFile none\n")
    (folder / "sshd_config").write_text(
        textwrap.dedent(f"""\
        Port {PORT}
        ListenAddress 10.231.7.2
        HostKey {folder / "host"}
        AuthorizedKeysFile {folder / "authorized"}
        PermitRootLogin yes
        StrictModes no
        UsePAM no
        PidFile none
        SetEnv TMPDIR={made.tmp}
        """)
    )
    line = [
        "ip",
        "netns",
        "exec",
        made.there,
        sshd,
        "-D",
        "-f",
        str(folder / "sshd_config"),
        "-E",
        str(folder / "sshd.log"),
    ]
    server = subprocess.Popen(line)
    wait_for(lambda: (folder / "sshd.log").is_file() and "listening" in made.log)
    return server


def test_a_device_with_numpy_and_the_runtime_alone(hosts: Hosts, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "net")
    code, out, err = hosts.bench(bundle, "pi", "--seconds", "0.2")
    assert code == 0, err
    document = json.loads(out)
    assert document["device"] == "pi" and document["host"]["cores"] >= 1
    assert document["variants"]["ort-cpu"]["latency_ms"]["p50"] > 0
    assert "onnxruntime" in document["host"]["versions"] and "torch" not in document["host"]["versions"]
    assert "10.231.7.1" in hosts.log and "Accepted publickey for root" in hosts.log
    assert hosts.left() == []


def test_devices_are_compared(hosts: Hosts, tmp_path: Path) -> None:
    hosts.device("other")
    code, out, _ = hosts.bench(make_bundle(tmp_path / "net"), "pi", "--device", "other", "--seconds", "0.1")
    assert code == 0
    assert [found["device"] for found in json.loads(out)["devices"]] == ["pi", "other"]


FAULTS: dict[str, tuple[Callable[[Hosts], dict[str, Any]], str]] = {
    "wrong key": (lambda h: {"config": str(h.folder / "stranger-config")}, "does not let this user in"),
    "unknown host key": (lambda h: {"config": str(h.folder / "wrong-config")}, "its host key is not the one known"),
    "nothing listens": (lambda h: {"port": PORT + 1}, "nothing listens there"),
    "no such host": (lambda h: {"host": "10.231.7.99"}, "can't be reached"),
    "no Python": (lambda h: {"python": "/opt/none/python3"}, "has no such Python; found '/opt/none/python3'"),
    "old Python": (
        lambda h: {"python": old_python(h)},
        "its Python is too old; found '3.8.10'; allowed: 3.11 or later",
    ),
    "no numpy": (lambda h: {"python": h.python("no-numpy", without="numpy")}, "its Python has no numpy"),
    "small disk": (
        lambda h: {"python": h.python("full", export=f"export TMPDIR={h.folder}/disk")},
        "too little room",
    ),
}


def old_python(hosts: Hosts) -> str:
    """A Python that says it is 3.8."""
    site = next((hosts.folder / "plain").glob("lib/*/site-packages"))
    (hosts.folder / "old").mkdir(exist_ok=True)
    (hosts.folder / "old" / "sitecustomize.py").write_text("import sys\nsys.version_info = (3, 8, 10, 'final', 0)\n")
    assert site.is_dir()
    return hosts.python("plain", export=f"export PYTHONPATH={hosts.folder / 'old'}")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_and_leaves_nothing(hosts: Hosts, tmp_path: Path, fault: str) -> None:
    keys, said = FAULTS[fault]
    device = hosts.device(fault.replace(" ", "-"), **keys(hosts))
    code, out, err = hosts.bench(make_bundle(tmp_path / "net"), device, "--seconds", "0.1")
    assert code in (4, 6) and out == "", (code, out, err)
    assert said in err and "Traceback" not in err
    assert hosts.left() == []
    code, _, err = hosts.bench(tmp_path / "net", "pi", "--seconds", "0.1")
    assert code == 0, err


def test_a_missing_runtime_and_another_architecture_are_reasons_to_skip(hosts: Hosts, tmp_path: Path) -> None:
    bare = hosts.device("bare", python=hosts.python("no-runtime", without="onnxruntime"))
    document = json.loads(hosts.bench(make_bundle(tmp_path / "net"), bare)[1])
    assert "onnxruntime is not installed" in document["variants"]["ort-cpu"]["skipped"]
    document = json.loads(hosts.bench(make_bundle(tmp_path / "arm", isa=("neon",)), "pi")[1])
    assert "this CPU lacks what the file needs; found 'no neon'" in document["variants"]["ort-cpu"]["skipped"]
    assert hosts.left() == []


def test_a_cable_pulled_in_the_middle_of_the_copy(hosts: Hosts, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "net", pad=2_000_000)
    hosts.slow("4mbit")
    try:
        process = hosts.start(bundle, "pi")
        wait_for(lambda: any(path.suffix == ".part" and path.stat().st_size > 100_000 for path in hosts.tmp.rglob("*")))
        hosts.link("down")
        out, err = process.communicate(timeout=60)
    finally:
        hosts.link("up")
        hosts.slow("")
    assert process.returncode == 4 and out == ""
    assert "it can't be reached" in err or "it says nothing any more" in err
    wait_for(lambda: not hosts.left())
    assert hosts.bench(bundle, "pi", "--seconds", "0.1")[0] == 0


@pytest.mark.parametrize("how", ["cable", "agent", "connection"])
def test_cut_while_it_measures(hosts: Hosts, tmp_path: Path, how: str) -> None:
    bundle = make_bundle(tmp_path / "net")
    process = hosts.start(bundle, "pi", "--seconds", "60")
    wait_for(lambda: hosts.running("edgekd.runtime.bench"))
    if how == "cable":
        hosts.link("down")
    else:
        for pid in hosts.running("import sys" if how == "agent" else "sshd: root@notty"):
            os.kill(pid, signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    hosts.link("up")
    assert process.returncode == 4 and out == "", err
    assert "10.231.7.2" in err and "Traceback" not in err
    wait_for(lambda: not hosts.running("edgekd.runtime.bench"), 30)
    code, _, err = hosts.bench(bundle, "pi", "--seconds", "0.1")
    assert code == 0, err
    wait_for(lambda: not hosts.left())


def test_a_slow_link_is_only_slow(hosts: Hosts, tmp_path: Path) -> None:
    hosts.slow("2mbit")
    try:
        code, _, err = hosts.bench(make_bundle(tmp_path / "net", pad=500_000), "pi", "--seconds", "0.1")
    finally:
        hosts.slow("")
    assert code == 0, err
    assert hosts.left() == []


def test_interrupted_here(hosts: Hosts, tmp_path: Path) -> None:
    process = hosts.start(make_bundle(tmp_path / "net"), "pi", "--seconds", "60")
    wait_for(lambda: hosts.running("edgekd.runtime.bench"))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    wait_for(lambda: not hosts.left(), 30)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ssh://", "not an address"),
        ("ssh://pi:notaport", "not an address"),
        ("ssh://-oProxyCommand=x", "host: allowed is a name or an address"),
        ("pie", "no such device; found 'pie'"),
        ("adb:-s", "what adb devices lists"),
        ("ssh://a\0b@board", "user: allowed is text without control characters"),
        ("ssh://\udcff@board", "user: allowed is text without control characters"),
    ],
)
def test_what_is_no_device(text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(UsageError) as caught:
        find(text)
    assert said in str(caught.value) or said.partition(": ")[2] in str(caught.value)


def test_names_stand_in_devices_toml_and_addresses_for_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    Path("devices.toml").write_text('[pi]\nurl = "ssh://me@board:22"\npython = "/opt/python3"\n')
    with pytest.raises(UsageError, match="no such device"):
        find("pi")  # whoever filled the current folder was not asked
    monkeypatch.setenv("EDGEKD_DEVICES", "devices.toml")
    assert find("pi").name == "ssh://me@board:22" and find("pi").python == "/opt/python3"
    assert find("ssh://[fe80::1%25eth0]:7").name == "ssh://[fe80::1%25eth0]:7"
    assert find("adb:R58M").name == "adb:R58M" and find("local") == Local()


def test_what_travels_is_small_and_the_same_each_time() -> None:
    assert remote.runtime_zip() == remote.runtime_zip()
    assert len(remote.runtime_zip()) < 316_000


def test_bytes_that_came_damaged_are_refused(tmp_path: Path) -> None:
    with remote.Remote(Local()) as there, pytest.raises(EdgekdError, match="the bytes came damaged"):
        there._ask({"op": "put", "sha": "0" * 64, "bytes": 3}, b"abc")
