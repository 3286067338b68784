"""A bundle's variants, opened on this machine."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace

from edgekd.base import host
from edgekd.base.errors import ExportError, FactoryError, IntegrityError, UnavailableError, UsageError, in_bundle
from edgekd.runtime import batches, claims, golden
from edgekd.runtime.backend import Backend, Session, make
from edgekd.runtime.contents import Bundle, Variant


@dataclass(frozen=True)
class Opened:
    """A session, the variant (its backend may be another that opens the same files), and the runtime's version."""

    session: Session
    variant: Variant
    runtime: str

    @property
    def is_checked(self) -> bool:
        """Whether the variant was scored on this runtime and on a CPU of these features."""
        here = (self.runtime, platform.machine(), sorted(host.isa()))
        return any((place.runtime, place.arch, sorted(place.isa)) == here for place in self.variant.checked)


def open_variant(bundle: Bundle, variant: Variant, threads: int | None = None, batch: int | None = None) -> Opened:
    """Compile a variant on this machine.

    Raises:
        UnavailableError: this CPU lacks a feature, or the runtime is not installed, or not allowed; or it is another
            than where the variant was checked, and refuses it.
        IntegrityError: the runtime does not take what the bundle says, or holds.
        UsageError: threads out of range. FactoryError: a backend of the user's own, by ``plugins``, can't be made.
    """
    if threads is not None and not (type(threads) is int and 1 <= threads <= 1024):
        raise UsageError("not a number of threads", where="threads", found=threads, allowed="1 to 1024")
    host.check_isa(variant.isa, variant.target)
    options = {**variant.options, **({} if threads is None else {"threads": threads})}
    try:
        with in_bundle():
            backend = make(variant.backend, options, f"{variant.target}: options")
    except IntegrityError as err:
        if isinstance(err.__cause__, FactoryError):  # of an allowed plugin: the user's own code
            raise err.__cause__ from None
        raise
    except UnavailableError:
        if not variant.also:
            raise
        return open_variant(bundle, others(variant)[0], threads, batch)
    with in_bundle():
        files = bundle.files_of(variant)
        claims.hold_files(bundle, variant, files)
        session = _session(backend, variant, files, batch or variant.batch)
    sizes = {port.name: port.shape[-1] if port.shape else None for port in session.outputs}
    if any(sizes.get(name, 0) not in (None, size) for name, size in bundle.heads.items()):
        where = f"{bundle.folder}: {variant.target}"
        raise IntegrityError("heads that don't fit the model's outputs", where=where, found=dict(bundle.heads))
    return Opened(session, variant, backend.version())


def _session(backend: Backend, variant: Variant, files: Mapping[str, bytes], batch: int) -> Session:
    """Open a variant's files.

    Raises:
        UnavailableError: the runtime refuses them, and the bundle names others on which they were checked.
        ExportError: it refuses them all the same.
    """
    try:
        return backend.open(files, batch=batch)
    except ExportError as err:
        runtime = backend.version()
        places = dict.fromkeys(place.runtime for place in variant.checked)
        if not places or runtime in places:
            raise
        where = f"{variant.target}: {runtime}"
        raise UnavailableError(f"refuses what others open: {err}", where=where, allowed=", ".join(places)) from err


def others(variant: Variant) -> list[Variant]:
    """The same files on each of the other backends that open them."""
    kinds = list(variant.also)
    return [
        replace(variant, backend=kind, options=variant.also[kind], also={k: variant.also[k] for k in kinds[i + 1 :]})
        for i, kind in enumerate(kinds)
    ]


def hold(bundle: Bundle, opened: Opened) -> None:
    """Hold one golden sample against its answer, at the batch that was opened, where nothing was scored on the like.

    A kernel may be wrong for one batch, on one CPU, in one version (OpenVINO 2026.4's int8 fully connected layers, on
    AVX512-VNNI, below 64 samples).

    Raises:
        UnavailableError: another answer than where it was checked.
    """
    variant = opened.variant
    if opened.is_checked:
        return
    x, wanted = bundle.golden_of(variant)
    first = {name: array[:1] for name, array in x.items()}
    with in_bundle():
        got = opened.session.run(batches.filled(first, variant.batch, f"{bundle.folder}: {variant.target}"))
    for head, scores in wanted.items():
        output = got.get(head)
        where = f"{variant.target}: {opened.runtime}"
        try:
            golden.difference(
                None if output is None or not output.ndim else output[:1],
                scores[:1],
                variant.tolerance,
                where,
                scores,
                head,
                bundle.heads,
            )
        except IntegrityError as err:
            places = ", ".join(dict.fromkeys(place.runtime for place in variant.checked)) or "none that it names"
            raise UnavailableError(
                f"does not answer here as where it was checked: {err}", where=where, allowed=places
            ) from err
