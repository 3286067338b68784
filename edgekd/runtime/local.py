"""Benchmark a bundle on this machine: every variant that runs here, each in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgekd.errors import UnavailableError, UsageError
from edgekd.runtime import bench as benching
from edgekd.runtime import bundle as bundles
from edgekd.runtime import opening


def bench(path: str | Path, target: str | None = None, seconds: float = 1.0) -> dict[str, Any]:
    """Time the variants of a bundle on its golden inputs.

    Args:
        target: only this variant.
        seconds: at least so much running time of each.

    Returns:
        ``{"bundle", "host", "variants": {target: {"latency_ms", "samples", "throughput", "runtime", "note"}
        or {"skipped": why}}}``. One process a runtime: variants are *not* interleaved with each other, and the
        figures of two variants are no ratio.

    Raises:
        UsageError: no such variant. IntegrityError: a damaged bundle.
    """
    bundle = bundles.read(Path(path))
    names = [variant.target for variant in bundle.variants]
    if target is not None and target not in names:
        raise UsageError("no such variant in this bundle", where=str(path), found=target, allowed=names)
    result: dict[str, Any] = {"bundle": bundle.name, "host": None, "variants": {}}
    for variant in bundle.variants:
        if target in (None, variant.target):
            try:
                result["variants"][variant.target] = _one(bundle, variant, seconds, result)
            except UnavailableError as err:
                result["variants"][variant.target] = {"skipped": str(err)}
    return result


def _one(bundle: bundles.Bundle, variant: bundles.Variant, seconds: float, result: dict[str, Any]) -> dict[str, Any]:
    opening.check_isa(variant)
    golden = bundle.golden_of(variant)[0]
    x = {name: np.resize(array, (variant.batch, *array.shape[1:])) for name, array in golden.items()}
    job = benching.BenchJob(
        variant.backend,
        {"this": bundle.files_of(variant)},
        "this",
        x,
        options=variant.options,
        batch=variant.batch,
        min_seconds=seconds,
        where=variant.target,
    )
    timed = benching.bench_in_subprocess(job)
    result["host"] = timed.host
    summary = benching.summary(timed.samples["this"])
    return {
        "numerics": variant.numerics,
        "runtime": timed.runtime,
        "batch": variant.batch,
        "latency_ms": summary,
        "throughput": variant.batch / summary["p50"] * 1e3,
        "samples": len(timed.samples["this"]),
        "note": timed.note,
    }
