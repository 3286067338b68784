"""Two bundles in turns, in one process: how many times as long one takes as the other, with its interval."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgekd.base.backend_facts import LENGTHS
from edgekd.base.errors import UsageError
from edgekd.document.bench import Compared, Comparison
from edgekd.runtime import bench as benching
from edgekd.runtime import bundle as bundles
from edgekd.runtime import local, remote, runners
from edgekd.runtime.bundle import Bundle, Variant
from edgekd.runtime.jobs import BenchJob

A, B = "A", "B"


def compare(
    a: str | Path,
    b: str | Path,
    target: str | None = None,
    device: str = "local",
    settings: local.Settings | None = None,
    tell: remote.Tell = lambda line: None,
) -> Comparison:
    """Time a variant of one bundle against the like one of another.

    Args:
        target: a variant that both have, or one of the first with another of the same backend in the second; by
            default the first that both have.

    Returns:
        ``{"device", "host", "runtime", "a", "b": {"bundle", "target", "latency_ms", "size_bytes"}, "ratio", "ci95",
        "samples", "stable", "note"}``: the p50 of A over that of B.

    Raises:
        UsageError: nothing to compare, or inputs that differ. Else what ``local.bench`` raises.
    """
    how = settings or local.Settings()
    first, second = (bundles.read(Path(path), how.plugins) for path in (a, b))
    one, other = _pair(first, second, target)
    job = _of_both((first, one), (second, other), how)
    with runners.opened(device, tell) as run:
        timed = run.bench(job)
    ratio, ci95 = benching.ratio_ci(timed.samples[A], timed.samples[B])

    def compared(name: str, bundle: Bundle, variant: Variant) -> Compared:
        return {
            "bundle": bundle.name,
            "target": variant.target,
            "numerics": variant.numerics,
            "latency_ms": benching.summary(timed.samples[name]),
            "size_bytes": sum(map(len, job.candidates[name].values())),
        }

    return {
        "device": device,
        "host": timed.host,
        "runtime": timed.runtime,
        "a": compared(A, first, one),
        "b": compared(B, second, other),
        "ratio": ratio,
        "ci95": list(ci95),
        "samples": len(timed.samples[A]),
        "stable": timed.note is None,
        "note": timed.note,
    }


def _pair(first: Bundle, second: Bundle, target: str | None) -> tuple[Variant, Variant]:
    """A variant of each that one process can time: the same backend with the same options, but for lengths."""
    ours = [v for v in first.variants if target in (None, v.target)]
    if not ours:
        names = [v.target for v in first.variants]
        raise UsageError("no such variant in this bundle", where=str(first.folder), found=target, allowed=names)
    pairs = [(v, w) for v in ours for w in second.variants if (v.backend, _shared(v)) == (w.backend, _shared(w))]
    if not pairs:
        names = [v.target for v in second.variants]
        allowed = f"a variant of the same backend and options as {', '.join(v.target for v in ours)}"
        raise UsageError("nothing to compare with", where=str(second.folder), found=names, allowed=allowed)
    return min(pairs, key=lambda pair: pair[0].target != pair[1].target)


def _of_both(a: tuple[Bundle, Variant], b: tuple[Bundle, Variant], how: local.Settings) -> BenchJob:
    (first, one), (second, other) = a, b
    ours, theirs = local.job_of(first, one, how), local.job_of(second, other, how)
    shapes = [{name: (x.shape, str(x.dtype)) for name, x in each.inputs.items()} for each in (ours, theirs)]
    if shapes[0] != shapes[1]:
        raise UsageError("the two take other inputs", where="--compare", found=shapes[1], allowed=str(shapes[0]))
    most, more = (how.limits(bundle.folder) for bundle in (first, second))
    return replace(
        ours,
        candidates={A: ours.candidates["this"], B: theirs.candidates["this"]},
        baseline=B,
        options=_shared(one),
        options_of={A: _own(one), B: _own(other)},
        isa=tuple(sorted({*one.isa, *other.isa})),
        where=f"{one.target} and {other.target}",
        limits=replace(most, memory=most.memory + more.memory, seconds=most.seconds + more.seconds),
    )


def _shared(variant: Variant) -> dict[str, object]:
    return {key: value for key, value in variant.options.items() if key != LENGTHS}


def _own(variant: Variant) -> dict[str, object]:
    return {key: value for key, value in variant.options.items() if key == LENGTHS}
