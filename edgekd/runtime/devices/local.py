"""This machine, as if it were another one: a process of its own and a folder that goes afterwards."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from edgekd.base.errors import EdgekdError
from edgekd.runtime.devices._base import LOADER, LONGEST, check_longest, check_texts, ended


@dataclass(frozen=True)
class Local:
    """This machine.

    Attributes:
        python: the Python that measures; by default the one that runs edgekd.
        longest: seconds that one run may take, beside 10 times what its job asks for; 1..604800.
    """

    python: str = sys.executable
    longest: int = LONGEST

    def __post_init__(self) -> None:
        check_longest(self.longest)
        check_texts(self)

    @property
    def name(self) -> str:
        return "local"

    def command(self) -> list[str]:
        """Without a shell."""
        return [self.python, "-u", "-c", LOADER]

    def why(self, code: int, stderr: str) -> EdgekdError:
        return ended(self, code, stderr)
