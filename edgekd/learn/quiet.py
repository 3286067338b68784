"""Silence for the parts of torch, torchao and the exporter that warn about themselves.

What they say (an optional kernel library that did not load, a deprecation inside their own code) is nothing that a
user of edgekd could act on; what matters is raised, or checked afterwards.

``torch._dynamo``, which they import, makes ``torchinductor_<user>`` in TMPDIR for what nobody here compiles, and makes
it again when it exports: no more of it stays than something is in.
"""

from __future__ import annotations

import io
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, suppress

_INDUCTOR = "TORCHINDUCTOR_CACHE_DIR"  # torch sets it, too
_IS_THE_USERS = _INDUCTOR in os.environ


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings, no log lines below CRITICAL and nothing on stderr inside the block.

    Where a network can't be exported torch prints what it has of the graph there, which is raised in a line anyhow.
    """
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        if not _IS_THE_USERS and (folder := os.environ.get(_INDUCTOR)):
            with suppress(OSError):
                os.rmdir(folder)
