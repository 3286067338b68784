"""A bundle held against its own manifest: hashes, golden answers of every variant, decisions about raw samples.

``python -m edgekd.runtime.replay`` does it as the child of ``verify``, and says which variant it is at.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from edgekd.base import confined, places
from edgekd.base.door import everything
from edgekd.base.errors import EdgekdError, FactoryError, IntegrityError, UnavailableError, UsageError
from edgekd.document.commands import Check
from edgekd.runtime import batches, claims, decisions, golden, manifest, signature
from edgekd.runtime.bundle import MANIFEST, UNLISTED, read
from edgekd.runtime.contents import Bundle, Variant
from edgekd.runtime.opening import Opened, open_variant, others
from edgekd.tasks import PLUGIN, Unnamed


def checked(
    folder: str | Path,
    run: bool = True,
    plugins: Sequence[str] = (),
    ignore_unlisted: bool = False,
    digest: str | None = None,
) -> list[Check]:
    """What ``verify`` gives and raises, in this process and without limits.

    Args:
        digest: of the manifest that was signed, where a signature was checked.
    """
    folder = Path(folder)
    confined.at("reading it")
    bundle = read(folder, plugins)
    if digest not in (None, bundle.digest):
        raise IntegrityError("changed while it was verified", where=str(folder / MANIFEST))
    for name in bundle.hashes:
        bundle.check(name)
    if places.kind(signed := folder / signature.SIGNATURE) not in ("file", "nothing"):
        raise IntegrityError("not a regular file", where=str(signed))
    extra = sorted(set(everything(folder)) - set(bundle.hashes) - UNLISTED)
    if extra and not ignore_unlisted:
        raise IntegrityError(
            "a file that the manifest does not list",
            where=str(folder),
            found=extra[0],
            hint="remove it; or --ignore-unlisted, if you built or installed something there",
        )
    checks: list[Check] = [{"check": f"{len(bundle.hashes)} files: size and SHA-256", "ok": True}]
    if extra:
        checks.append({"check": f"{len(extra)} files that the manifest does not list", "skipped": f"{extra[0]} ..."})
    if (missing := manifest.MISSING.get(bundle.format)) is not None:
        checks.append({"check": f"format {bundle.format}", "skipped": missing})
    if run:
        variants = [one for variant in bundle.variants for one in (variant, *others(variant))]
        replayed = [check for one in variants for check in replay(bundle, one)]
        if not any("ok" in check for check in replayed):
            why = "; ".join(f"{one['check']}: {one['skipped']}" for one in replayed if "skipped" in one)
            raise UnavailableError("hashes are right, but no variant can be run here", where=str(folder), found=why)
        checks += replayed
    return checks


def replay(bundle: Bundle, variant: Variant) -> list[Check]:
    """Run a variant's golden inputs, and decide about the bundle's raw samples: equal answers, equal decisions."""
    name = f"{variant.target}: golden inputs on {variant.backend}"
    try:
        with _bundles_fault(f"{variant.target}: opening it on {variant.backend}"):
            opened = open_variant(bundle, variant)
    except UnavailableError as err:
        return [{"check": name, "skipped": str(err)}]
    with _bundles_fault(name):
        claims.hold_ports(bundle, opened.variant, opened.session)
        checks: list[Check] = [_golden(bundle, opened, name)]
    if not bundle.decisions and bundle.format > 1:
        why = "the bundle has none: nothing tells whether its labels and its preprocessing are those of the model"
        checks.append({"check": f"{variant.target}: raw samples on {variant.backend}", "skipped": why})
    elif unnamed := [task.kind for task in bundle.heads.tasks.values() if isinstance(task, Unnamed)]:
        why = f"{unnamed[0].removeprefix(PLUGIN)}, a task of its maker's own, decides them: name it (--allow-plugin)"
        checks.append({"check": f"{variant.target}: raw samples on {variant.backend}", "skipped": why})
    elif bundle.decisions:
        with _bundles_fault(f"{variant.target}: raw samples on {variant.backend}"):
            count, seen = decisions.replay(bundle, opened)
        outcome = f"same decisions, {seen} of {len(bundle.labels)} labels seen"
        checks.append({"check": f"{variant.target}: {count} raw samples on {variant.backend}: {outcome}", "ok": True})
    return checks


@contextmanager
def _bundles_fault(what: str) -> Iterator[None]:
    """Whatever goes wrong with a bundle's own files is the bundle's fault, and not that of who asked.

    A runtime raises what it likes: RuntimeError, or UnicodeDecodeError over a message that is no UTF-8.
    """
    confined.at(what)
    try:
        yield
    except FactoryError:  # of an allowed plugin
        raise
    except UsageError as err:
        raise IntegrityError(str(err)) from err
    except EdgekdError:
        raise
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError) as err:
        message = str(err).strip().partition("\n")[0]
        raise IntegrityError(f"{type(err).__name__}: {message}", where=what) from err


def _golden(bundle: Bundle, opened: Opened, name: str) -> Check:
    """One by one, a shipped batch at a time, and all at once: kernels differ by batch."""
    variant = opened.variant
    x, wanted = bundle.golden_of(variant)
    count = len(next(iter(wanted.values())))
    worst = 0.0
    for batch in dict.fromkeys((1, variant.batch, count)):
        got = batches.run(opened.session, x, batch, name)
        for head, scores in wanted.items():
            place = f"{name}: {head}, {batch} at once"
            difference = golden.difference(
                got.get(head), scores, variant.tolerance, place, head=head, heads=bundle.heads
            )
            worst = max(worst, difference)
    return {"check": f"{name}: {count} samples, largest difference {worst:.2g}", "ok": True}


if __name__ == "__main__":
    sys.exit(confined.serve(checked))
