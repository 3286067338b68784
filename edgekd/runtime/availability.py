"""Whether a machine can run a target: its CPU, the runtime, the device."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from edgekd.base.errors import UnavailableError
from edgekd.runtime.backends import _base as backends


def check(
    name: str,
    backend: str,
    options: Mapping[str, Any],
    also: Mapping[str, Mapping[str, Any]],
    isa: Collection[str],
    here: Collection[str],
) -> None:
    """Raise where a target can't run.

    Args:
        name, backend, options, also, isa: of the target.
        here: the features of the CPU that is to run it.

    Raises:
        UnavailableError: a CPU feature, the runtime, or the provider or device is missing.
        TargetError: a backend or an option that there is none of.
    """
    if missing := sorted(set(isa) - set(here)):
        raise UnavailableError("the CPU lacks what the target needs", where=name, found=f"no {', '.join(missing)}")
    backends.make(backend, dict(options), f"{name}.toml: options").check()
    for kind, more in also.items():
        backends.make(kind, more, f"{name}.toml: also.{kind}").check()
