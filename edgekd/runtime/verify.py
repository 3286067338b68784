"""``edgekd.verify``: a bundle held against its own manifest, in a child with limits; see ``replay``, ``base.child``.

Here nothing of a bundle is read, and no runtime, nor numpy, is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgekd.base import child, child_limits
from edgekd.base.child_limits import Limits
from edgekd.base.errors import IntegrityError
from edgekd.runtime import signature
from edgekd.runtime.signature import Trust
from edgekd.runtime.steady import steadily

MODULE = "edgekd.runtime.replay"
_KEYS = ({"check", "ok"}, {"check", "skipped"})


def verify(
    folder: str | Path,
    run: bool = True,
    plugins: Sequence[str] = (),
    ignore_unlisted: bool = False,
    key: str | Path | Trust | None = None,
    *,
    max_memory_gb: float | None = None,
    max_seconds: float | None = None,
) -> list[dict[str, Any]]:
    """Check every hash and, with ``run``, replay golden inputs and raw samples on every variant that can run here.

    Args:
        plugins: see ``bundle.read``.
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
    path, trust = Path(folder), Trust.of(key)
    allowed = child_limits.of(path, max_memory_gb, max_seconds)
    request = {"folder": str(path), "run": run, "plugins": list(plugins), "ignore_unlisted": ignore_unlisted}
    return steadily(path, lambda: _verify(path, request, allowed, trust))


def _verify(path: Path, request: dict[str, Any], allowed: Limits, trust: Trust | None) -> list[dict[str, Any]]:
    if trust is not None:
        request["digest"] = signature.check(path, trust, request["ignore_unlisted"])
    checks: list[dict[str, Any]] = child.ask(MODULE, request, allowed, str(path))
    if not isinstance(checks, list) or not all(map(_is_check, checks)):
        raise IntegrityError("the child that opened it answered what are no checks", where=str(path))
    if trust is not None:
        checks.insert(1, {"check": "signature", "ok": True})
    return checks


def _is_check(found: Any) -> bool:
    if not isinstance(found, dict) or set(found) not in _KEYS or found.get("ok", True) is not True:
        return False
    return all(isinstance(value, str) for key, value in found.items() if key != "ok")
