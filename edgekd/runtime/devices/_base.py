"""What a device is: a machine where a Python can be started whose stdin and stdout come here."""

from __future__ import annotations

import dataclasses
import shlex
from typing import Any, Protocol

from edgekd.base.errors import DeviceError, EdgekdError
from edgekd.base.printable import is_printable

# What the device's own Python is told first: read a program from stdin, whose size stands on the first line.
LOADER = """\
import sys
f,n,s=sys.stdin.buffer.raw,b'',b''
while n[-1:]!=b'\\n':n+=f.read(1)or sys.exit(3)
while len(s)<int(n):s+=f.read(int(n)-len(s))or sys.exit(3)
exec(compile(s,'agent','exec'))
"""
LONGEST = 7200  # seconds of one run: 100 runs of a model that takes a minute on a slow board
NOT_FOUND = 127  # what a shell ends with where there is no such program


class Device(Protocol):
    """One file of ``runtime/devices/``: a frozen dataclass whose fields are the keys of a device in devices.toml."""

    @property
    def python(self) -> str:
        """The Python there."""

    @property
    def name(self) -> str:
        """As it is told to ``--device``."""

    @property
    def longest(self) -> int:
        """Seconds that one run may take there, beside 10 times what its job asks for; a bound, not an estimate."""

    def command(self) -> list[str]:
        """The program here that runs ``LOADER`` in the device's Python, stdin and stdout passed through."""

    def why(self, code: int, stderr: str) -> EdgekdError:
        """What it means that the command ended before it should have."""


def remote_line(python: str) -> str:
    """``python3 -c LOADER`` for a POSIX shell. ``-u``: what the loader has not read stays in the pipe."""
    return f"exec {shlex.quote(python)} -u -c {shlex.quote(LOADER)}"


def check_longest(seconds: int) -> None:
    """Raise ValueError where a device's ``longest`` is out of range: a week is for ever."""
    if not 1 <= seconds <= 604_800:
        raise ValueError("longest: allowed is 1 to 604800")


def check_texts(device: Any) -> None:
    """Raise ValueError where a device's field is a text that no system takes in a line that starts a program.

    A NUL ends such a line, and what is no Unicode can't be told of in a document.
    """
    for field in dataclasses.fields(device):
        value = getattr(device, field.name)
        if isinstance(value, str) and not is_printable(value):
            raise ValueError(f"{field.name}: allowed is text without control characters")


def ended(device: Device, code: int, stderr: str) -> EdgekdError:
    """What every kind of device has in common: no Python there, or the agent was killed."""
    tail = " | ".join(stderr.strip().splitlines()[-3:]) or "it said nothing"
    if code == NOT_FOUND:
        hint = "install Python 3.11 or later there, or give its path: python = ... in devices.toml"
        return DeviceError("has no such Python", where=device.name, found=device.python, hint=hint)
    return DeviceError(f"the connection ended ({code}): {tail}", where=device.name, hint="run it again to go on")
