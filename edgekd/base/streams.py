"""What is printed goes to whatever there is: an ASCII terminal, a pipe that nobody reads on, a full disk, nothing."""

from __future__ import annotations

import codecs
import errno
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from edgekd.base.errors import ResourceError
from edgekd.base.printable import printable

# As wide as what they stand for, so that tables stay tables.
_PLAIN = {"✅": "ok", "❎": "--", "❌": "no", "·": ".", "…": ".", "×": "x", "–": "-", "—": "-", "→": ">", "µ": "u"}
_ERRORS = "edgekd-printable"


def _encodable(err: UnicodeError) -> tuple[str, int]:
    """What an encoding lacks: edgekd's own marks in ASCII, all else escaped as Python escapes it."""
    if not isinstance(err, UnicodeEncodeError):
        raise err
    replacements = [_PLAIN.get(char) or _escaped(char) for char in err.object[err.start : err.end]]
    return "".join(replacements), err.end


def _escaped(char: str) -> str:
    """Also half a surrogate: a byte of a file's name that is no UTF-8."""
    return char.encode("ascii", "backslashreplace").decode("ascii")


def prepare() -> None:
    """Let stdout and stderr take any text. One that is closed (``>&-``) takes it and keeps nothing."""
    codecs.register_error(_ERRORS, _encodable)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for the process's life
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)
    if warnings.formatwarning is not _warning:
        warnings.formatwarning = _warning
    if logging.lastResort is not None:  # of libraries that log where nobody has set up logging
        logging.lastResort.setFormatter(_Told())


_format_warning = warnings.formatwarning


def _warning(*args: Any, **kwargs: Any) -> str:
    """Warnings of libraries quote what they read."""
    return printable(_format_warning(*args, **kwargs), keep="\n")


class _Told(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), keep="\n")


def takes_unicode(stream: TextIO) -> bool:
    """Whether every character can be written there as it is; what has no encoding keeps text itself."""
    return (getattr(stream, "encoding", None) or "utf-8").lower().startswith("utf")


@contextmanager
def to_stdout() -> Iterator[None]:
    """Around what is written to stdout: it ends quietly where nobody reads on (``| head -1``).

    Raises:
        ResourceError: what was written could not be kept, as on a full disk.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        _drop(sys.stdout)
    except OSError as err:
        _drop(sys.stdout)
        if err.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise ResourceError("the disk is full", where="stdout", hint="free some space and run it again") from err
        raise ResourceError(f"can't be written ({err.strerror})", where="stdout") from err


def _drop(stream: TextIO) -> None:
    """Point a stream at nothing: what is left in its buffer would be an error again when the interpreter ends."""
    try:
        handle = stream.fileno()
    except (OSError, ValueError):
        return
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, handle)
    os.close(nothing)
