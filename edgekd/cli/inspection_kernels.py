"""``edgekd inspect --kernels``: what runs of a model and what it costs, beside another file where one is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from edgekd.base.errors import UnavailableError, UsageError
from edgekd.decide import kernel_costs
from edgekd.document.kernel_costs import KernelInspection, KernelReport, Profiled
from edgekd.runtime import profiling
from edgekd.runtime.profiling import Request


def inspect(
    request: Request,
    max_memory_gb: float | None = None,
    max_seconds: float | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> KernelInspection:
    """Profile a lone file, a variant of a bundle, or each that this machine can run.

    Args:
        tell: called with a line for each variant that can't run here.

    Raises:
        UsageError: no such file or variant. UnavailableError: none runs here. Else what ``profiling.profile`` raises.
    """
    names = profiling.targets(Path(request.path))
    if request.target is not None:
        if request.target not in names:
            allowed = [name for name in names if name is not None]
            raise UsageError("no such variant", where=request.path, found=request.target, allowed=allowed or "none")
        names = [request.target]
    models: list[KernelReport] = []
    refusals: list[UnavailableError] = []
    for name in names:
        try:
            profiled = profiling.profile(replace(request, target=name), max_memory_gb, max_seconds)
        except UnavailableError as err:
            refusals.append(err)
        else:
            models.append(_report(name, profiled))
    if not models:
        raise refusals[0]
    for refusal in refusals:
        tell(f"skipped: {refusal}")
    return {"path": request.path, "models": models}


def _report(target: str | None, profiled: Profiled) -> KernelReport:
    costs = [kernel_costs.costs(file) for file in profiled["files"]]
    report: KernelReport = {
        "target": target,
        "backend": profiled["backend"],
        "runtime": profiled["runtime"],
        "threads": profiled["threads"],
        "inputs": profiled["inputs"],
        "rounds": profiled["rounds"],
        "note": profiled["note"],
        "costs": costs[0],
    }
    if profiled["ratio"] is not None and profiled["ci95"] is not None:
        report["beside"] = {
            "costs": costs[1],
            "kernels": kernel_costs.pairs(costs[0]["kernels"], costs[1]["kernels"]),
            "ratio": profiled["ratio"],
            "ci95": profiled["ci95"],
            "differences": kernel_costs.differences(costs[0]["operators"], costs[1]["operators"]),
        }
    return report
