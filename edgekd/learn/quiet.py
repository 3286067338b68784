"""Silence for the parts of torch, torchao and the exporter that warn about themselves.

What they say (an optional kernel library that did not load, a deprecation inside their own code) is nothing that a
user of edgekd could act on; what matters is raised, or checked afterwards.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings and no log lines below CRITICAL inside the block."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
