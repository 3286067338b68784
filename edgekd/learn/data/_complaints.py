"""What the readers of pictures say of a damaged one, heard here and not by whoever looks at the terminal.

Pillow warns and logs; libtiff, to which it gives packed TIFFs, writes to the process's stderr itself, past Python, and
quotes the file.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import threading
import warnings
from collections.abc import Iterator

TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_one_at_a_time = threading.Lock()  # stderr is the process's
logging.getLogger("PIL").addHandler(logging.NullHandler())  # an app's own handlers are asked all the same


class Complaints:
    """Whether there were any, once the picture is read."""

    any = False


@contextlib.contextmanager
def heard(data: bytes) -> Iterator[Complaints]:
    """Around the reading of one picture."""
    complaints = Complaints()
    with warnings.catch_warnings(record=True) as warned, contextlib.ExitStack() as stack:
        warnings.simplefilter("always")
        written = stack.enter_context(_stderr()) if data.startswith(TIFF) else []
        yield complaints
    complaints.any = bool(warned or written)


@contextlib.contextmanager
def _stderr() -> Iterator[list[int]]:
    """Keep what is written to the process's stderr; how many bytes that were, in the end."""
    count: list[int] = []
    with _one_at_a_time, tempfile.TemporaryFile() as kept:
        try:
            before = os.dup(2)
        except OSError:  # it is closed: nobody sees it
            yield count
            return
        os.dup2(kept.fileno(), 2)
        try:
            yield count
        finally:
            os.dup2(before, 2)
            os.close(before)
            if size := os.fstat(kept.fileno()).st_size:
                count.append(size)
