"""A child process that opens what a stranger made: what it may have, and how its end is told.

A runtime is a million lines of C++ that reads a file: it may crash, never end, or take all memory, and none of that may
happen to who asked. So the commands ask a fresh Python, started from a module of edgekd's, and look after it:

- **Memory** is read every ``POLL`` seconds from ``/proc/<pid>/status`` of it and all it started (VmRSS, VmSwap), and
  the whole process group is killed above the limit. No ``RLIMIT_AS`` or ``RLIMIT_DATA``: address space is not memory.
  Digits on OpenVINO maps 857 MB for 107 MB that are resident (191 MB count as data), on ONNX Runtime 187 for 62 (101),
  a net of 105 MB 1,046 for 504 (570) and 483 for 350 (327); stacks and arenas grow with the machine's cores, and Node
  reserves tens of GB. What is filled between two looks comes on top; of loops that double a tensor 15 MB were seen.
- **CPU time** by ``RLIMIT_CPU``, which the child sets before it opens anything; no core is dumped (see ``confined``).
- **Time**: a deadline for the whole and one for each word of the child's.
- It has a process group of its own, which is killed at the end, whatever is left in it; a folder for temporary files,
  which is removed; and on Linux it ends with its parent.

It answers in lines of JSON on its stdout, of ``MAX_LINE`` bytes at most, ``MAX_LINES`` and ``MAX_SAID`` together. What
it prints otherwise is stderr, of which the end is kept. Where there is no ``/proc`` (macOS) memory has no limit; where
there is no ``resource`` either (Windows) there are the deadlines alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from edgekd.base import confined, errors, family, pipes, reader, units
from edgekd.base.child_limits import Limits
from edgekd.base.disk import temporary
from edgekd.base.errors import EdgekdError, Failure, IntegrityError, ResourceError, UnavailableError

POLL = 0.05
GRACE = 2.0  # seconds from a child's last word to its end
MAX_LINE, MAX_SAID, MAX_LINES = 4_000_000, 16_000_000, 100_000
TAIL = 4000  # bytes that are kept of stderr
CHUNK = 1 << 16
MORE = "--max-memory-gb and --max-seconds allow more (in Python max_memory_gb, max_seconds)"
_KINDS = {"at": str, "alive": bool, "error": dict, "answer": object}
_PAGE = 1024  # bytes of a kB in /proc


@dataclass(frozen=True)
class Ended:
    """How a child ended by itself.

    Attributes:
        code: its exit code, below 0 the signal.
        stderr: the end of it.
        at: what it was at, by its own words; "" where it said nothing.
        answer: what it answered, None where it did not.
        error: the error that it told instead.
    """

    code: int
    stderr: str
    at: str = ""
    answer: object = None
    error: EdgekdError | None = None

    def hold(self, where: str) -> None:
        """Raise where a signal ended it.

        Raises:
            IntegrityError: it crashed over what it had opened.
            ResourceError: it was killed from outside, as the system does where memory is out.
        """
        if self.code == -signal.SIGKILL:
            what = "was killed from outside, as the system does where memory is out"
            raise ResourceError(what, where=self.place(where))
        if self.code < 0:
            what = f"the runtime crashed: {_signal(-self.code)}{_last(self.stderr)}"
            raise IntegrityError(what, where=self.place(where))

    def place(self, where: str) -> str:
        """With what it was at."""
        return _place(where, self.at)


def ask(module: str, request: Mapping[str, object], limits: Limits, where: str) -> object:
    """What a module of edgekd's answers to a request in a child; see ``confined.serve``.

    Args:
        request: what JSON can say.
        where: what is opened, for the errors.

    Raises:
        IntegrityError: a limit was passed, the child crashed, or it answered what is no answer; says at what.
        ResourceError: it was killed from outside.
        EdgekdError: the child's own, of its class.
    """
    ended = run(module, (), limits, where, json.dumps(request).encode())
    if ended.error is not None:
        raise ended.error
    if ended.answer is not None:
        return ended.answer
    ended.hold(where)
    raise IntegrityError(f"can't be checked: it ended with {ended.code}{_last(ended.stderr)}", where=ended.place(where))


def run(module: str, argv: Sequence[str], limits: Limits | None, where: str, request: bytes = b"") -> Ended:
    """Run a module in a fresh Python, which finds other modules where this one does.

    Args:
        limits: None for files of the user's own.
        request: what stands on its stdin.

    Raises:
        IntegrityError: as ``ask``.
        UnavailableError: this is no Python that could start another one, as in an app that is one program.
    """
    if confined.TOLD in os.environ or getattr(sys, "frozen", False):  # an app would start itself, for ever
        raise UnavailableError("needs a Python that can start another one", where=where, found=sys.executable)
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    settings = {"parent": os.getpid(), "cpu": None if limits is None else limits.cpu}
    with temporary("child") as folder:
        variables = {"PYTHONPATH": path, "TMPDIR": str(folder), confined.TOLD: json.dumps(settings)}
        child = _Child([sys.executable, "-P", "-m", module, *argv], {**os.environ, **variables}, limits, where)
        try:
            child.give(request)
            return child.hear()
        finally:
            child.close()


class _Child:
    """A child that runs."""

    def __init__(self, line: Sequence[str], env: Mapping[str, str], limits: Limits | None, where: str) -> None:
        self.limits, self.where, self.at, self.over = limits, where, "", False
        self.began = self.heard = time.monotonic()
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self._stderr = b""
        # its own group and not a session: those share a CPU by session, and a benchmark would notice
        group = {"process_group": 0} if os.name == "posix" else {}
        self.process, self._pipes = pipes.start(line, env=env, **group)
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._read, self._listen)]
        for thread in self._threads:
            thread.start()

    def give(self, request: bytes) -> None:
        """Its stdin; who has crashed already reads none."""
        with contextlib.suppress(BrokenPipeError):
            self._pipes.stdin.write(request)
        self._pipes.stdin.close()

    def hear(self) -> Ended:
        """Listen until it ends."""
        answer: object = None
        error: EdgekdError | None = None
        for message in self._messages():
            self.heard = time.monotonic()
            self.at = message.get("at", self.at)
            answer = message.get("answer", answer)
            error = self._error(message["error"]) if "error" in message else error
            if answer is not None or error is not None:
                break
        hangs = not self._wait_for_end()
        self._kill()  # with what it left behind
        code = self._reaped()
        if self.limits is not None and code == -getattr(signal, "SIGXCPU", 0):
            raise self._passed(f"took more than {self.limits.cpu:.3g} s of CPU time")
        self._threads[1].join(timeout=GRACE)
        return Ended(0 if hangs else code, self._stderr.decode(errors="replace"), self.at, answer, error)

    def close(self) -> None:
        """End it, and what it started."""
        self._kill()
        self._reaped()
        for thread in self._threads:
            thread.join(timeout=GRACE)
        self._pipes.stdout.close()
        self._pipes.stderr.close()

    def _messages(self) -> Iterator[dict[str, Any]]:
        """Until its stdout is closed, or it has ended and somebody else holds that open."""
        ended: float | None = None
        looked = 0.0
        while ended is None or time.monotonic() < ended + GRACE:
            try:
                line = self._lines.get(timeout=POLL)
            except queue.Empty:
                if ended is None and self._has_ended():
                    ended = time.monotonic()
                    self._kill()
            else:
                if line is None:
                    return
                yield self._message(line)
            if time.monotonic() > looked + POLL:
                self._hold()
                looked = time.monotonic()

    def _wait_for_end(self) -> bool:
        """Whether it ends, now that it has said its last word; who hangs there is not waited for."""
        until = time.monotonic() + GRACE
        while not (ended := self._has_ended()) and time.monotonic() < until:
            time.sleep(0.002)
        return ended

    def _has_ended(self) -> bool:
        """Without reaping it: so long its number is nobody else's, and its group can be killed."""
        if hasattr(os, "waitid"):
            return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        return self.process.poll() is not None

    def _reaped(self) -> int:
        """Its exit code; from now on its number may be another's."""
        self.over = True
        return self.process.wait()

    def _kill(self) -> None:
        if self.over:
            return
        if os.name == "posix":
            with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS refuses a group that has ended
                os.killpg(self.process.pid, signal.SIGKILL)
        else:
            self.process.kill()

    def _hold(self) -> None:
        """Raise where a limit is passed."""
        limits, now = self.limits, time.monotonic()
        if limits is None:
            return
        if now > self.began + limits.seconds:
            raise self._passed(f"took longer than {limits.seconds:.3g} s")
        if now > self.heard + limits.silence:
            raise self._passed(f"took longer than {limits.silence:.3g} s")
        if memory_of(self.process.pid) > limits.memory:
            raise self._passed(f"took more memory than {units.in_gb(limits.memory)}")

    def _passed(self, what: str) -> IntegrityError:
        return IntegrityError(f"{what}, and was ended", where=_place(self.where, self.at), hint=MORE)

    def _message(self, line: bytes) -> dict[str, object]:
        """One line, checked: what was opened may have got hold of the child."""
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        if isinstance(message, dict) and len(message) == 1:
            key, value = next(iter(message.items()))
            if key in _KINDS and isinstance(value, _KINDS[key]):
                return message
        raise self._no_answer(line)

    def _error(self, failure: dict[str, object]) -> EdgekdError:
        try:
            return errors.from_dict(reader.check(failure, Failure, self.where), IntegrityError)
        except IntegrityError:
            raise self._no_answer(json.dumps(failure).encode()) from None

    def _no_answer(self, line: bytes) -> IntegrityError:
        excerpt = line[:60].decode(errors="replace")
        return IntegrityError("said what is no answer, and was ended", where=_place(self.where, self.at), found=excerpt)

    def _read(self) -> None:
        """Lines of its stdout, into the queue; of one that is too long or one too many the beginning alone."""
        buffer, total, count = b"", 0, 0
        while data := _some(self._pipes.stdout):
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                self._lines.put(line)
            total, count = total + len(data), count + len(lines)
            if len(buffer) > MAX_LINE or total > MAX_SAID or count > MAX_LINES:
                self._lines.put(buffer[:100] or b"without end")
                return
        self._lines.put(None)

    def _listen(self) -> None:
        while data := _some(self._pipes.stderr):
            self._stderr = (self._stderr + data)[-TAIL:]


def memory_of(pid: int) -> int:
    """Bytes, resident or swapped out, of a process and of what it started; 0 where the system does not tell."""
    total = 0
    for place in family.of(pid):
        with contextlib.suppress(OSError):  # it has ended
            for line in (place / "status").read_bytes().splitlines():
                if line.startswith((b"VmRSS:", b"VmSwap:")):
                    total += int(line.split()[1]) * _PAGE
    return total


def _some(pipe: IO[bytes]) -> bytes:
    """What is there; nothing where no more comes."""
    try:
        return pipe.read(CHUNK)
    except (OSError, ValueError):  # closed meanwhile
        return b""


def _place(where: str, at: str) -> str:
    """``at`` comes from the child."""
    return f"{where}: {at[:200]}" if at else where


def _signal(number: int) -> str:
    """In words."""
    try:
        return f"{signal.strsignal(number)} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"


def _last(stderr: str) -> str:
    lines = [line for line in stderr.splitlines() if line.strip()]
    return f": {lines[-1].strip()[:200]}" if lines else ""
