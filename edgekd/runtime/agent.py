"""The far end of a benchmark on another machine: sent there as text, it needs the standard library alone.

It reads requests from its stdin and answers on its stdout: lines of JSON behind ``MARK`` (a login shell may have
printed something before), and behind some the bytes that their ``bytes`` counts. All that it writes lies in one folder,
which goes when the agent ends: told to, or because the other end is gone or says nothing for ``SILENCE`` seconds, or by
a signal. What a killed one left is cleared away by the next.

=====  =======================================  ==========================================================
op     request                                  answer
=====  =======================================  ==========================================================
hello                                           python, numpy, machine, free (bytes), cleared (folders)
put    sha, bytes; then the bytes               have
run    files {name: sha}, path [sha], argv      ``{"alive": true}`` now and then; at last code, stderr,
                                                made [names]
get    name                                     bytes; then the bytes
ping                                            none: it says that the other end is there
bye                                             none: the agent ends
=====  =======================================  ==========================================================

An answer with ``error`` says what the machine refused, and ``kind`` which error of edgekd that is.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import importlib.util
import json
import os
import platform
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

MARK = b"\x1eedgekd "
PREFIX = "edgekd-device-"
SILENCE = 20.0
ALIVE = 2.0  # seconds between two signs of life
CHUNK = 1 << 16
TAIL = 4000  # characters that are told of what a program wrote to stderr
PR_SET_PDEATHSIG = 1


class Gone(Exception):
    """The other end has left, or says nothing any more."""


class Pipe:
    """Requests from a file descriptor; nobody waits longer than ``SILENCE``."""

    def __init__(self, handle: int) -> None:
        self.handle, self.buffer = handle, b""

    def wait(self, seconds: float) -> bool:
        """Whether there is something to read before so many seconds are over."""
        return bool(self.buffer) or bool(select.select([self.handle], [], [], seconds)[0])

    def line(self) -> Any:
        """One request."""
        while b"\n" not in self.buffer:
            self._fill()
        line, _, self.buffer = self.buffer.partition(b"\n")
        return json.loads(line)

    def take(self, count: int) -> Iterator[bytes]:
        """So many bytes, in pieces."""
        while count:
            if not self.buffer:
                self._fill()
            piece, self.buffer = self.buffer[:count], self.buffer[count:]
            count -= len(piece)
            yield piece

    def _fill(self) -> None:
        if not select.select([self.handle], [], [], SILENCE)[0]:
            raise Gone("silence")
        data = os.read(self.handle, CHUNK)
        if not data:
            raise Gone("closed")
        self.buffer += data


class Agent:
    """Answers requests until it is told to end."""

    def __init__(self, pipe: Pipe, out: Any, folder: str) -> None:
        self.pipe, self.out, self.folder = pipe, out, folder
        self.runs, self.said = 0, time.monotonic()

    def serve(self) -> None:
        """Answer one request after the other."""
        while True:
            request = self.pipe.line()
            if request["op"] == "bye":
                return
            if request["op"] != "ping":
                try:
                    getattr(self, "do_" + request["op"])(request)
                except OSError as err:
                    full = err.errno in (errno.ENOSPC, errno.EDQUOT)
                    kind = "ResourceError" if full else "OutputError"
                    reason = "the disk is full" if full else f"{err.strerror}: {err.filename}"
                    self.say({"error": reason, "kind": kind})

    def say(self, answer: object, data: bytes = b"") -> None:
        """One answer, and the bytes behind it."""
        self.out.write(MARK + json.dumps(answer).encode() + b"\n" + data)
        self.out.flush()
        self.said = time.monotonic()

    def live(self) -> None:
        """Say now and then that this takes long."""
        if time.monotonic() - self.said > ALIVE:
            self.say({"alive": True})

    def do_hello(self, request: object) -> None:
        """Which machine this is."""
        free = shutil.disk_usage(self.folder).free
        about = {"python": list(sys.version_info[:3]), "numpy": importlib.util.find_spec("numpy") is not None}
        self.say({**about, "machine": platform.machine(), "free": free, "cleared": cleared(self.folder)})

    def do_put(self, request: Any) -> None:
        """Keep some bytes, held against their hash. All are read, come what may: the next request stands behind."""
        place, digest = self._blob(request["sha"]), hashlib.sha256()
        pieces = self.pipe.take(request["bytes"])
        try:
            with open(place + ".part", "wb", buffering=0) as file:
                for piece in pieces:
                    digest.update(piece)
                    file.write(piece)
                    self.live()
        finally:
            for _ in pieces:
                pass
        if digest.hexdigest() != request["sha"]:
            self.say({"error": "the bytes came damaged", "kind": "IntegrityError"})
            return
        os.replace(place + ".part", place)
        self.say({"have": request["sha"]})

    def do_run(self, request: Any) -> None:
        """Run a Python program in a folder of its own files, and say what it made."""
        folder = self._run(self.runs)
        self.runs += 1
        os.mkdir(folder)
        for name, sha in request["files"].items():
            shutil.copyfile(self._blob(sha), os.path.join(folder, name))
        path = os.pathsep.join(self._blob(sha) for sha in request["path"])
        env = dict(os.environ, PYTHONPATH=path, PYTHONDONTWRITEBYTECODE="1", TMPDIR=self.folder)
        values = {"{folder}": folder, "{now}": str(time.monotonic_ns())}
        line = [sys.executable, *(values.get(argument, argument) for argument in request["argv"])]
        with open(os.path.join(folder, "stderr"), "w+b") as stderr:
            streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": stderr}
            process = subprocess.Popen(line, env=env, cwd=folder, preexec_fn=die_with_parent, **streams)  # type: ignore[call-overload]
            try:
                self._watch(process)
            finally:
                process.kill()
                process.wait()
            stderr.seek(max(0, os.fstat(stderr.fileno()).st_size - 4 * TAIL))
            text = stderr.read().decode(errors="replace")[-TAIL:]
        new_files = sorted(set(os.listdir(folder)) - set(request["files"]) - {"stderr"})
        self.say({"code": process.returncode, "stderr": text, "made": new_files})

    def do_get(self, request: Any) -> None:
        """What the last run made."""
        with open(os.path.join(self._run(self.runs - 1), os.path.basename(request["name"])), "rb") as file:
            data = file.read()
        self.say({"bytes": len(data)}, data)

    def _watch(self, process: Any) -> None:
        """Until a program ends; it ends, too, when the other end has left."""
        heard = time.monotonic()
        while process.poll() is None:
            if self.pipe.wait(0.05):
                if self.pipe.line()["op"] != "ping":
                    raise Gone("told to end")
                heard = time.monotonic()
            if time.monotonic() - heard > SILENCE:
                raise Gone("silence")
            self.live()

    def _run(self, number: int) -> str:
        return os.path.join(self.folder, f"run{number}")

    def _blob(self, sha: str) -> str:
        return os.path.join(self.folder, os.path.basename(sha))


def die_with_parent() -> None:
    """Linux ends a program whose parent was killed."""
    os.setpgid(0, 0)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def cleared(mine: str) -> int:
    """Remove the folders of agents that are no more; how many there were."""
    count = 0
    root = os.path.dirname(mine)
    for name in os.listdir(root):
        pid = name[len(PREFIX) :].partition("-")[0]
        if not name.startswith(PREFIX) or not pid.isdigit() or os.path.join(root, name) == mine:
            continue
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            shutil.rmtree(os.path.join(root, name), ignore_errors=True)
            count += 1
        except OSError:
            pass  # another user's
    return count


def leave(number: int, frame: object) -> None:
    """End by the usual way, which clears up."""
    raise SystemExit(128 + number)


def main() -> int:
    """Serve on stdin and stdout."""
    for name in ("SIGHUP", "SIGTERM", "SIGINT"):
        signal.signal(getattr(signal, name), leave)
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing else may speak on this channel
    folder = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-")
    try:
        Agent(Pipe(0), out, folder).serve()
    except (Gone, BrokenPipeError):
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
