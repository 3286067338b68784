"""A process that is talked to: its three streams are pipes."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import IO, NamedTuple, cast


class Pipes(NamedTuple):
    """The streams of a process, unbuffered."""

    stdin: IO[bytes]
    stdout: IO[bytes]
    stderr: IO[bytes]


def start(line: Sequence[str], **settings: object) -> tuple[subprocess.Popen[bytes], Pipes]:
    """Start a process.

    Args:
        settings: others of ``subprocess.Popen``.

    Raises:
        OSError: it can't be started.
    """
    streams = dict.fromkeys(Pipes._fields, subprocess.PIPE)
    process: subprocess.Popen[bytes] = subprocess.Popen(line, bufsize=0, **streams, **settings)  # type: ignore[call-overload]
    return process, Pipes(*(cast("IO[bytes]", stream) for stream in (process.stdin, process.stdout, process.stderr)))
