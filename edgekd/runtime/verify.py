"""``edgekd.verify``: a bundle held against its own manifest, in a child with limits; see ``replay``, ``base.child``.

Here nothing of a bundle is read, and no runtime, nor numpy, is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgekd.base import child, child_limits, reader
from edgekd.base.child_limits import Limits
from edgekd.base.errors import UsageError
from edgekd.base.plugins import paths_of
from edgekd.document.commands import Check
from edgekd.runtime import signature
from edgekd.runtime.signature import Trust
from edgekd.runtime.steady import folder_of, steadily

MODULE = "edgekd.runtime.replay"


def verify(
    folder: str | Path,
    run: bool = True,
    plugins: Sequence[str | type[object]] = (),
    ignore_unlisted: bool = False,
    key: str | Path | Trust | None = None,
    *,
    max_memory_gb: float | None = None,
    max_seconds: float | None = None,
) -> list[Check]:
    """Check every hash and, with ``run``, replay golden inputs and raw samples on every variant that can run here.

    Args:
        plugins: backends and tasks of the user's own that may be opened, each a class of a module or
            ``"package.module:Class"``: the child imports it by its name. Of a task that is not named the scores are
            held, and what was decided about raw samples is not.
        ignore_unlisted: for who built or installed something in the folder: what the manifest does not list is counted
            and not refused. It may be code that runs with the examples.
        key: who must have signed it: a public key's file, or a ``signature.Trust``; checked before anything is run.
        max_memory_gb: that opening and running it may take; else 1 GB and 8 times the bundle's size (``limits.of``).
        max_seconds: that all of it may take; else 45 s and 0.2 s for each MB.

    Returns:
        One dict a check: ``{"check": text, "ok": True}``, or ``"skipped": why`` for a variant that can't run here.

    Raises:
        IntegrityError: on the first difference, also anything that the manifest does not list; a variant that crashes
            its runtime or passes a limit, says which.
        UnavailableError: with ``run``, where this machine can run no variant: nothing was replayed, and what only has
            the right hashes is not verified.
    """
    path, trust = folder_of(folder), Trust.of(key)
    allowed = child_limits.of(path, max_memory_gb, max_seconds)
    request = {
        "folder": str(path),
        "run": run,
        "plugins": [_named(plugin) for plugin in paths_of(plugins)],
        "ignore_unlisted": ignore_unlisted,
    }
    return steadily(path, lambda: _verify(path, request, allowed, trust))


def _named(name: str) -> str:
    """A plugin by a name that the child finds it by.

    Raises:
        UsageError: it is of this very program.
    """
    if name.startswith("__main__:"):
        allowed = "a class of a module: it is another process that opens the bundle"
        raise UsageError("a class of this program", where="plugins", found=name, allowed=allowed)
    return name


def _verify(path: Path, request: dict[str, object], allowed: Limits, trust: Trust | None) -> list[Check]:
    if trust is not None:
        request["digest"] = signature.check(path, trust, bool(request["ignore_unlisted"]))
    answer = child.ask(MODULE, request, allowed, str(path))
    checks = reader.check(answer, list[Check], f"{path}: what the child answered that opened it")
    if trust is not None:
        checks.insert(1, {"check": "signature", "ok": True})
    return checks
