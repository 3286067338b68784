"""A journal of answers that must not be paid twice: each is on the disk before the next question is asked.

One file holds what one teacher said, by the hash of what it was asked. A record is appended and synced before anybody
is asked (which samples), and behind it (the answers, or that there are none). What a killed process wrote in part is
the end of the file, and is cut off; damage anywhere else is told, as the answers behind it would be asked anew.

::

    edgekd-answers-1\\n, classes: u32, then records: kind: u8, count: u32, their CRC-32, entries, the CRC-32 of it all
      A  about to ask     count x hash (32 bytes)
      R  returned         count bytes of (hash, size: u32, the answer as ``_given`` packs it)
      F  failed           count x hash: nobody answered
      G  given            count x (hash, classes x float32): what an answer was read as; read, and not written any more

An answer is kept as it was given, and read anew each time: how it is read is no matter of who gave it. So classes is 0
but in journals with records of the kind G, which stand by what they were read as.
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
ASK, RETURNED, GIVEN, FAILED = b"A", b"R", b"G", b"F"
HASH = 32
_HEAD, _CHECK, _SIZE = struct.Struct("<cI"), struct.Struct("<I"), struct.Struct("<I")
Rows = NDArray[np.float32]


class Journal:
    """The answers of one teacher.

    Args:
        path: the file; it and its folder are made with the first record.
        classes: how many numbers an answer has where what it was read as is kept.

    Attributes:
        answers: as they were given, by the hash of what was asked; ``read_as``: the logits of those of the kind G.
        in_doubt: batches that were about to be asked when the process ended; perhaps they were.

    Raises:
        IntegrityError: the file is damaged, or is no such journal.
    """

    def __init__(self, path: Path, classes: int = 0) -> None:
        self.path, self._classes = path, classes
        self.answers: dict[bytes, bytes] = {}
        self.read_as: dict[bytes, Rows] = {}
        self.in_doubt: dict[tuple[bytes, ...], None] = {}
        self._size = 0
        self.read()

    def __contains__(self, digest: bytes) -> bool:
        return digest in self.answers or digest in self.read_as

    def __len__(self) -> int:
        return len(self.answers.keys() | self.read_as.keys())

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

    def returned(self, answers: Mapping[bytes, bytes]) -> None:
        """Keep answers, also that there is none: it need not be asked again."""
        entries = [digest + _SIZE.pack(len(answer)) + answer for digest, answer in answers.items()]
        self._append(RETURNED, entries, sum(map(len, entries)))
        self.answers |= answers
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
        width = {RETURNED: 1, GIVEN: HASH + 4 * self._classes}.get(kind, HASH)
        end = body + count * width
        if end + _CHECK.size > len(data):
            return None
        if not _is_sound(data, at, end):
            if end + _CHECK.size < len(data):
                raise self._damaged(at)
            return None
        if kind == RETURNED:
            answers = dict(_entries(data[body:end]))
            self.answers |= answers
            self._settle(answers)
            return end + _CHECK.size
        parts = [data[body + i * width : body + (i + 1) * width] for i in range(count)]
        digests = [part[:HASH] for part in parts]
        if kind == ASK:
            self.in_doubt[tuple(digests)] = None
        else:
            self._settle(dict.fromkeys(digests))
        if kind == GIVEN:
            self.read_as |= {part[:HASH]: np.frombuffer(part[HASH:], "<f4") for part in parts}
        return end + _CHECK.size

    def _damaged(self, at: int) -> IntegrityError:
        hint = "its answers would be asked, and paid, anew: restore it, or remove it where that is meant"
        return IntegrityError("damaged", where=str(self.path), found=f"byte {at:,}", hint=hint)

    def _settle(self, digests: Mapping[bytes, object]) -> None:
        for batch in [batch for batch in self.in_doubt if not set(batch).isdisjoint(digests)]:
            del self.in_doubt[batch]

    def _append(self, kind: bytes, parts: Sequence[bytes], count: int | None = None) -> None:
        head = _HEAD.pack(kind, len(parts) if count is None else count)
        record = _checked(_checked(head) + b"".join(parts))
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


def _entries(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The hash and the answer of each entry of what was returned."""
    at = 0
    while at < len(data):
        start = at + HASH + _SIZE.size
        end = start + _SIZE.unpack_from(data, at + HASH)[0]
        yield data[at : at + HASH], data[start:end]
        at = end


def _checked(data: bytes) -> bytes:
    return data + _CHECK.pack(zlib.crc32(data))


def _is_sound(data: bytes, start: int, end: int) -> bool:
    """Whether the checksum behind a part is its."""
    return bool(_CHECK.unpack_from(data, end)[0] == zlib.crc32(data[start:end]))
