"""Facts about this machine, as a plain dict. Standard library alone; nothing it names is imported."""

from __future__ import annotations

import functools
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypedDict

from edgekd.base import backend_facts, faults, plugins
from edgekd.base.errors import UnavailableError

# The CPU features that decide which int8 kernels run, by the names that targets use.
FEATURES = (
    *("sse4_2", "avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16"),
    *("avx512_fp16", "amx_tile", "amx_int8", "amx_bf16"),
    *("neon", "asimddp", "asimdhp", "i8mm", "bf16", "sve", "sve2", "sme"),
)
# What other systems call them: Linux says asimd for NEON on 64 bits, macOS speaks of FEAT_*.
_ALIASES = {
    "asimd": "neon",
    "avxvnni": "avx_vnni",
    "feat_dotprod": "asimddp",
    "feat_fp16": "asimdhp",
    "feat_i8mm": "i8mm",
    "feat_bf16": "bf16",
    "feat_sme": "sme",
}
# Distributions that a build may depend on, beside those of runtimes.
PACKAGES = (
    *("edgekd", "numpy", "onnx", "onnxscript", "onnx-ir"),
    *("torch", "torchao", "accelerate", "transformers", "safetensors", "pydantic"),
)
# What [build] brings, as far as it is told here.
TO_BUILD = ("onnx", "onnxscript", "torch", "torchao", "accelerate", "safetensors", "pydantic")


class Facts(TypedDict):
    """What a report says about the machine; None where the system does not tell. ``document.machine`` has its rules.

    Attributes:
        cpu: its model.
        isa: sorted names of ``FEATURES``.
        cores: usable by this process.
        celsius: the hottest sensor.
        load: of 1, 5 and 15 minutes.
    """

    cpu: str
    arch: str
    isa: list[str]
    cores: int
    governor: str | None
    celsius: float | None
    load: list[float] | None
    memory_bytes: int | None
    gpu: str | None
    python: str
    os: str
    versions: dict[str, str]


class Key(TypedDict):
    """What the key of a measured step holds: never load, clocks or governor, which move by themselves."""

    cpu: str
    isa: list[str]
    gpu: str | None
    threads: int
    versions: dict[str, str]


class Told(TypedDict):
    """What a machine says when it is asked."""

    facts: Facts
    key: Key


def facts() -> Facts:
    """What there is to say about this machine."""
    return {
        "cpu": cpu(),
        "arch": platform.machine(),
        "isa": sorted(isa()),
        "cores": cores(),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "celsius": celsius(),
        "load": load(),
        "memory_bytes": memory(),
        "gpu": gpu(),
        "python": platform.python_version(),
        "os": f"{platform.system()} {platform.release()}",
        "versions": versions(packages()),
    }


def measured_key(threads: int) -> Key:
    """What the key of a measured step holds of this machine."""
    return {"cpu": cpu(), "isa": sorted(isa()), "gpu": gpu(), "threads": threads, "versions": versions(runtimes())}


@functools.cache
def isa() -> frozenset[str]:
    """The features of ``FEATURES`` that this CPU has."""
    text = _read("/proc/cpuinfo") or ""
    match = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    names = set(match.group(1).lower().split()) if match else _darwin_features()
    if platform.machine().lower() in ("arm64", "aarch64"):
        names.add("neon")  # a part of every 64-bit ARM
    return frozenset({_ALIASES.get(name, name) for name in names} & set(FEATURES))


def check_isa(needed: Iterable[str], where: str) -> None:
    """Raise UnavailableError where this CPU lacks a feature that a file needs."""
    if missing := sorted(set(needed) - isa()):
        raise UnavailableError("this CPU lacks what the file needs", where=where, found=f"no {', '.join(missing)}")


def multiplies_bf16() -> bool:
    """Whether this CPU has instructions for products of bfloat16; without, they are emulated, and slow."""
    return bool(isa() & {"amx_bf16", "avx512_bf16"})


@functools.cache
def cpu() -> str:
    """The CPU's model, as the system names it, and by its numbers.

    Virtual machines call many CPUs by one name: what one "AMD EPYC" ran in 0.16 ms took 0.32 on another.
    """
    text = _read("/proc/cpuinfo") or ""
    for key in ("model name", "Model", "Hardware"):
        if match := re.search(rf"^{key}\s*:\s*(.+)$", text, re.MULTILINE):
            numbers = _numbers(text, "cpu family", "model")
            return match.group(1).strip() + (" (family {}, model {})".format(*numbers) if numbers else "")
    if numbers := _numbers(text, "CPU implementer", "CPU part"):  # ARM tells numbers alone
        return "ARM " + " ".join(numbers)
    named = _output("sysctl", "-n", "machdep.cpu.brand_string") if platform.system() == "Darwin" else None
    return named or platform.processor() or platform.machine()


