"""A journal of answers that must not be paid twice: each is on the disk before the next question is asked.

One file holds what one teacher said, by the hash of what it was asked. A record is appended and synced before anybody
is asked (which samples), and behind it (the answers, or that there are none). What a killed process wrote in part is
the end of the file, and is cut off; damage anywhere else is told, as the answers behind it would be asked anew.

::

    edgekd-answers-1\\n, classes: u32, then records: kind: u8, count: u32, their CRC-32, entries, the CRC-32 of it all
      A  about to ask     count x hash (32 bytes)
      G  given            count x (hash, classes x float32)
      F  failed           count x hash: nobody answered
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekd.base import locks
from edgekd.base.disk import disk
from edgekd.base.errors import IntegrityError

MAGIC = b"edgekd-answers-1\n"
ASK, GIVEN, FAILED = b"A", b"G", b"F"
HASH = 32
_HEAD, _CHECK = struct.Struct("<cI"), struct.Struct("<I")
Rows = NDArray[np.float32]


class Journal:
    """The answers of one teacher.

    Args:
        path: the file; it and its folder are made with the first record.
        classes: how many numbers an answer has.

    Attributes:
        in_doubt: batches that were about to be asked when the process ended; perhaps they were.

    Raises:
        IntegrityError: the file is damaged, or is no such journal.
    """

    def __init__(self, path: Path, classes: int) -> None:
        self.path, self._classes = path, classes
        self._answers: dict[bytes, Rows] = {}
        self.in_doubt: dict[tuple[bytes, ...], None] = {}
        self._size = 0
        self.read()

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._answers

    def __len__(self) -> int:
        return len(self._answers)

    def rows(self, digests: Sequence[bytes]) -> Rows:
        """(N, K) answers; NaN of what has none, or none yet."""
        nothing = np.full(self._classes, np.nan, np.float32)
        return np.stack([self._answers.get(digest, nothing) for digest in digests])

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold it against other processes, one of which may have asked meanwhile."""
        with disk(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with locks.file(self.path.with_name(self.path.name + ".lock")):
                self.read()
                yield

    def about_to_ask(self, digests: Sequence[bytes]) -> None:
        """Keep that these are asked next."""
        self._append(ASK, [bytes(digest) for digest in digests])
        self.in_doubt[tuple(digests)] = None

    def given(self, answers: Mapping[bytes, Rows]) -> None:
        """Keep answers; NaN alone: there is none, and it need not be asked again."""
        little = [digest + np.asarray(row, "<f4").tobytes() for digest, row in answers.items()]
        self._append(GIVEN, little)
        self._answers |= answers
        self._settle(answers)

    def failed(self, digests: Sequence[bytes]) -> None:
        """Keep that nobody answered: they may be asked again."""
        self._append(FAILED, [bytes(digest) for digest in digests])
        self._settle(dict.fromkeys(digests))

    def read(self) -> None:
        """Read what was written since, by whomever."""
        data = self.path.read_bytes() if self.path.is_file() else b""
        start = MAGIC + struct.pack("<I", self._classes)
        if len(data) < len(start):
            return  # nothing yet, or not even the start was written whole
        if not data.startswith(start):
            raise IntegrityError("not a journal of these answers", where=str(self.path))
        at = max(self._size, len(start))
        while at < len(data):
            end = self._record(data, at)
            if end is None:
                break
            at = end
        self._size = at

    def _record(self, data: bytes, at: int) -> int | None:
        """Take in the record at a place; where it ends, or None where it was not written to its end."""
        body = at + _HEAD.size + _CHECK.size
        if body > len(data):
            return None
        if not _is_sound(data, at, at + _HEAD.size):
            if any(data[at:]):
                raise self._damaged(at)
            return None  # the file grew, and what was to stand there was not written any more
        kind, count = _HEAD.unpack_from(data, at)
        width = HASH + 4 * self._classes if kind == GIVEN else HASH
        end = body + count * width
        if end + _CHECK.size > len(data):
            return None
        if not _is_sound(data, at, end):
            if end + _CHECK.size < len(data):
                raise self._damaged(at)
            return None
        parts = [data[body + i * width : body + (i + 1) * width] for i in range(count)]
        digests = [part[:HASH] for part in parts]
        if kind == ASK:
            self.in_doubt[tuple(digests)] = None
        else:
            self._settle(dict.fromkeys(digests))
        if kind == GIVEN:
            self._answers |= {part[:HASH]: np.frombuffer(part[HASH:], "<f4") for part in parts}
        return end + _CHECK.size

    def _damaged(self, at: int) -> IntegrityError:
        hint = "its answers would be asked, and paid, anew: restore it, or remove it where that is meant"
        return IntegrityError("damaged", where=str(self.path), found=f"byte {at:,}", hint=hint)

    def _settle(self, digests: Mapping[bytes, object]) -> None:
        for batch in [batch for batch in self.in_doubt if not set(batch).isdisjoint(digests)]:
            del self.in_doubt[batch]

    def _append(self, kind: bytes, parts: Sequence[bytes]) -> None:
        record = _checked(_checked(_HEAD.pack(kind, len(parts))) + b"".join(parts))
        with disk(self.path):
            self.path.touch()
            with self.path.open("r+b") as file:
                if not self._size:
                    self._size = file.write(MAGIC + struct.pack("<I", self._classes))
                file.seek(self._size)
                file.truncate()  # without what a killed process wrote in part
                file.write(record)
                file.flush()
                os.fsync(file.fileno())
        self._size += len(record)


def _checked(data: bytes) -> bytes:
    return data + _CHECK.pack(zlib.crc32(data))


def _is_sound(data: bytes, start: int, end: int) -> bool:
    """Whether the checksum behind a part is its."""
    return bool(_CHECK.unpack_from(data, end)[0] == zlib.crc32(data[start:end]))
