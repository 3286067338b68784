"""A target's backends, and whether a machine can run them: its CPU, the runtimes, the device."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from edgekd.base.errors import UnavailableError
from edgekd.runtime import backend as backends

Options = Mapping[str, object]


def parse(
    name: str, backend: str, options: Options, also: Mapping[str, Options]
) -> tuple[backends.Backend, dict[str, backends.Backend]]:
    """The backend of a target's table, and by kind the others that open its files.

    Raises:
        TargetError: a backend or an option that there is none of.
        UnavailableError: a runtime that is not installed.
    """
    main = backends.make(backend, dict(options), f"{name}.toml: options")
    return main, {kind: backends.make(kind, more, f"{name}.toml: also.{kind}") for kind, more in also.items()}


def check(name: str, backends: Iterable[backends.Backend], isa: Collection[str], present: Collection[str]) -> None:
    """Raise where a target can't run.

    Args:
        name: the target's, for errors.
        backends: its own, and others that open the same file.
        isa: features of the CPU that its files need; present: those of the CPU that is to run them.

    Raises:
        UnavailableError: a CPU feature, the runtime, or the provider or device is missing.
    """
    if missing := sorted(set(isa) - set(present)):
        raise UnavailableError("the CPU lacks what the target needs", where=name, found=f"no {', '.join(missing)}")
    for backend in backends:
        backend.check()
