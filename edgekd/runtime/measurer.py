"""The one that measures: what others ask over a shared folder (see ``shared_folder``), a job at a time, in order.

It needs no torch, and no recipe: numpy and the runtimes that are asked about. A killed one leaves its job where it was,
and the next measures it again.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path

from edgekd import __version__
from edgekd.base import beats, locks, reader
from edgekd.base.disk import disk, replace_file, temporary
from edgekd.base.door import open_inside
from edgekd.base.errors import DeviceError, EdgekdError, IntegrityError, UsageError
from edgekd.document import reply
from edgekd.runtime import allowed, bench, cold, left, runners, shared_folder
from edgekd.runtime.backend import PLUGIN
from edgekd.runtime.jobs import BenchJob, read_job
from edgekd.runtime.shared_folder import BEAT_S, POLL_S, JobFolder, Tell

TRIES = 4  # of a job whose device is away, before who asked is told
PAUSE_S = 20.0  # between two of them


class Measurer:
    """Answers what is asked over a folder.

    Args:
        root: the folder; made where it is missing.
        device: where it is measured: this machine, or a device that this one reaches.
        tell: called with a line for each job.

    Raises:
        UsageError: no such device, or one that is a shared folder itself.
    """

    def __init__(self, root: Path, device: str = "local", tell: Tell = lambda line: None) -> None:
        if shared_folder.path_of(device) is not None:
            raise UsageError("measures itself", where="--device", found=device, allowed="this machine, or a device")
        self.folder, self.tell, self.runner = JobFolder(root), tell, runners.of(device)
        self._tries: dict[str, int] = {}

    def serve(self) -> None:
        """Measure until interrupted; while another one does, wait to be the next.

        Raises:
            DeviceError, OutputError, ResourceError: the device can't be reached now, or the folder not be written.
        """
        with self._alone(), self._beating():
            self.tell(f"measuring what is asked in {self.folder.root}; Ctrl-C ends it")
            while True:
                if not self.measure_next():
                    time.sleep(POLL_S)

    def measure_next(self) -> bool:
        """Measure the job that came first and answer it; False where none waits."""
        name = next(iter(self.folder.jobs()), None)
        if name is None:
            return False
        if self.folder.has_result(name):  # of one that was killed before it removed the job
            self.folder.drop(name)
            return True
        with temporary("bench") as folder:
            try:
                job = self._read(name, folder)
                self.tell(f"{job.where}: {', '.join(job.candidates)}")
                self._measure(job, name.rpartition(".")[2], folder)
            except EdgekdError as err:
                if isinstance(err, DeviceError) and self._may_come_back(name):
                    self.tell(f"{err}; it is tried again in {PAUSE_S:.0f} s")
                    time.sleep(PAUSE_S)
                    return True
                left.tell_error(folder, err)
            self._tries.pop(name, None)
            written = {file: folder / file for file in (left.FAILURE, *shared_folder.RESULTS.values())}
            files = {file: path.read_bytes() for file, path in written.items() if path.is_file()}
            self.folder.answer(name, {**files, shared_folder.KEY: json.dumps(self.runner.facts()["key"]).encode()})
        self.folder.clear()
        return True

    def _may_come_back(self, name: str) -> bool:
        self._tries[name] = self._tries.get(name, 0) + 1
        return self._tries[name] < TRIES

    def _read(self, name: str, folder: Path) -> BenchJob:
        """A job, its files in a folder of our own.

        Whoever may write in the shared folder may ask; they open what a stranger's bundle could, and no code of theirs.
        """
        with temporary("bench") as copied:
            self.folder.copy(name, copied)
            table = reader.read(open_inside(copied, "job.json", left.MOST), reply.Job, f"{name}: job.json")
            kind, where = table["backend"], f"{name}: job.json"
            if kind.startswith(PLUGIN) or ":" in kind:
                raise IntegrityError("a backend of your own is not measured for others", where=where, found=kind)
            for options in (table["options"], *table["options_of"].values()):
                allowed.check(kind, options, where)
            try:
                return read_job(copied)
            except (ValueError, TypeError, LookupError, EOFError, OSError) as err:
                raise IntegrityError(f"not a job: {err}", where=where) from err

    def _measure(self, job: BenchJob, kind: str, folder: Path) -> None:
        if kind == "bench":
            bench.write_result(self.runner.bench(job), folder)
        else:
            (folder / cold.RESULT).write_text(json.dumps(self.runner.cold(job)), encoding="utf-8")

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One measures at a time: two would be in each other's latencies."""
        lock = self.folder.root / "measurer.lock"
        with disk(self.folder.root):
            self.folder.root.mkdir(parents=True, exist_ok=True)
            if locks.is_held(lock):
                self.tell(f"another one measures in {self.folder.root}: this one is the next")
            with locks.file(lock):
                yield

    @contextlib.contextmanager
    def _beating(self) -> Iterator[None]:
        """Say who measures, and every ``BEAT_S`` seconds that it lives."""
        about: reply.Measurer = {
            "edgekd": __version__,
            "worker": f"{platform.node()}:{os.getpid()}:{time.time_ns()}",
            "beats": 0,
            "host": self.runner.facts(),
        }
        place = self.folder.root / "measurer.json"

        def beat(count: int) -> None:
            replace_file(place, json.dumps({**about, "beats": count}).encode())

        beat(0)  # here, where a folder that can't be written to ends it
        with beats.beating(beat, BEAT_S, "edgekd-measurer-beat", (EdgekdError,)):
            yield
