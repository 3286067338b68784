"""An Android device behind adb, with a Python in its shell (Termux's, for instance)."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass

from edgekd.base.errors import DeviceError, EdgekdError
from edgekd.runtime.devices._base import LONGEST, check_longest, check_texts, ended, remote_line

REASONS = (
    (r"device '.*' not found|no devices", "adb knows no such device"),
    (r"unauthorized", "the device has not allowed this computer"),
    (r"offline|closed|protocol fault", "the connection was cut"),
)


@dataclass(frozen=True)
class Adb:
    """A device by its serial number.

    Attributes:
        serial: as ``adb devices`` lists it.
        python: the Python there, 3.11 or later, by its path.
        longest: seconds that one run may take, beside 10 times what its job asks for; 1..604800.
    """

    serial: str
    python: str = "/data/data/com.termux/files/usr/bin/python3"
    longest: int = LONGEST

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9._:-]+", self.serial) or self.serial.startswith("-"):
            raise ValueError("serial: allowed is what adb devices lists")
        check_longest(self.longest)
        check_texts(self)

    @property
    def name(self) -> str:
        return f"adb:{self.serial}"

    def command(self) -> list[str]:
        """``-T``: no terminal, so that bytes pass as they are (adb's shell protocol 2, Android 7 and later)."""
        if (adb := shutil.which("adb")) is None:
            raise DeviceError("adb is not installed here", where=self.name, hint="install Android's platform tools")
        return [adb, "-s", self.serial, "shell", "-T", remote_line(self.python)]

    def why(self, code: int, stderr: str) -> EdgekdError:
        """By what adb wrote."""
        for pattern, reason in REASONS:
            if code != 0 and re.search(pattern, stderr, re.IGNORECASE):
                return DeviceError(f"{reason} ({stderr.strip()})", where=self.name)
        return ended(self, code, stderr)
