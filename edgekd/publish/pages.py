"""What a build leaves beside its bundle, or instead of one: pages, candidates, advice."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgekd import report
from edgekd.base.disk import replace_folder
from edgekd.base.errors import GateError
from edgekd.build import request as requests
from edgekd.build.measure import Measured
from edgekd.build.request import BuildRequest
from edgekd.build.store import canonical
from edgekd.decide import doubts
from edgekd.decide.choose import Choice
from edgekd.document.report import Report
from edgekd.document.samples import Samples
from edgekd.spec.recipe import Budget


def write_pages(document: Report, samples: Samples) -> dict[str, bytes]:
    """report.json, report.html and samples.json."""
    return {
        "report.json": (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode(),
        "report.html": report.html(document, samples).encode(),
        "samples.json": canonical(samples),
    }


def keep_candidates(out: Path, measured: Mapping[str, Measured]) -> None:
    """``<out>.candidates/<target>/<name>.onnx``, or ``.xml`` and ``.bin``; those of an earlier build go.

    Raises:
        OutputError: something else lies there.
    """
    files = {
        f"{target}/{name}{Path(file).suffix}": data
        for target, result in measured.items()
        for name, candidate in result.candidates.items()
        for file, data in candidate.files.items()
    }
    requests.check_candidates(out, measured)
    replace_folder(requests.candidates_of(out), files)


def advice(
    request: BuildRequest, measured: Mapping[str, Measured], choices: Mapping[str, Choice], budget: Budget
) -> list[str]:
    """What to change where nothing ships, made of this very miss."""
    sentences: dict[str, None] = {}
    for name, target in measured.items():
        if choices[name].shipped is None:
            pruned = {c.name: c.pruned for c in target.candidates.values()}
            teacher = target.evaluation.teacher_value("validation")
            sentences |= dict.fromkeys(doubts.advice(target.contenders(), pruned, budget, teacher, request.file))
    return list(sentences)


def gate(
    request: BuildRequest, choices: Mapping[str, Choice], pages: Mapping[str, bytes], hints: Sequence[str] = ()
) -> None:
    """Where a target has nothing to ship, keep the report in the cache and raise: nothing is published."""
    failed = [f"{name}: {choice.reason}" for name, choice in choices.items() if choice.shipped is None]
    if not failed:
        return
    folder = request.store.root / "reports" / request.identity[:16]
    replace_folder(folder, pages)
    notice = f"nothing was published; the report is at {folder / 'report.html'}"
    missed = GateError("; ".join(failed), hint="; ".join([*hints, notice]))
    missed.report = json.loads(pages["report.json"])
    raise missed
