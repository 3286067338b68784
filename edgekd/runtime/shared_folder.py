"""A folder over which one machine measures what others ask: ``folder:PATH`` as a device, on a disk that all share.

::

    measurer.json        who measures: its edgekd, its facts, and a number that grows while it lives
    measurer.lock        held by the one that measures; the next waits for it
    jobs/<name>/         what ``jobs.write_job`` wrote: asked, and not measured yet
    results/<name>/      what came out: the document or the error, and the machine's key

A name is the hash of what is asked, and of the kind of measurement. So whoever asks again what was asked before, as a
worker does that was killed while it waited, finds the job in its place, or its result. Both are put there in one
rename; a result is gone once it is read, since a second session is to be a measurement of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edgekd import __version__
from edgekd.base import aside, places, reader
from edgekd.base.disk import disk, sync_folder, temporary, users_path, write_synced
from edgekd.base.door import open_inside
from edgekd.base.errors import DeviceError, IntegrityError
from edgekd.document import machine, reply
from edgekd.document.bench import Cold
from edgekd.runtime import bench, cold, left
from edgekd.runtime.bench import BenchResult, Found
from edgekd.runtime.jobs import BenchJob, write_job

ADDRESS = "folder:"
KEY = "machine.json"  # of a result: which machine it is of
RESULTS = {"bench": bench.RESULT, "cold": cold.RESULT}  # the document that a kind of measurement leaves
MOST = 2**31  # bytes of a file that is asked about, the most that ONNX knows
BEAT_S = 20.0  # between two signs of life of the one that measures
SILENT_S = 120.0  # without one, after which those that wait are told
GIVEN_UP_S = 7200.0  # and after which they wait no longer
POLL_S = 0.2
_NAME = re.compile(rf"[0-9a-f]{{64}}\.({'|'.join(RESULTS)})")
Tell = Callable[[str], None]


def path_of(device: str) -> Path | None:
    """The folder that a device's address names; None where it is another kind of device.

    Raises:
        UsageError: ``folder:`` without a path.
    """
    return users_path(device.removeprefix(ADDRESS), "--device folder") if device.startswith(ADDRESS) else None


@dataclass(frozen=True)
class JobFolder:
    """The files of the folder. What the disk refuses is told as in ``disk``."""

    root: Path

    def ask(self, name: str, files: Mapping[str, bytes]) -> None:
        """Put a job in place, unless it waits there already."""
        _put(self.root / "jobs" / name, files)

    def jobs(self) -> list[str]:
        """The names of the jobs that wait, in the order in which they came."""
        return [place.name for place in sorted(_inside(self.root / "jobs"), key=lambda p: (_written_ns(p), p.name))]

    def copy(self, name: str, folder: Path) -> None:
        """Bring the files of a job into another folder.

        Raises:
            IntegrityError: a file that is none, or too large.
        """
        place = self.root / "jobs" / name
        with disk(place):
            for file in os.listdir(place):
                (folder / file).write_bytes(open_inside(place, file, MOST))

    def answer(self, name: str, files: Mapping[str, bytes]) -> None:
        """Put a result in place, then remove its job: one of a killed measurer's is there twice, and never nowhere."""
        _put(self.root / "results" / name, files)
        self.drop(name)

    def has_result(self, name: str) -> bool:
        """Whether somebody measured it already."""
        return places.kind(self.root / "results" / name) == "folder"

    def drop(self, name: str) -> None:
        """Remove a job."""
        _remove(self.root / "jobs" / name)

    def take(self, name: str) -> dict[str, bytes] | None:
        """A result, which is gone then; None where there is none yet, or one that can't be read: it is asked again."""
        place = self.root / "results" / name
        with disk(place):
            if places.kind(place) == "nothing":
                return None
            try:
                files = {file: open_inside(place, file, bench.MOST) for file in os.listdir(place)}
            except (IntegrityError, FileNotFoundError):  # or another one took it meanwhile
                files = None
            _remove(place)
        return files

    def clear(self) -> None:
        """Remove results that nobody came for in a day, and what killed processes left."""
        for place in _inside(self.root / "results"):
            if time.time() - _written_ns(place) / 1e9 > aside.AGE_S:
                _remove(place)
        for inner in ("jobs", "results"):
            aside.clear(self.root / inner)

    def measurer(self) -> reply.Measurer | None:
        """Who measures here, or did last; None: nobody yet.

        Raises:
            DeviceError: it says something odd.
        """
        place = self.root / "measurer.json"
        with disk(place):
            if places.kind(place) == "nothing":
                return None
            data = open_inside(self.root, place.name, left.MOST)
        return reader.read(data, reply.Measurer, str(place), DeviceError)


