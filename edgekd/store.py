"""The cache: artifacts by key. Only successes are kept; written aside, fsynced, renamed; verified when read.

Layout of the root::

    artifacts/<k0k1>/<key>/      the files of one artifact, and index.json with the SHA-256 of each
    scratch/<key>/               epoch checkpoints of a step that is not done yet
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgekd.disk import disk, sync_folder, write_synced

INDEX = "index.json"
LEFTOVER_S = 3600


def sha256(data: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(data).hexdigest()


def canonical(value: object) -> bytes:
    """JSON with one spelling for each value: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


@dataclass(frozen=True)
class Store:
    """A content-addressed folder, safe to share between processes."""

    root: Path

    def _place(self, key: str) -> Path:
        return self.root / "artifacts" / key[:2] / key

    def has(self, key: str) -> bool:
        """Whether an artifact stands there; ``get`` also verifies it."""
        return (self._place(key) / INDEX).is_file()

    def get(self, key: str) -> dict[str, bytes] | None:
        """The files of an artifact, or None. One that is damaged is removed, and so made again."""
        place = self._place(key)
        if not place.exists():
            return None
        with disk(self.root):
            try:
                index = json.loads((place / INDEX).read_bytes())
                files = {name: (place / name).read_bytes() for name in index}
                if all(sha256(data) == index[name] for name, data in files.items()):
                    return files
            except (FileNotFoundError, ValueError):
                pass
            self._drop(place)
        return None

    def _drop(self, place: Path) -> None:
        """Remove an artifact: out of its place in one step, so that nobody reads half of it."""
        gone = place.parent / f".{uuid.uuid4().hex}"
        try:
            os.rename(place, gone)
        except FileNotFoundError:  # another process was faster
            return
        shutil.rmtree(gone, ignore_errors=True)

    def put(self, key: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """Keep an artifact and return it. If another process was faster, its equal result stays."""
        place = self._place(key)
        with disk(self.root):
            place.parent.mkdir(parents=True, exist_ok=True)
            aside = place.parent / f".{uuid.uuid4().hex}"
            aside.mkdir()
            try:
                for name, data in files.items():
                    write_synced(aside / name, data)
                write_synced(aside / INDEX, canonical({name: sha256(data) for name, data in files.items()}))
                sync_folder(aside)
                if self.get(key) is None:
                    _rename_unless_there(aside, place)
                    sync_folder(place.parent)
            finally:
                shutil.rmtree(aside, ignore_errors=True)
        return dict(files)

    @contextmanager
    def scratch(self, key: str) -> Iterator[Path]:
        """A folder for epoch checkpoints, kept when the step fails or is killed, removed when it succeeds.

        Locked: of two builds that train the same step at once the second waits, then finds the first one's result.
        """
        folder = self.root / "scratch" / key
        with disk(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock = (self.root / "scratch" / f"{key}.lock").open("w")
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            folder.mkdir(parents=True, exist_ok=True)
            with disk(folder):
                yield folder
            shutil.rmtree(folder, ignore_errors=True)
            Path(lock.name).unlink(missing_ok=True)

    def size(self) -> tuple[int, int]:
        """(artifacts, bytes of everything under the root)."""
        count = sum(1 for _ in self.root.glob(f"artifacts/*/*/{INDEX}"))
        total = sum(path.stat().st_size for path in self.root.rglob("*") if path.is_file())
        return count, total

    def prune(self, older_than_days: float = 0.0, now: float = 0.0) -> int:
        """Remove artifacts and scratch last written more than ``older_than_days`` before ``now``; bytes freed.

        What a running build is writing stays: the scratch of a step that trains, and files younger than an hour that
        are not in place yet.
        """
        freed = 0
        old = older_than_days * 86_400
        for index in self.root.glob(f"artifacts/*/*/{INDEX}"):
            if now - index.stat().st_mtime >= old:
                freed += _weight(index.parent)
                self._drop(index.parent)
        for folder in self.root.glob("scratch/*/"):
            if now - folder.stat().st_mtime >= old and not _in_use(folder):
                freed += _weight(folder)
                shutil.rmtree(folder, ignore_errors=True)
        for leftover in self.root.glob("artifacts/*/.*"):
            if now - leftover.stat().st_mtime >= max(old, LEFTOVER_S):
                freed += _weight(leftover)
                shutil.rmtree(leftover, ignore_errors=True)
        return freed


def _rename_unless_there(aside: Path, place: Path) -> None:
    try:
        os.rename(aside, place)
    except OSError as err:
        if err.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise  # else another process put its equal result there first


def _weight(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _in_use(scratch: Path) -> bool:
    """Whether a build trains there: it holds the lock."""
    try:
        with Path(f"{scratch}.lock").open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
