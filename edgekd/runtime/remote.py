"""A job on a device: the runtime part of edgekd goes there, measures there, and what it found comes back.

The device needs a Python, numpy and the one runtime. What is sent is held against its hash there; what is there already
is not sent again; nothing stays there (see ``agent``).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import queue
import subprocess
import threading
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from edgekd import errors
from edgekd.disk import temporary
from edgekd.errors import DeviceError, EdgekdError, IntegrityError, ResourceError
from edgekd.runtime import agent, bench, cold
from edgekd.runtime.bench import BenchJob, BenchResult, Found
from edgekd.runtime.devices._base import Device

OLDEST = (3, 11)  # Python
PATIENCE = 30.0  # seconds without a sign of life, after which the device is gone
SPARE = 20_000_000  # bytes that a device's disk must have beside what is sent
PARTS = (
    "__init__",
    "disk",
    "errors",
    "heads",
    "host",
    "plugins",
    "preprocess",
    "wordpiece",
)  # and base/, document/, runtime/
Tell = Callable[[str], None]


class Remote:
    """An open connection to a device; a context manager.

    Args:
        device: where.
        tell: called with a line for whatever takes long.

    Attributes:
        hello: what the agent said of its machine.

    Raises:
        DeviceError: it can't be reached, or lacks a Python; says why.
    """

    def __init__(self, device: Device, tell: Tell = lambda line: None) -> None:
        self.device, self.tell = device, tell
        self._sent: set[str] = set()

    def __enter__(self) -> Remote:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        line = self.device.command()
        try:
            self._process = subprocess.Popen(line, bufsize=0, start_new_session=True, **pipes)  # type: ignore[call-overload]
        except OSError as err:
            raise DeviceError(f"can't be started ({err.strerror})", where=self.name, found=line[0]) from err
        self._answers: queue.Queue[tuple[Any, bytes] | None] = queue.Queue()
        self._stderr: list[str] = []
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
            found, oldest = (".".join(map(str, version)) for version in (self.hello["python"], OLDEST))
            raise DeviceError("its Python is too old", where=self.name, found=found, allowed=f"{oldest} or later")
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
            DeviceError: the connection ended.
            ResourceError: its disk or its memory is full.
        """
        return self._run(job, bench.__name__, "result.json", bench.read_result)

    def cold(self, job: BenchJob) -> cold.Cold:
        """The first second there, as ``cold.in_subprocess`` does here."""
        return self._run(job, cold.__name__, cold.RESULT, cold.read)

    def facts(self) -> dict[str, Any]:
        """Which machine it is; see ``host.told``."""
        with temporary("host") as folder:
            self._call(folder, "edgekd.host", ("host.json",))
            found: dict[str, Any] = json.loads((folder / "host.json").read_bytes())
            return found

    def _run(self, job: BenchJob, module: str, result: str, read: Callable[[Path], Found]) -> Found:
        """Run a module there on the folder of a job, and read here what it found."""
        with temporary("bench") as folder:
            bench.write_job(job, folder)
            self.tell(f"{self.name}: {job.where}: {module.rpartition('.')[2]}")
            self._call(folder, module, (result, "error.json"))
            return read(folder)

    def _call(self, folder: Path, module: str, wanted: tuple[str, ...]) -> None:
        """Run a module of edgekd there on the files of a folder, and bring what it made into the folder."""
        files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        code = self._code
        self._check_room(sum(map(len, files.values())) * 2 + len(code) + SPARE)
        request = {"files": {file: self.put(data) for file, data in files.items()}, "path": [self.put(code)]}
        ended = self._ask({"op": "run", **request, "argv": ["-P", "-m", module, "{folder}", "{now}"]})[0]
        for file in ended["made"]:
            if file in wanted:
                (folder / file).write_bytes(self._ask({"op": "get", "name": file})[1])
        bench.check_outcome(folder, ended["code"], ended["stderr"], self.name)

    @functools.cached_property
    def _code(self) -> bytes:
        return runtime_zip()

    def _check_room(self, needed: int) -> None:
        if needed > self.hello["free"]:
            found, allowed = (f"{count / 1e6:.0f} MB" for count in (self.hello["free"], needed))
            raise ResourceError("the device's disk has too little room", where=self.name, found=found, allowed=allowed)

    def _ask(self, request: Mapping[str, Any], data: bytes = b"") -> tuple[Any, bytes]:
        """One request and its answer."""
        self._write(json.dumps(request).encode() + b"\n", data)
        while True:
            try:
                found = self._answers.get(timeout=PATIENCE)
            except queue.Empty:
                raise DeviceError("it says nothing any more", where=self.name, hint="run it again to go on") from None
            if found is None:
                raise self._why()
            answer = found[0]
            if "error" in answer:
                kind: type[EdgekdError] = getattr(errors, answer["kind"], EdgekdError)
                raise kind(answer["error"], where=self.name)
            if "alive" not in answer:
                return found

    def _write(self, *parts: bytes) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        with self._lock:
            try:
                for part in parts:
                    view = memoryview(part)
                    while view:
                        view = view[pipe.write(view[: agent.CHUNK]) :]
            except (BrokenPipeError, ValueError):
                raise self._why() from None

    def _why(self) -> EdgekdError:
        """Why the connection ended."""
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        time.sleep(0.1)  # what it said last is still on its way
        return self.device.why(code, "".join(self._stderr))

    def _read(self) -> None:
        """Answers, into the queue; whatever else is printed there is passed over."""
        pipe = self._process.stdout
        assert pipe is not None
        with io.BufferedReader(pipe) as lines:
            for line in lines:
                if line.startswith(agent.MARK):
                    answer = json.loads(line[len(agent.MARK) :])
                    data = lines.read(answer["bytes"]) if "bytes" in answer else b""
                    if len(data) < answer.get("bytes", 0):
                        break
                    self._answers.put((answer, data))
        self._answers.put(None)

    def _listen(self) -> None:
        pipe: IO[bytes] | None = self._process.stderr
        assert pipe is not None
        with io.TextIOWrapper(pipe, errors="replace") as lines:
            self._stderr.extend(lines)

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
            self._process.wait(timeout=5)
        except (EdgekdError, OSError, subprocess.TimeoutExpired):
            pass
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        for thread in self._threads:
            thread.join(timeout=5)


def runtime_zip() -> bytes:
    """The part of edgekd that apps and devices need: equal bytes for equal sources.

    Raises:
        IntegrityError: a part is missing.
    """
    root = Path(errors.__file__).parent
    folders = sorted(path for folder in ("base", "document", "runtime") for path in (root / folder).rglob("*.py"))
    wanted = [root / f"{name}.py" for name in PARTS] + folders
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in wanted:
            if not path.is_file():
                raise IntegrityError("a part of edgekd is missing", where=str(path))
            entry = zipfile.ZipInfo(f"edgekd/{path.relative_to(root).as_posix()}", (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())
    return made.getvalue()
