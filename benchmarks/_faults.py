"""Faults at every file-system call: an error, a write that is short, a disk that lies, SIGKILL. Standard library alone.

``injected`` stands around the functions of ``os`` that a primitive calls, and makes the n-th of these calls fail.
``Primitive`` is what is tried: what stands before, what is done, what may be seen afterwards. See
``primitive_faults.py`` for all of them to their full counts, ``tests/attacks/test_writing.py`` for a few of each.
"""

from __future__ import annotations

import builtins
import errno
import io
import json
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CALLS = (
    *("open", "write", "read", "fsync", "close", "rename", "replace", "mkdir", "rmdir", "unlink", "chmod"),
    *("lstat", "stat", "fstat", "listdir", "scandir", "posix_fadvise"),
)
ERRORS = ("ENOSPC", "EDQUOT", "EIO", "EACCES", "EPERM", "EROFS", "EMFILE", "ENFILE", "ESTALE", "ENXIO")
LASTING = {
    "full": ("ENOSPC", ("write", "mkdir")),
    "dying": ("EIO", ("read", "write", "fsync")),
}  # from the n-th call on
TOLD = "EDGEKD_FAULT"
OF_WRITES = ("short", "lie", "flip")  # half is taken, and so told; half is taken and all told; one byte is another

_write = os.write
_kept: list[Any] = []


@dataclass
class Injector:
    """Counts calls, and makes the one with number ``at`` fail in a way; 0: none.

    Attributes:
        under: only calls count that are on files in this folder; "": all.
        log: a handle to which each call is written, its name and its file; None: to none.
        lied: whether a write was told to be whole that was not.
        writes: which calls write at least two bytes.
        handles: the file of each that is open on one in the folder.
    """

    kind: str = ""
    at: int = 0
    under: str = ""
    log: int | None = None
    count: int = 0
    lied: bool = False
    writes: list[int] = field(default_factory=list)
    handles: dict[int, str] = field(default_factory=dict)

    def wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        """A call that counts."""

        def call(*args: Any, **kwargs: Any) -> Any:
            place = self.place(args, kwargs)
            if place is not None:
                self.count += 1
                if name == "write" and len(args[1]) > 1:
                    self.writes.append(self.count)
                if self.log is not None:
                    _write(self.log, f"{_told(name, args)}\t{place}\n".encode(errors="replace"))
            if name == "close":
                self.handles.pop(args[0], None)
            failing = place is not None and (self.count == self.at or self.lasts(name))
            found = self.fail(name, real, args, kwargs) if failing else real(*args, **kwargs)
            if name == "open" and isinstance(found, int):
                self.handles.pop(found, None)
                if place is not None:
                    self.handles[found] = place
            return found

        return call

    def lasts(self, name: str) -> bool:
        """Whether a call fails because an earlier one did."""
        return self.kind in LASTING and 0 < self.at < self.count and name in LASTING[self.kind][1]

    def place(self, args: tuple[Any, ...], kwargs: Any) -> str | None:
        """The file that a call is on; None where it is not in the folder."""
        if not self.under:
            return ""
        what, beside = args[0] if args else kwargs.get("path", "."), kwargs.get("dir_fd", kwargs.get("src_dir_fd"))
        if isinstance(what, int):
            return self.handles.get(what)
        if beside is not None:
            folder = self.handles.get(beside)
            return None if folder is None else os.path.join(folder, os.fsdecode(what))
        path = os.path.abspath(os.fsdecode(what or "."))
        return path if (path + os.sep).startswith(self.under + os.sep) else None

    def fail(self, name: str, real: Callable[..., Any], args: tuple[Any, ...], kwargs: Any) -> Any:
        """What the n-th call does."""
        if self.kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.kind in OF_WRITES:
            if not name.startswith("write"):  # this run came another way to the call with that number
                return real(*args, **kwargs)
            handle, data = args
            half, self.lied = len(data) // 2, self.kind != "short"
            taken = real(handle, data[:half])
            if self.kind == "flip":
                real(handle, bytes([data[half] ^ 1, *data[half + 1 :]]))
            return len(data) if self.lied else taken
        if name == "close":
            real(*args, **kwargs)  # it is closed whatever it says
        code = getattr(errno, LASTING.get(self.kind, (self.kind,))[0])
        told = args[0] if args and isinstance(args[0], str | os.PathLike) else None
        raise OSError(code, os.strerror(code), told)


