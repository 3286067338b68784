"""A bundle held against its own manifest: hashes, golden answers of every variant, decisions about raw samples."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from edgekd.errors import IntegrityError, UnavailableError
from edgekd.runtime import batches, decisions, golden, manifest
from edgekd.runtime.bundle import UNLISTED, read
from edgekd.runtime.contents import Bundle, Variant
from edgekd.runtime.opening import Opened, open_variant, others
from edgekd.runtime.steady import steadily


def verify(
    folder: Path, run: bool = True, plugins: Sequence[str] = (), ignore_unlisted: bool = False
) -> list[dict[str, Any]]:
    """Check every hash and, with ``run``, replay golden inputs and raw samples on every variant that can run here.

    Args:
        plugins: see ``bundle.read``.
        ignore_unlisted: for who built or installed something in the folder: what the manifest does not list is counted
            and not refused. It may be code that runs with the examples.

    Returns:
        One dict a check: ``{"check": text, "ok": True}``, or ``"skipped": why`` for a variant that can't run here.

    Raises:
        IntegrityError: on the first difference, also anything that the manifest does not list.
        UnavailableError: with ``run``, where this machine can run no variant: nothing was replayed, and what only has
            the right hashes is not verified.
    """
    folder = Path(folder)
    return steadily(folder, lambda: _verify(folder, run, plugins, ignore_unlisted))


def _verify(folder: Path, run: bool, plugins: Sequence[str], ignore_unlisted: bool) -> list[dict[str, Any]]:
    bundle = read(folder, plugins)
    for name in bundle.hashes:
        bundle.file(name)
    extra = sorted(set(_found(folder)) - set(bundle.hashes) - UNLISTED)
    if extra and not ignore_unlisted:
        raise IntegrityError(
            "a file that the manifest does not list",
            where=str(folder),
            found=extra[0],
            hint="remove it; or --ignore-unlisted, if you built or installed something there",
        )
    checks: list[dict[str, Any]] = [{"check": f"{len(bundle.hashes)} files: size and SHA-256", "ok": True}]
    if extra:
        checks.append({"check": f"{len(extra)} files that the manifest does not list", "skipped": f"{extra[0]} ..."})
    if (missing := manifest.MISSING.get(bundle.format)) is not None:
        checks.append({"check": f"format {bundle.format}", "skipped": missing})
    if run:
        variants = [one for variant in bundle.variants for one in (variant, *others(variant))]
        replayed = [found for one in variants for found in replay(bundle, one)]
        if not any("ok" in found for found in replayed):
            why = "; ".join(f"{found['check']}: {found['skipped']}" for found in replayed)
            raise UnavailableError("hashes are right, but no variant can be run here", where=str(folder), found=why)
        checks += replayed
    return checks


def replay(bundle: Bundle, variant: Variant) -> list[dict[str, Any]]:
    """Run a variant's golden inputs, and decide about the bundle's raw samples: equal answers, equal decisions."""
    name = f"{variant.target}: golden inputs on {variant.backend}"
    try:
        opened = open_variant(bundle, variant)
    except UnavailableError as err:
        return [{"check": name, "skipped": str(err)}]
    checks = [_golden(bundle, opened, name)]
    if bundle.decisions:
        count = decisions.replay(bundle, opened)
        checks.append(
            {"check": f"{variant.target}: {count} raw samples on {variant.backend}: same decisions", "ok": True}
        )
    return checks


def _golden(bundle: Bundle, opened: Opened, name: str) -> dict[str, Any]:
    """One by one, a shipped batch at a time, and all at once: kernels differ by batch."""
    variant = opened.variant
    x, wanted = bundle.golden_of(variant)
    count = len(next(iter(wanted.values())))
    worst = 0.0
    for batch in dict.fromkeys((1, variant.batch, count)):
        got = batches.run(opened.session, x, batch, name)
        for head, scores in wanted.items():
            place = f"{name}: {head}, {batch} at once"
            found = golden.difference(got.get(head), scores, variant.tolerance, variant.quantized, place)
            worst = max(worst, found)
    return {"check": f"{name}: {count} samples, largest difference {worst:.2g}", "ok": True}


def _found(folder: Path) -> Iterator[str]:
    """Everything in a folder that is no folder; links are not followed."""
    for root, folders, names in os.walk(folder):
        links = [name for name in folders if Path(root, name).is_symlink()]
        yield from (Path(root, name).relative_to(folder).as_posix() for name in (*names, *links))
