"""A bundle's variants on this machine: opened, and held against their golden answers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgekd import host
from edgekd.errors import IntegrityError, UnavailableError
from edgekd.runtime import batches, golden
from edgekd.runtime.backends._base import Session, make
from edgekd.runtime.bundle import MANIFEST, Bundle, Variant, read

# What whoever runs the examples brings along, as the README tells them: packages, a runtime, a build.
BROUGHT = frozenset(
    f"examples/{name}"
    for name in ("node/node_modules", "node/package-lock.json", "web/ort", "cpp/build", "python/__pycache__")
)


def verify(folder: Path, run: bool = True) -> list[dict[str, Any]]:
    """Check every hash and, with ``run``, replay the golden inputs on every variant that this machine can run.

    Returns:
        One dict a check: ``{"check": text, "ok": True}``, or ``"skipped": why`` for a variant that can't run here.

    Raises:
        IntegrityError: on the first difference, also a file that the manifest does not list (but for ``BROUGHT``).
    """
    folder = Path(folder)
    bundle = read(folder)
    for name in bundle.hashes:
        bundle.file(name)
    extra = sorted(set(_listed(folder)) - set(bundle.hashes) - {MANIFEST})
    if extra:
        raise IntegrityError("a file that the manifest does not list", where=str(folder), found=extra[0])
    checks: list[dict[str, Any]] = [{"check": f"{len(bundle.hashes)} files: size and SHA-256", "ok": True}]
    if run:
        from_runtime = [replay(bundle, one) for variant in bundle.variants for one in (variant, *others(variant))]
        checks.extend(from_runtime)
    return checks


def replay(bundle: Bundle, variant: Variant) -> dict[str, Any]:
    """Run the golden inputs of a variant, a shipped batch at a time and all at once: kernels differ by batch.

    Equal answers, and scores within the manifest's tolerance.
    """
    name = f"{variant.target}: golden inputs on {variant.backend}"
    try:
        session = open_variant(bundle, variant)
    except UnavailableError as err:
        return {"check": name, "skipped": str(err)}
    x, wanted = bundle.golden_of(variant)
    count = len(next(iter(wanted.values())))
    worst = 0.0
    for batch in dict.fromkeys((variant.batch, count)):
        got = batches.run(session, x, batch, name)
        for head, scores in wanted.items():
            place = f"{name}: {head}, {batch} at once"
            found = golden.difference(got.get(head), scores, variant.tolerance, variant.quantized, place)
            worst = max(worst, found)
    return {"check": f"{name}: {count} samples, largest difference {worst:.2g}", "ok": True}


def others(variant: Variant) -> list[Variant]:
    """The same files on each of the other backends that open them."""
    kinds = list(variant.also)
    return [
        replace(variant, backend=kind, options=variant.also[kind], also={k: variant.also[k] for k in kinds[i + 1 :]})
        for i, kind in enumerate(kinds)
    ]


def open_variant(bundle: Bundle, variant: Variant, threads: int | None = None, batch: int | None = None) -> Session:
    """Compile a variant on this machine.

    Raises:
        UnavailableError: this CPU lacks a feature, or the runtime is not installed.
    """
    host.check_isa(variant.isa, variant.target)
    options = {**variant.options, **({} if threads is None else {"threads": threads})}
    try:
        backend = make(variant.backend, options, f"{variant.target}: options")
    except UnavailableError:
        if not variant.also:
            raise
        return open_variant(bundle, others(variant)[0], threads, batch)
    session = backend.open(bundle.files_of(variant), batch=batch or variant.batch)
    found = {port.name: port.shape[-1] if port.shape else None for port in session.outputs}
    if any(found.get(name, 0) not in (None, size) for name, size in bundle.heads.items()):
        where = f"{bundle.folder}: {variant.target}"
        raise IntegrityError("heads that don't fit the model's outputs", where=where, found=dict(bundle.heads))
    return session


def _listed(folder: Path) -> Iterator[str]:
    for root, folders, names in os.walk(folder):
        place = Path(root).relative_to(folder)
        folders[:] = [name for name in folders if (place / name).as_posix() not in BROUGHT]
        names = [name for name in names if (place / name).as_posix() not in BROUGHT]
        for name in (*folders, *names):
            path = Path(root, name)
            if path.is_symlink():
                raise IntegrityError("a symbolic link", where=str(path))
        yield from (Path(root, name).relative_to(folder).as_posix() for name in names)
