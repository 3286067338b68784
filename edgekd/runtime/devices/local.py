"""This machine, as if it were another one: a process of its own and a folder that goes afterwards."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from edgekd.errors import EdgekdError
from edgekd.runtime.devices._base import LOADER, ended


@dataclass(frozen=True)
class Local:
    """This machine.

    Attributes:
        python: the Python that measures; by default the one that runs edgekd.
    """

    python: str = sys.executable

    @property
    def name(self) -> str:
        return "local"

    def command(self) -> list[str]:
        """Without a shell."""
        return [self.python, "-u", "-c", LOADER]

    def why(self, code: int, stderr: str) -> EdgekdError:
        return ended(self, code, stderr)
