"""A target and its runtime: the options of its table, parsed into backends once a build."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from edgekd.base import host
from edgekd.base.errors import TargetError
from edgekd.runtime import allowed, availability, manifest
from edgekd.runtime import backend as backends
from edgekd.spec.target import Target


@dataclass(frozen=True)
class TargetRuntime:
    """A target, ready to open files.

    Attributes:
        backend: that of its table; also: by kind, others that open the very same file.
    """

    target: Target
    backend: backends.Backend
    also: Mapping[str, backends.Backend]

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def where(self) -> str:
        """Its options, for errors."""
        return f"{self.name}.toml: options"

    @property
    def version(self) -> str:
        """The runtime's, and of ``also`` theirs: ``onnxruntime 1.31.1``."""
        return ", ".join(backend.version() for backend in (self.backend, *self.also.values()))

    def with_options(self, **options: object) -> TargetRuntime:
        """The same target with some options of its backend set otherwise.

        Raises:
            TargetError: as ``parse`` does.
        """
        return parse(self.target.model_copy(update={"options": {**self.target.options, **options}}))

    def open(self, files: Mapping[str, bytes]) -> backends.Session:
        """A session on a file as an app opens it."""
        return self.backend.open(files, batch=self.target.shapes.batch)

    def check(self, isa: Collection[str] | None = None) -> None:
        """Raise where a machine can't run it.

        Args:
            isa: features of the CPU that is to run it; this one's by default. The runtime must be here in any case:
                accuracy is always found here.

        Raises:
            UnavailableError: a CPU feature, the runtime, or the provider or device is missing.
        """
        present = host.isa() if isa is None else isa
        availability.check(self.name, (self.backend, *self.also.values()), self.target.isa, present)


def parse(target: Target) -> TargetRuntime:
    """A target's backends, from its options.

    Raises:
        TargetError: an unknown backend or option, or one that no bundle may ask for: nobody could open it.
        UnavailableError: a backend's runtime is not installed.
    """
    for kind, options in ((target.backend, target.options), *target.also.items()):
        allowed.check(manifest.named(kind), options, f"{target.name}.toml", TargetError)
    return TargetRuntime(target, *availability.parse(target.name, target.backend, target.options, target.also))