def _told(name: str, args: tuple[Any, ...]) -> str:
    """A call's name; that of one which can't be half done, or makes a file, is another."""
    if name == "write" and len(args[1]) < 2:
        return "write of one"
    how = args[1] if name == "open" and len(args) > 1 else 0
    creates = how & (os.O_CREAT | os.O_WRONLY | os.O_RDWR) if isinstance(how, int) else set(how) & set("wax+")
    return "create" if creates else name


@contextmanager
def injected(injector: Injector, locks: Any = None, disk: Any = None) -> Iterator[Injector]:
    """The functions of ``os``, of ``locks.fcntl`` and the exchange of ``disk`` counted, and the chosen one failing."""
    with ExitStack() as stack:
        for name in CALLS:
            call = injector.wrapped(name, getattr(os, name))
            for known in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks):
                if getattr(os, name) in known:  # asked by the standard library before it takes the safe way
                    known.add(call)
                    stack.callback(known.discard, call)
            _put(stack, os, name, call)
        for place in (builtins, io):  # pathlib takes the second
            _put(stack, place, "open", _counted_open(injector))
        if locks is not None and locks.fcntl is not None:
            _put(stack, locks.fcntl, "flock", injector.wrapped("flock", locks.fcntl.flock))
        if disk is not None:
            _put(stack, disk, "_swap", injector.wrapped("swap", disk._swap))
        yield injector


def _counted_open(injector: Injector) -> Callable[..., Any]:
    """``open`` whose files count as the calls of ``os`` do: it asks the system behind their backs."""

    class Raw(io.FileIO):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            injector.handles[self.fileno()] = injector.place(args, {}) or ""
            self.read_into = injector.wrapped("read", lambda _, into: super(Raw, self).readinto(into))
            self.read_all = injector.wrapped("read", lambda _: super(Raw, self).readall())
            self.put = injector.wrapped("write", lambda _, data: super(Raw, self).write(data))

        def readinto(self, into: Any) -> Any:
            return self.read_into(self.fileno(), into)

        def readall(self) -> Any:
            return self.read_all(self.fileno())

        def write(self, data: Any) -> Any:
            return self.put(self.fileno(), data)

        def close(self) -> None:
            if not self.closed:
                injector.handles.pop(self.fileno(), None)
            super().close()

    real, made = builtins.open, injector.wrapped("open", Raw)

    def opened(
        file: Any, mode: str = "r", buffering: int = -1, encoding: Any = None, errors: Any = None, newline: Any = None,
        *more: Any, **kwargs: Any,
    ) -> Any:  # fmt: skip
        if more or kwargs or injector.place((file,), {}) is None:
            return real(file, mode, buffering, encoding, errors, newline, *more, **kwargs)
        raw = Raw(file, mode) if isinstance(file, int) else made(os.fspath(file), mode.replace("t", ""))
        if buffering == 0:
            return raw
        buffer = io.BufferedRandom if "+" in mode else io.BufferedReader if "r" in mode else io.BufferedWriter
        return buffer(raw) if "b" in mode else io.TextIOWrapper(buffer(raw), encoding, errors, newline)

    return opened