def _put(place: Path, files: Mapping[str, bytes]) -> None:
    """A folder of files in one rename; one that stands there stays."""
    with disk(place):
        if os.path.lexists(place):
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        with aside.folder(place) as new:
            for name, data in files.items():
                write_synced(new / name, data)
            sync_folder(new)
            try:
                os.rename(new, place)
            except OSError:  # another process was faster
                if not os.path.lexists(place):
                    raise
            sync_folder(place.parent)


def _remove(place: Path) -> None:
    """Out of its place in one step, so that nobody reads half of it."""
    gone = aside.name_of(place)
    with disk(place), suppress(FileNotFoundError):
        os.rename(place, gone)
        places.remove(gone)


def _inside(folder: Path) -> list[Path]:
    with disk(folder), suppress(FileNotFoundError):
        return [folder / name for name in os.listdir(folder) if _NAME.fullmatch(name)]
    return []


def _written_ns(place: Path) -> int:
    """When a folder was written; 0 of one that is gone."""
    with disk(place), suppress(FileNotFoundError):
        return os.lstat(place).st_mtime_ns
    return 0


class SharedFolder:
    """The end of a folder that asks: as ``Remote`` of a device, but what it asks waits for its turn.

    Args:
        expected: the machine whose latencies others of the same story are; None: whichever measures now.
        tell: called with a line where nobody measures.

    Raises:
        DeviceError: (from each measurement) nobody measures there for ``GIVEN_UP_S`` seconds, or another machine.
    """

    def __init__(self, root: Path, tell: Tell = lambda line: None, expected: machine.Told | None = None) -> None:
        self.folder, self.tell, self.expected = JobFolder(root), tell, expected
        self.name = f"{ADDRESS}{root}"
        self._sign: object = None  # of life, the last one
        self._since = time.monotonic()
        self._is_told = False

    def bench(self, job: BenchJob) -> BenchResult:
        """Latencies, as ``bench_in_subprocess`` measures them there."""
        return self._ask(job, "bench", lambda it: bench.read_result(it, job, DeviceError, self.name))

    def cold(self, job: BenchJob) -> Cold:
        """The first second there."""
        return self._ask(job, "cold", lambda it: cold.read(it, DeviceError, self.name))

    def facts(self) -> machine.Told:
        """Which machine measures; waited for where none did yet."""
        while (measurer := self._seen()) is None:
            time.sleep(POLL_S)
        if measurer["edgekd"] != __version__:
            what, version = "another version of edgekd measures", measurer["edgekd"]
            raise DeviceError(what, where=self.name, found=version, allowed=f"{__version__}, as here")
        return measurer["host"]

    def _ask(self, job: BenchJob, kind: str, read: Callable[[Path], Found]) -> Found:
        expected = (self.expected or self.facts())["key"]
        with temporary("bench") as folder:
            write_job(job, folder)
            files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        name = f"{_hash(files)}.{kind}"
        while True:
            result = self._result(name, files)
            key = reader.read(result.pop(KEY, b"{}"), machine.Key, f"{self.name}: {KEY}", DeviceError)
            if key == expected:
                break
            if self.facts()["key"] != expected:
                hint = "the same command begins anew with its latencies"
                allowed = f"{expected['cpu']}, as before, and its versions of the runtimes"
                what = "another machine measures"
                raise DeviceError(what, where=self.name, found=key["cpu"], allowed=allowed, hint=hint)
        with temporary("bench") as folder:
            for file in {left.FAILURE, RESULTS[kind]} & {*result}:
                (folder / file).write_bytes(result[file])
            left.check_outcome(folder, 0, "", self.name, DeviceError)
            return read(folder)

    def _result(self, name: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """What was measured; asked for again where neither the job nor its result is there any more."""
        self._since = time.monotonic()
        while (result := self.folder.take(name)) is None:
            self.folder.ask(name, files)
            self._seen()
            time.sleep(POLL_S)
        return result

    def _seen(self) -> reply.Measurer | None:
        """Who measures; that nobody does is told, and ends in an error.

        By the clock here alone: those of machines need not agree.
        """
        measurer, now = self.folder.measurer(), time.monotonic()
        sign = measurer and (measurer["worker"], measurer["beats"])
        if sign != self._sign:
            self._sign, self._since, self._is_told = sign, now, False
        hint = f"run edgekd measure {self.folder.root} on the machine whose latencies count"
        if now - self._since > GIVEN_UP_S:
            raise DeviceError("nobody measures there", where=self.name, hint=hint)
        if not self._is_told and (measurer is None or now - self._since > SILENT_S):
            self._is_told = True
            self.tell(f"{self.name}: nobody measures there: {hint}")
        return measurer


def _hash(files: Mapping[str, bytes]) -> str:
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()
