"""What a command asks of a network and writes to a disk, told by strace, with an empty HOME, TMPDIR and current folder.

``apt install strace``. Watched are the command and all that it starts, to their ends.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NAMES = "creat,open,openat,openat2,rename,renameat,renameat2,link,linkat,symlink,symlinkat,mkdir,mkdirat,mknod,mknodat"
INTERNET = ("AF_INET", "AF_INET6")
# Opened by glibc to find a host, and by nothing else.
_RESOLVER = ("/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/gai.conf")
_CALL = re.compile(r"^(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)$")
_CUT = "<unfinished ...>"
_SOCKET = re.compile(r"^(AF_\w+).*= \d+<([^>]*)>")
_BOUND = re.compile(r'^\d+<([^>]*)>.*(?:"::1"|inet_addr\("127\.)')
_FOLDER_AND_PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"')
_TO_WRITE = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC")
_NO_FILES = ("/dev/", "/proc/")
_LEFT_OUT = ("PYTHONDONTWRITEBYTECODE", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "EDGEKD_CACHE")


def watch(
    line: Sequence[str],
    folder: Path,
    own: Sequence[Path] = (),
    more: Mapping[str, str] | None = None,
    held: float | None = None,
) -> dict[str, Any]:
    """Run a command and tell what it did.

    Args:
        line: ``{made}`` stands for that folder, in ``more``, too.
        folder: an own one, new; ``made`` in it is there for what the user named, ``--out`` and the cache.
        own: other folders that the user named.
        more: variables of the environment.
        held: so many seconds nobody reads its stdout: a program that has answered waits there, with all it opened.

    Returns:
        ``exit``; ``sockets``, how many of each family (``loopback``: bound to this machine's own address, as urllib3
        does once to see whether there is IPv6); ``lookups``, of hosts; ``outside``, what was written but in ``made``,
        ``own``, TMPDIR and Python's own ``__pycache__``; ``left``, what lies in HOME, TMPDIR and the current folder
        afterwards; ``stderr``, of a command that failed.
    """
    places = {name: folder / name for name in ("HOME", "TMPDIR", "HERE", "made")}
    for place in places.values():
        place.mkdir(parents=True)
    told = folder / "calls"
    env = {key: value for key, value in os.environ.items() if key not in _LEFT_OUT}
    env |= {"HOME": str(places["HOME"]), "TMPDIR": str(places["TMPDIR"]), "PYTHONPATH": str(ROOT)}
    env |= {key: value.replace("{made}", str(places["made"])) for key, value in (more or {}).items()}
    watched = [
        "strace",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-y",
        "-s",
        "400",
        "-e",
        "signal=none",
        "-e",
        f"trace=%network,{NAMES}",
    ]
    watched += ["-o", str(told), "--"]
    watched += [part.replace("{made}", str(places["made"])) for part in line]
    code, stderr = _run(watched, places["HERE"], env, held)
    allowed = [str(path) for path in (places["made"], places["TMPDIR"], *own)]
    found = calls(told.read_text(errors="replace"), allowed)
    empty = {name: path for name, path in places.items() if name != "made"}
    left = [f"{name}/{path.relative_to(place)}" for name, place in empty.items() for path in place.rglob("*")]
    outside = sorted({_named(path, {**places, "ROOT": ROOT}) for path in found.pop("outside")})
    return {"exit": code, **found, "outside": outside, "left": sorted(left), **({"stderr": stderr} if code else {})}


def _run(line: list[str], here: Path, env: Mapping[str, str], held: float | None) -> tuple[int, str]:
    """Exit code, and the end of stderr."""
    reads, writes = os.pipe()
    if held is not None:
        os.write(writes, bytes(fcntl.fcntl(writes, fcntl.F_SETPIPE_SZ, 4096)))  # full
    process = subprocess.Popen(line, cwd=here, env=env, stdout=writes, stderr=subprocess.PIPE)
    os.close(writes)
    until = time.monotonic() + (held or 0.0)
    while time.monotonic() < until and process.poll() is None:
        time.sleep(0.1)
    with open(reads, "rb") as pipe:
        pipe.read()
    stderr = process.communicate()[1].decode(errors="replace")
    return process.returncode, stderr[-1500:]


def calls(text: str, allowed: Sequence[str]) -> dict[str, Any]:
    """What the lines of strace say.

    Args:
        allowed: folders in which may be written.
    """
    sockets: dict[str, str] = {}  # family, by what strace calls each
    outside, lookups = set[str](), 0
    for name, rest in _calls(text):
        if name == "socket" and (found := _SOCKET.match(rest)):
            sockets[found[2]] = found[1]
        if name == "bind" and (found := _BOUND.match(rest)):
            sockets[found[1]] = "loopback"
        lookups += name in ("connect", "sendto", "sendmsg", "sendmmsg") and "port=htons(53)" in rest
        if name.startswith(("open", "creat", "rename", "link", "symlink", "mkdir", "mknod")):
            paths = [_whole(*both) for both in _FOLDER_AND_PATH.findall(rest)]
            lookups += any(path in _RESOLVER for path in paths)
            if not _reads(name, rest):
                # of a link the name, and not what it leads to
                outside |= set(paths[1:] if name.startswith(("link", "symlink")) else paths)
    kept = (*(f"{place}/" for place in allowed), *_NO_FILES)
    written = {path for path in outside if not path.startswith(kept) and path not in allowed and not _is_pythons(path)}
    return {"sockets": dict(Counter(sockets.values())), "lookups": lookups, "outside": written}


def _calls(text: str) -> Iterator[tuple[str, str]]:
    """Name, arguments and result; strace cuts a call in two where another thread comes between."""
    begun: dict[str, tuple[str, str]] = {}
    for row in text.splitlines():
        if call := _CALL.match(row):
            pid, resumed, name, rest = call.groups()
            if resumed:
                yield resumed, begun.pop(pid, (resumed, ""))[1] + rest
            elif rest.endswith(_CUT):
                begun[pid] = name, rest.removesuffix(_CUT)
            else:
                yield name, rest
    yield from begun.values()  # of who was killed meanwhile


def _reads(name: str, rest: str) -> bool:
    """Whether a call changes nothing: a file opened to be read, a folder that is there already."""
    if name.startswith("open"):
        return not _TO_WRITE.search(rest.rpartition('"')[2])
    return name.startswith("mkdir") and "EEXIST" in rest


def _whole(folder: str, path: str) -> str:
    return os.path.normpath(os.path.join(folder, path))


def _is_pythons(path: str) -> bool:
    """Bytecode of installed modules, edgekd's among them: Python writes it where an installer did not."""
    homes = (sys.prefix, sys.base_prefix, str(ROOT), os.path.realpath(sys.prefix), os.path.dirname(os.__file__))
    return "/__pycache__" in path and path.startswith(homes)


def _named(path: str, places: Mapping[str, Path]) -> str:
    """A path with the names of folders in place of this machine's."""
    for name, place in places.items():
        if path.startswith(f"{place}/"):
            return f"{name}{path[len(str(place)) :]}"
    return path


def is_clean(row: Mapping[str, Any]) -> bool:
    """Whether a command asked nobody and left nothing."""
    asked = any(row["sockets"].get(family) for family in INTERNET) or row["lookups"]
    return not (row["exit"] or asked or row["outside"] or row["left"])


def can_watch() -> bool:
    """Whether strace is here, and may trace."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-f", "-o", os.devnull, "true"], capture_output=True, check=False).returncode == 0
