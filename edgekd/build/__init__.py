"""From a checked request to measured candidates: the steps of a build.

``edgekd.build`` is also the function of the Python door. Importing any module of this package binds that name to the
package, so the package can be called and is the function then.
"""

from __future__ import annotations

import sys
import types
from typing import Any

import edgekd


class _Callable(types.ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return edgekd.fetch("build")(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
