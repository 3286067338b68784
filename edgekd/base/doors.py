"""Packages that are functions, too: ``edgekd.build`` and ``edgekd.tune`` stand for both.

Importing any module of such a package binds its name in ``edgekd`` to the package, so the package can be called and is
the function of the Python door then.
"""

from __future__ import annotations

import sys
import types

import edgekd


class _Callable(types.ModuleType):
    def __call__(self, *args: object, **kwargs: object) -> object:
        return edgekd.fetch(self.__name__.rpartition(".")[2])(*args, **kwargs)


def callable_package(name: str) -> None:
    """Make a package of ``edgekd``, by its full name, the function of its last name."""
    sys.modules[name].__class__ = _Callable
