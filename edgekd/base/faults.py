"""What a system refuses, in words: a full disk, a place that may not be written, a machine at its end."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from edgekd.base.errors import EdgekdError, OutputError, ResourceError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
# The place is at fault, and another one may do. All else is the machine's: EIO, EMFILE, ENFILE, ESTALE, ENXIO, ...
REFUSED = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EEXIST,
        errno.EISDIR,
        errno.ENOTEMPTY,
        errno.ENAMETOOLONG,
        errno.ELOOP,
        errno.EXDEV,
        errno.EBUSY,
    }
)
# The process or the machine has no more of something for now: what was to be read may be as it should.
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN, errno.EINTR})


def told(err: OSError, where: Path) -> EdgekdError:
    """The error to raise instead; it names the file that the system named, else ``where``."""
    place = str(where) if err.filename in (None, "") else os.fsdecode(err.filename)
    if err.errno in FULL:
        return ResourceError("the disk is full", where=place, hint="free some space and run it again")
    if err.errno in REFUSED:
        return OutputError(f"can't be written ({err.strerror})", where=place)
    return ResourceError(f"the system failed here ({err.strerror or err})", where=place)
