"""Fuzz harnesses: each takes bytes to a door of edgekd, which answers or raises an ``EdgekdError``, and nothing else.

``HARNESSES`` holds them by name, of every module here. What a run begins with lies in ``corpora/<name>/``, the files
called ``good*`` as edgekd writes them, so that the door must take them. ``benchmarks/fuzz.py`` runs the harnesses under
atheris; the suite replays the corpora, and some seeded mutations of them, without it.
"""

from __future__ import annotations

import functools
import importlib
import json
import pkgutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgekd.base.errors import EdgekdError
from edgekd.base.printable import printable
from fuzzing import _mutate

CORPORA = Path(__file__).parent / "corpora"
EXECUTIONS, SLOW = 200_000, 20_000  # at least; of one that renders or imports


@dataclass(frozen=True)
class Harness:
    """A door, and how it is asked.

    Attributes:
        module: where it stands.
        run: takes the bytes; returns, or raises an EdgekdError.
        mutate: changes an input so that it is still near to what the door reads.
        slow: a run renders or imports.
        most: bytes of an input.
    """

    name: str
    module: str
    run: Callable[[bytes], None]
    mutate: _mutate.Mutate
    slow: bool
    most: int

    @property
    def executions(self) -> int:
        """At least."""
        return SLOW if self.slow else EXECUTIONS

    def ask(self, data: bytes) -> EdgekdError | None:
        """The error that the door answers with, which can be shown and told to another process."""
        try:
            self.run(data)
        except EdgekdError as err:
            printable(str(err)).encode()
            json.dumps(err.as_dict()).encode()
            return err
        return None

    def corpus(self) -> list[Path]:
        """Its files, sorted."""
        return sorted((CORPORA / self.name).iterdir())


HARNESSES: dict[str, Harness] = {}


def harness(
    mutate: _mutate.Mutate = _mutate.of_bytes, slow: bool = False, most: int = 4096
) -> Callable[[Callable[[bytes], None]], Callable[[bytes], None]]:
    """Put a function among the harnesses, under its name."""

    def put(run: Callable[[bytes], None]) -> Callable[[bytes], None]:
        HARNESSES[run.__name__] = Harness(run.__name__, run.__module__, run, mutate, slow, most)
        return run

    return put


def modules() -> list[str]:
    """The modules that hold harnesses."""
    found = pkgutil.iter_modules([str(Path(__file__).parent)], f"{__name__}.")
    return sorted(one.name for one in found if not one.name.rpartition(".")[2].startswith("_"))


def load() -> dict[str, Harness]:
    """Every harness by its name."""
    for name in modules():
        importlib.import_module(name)
    return HARNESSES


@functools.cache
def room(name: str) -> Path:
    """A folder of this process's own, in ``$TMPDIR``; who runs it removes that. The fuzzer's is in memory."""
    return Path(tempfile.mkdtemp(prefix=f"edgekd-fuzz-{name}-"))
