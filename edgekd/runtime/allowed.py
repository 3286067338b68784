"""What a bundle may ask of a runtime, held against what each backend's folder states (``base/backend_facts.py``).

A bundle comes from a stranger: it names built-in backends alone, options and values that their rules allow, and files
of the suffixes that they open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgekd.base import backend_facts, plugins
from edgekd.base.backend_facts import Rule
from edgekd.base.errors import EdgekdError, IntegrityError
from edgekd.runtime.backend import PLUGIN


def check_files(kind: str, names: Sequence[str], where: str) -> None:
    """Raise IntegrityError where a built-in backend's files have other suffixes than those that it opens."""
    if kind.startswith(PLUGIN):
        return
    suffixes = backend_facts.of(kind).suffixes
    for name in names:
        if not name.endswith(suffixes):
            raise IntegrityError(f"not a file that {kind} opens", where=where, found=name, allowed=suffixes)


def check(kind: str, options: Mapping[str, object], where: str, error: type[EdgekdError] = IntegrityError) -> None:
    """Raise where a bundle may not ask for this.

    Args:
        kind: a backend as a manifest names it. The options of a user's own (``plugin:Class``) are for that class to
            check: it opens only where the user names its module.
        where: of the backend.

    Raises:
        EdgekdError: (of class ``error``) no backend that edgekd brings; an option, or a value of one, that is not
            allowed.
    """
    if kind.startswith(PLUGIN):
        return
    if kind not in (known := plugins.kinds(backend_facts.FAMILY)):
        raise error("no backend that edgekd brings", where=f"{where}: backend", found=kind, allowed=known)
    _check(options, backend_facts.of(kind).options, f"{where}: options", error)


def _check(options: object, rules: Mapping[str, Rule], where: str, error: type[EdgekdError]) -> None:
    if not isinstance(options, Mapping):
        raise error("not a table", where=where, found=options)
    for name, value in options.items():
        place = f"{where}.{name}"
        if name not in rules:
            raise error("not for a bundle to ask for", where=place, found=name, allowed=list(rules) or "none")
        rule = rules[name]
        if isinstance(rule, Mapping):
            _check(value, rule, place, error)
        elif not rule.takes(value):
            raise error("not for a bundle to ask for", where=place, found=value, allowed=str(rule))
