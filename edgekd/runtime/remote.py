"""A job on a device: the runtime part of edgekd goes there, measures there, and what it found comes back.

The device needs a Python, numpy and the one runtime. What is sent is held against its hash there; what is there already
is not sent again; nothing stays there (see ``agent``).

A device is a stranger: of what it says no more is held than fits the limits below, each answer has a shape (see
``document.reply``), and every wait ends.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import os
import queue
import select
import subprocess
import threading
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from edgekd.base import closure, pipes, reader, units
from edgekd.base.disk import temporary
from edgekd.base.errors import KINDS, DeviceError, EdgekdError, ResourceError
from edgekd.document import machine, reply
from edgekd.document.bench import Cold
from edgekd.runtime import agent, bench, cold, left
from edgekd.runtime.bench import BenchResult, Found
from edgekd.runtime.devices import LONGEST, Device
from edgekd.runtime.jobs import BenchJob, write_job

OLDEST = (3, 11)  # Python
PATIENCE = 30.0  # seconds without a sign of life, after which the device is gone
LINE = 1_000_000  # bytes of an answer: the names of the files that a run made are the most in it
FILE = bench.MOST  # bytes of a file that is fetched
STDERR = 64_000  # bytes that are kept of the end of what is written there
QUEUED = 8  # answers that wait to be looked at
SHARE = 10.0  # a run may take so many times as long as its job asks for, and the longest beside it
SPARE = 20_000_000  # bytes that a device's disk must have beside what is sent
Tell = Callable[[str], None]
Answer = TypeVar("Answer")
TABLE = dict[str, object]
SHAPES: dict[str, type[object]] = {"hello": reply.Hello, "put": reply.Have, "run": reply.Ended, "get": reply.Bytes}


class Remote:
    """An open connection to a device; a context manager.

    Args:
        device: where; it says how long a run may take (``longest``).
        tell: called with a line for whatever takes long.

    Attributes:
        hello: what the agent said of its machine.

    Raises:
        DeviceError: it can't be reached, or lacks a Python; it says nothing, something odd, or too much; says why.
    """

    def __init__(self, device: Device, tell: Tell = lambda line: None) -> None:
        self.device, self.tell = device, tell
        self._longest: float = getattr(device, "longest", LONGEST)  # a user's own kind need not say
        self._sent: set[str] = set()

    def __enter__(self) -> Remote:
        line = self.device.command()
        try:
            self._process, self._pipes = pipes.start(line, start_new_session=True)
        except OSError as err:
            raise DeviceError(f"can't be started ({err.strerror})", where=self.name, found=line[0]) from err
        os.set_blocking(self._pipes.stdin.fileno(), False)  # a device that reads nothing would be waited for
        self._answers: queue.Queue[tuple[dict[str, object], bytes] | EdgekdError | None] = queue.Queue(QUEUED)
        self._stderr = b""
        self._expected = 0  # bytes that may follow the next answer
        self._heard = time.monotonic()
        self._until = self._heard + self._longest
        self._orderly = True
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._read, self._listen, self._ping)]
        for thread in self._threads:
            thread.start()
        with contextlib.ExitStack() as otherwise:
            otherwise.callback(self._close)
            self._greet()
            otherwise.pop_all()
        return self

    def _greet(self) -> None:
        """Start the agent, and see that the device has what is needed."""
        program = Path(agent.__file__).read_bytes()
        self._write(b"%d\n" % len(program) + program)
        self.hello = self._ask({"op": "hello"})[0]
        if tuple(self.hello["python"]) < OLDEST:
            python, oldest = (".".join(map(str, version)) for version in (self.hello["python"], OLDEST))
            raise DeviceError("its Python is too old", where=self.name, found=python, allowed=f"{oldest} or later")
        if not self.hello["numpy"]:
            hint = f"{self.device.python} -m pip install numpy, and the runtime"
            raise DeviceError("its Python has no numpy", where=self.name, hint=hint)

    def __exit__(self, *raised: object) -> None:
        self._close()

    @property
    def name(self) -> str:
        """The device's."""
        return self.device.name

    def put(self, data: bytes) -> str:
        """Have some bytes there; their SHA-256, which is their name."""
        sha = hashlib.sha256(data).hexdigest()
        if sha not in self._sent:
            self._ask({"op": "put", "sha": sha, "bytes": len(data)}, data)
            self._sent.add(sha)
        return sha

    def bench(self, job: BenchJob) -> BenchResult:
        """Measure there, as ``bench_in_subprocess`` does here, and raise what it raises.

        Raises:
            UnavailableError: the device lacks numpy, the runtime or the provider.
            DeviceError: the connection ended, the run did not, or what came back is no result.
            ResourceError: its disk or its memory is full.
        """
        return self._run(
            job, bench.__name__, bench.RESULT, lambda it: bench.read_result(it, job, DeviceError, self.name)
        )

    def cold(self, job: BenchJob) -> Cold:
        """The first second there, as ``cold.in_subprocess`` does here."""
        return self._run(job, cold.__name__, cold.RESULT, lambda it: cold.read(it, DeviceError, self.name))

    def facts(self) -> machine.Told:
        """Which machine it is; see ``host.told``."""
        with temporary("host") as folder:
            self._begin()
            self._call(folder, "edgekd.base.host", ("host.json",))
            return left.read_left(folder, "host.json", machine.Told, DeviceError, self.name)

    def _run(self, job: BenchJob, module: str, result: str, read: Callable[[Path], Found]) -> Found:
        """Run a module there on the folder of a job, and read here what it found."""
        with temporary("bench") as folder:
            write_job(job, folder)
            self.tell(f"{self.name}: {job.where}: {module.rpartition('.')[2]}")
            self._begin(SHARE * job.min_seconds * len(job.candidates))
            self._call(folder, module, (result, left.FAILURE))
            return read(folder)

    def _begin(self, seconds: float = 0.0) -> None:
        """From now on a run may take so many seconds, beside the device's longest."""
        self._until = time.monotonic() + self._longest + seconds

    def _call(self, folder: Path, module: str, wanted: tuple[str, ...]) -> None:
        """Run a module of edgekd there on the files of a folder, and bring what it made into the folder."""
        files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        code = self._code
        self._check_room(sum(map(len, files.values())) * 2 + len(code) + SPARE)
        request = {"files": {file: self.put(data) for file, data in files.items()}, "path": [self.put(code)]}
        line = ["-P", "-m", module, "{folder}", "{now}"]
        ended = self._ask({"op": "run", **request, "argv": line})[0]
        for file in wanted:
            if file in ended["made"]:
                (folder / file).write_bytes(self._fetch(file))
        left.check_outcome(folder, ended["code"], ended["stderr"], self.name, DeviceError)

    def _fetch(self, name: str) -> bytes:
        """A file that the last run made."""
        self._expected = FILE
        try:
            return self._ask({"op": "get", "name": name})[1]
        finally:
            self._expected = 0

    @functools.cached_property
    def _code(self) -> bytes:
        return runtime_zip()

    def _check_room(self, needed: int) -> None:
        if needed > self.hello["free"]:
            free, allowed = (units.size(count) for count in (self.hello["free"], needed))
            raise ResourceError("the device's disk has too little room", where=self.name, found=free, allowed=allowed)

    def _ask(self, request: Mapping[str, object], data: bytes = b"") -> tuple[Any, bytes]:
        """One request and its answer, of the shape that such a request has, with the bytes behind it."""
        self._heard = time.monotonic()
        self._write(json.dumps(request).encode() + b"\n", data)
        while True:
            answer, behind = self._next()
            if "alive" in answer:
                self._check(answer, reply.Alive)
            elif "error" in answer:
                refusal = self._check(answer, reply.Refused)
                raise KINDS.get(refusal["kind"], DeviceError)(refusal["error"][: agent.TAIL], where=self.name)
            else:
                return self._check(answer, SHAPES[str(request["op"])]), behind

    def _check(self, answer: dict[str, object], shape: type[Answer]) -> Answer:
        try:
            return reader.check(answer, shape, f"{self.name}: an answer", DeviceError)
        except DeviceError:
            self._orderly = False
            raise

    def _next(self) -> tuple[dict[str, object], bytes]:
        """The next answer, or sign of life."""
        while True:
            now = time.monotonic()
            if now >= self._until:
                raise self._lost("it did not end in time", "longest = ... of the device in devices.toml, in seconds")
            if now >= self._heard + PATIENCE:
                raise self._lost("it says nothing any more", "run it again to go on")
            with contextlib.suppress(queue.Empty):
                answer = self._answers.get(timeout=min(self._until, self._heard + PATIENCE) - now)
                if answer is None:
                    raise self._why()
                if isinstance(answer, EdgekdError):
                    self._orderly = False
                    raise answer
                return answer

    def _lost(self, message: str, hint: str) -> DeviceError:
        self._orderly = False
        return DeviceError(message, where=self.name, hint=hint)

    def _write(self, *parts: bytes) -> None:
        pipe = self._pipes.stdin
        with self._lock:
            try:
                for part in parts:
                    view = memoryview(part)
                    while view:
                        count = cast("int | None", pipe.write(view[: agent.CHUNK]))
                        view = view[count or 0 :]
                        if count is None:  # it is full
                            self._wait_to_write(pipe.fileno())
            except (BrokenPipeError, ValueError):
                raise self._why() from None

    def _wait_to_write(self, handle: int) -> None:
        until = min(time.monotonic() + PATIENCE, self._until)
        while not select.select([], [handle], [], 0.2)[1]:
            if self._over.is_set() or time.monotonic() >= until:
                raise self._lost("it takes nothing any more", "run it again to go on")

    def _why(self) -> EdgekdError:
        """Why the connection ended."""
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        time.sleep(0.1)  # what it said last is still on its way
        return self.device.why(code, self._stderr.decode(errors="replace"))

    def _read(self) -> None:
        """Answers, into the queue; whatever else is printed there is passed over."""
        with io.BufferedReader(cast(io.RawIOBase, self._pipes.stdout)) as lines:
            try:
                while answer := self._answer(lines):
                    self._queue(answer)
            except DeviceError as err:
                self._queue(err)
        self._queue(None)

    def _answer(self, lines: io.BufferedIOBase) -> tuple[dict[str, object], bytes] | None:
        """The next answer; None where there will be none."""
        where = f"{self.name}: an answer"
        while line := lines.readline(LINE + 1):
            if len(line) > LINE:
                raise DeviceError("a line that does not end", where=self.name, allowed=f"at most {LINE:,} bytes")
            if not line.startswith(agent.MARK):
                continue
            answer = reader.read(line[len(agent.MARK) :], TABLE, where, DeviceError)
            self._heard = time.monotonic()
            count = reader.check(answer, reply.Bytes, where, DeviceError)["bytes"] if "bytes" in answer else 0
            if count > self._expected:
                raise DeviceError("too many bytes", where=where, found=count, allowed=f"at most {self._expected:,}")
            data = bytearray()
            while len(data) < count:
                piece = lines.read1(min(count - len(data), agent.CHUNK))
                if not piece:
                    return None
                data += piece
                self._heard = time.monotonic()
            return answer, bytes(data)
        return None

    def _queue(self, answer: tuple[dict[str, object], bytes] | EdgekdError | None) -> None:
        """For whoever asks; a device that answers what nobody asked waits, and nothing is heaped up here."""
        while not self._over.is_set():
            with contextlib.suppress(queue.Full):
                return self._answers.put(answer, timeout=0.2)

    def _listen(self) -> None:
        with self._pipes.stderr as pipe:
            while data := pipe.read(agent.CHUNK):
                self._stderr = (self._stderr + data)[-STDERR:]

    def _ping(self) -> None:
        """Say now and then that this end is there; while something long is written, that says it."""
        while not self._over.wait(agent.ALIVE):
            try:
                self._write(b'{"op": "ping"}\n')
            except EdgekdError:
                return

    def _close(self) -> None:
        """Let the agent clear up; it does so, too, where it is not told."""
        self._over.set()
        try:
            self._write(b'{"op": "bye"}\n')
            self._process.wait(timeout=5 if self._orderly else 0.2)
        except (EdgekdError, OSError, subprocess.TimeoutExpired):
            pass
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        with contextlib.suppress(OSError):
            self._pipes.stdin.close()
        for thread in self._threads:
            thread.join(timeout=5)


def runtime_zip() -> bytes:
    """The part of edgekd that apps and devices need, ``runtime/`` and its imports: equal bytes for equal sources."""
    root = closure.PACKAGE
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in closure.closure(["runtime"], root):
            entry = zipfile.ZipInfo(f"edgekd/{path.relative_to(root).as_posix()}", (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())
    return buffer.getvalue()
