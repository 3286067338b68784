"""edgekd: an edge deployment compiler for distilled students.

``import edgekd`` loads no third-party module; each name is fetched when it is first used.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

# The names and places of _LAZY, for type checkers and editors: a line of its own, by which base/closure.py knows it.
if TYPE_CHECKING:
    from edgekd.api.building import build as build
    from edgekd.api.tuning import tune as tune
    from edgekd.base.errors import EdgekdError as EdgekdError
    from edgekd.runtime.local import bench as bench
    from edgekd.runtime.model import load as load
    from edgekd.runtime.verify import verify as verify

__version__ = "0.2.0"

_LAZY = {
    "build": "edgekd.api.building",
    "tune": "edgekd.api.tuning",
    "bench": "edgekd.runtime.local",
    "load": "edgekd.runtime.model",
    "verify": "edgekd.runtime.verify",
    "EdgekdError": "edgekd.base.errors",
}
__all__ = ["EdgekdError", "__version__", "bench", "build", "load", "tune", "verify"]


def fetch(name: str) -> Callable[..., object]:
    """One of the public names, from where it stands."""
    attribute: Callable[..., object] = getattr(importlib.import_module(_LAZY[name]), name)
    return attribute


if not TYPE_CHECKING:  # which would take any name for one that there is

    def __getattr__(name: str) -> object:
        if name not in _LAZY:
            raise AttributeError(f"module 'edgekd' has no attribute {name!r}")
        return fetch(name)


def __dir__() -> list[str]:
    return sorted(__all__)