def injected_by_environment() -> None:
    """For a child of what is tried: count its calls, or make one fail, as ``TOLD`` says, to its end."""
    document = json.loads(os.environ[TOLD])
    number = 0
    while os.path.exists(os.path.join(document["control"], str(number))):  # they start one after the other
        number += 1
    log = os.open(os.path.join(document["control"], str(number)), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    chosen = document["process"] == str(number)
    for_ever = injected(
        Injector(document["kind"] if chosen else "", document["at"] if chosen else 0, document["under"], log)
    )
    _kept.append(for_ever.__enter__())
    _kept.append(for_ever)


def _put(stack: ExitStack, place: Any, name: str, value: Any) -> None:
    stack.callback(setattr, place, name, getattr(place, name))
    setattr(place, name, value)


@dataclass(frozen=True)
class Primitive:
    """Something that writes, or reads what was written.

    Attributes:
        before: puts there what stands before, in a fresh folder.
        act: does it.
        state: what can be seen now; ``allowed`` says which are whole (old, then new).
        left: names that should not be there after a run that was not disturbed.
    """

    name: str
    before: Callable[[Path], None]
    act: Callable[[Path], Any]
    state: Callable[[Path], Any]
    allowed: tuple[Any, ...]
    left: Callable[[Path], list[str]]


@dataclass
class Tally:
    """What became of the tries, and where it was not as it should be."""

    tries: dict[str, int] = field(default_factory=dict)
    half_visible: int = 0
    wrong_accepted: int = 0
    not_healed: int = 0
    left_over: int = 0
    plain: int = 0
    told: int = 0
    lies: int = 0
    where: dict[str, int] = field(default_factory=dict)

    def bad(self, what: str, primitive: Primitive, kind: str, at: int, why: str = "") -> None:
        """Count something that must not be."""
        setattr(self, what, getattr(self, what) + 1)
        key = f"{what}: {primitive.name}, {kind} at {at} {why}"[:160]
        self.where[key] = self.where.get(key, 0) + 1

    @property
    def wrong(self) -> int:
        """How often it was not as it should be."""
        return self.half_visible + self.wrong_accepted + self.not_healed + self.left_over + self.plain


def calls_of(primitive: Primitive, root: Path, parts: dict[str, Any]) -> Injector:
    """Which calls it makes where nothing fails."""
    primitive.before(root)
    with injected(Injector(), parts["locks"], parts["disk"]) as counting:
        primitive.act(root)
    return counting


def points(counted: Injector, kind: str) -> list[int]:
    """The calls that can fail in a way."""
    return counted.writes if kind in OF_WRITES else list(range(1, counted.count + 1))


def try_one(primitive: Primitive, root: Path, kind: str, at: int, tally: Tally, parts: dict[str, Any]) -> None:
    """One fault in a fresh folder; then what is seen, and what the next run makes of it."""
    tally.tries[kind] = tally.tries.get(kind, 0) + 1
    primitive.before(root)
    injector = Injector(kind, at)
    done = _in_fork if kind == "kill" else _here
    ended = done(primitive, root, injector, parts, tally)
    seen = primitive.state(root)
    if seen not in primitive.allowed:
        tally.bad("half_visible", primitive, kind, at)
    if ended == "done" and seen != primitive.allowed[-1]:
        tally.bad("wrong_accepted", primitive, kind, at)
    tally.lies += injector.lied
    try:
        primitive.act(root)
    except parts["error"] as err:
        tally.bad("not_healed", primitive, kind, at, str(err))
        return
    if primitive.state(root) != primitive.allowed[-1]:
        tally.bad("not_healed", primitive, kind, at)
    if left := primitive.left(root):
        tally.bad("left_over", primitive, kind, at, " ".join(left))


def _here(primitive: Primitive, root: Path, injector: Injector, parts: dict[str, Any], tally: Tally) -> str:
    try:
        with injected(injector, parts["locks"], parts["disk"]):
            primitive.act(root)
    except parts["error"]:
        tally.told += 1
        return "told"
    except Exception as err:  # noqa: BLE001 - what is counted
        tally.bad("plain", primitive, injector.kind, injector.at, repr(err))
        return "plain"
    return "done"


def _in_fork(primitive: Primitive, root: Path, injector: Injector, parts: dict[str, Any], tally: Tally) -> str:
    child = os.fork()
    if child == 0:
        with injected(injector, parts["locks"], parts["disk"]):
            primitive.act(root)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return "killed" if os.WIFSIGNALED(status) else "done"


def bytes_of(rng: random.Random, most: int = 6000) -> bytes:
    """A file's content: also none, and more than a chunk."""
    return rng.randbytes(rng.choice((0, 1, 7, rng.randrange(1, most))))


def tree(folder: Path) -> dict[str, bytes] | None:
    """A folder's files by name; None where there is none. A file is its bytes."""
    if not folder.is_dir():
        return None
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def hidden(folder: Path) -> list[str]:
    """Names that nobody should find when all is done."""
    return sorted(path.name for path in folder.rglob(".*"))


if sys.platform == "win32":
    raise SystemExit("forks and signals are of other systems")
