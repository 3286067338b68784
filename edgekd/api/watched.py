"""Whom a call of the Python door tells how far it is."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext

from edgekd.base.notes import Progress
from edgekd.build import request as requests
from edgekd.cli import console


def watched(progress: Progress | bool | None) -> AbstractContextManager[Progress]:
    """Whom the build tells how far it is."""
    if progress is None:
        progress = "ipykernel" in sys.modules or hasattr(sys, "ps1")
    if not isinstance(progress, bool):
        return nullcontext(progress)
    return console.ProgressBars() if progress else nullcontext(requests.silent)
