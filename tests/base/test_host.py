from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgekd.base import host

XEON = """processor\t: 0
model name\t: Intel(R) Xeon(R) 6
flags\t\t: fpu sse4_2 avx avx2 fma avx512f avx512_vnni avx_vnni amx_int8
"""
NEOVERSE = """processor\t: 0
BogoMIPS\t: 243.75
Features\t: fp asimd evtstrm asimdhp cpuid asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd0c
"""


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The files of another machine."""
    files: dict[str, str] = {}
    monkeypatch.setattr(host, "_read", files.get)
    monkeypatch.setattr(host, "_output", lambda *command: files.get(command[0]))
    for cached in (host.cpu, host.isa, host.gpu):
        cached.cache_clear()
    yield files
    for cached in (host.cpu, host.isa, host.gpu):
        cached.cache_clear()


def test_facts_are_json_and_complete() -> None:
    facts = host.facts()
    assert json.loads(json.dumps(facts)) == facts
    keys = "cpu arch isa cores governor celsius load memory_bytes gpu python os versions"
    assert list(facts) == keys.split()
    assert 1 <= facts["cores"] <= (os.cpu_count() or 1)
    assert facts["cpu"]
    assert facts["versions"]["numpy"] == importlib.metadata.version("numpy")


def test_features_of_an_intel_cpu(machine: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    machine["/proc/cpuinfo"] = XEON
    assert host.cpu() == "Intel(R) Xeon(R) 6"
    assert host.isa() == {"sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8"}


@pytest.mark.parametrize(("family", "model"), [(25, 17), (26, 2)])
def test_two_cpus_that_a_virtual_machine_names_alike(machine: dict[str, str], family: int, model: int) -> None:
    machine["/proc/cpuinfo"] = f"cpu family\t: {family}\nmodel\t\t: {model}\nmodel name\t: AMD EPYC\nstepping\t: 1\n"
    named = f"AMD EPYC (family {family}, model {model})"
    assert (host.cpu(), host.facts()["cpu"], host.measured_key(1)["cpu"]) == (named, named, named)


def test_features_of_an_arm_cpu(machine: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    machine["/proc/cpuinfo"] = NEOVERSE
    assert host.cpu() == "ARM 0x41 0xd0c"
    assert host.isa() == {"neon", "asimddp", "asimdhp"}


def test_features_of_a_mac(machine: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    machine["sysctl"] = "hw.optional.arm.FEAT_DotProd: 1\nhw.optional.arm.FEAT_I8MM: 0\nhw.optional.neon: 1\n"
    assert host.isa() == {"neon", "asimddp"}


def test_a_system_that_tells_nothing(machine: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    monkeypatch.setattr(platform, "processor", lambda: "")
    facts = host.facts()
    assert (facts["cpu"], facts["isa"], facts["gpu"], facts["governor"]) == ("riscv64", [], None, None)
    assert host.busy_seconds() is None


def test_the_first_gpu_is_told(machine: dict[str, str]) -> None:
    machine["nvidia-smi"] = "NVIDIA H100, 81559 MiB, 550.1\nNVIDIA H100, 81559 MiB, 550.1"
    assert host.gpu() == "NVIDIA H100, 81559 MiB, 550.1"


def test_busy_seconds_count_work_and_not_waiting(machine: dict[str, str]) -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    machine["/proc/stat"] = f"cpu  {ticks} {ticks} {ticks} 999 888 {ticks} {ticks} 0 0 0\ncpu0 1 2 3"
    assert host.busy_seconds() == 5


def test_the_measured_key_holds_nothing_that_moves() -> None:
    key = host.measured_key(threads=2)
    assert set(key) == {"cpu", "isa", "gpu", "threads", "versions"}
    assert key["threads"] == 2
    assert set(key["versions"]) <= set(host.runtimes())
    assert host.measured_key(threads=2) == key


def test_a_failing_command_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho broken driver\nexit 9\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert host._output("nvidia-smi") is None
    assert host._output("no-such-tool") is None


def test_nothing_third_party_is_imported() -> None:
    third_party = "{'numpy', 'torch', 'onnxruntime'} & set(sys.modules)"
    code = f"import sys; from edgekd.base import host; host.facts(); print({third_party})"
    root = str(Path(host.__file__).parents[2])
    env = {**os.environ, "PYTHONPATH": root}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_memory_is_what_the_control_groups_leave(machine: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = host.memory()
    if whole is None:
        pytest.skip("this system does not say how much memory there is")
    machine["/proc/self/cgroup"] = "12:cpu,cpuacct:/a\n0::/user.slice/job"
    machine["/sys/fs/cgroup/user.slice/job/memory.max"] = "max"
    assert host.memory() == whole
    machine["/sys/fs/cgroup/user.slice/memory.max"] = "4096000"
    assert host.memory() == 4_096_000
    machine["/sys/fs/cgroup/memory.max"] = "8192"  # all that a container sees
    assert host.memory() == 8192
    machine["/proc/self/cgroup"] = "4:memory:/docker/1f"
    machine["/sys/fs/cgroup/memory/docker/1f/memory.limit_in_bytes"] = "4096"
    assert host.memory() == 4096
    machine["/sys/fs/cgroup/memory/docker/1f/memory.limit_in_bytes"] = "9223372036854771712"  # none
    assert host.memory() == 8192
