"""What lies in no file as it is, and is too much for memory: written into one beside the cache."""

from __future__ import annotations

import contextlib
import weakref
from pathlib import Path
from typing import IO

from edgekd.base.disk import disk
from edgekd.learn.data import _hashes


class Unpacked:
    """The file of values that lie in no file as they are; gone when nobody holds this any more."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._file: IO[bytes] | None = None
        self.size = 0
        weakref.finalize(self, self._stack.close)

    def add(self, data: memoryview, name: str) -> tuple[Path, int]:
        """Write bytes; the file, and the first one's place in it. ``name``: of a column."""
        if self._file is None:
            folder = self._stack.enter_context(_hashes.folder_for("unpacked"))
            self._file = self._stack.enter_context((folder / name).open("wb", buffering=0))
        path, start = Path(self._file.name), self.size
        with disk(path):
            while len(data):
                count = self._file.write(data)
                self.size, data = self.size + count, data[count:]
        return path, start
