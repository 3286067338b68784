"""The command line: the only place that prints. ``commands`` says what there is, ``running`` how it ends.

May import all but api.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from edgekd.cli import running
from edgekd.cli.commands import cli

__all__ = ["cli", "main", "run"]


def run(args: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code; every error becomes one message on stderr."""
    return running.run(cli, args)


def main() -> None:
    """The console script."""
    sys.exit(running.started(cli))