def _numbers(text: str, *keys: str) -> list[str] | None:
    """The values of some keys of /proc/cpuinfo, where all are there."""
    matches = [re.search(rf"^{key}\s*:\s*(\S+)$", text, re.MULTILINE) for key in keys]
    return [match.group(1) for match in matches if match] if all(matches) else None


def cores() -> int:
    """The CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def load() -> list[float] | None:
    """The load averages of 1, 5 and 15 minutes."""
    return [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None


def busy_seconds() -> float | None:
    """CPU seconds that all processes together have used since the machine started; the difference of two is a load."""
    line = (_read("/proc/stat") or "").partition("\n")[0].split()
    if len(line) < 8 or line[0] != "cpu":
        return None
    user, nice, system, _idle, _iowait, irq, softirq = (int(field) for field in line[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def stolen_seconds() -> float | None:
    """CPU seconds that a hypervisor gave to other machines since this one started."""
    line = (_read("/proc/stat") or "").partition("\n")[0].split()
    if len(line) < 9 or line[0] != "cpu":
        return None
    return int(line[8]) / os.sysconf("SC_CLK_TCK")


def celsius() -> float | None:
    """The hottest of the sensors that the system shows."""
    texts = [_read(str(path)) for path in Path("/sys/class/thermal").glob("thermal_zone*/temp")]
    temperatures = [int(text) / 1000 for text in texts if text is not None and text.lstrip("-").isdigit()]
    return max(temperatures, default=None)


def megahertz() -> float | None:
    """The first CPU's clock now."""
    text = _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")
    return int(text) / 1000 if text is not None and text.isdigit() else None


def joules() -> float | None:
    """What the CPU packages have used, counted from somewhere; often only root may read it (RAPL)."""
    packages = [p for p in Path("/sys/class/powercap").glob("intel-rapl:*") if p.name.count(":") == 1]
    texts = [_read(str(package / "energy_uj")) for package in packages]
    energies = [int(text) / 1e6 for text in texts if text is not None and text.isdigit()]
    return sum(energies) if energies else None


def memory() -> int | None:
    """The memory in bytes that this process may use: the machine's, or less where a container or a job says so."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    return min([os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *_memory_limits()])


def _memory_limits() -> Iterator[int]:
    """The limits in bytes of the control groups that this process is in, each inside of another, of version 2 and 1.

    In a container the group's own folder is often what is mounted, and the path that the kernel tells leads nowhere.
    """
    lines = (_read("/proc/self/cgroup") or "").splitlines()
    groups = [("", "/"), ("memory", "/"), *(tuple(line.split(":", 2)[1:]) for line in lines if line.count(":") > 1)]
    for kinds, path in groups:
        if kinds and "memory" not in kinds.split(","):
            continue
        folder, name = ("/sys/fs/cgroup/memory", "memory.limit_in_bytes") if kinds else ("/sys/fs/cgroup", "memory.max")
        parts = [part for part in path.split("/") if part]
        for count in range(len(parts) + 1):
            text = _read("/".join([folder, *parts[:count], name])) or ""
            if text.isdigit():  # "max": there is none
                yield int(text)


@functools.cache
def gpu() -> str | None:
    """The first NVIDIA GPU: name, memory, driver."""
    text = _output("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
    return text.splitlines()[0].strip() if text else None


def runtimes() -> tuple[str, ...]:
    """The distributions that a measurement depends on: numpy's, and those of each backend's runtime."""
    return ("numpy", *backend_facts.distributions())


def packages() -> tuple[str, ...]:
    """The distributions that a build or a measurement may depend on."""
    return tuple(dict.fromkeys((*PACKAGES, *runtimes())))


def versions(names: Iterable[str]) -> dict[str, str]:
    """Installed versions by distribution name; what is not installed is left out."""
    installed = {}
    for package in names:
        if (number := plugins.version(package)) is not None:
            installed[package] = number
    return installed


def _darwin_features() -> set[str]:
    text = _output("sysctl", "hw.optional") if platform.system() == "Darwin" else None
    on = re.findall(r"^hw\.optional\.(?:arm\.)?(\w+):\s*1$", text or "", re.MULTILINE)
    return {name.lower().replace("avx2_0", "avx2").replace("avx1_0", "avx") for name in on}


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _output(*command: str) -> str | None:
    """What a command prints; None if it is not there, fails, or takes too long."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def told() -> Told:
    """Both kinds of facts."""
    return {"facts": facts(), "key": measured_key(0)}


if __name__ == "__main__":  # on a device: into the folder that is given
    file = Path(sys.argv[1], "host.json")
    try:
        file.write_text(json.dumps(told()), encoding="utf-8")
    except OSError as err:
        error = faults.told(err, file)
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
