"""``report.json`` of a bundle, schema version 1; keys that came after 0.1 may be missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, NotRequired, TypedDict

from edgekd.document.candidate import Candidate
from edgekd.document.details import ByClass, Details
from edgekd.document.machine import Host
from edgekd.document.rules import Count, Keys, NotNegative, Number, Positive, Share, Some
from edgekd.document.thresholds import Promise, SureOf, Thresholds


class Stage(TypedDict):
    """A trained step: ``teacher``, ``student`` or a compression pass; ``target`` is null where all targets share it.

    A teacher of recorded answers, and one that is asked, has 0 parameters and 0 bytes.
    """

    name: str
    target: str | None
    params: Count
    size_bytes: Count
    value_validation: Number
    value_test: Number
    seconds: NotNegative


class Parity(TypedDict):
    """The shipped file on its runtime against the network it was exported from; null: no classes, no finite answer."""

    argmax_agreement: Share | None
    max_abs_diff: NotNegative | None
    samples: Count


class Wanted(TypedDict):
    """A budget's wishes; a drop in the metric's unit, ``max_size_share`` of the teacher's size, ``min_cosine`` of
    vectors to the float file's.
    """

    max_drop: NotRequired[Number | None]
    max_latency_ms: NotRequired[Positive | None]
    max_size_kb: NotRequired[Positive | None]
    max_size_share: NotRequired[Number | None]
    min_cosine: NotRequired[Number | None]
    prefer: NotRequired[str]


class Got(TypedDict):
    """What became of a budget's wishes."""

    drop: NotRequired[Number | None]
    drop_ci95: NotRequired[list[Number] | None]
    latency_ms: NotRequired[Positive | None]
    size_kb: NotRequired[Positive | None]
    cosine: NotRequired[Number | None]


class Budget(TypedDict):
    """Wishes and what was got."""

    wanted: NotRequired[Wanted | None]
    got: NotRequired[Got | None]
    met: bool


class AtThresholds(TypedDict):
    """The metric of what ships, at the thresholds of labels that all shipped files share."""

    value_validation: Number
    value_test: Number


class Target(TypedDict):
    """One target; ``shipped`` is null where nothing ships.

    ``timed_length``: of the token sequences that were timed; ``preprocess_ms``: p50 of preparing one raw sample in
    Python, which no latency holds, where the same machine did both; ``batch``: samples of a run, ``threads``: that it
    takes, 0 all; ``teacher``: by split its value over the samples that are scored here, where they are not all;
    ``also``: what other backends make of the file that ships; ``at_thresholds``: its metric at the
    thresholds of the manifest; ``sure``: by runtime and output, how many of its answers are.
    """

    shipped: str | None
    reason: str
    candidates: Annotated[list[Candidate], Some()]
    parity: Parity
    budget: Budget
    runtime: NotRequired[str | None]
    description: NotRequired[str]
    timed_length: NotRequired[Count]
    preprocess_ms: NotRequired[NotNegative]
    batch: NotRequired[Count]
    threads: NotRequired[Count]
    teacher: NotRequired[dict[str, Number]]
    also: NotRequired[dict[str, object]]
    at_thresholds: NotRequired[AtThresholds]
    sure: NotRequired[dict[str, dict[str, SureOf]]]


def as_judged(target: Target, teacher: Stage) -> Stage:
    """The teacher's row with its values over the samples that a target's files were scored on."""
    here = target.get("teacher") or {}
    validation, test = here.get("validation", teacher["value_validation"]), here.get("test", teacher["value_test"])
    return {**teacher, "value_validation": validation, "value_test": test}


class Report(TypedDict):
    """What a build says about itself. Values are in the metric's own unit (accuracy 0..1), times of one batch.

    ``outputs``: the kind of task of each output of the student; ``thresholds``: of each output that has some;
    ``abstain``: what sure answers promise.
    """

    schema_version: Literal[1]
    name: str
    task: str
    metric: str
    metric_is_share: NotRequired[bool]
    classifies: NotRequired[bool]
    outputs: NotRequired[dict[str, str]]
    thresholds: NotRequired[dict[str, Thresholds]]
    abstain: NotRequired[Promise]
    seed: int
    split_sizes: Annotated[dict[str, Count], Keys(("train", "validation", "test"))]
    host: Host
    shippable: bool
    stages: Annotated[list[Stage], Some()]
    targets: Annotated[dict[str, Target], Some()]
    details: NotRequired[Details]


def notes_of(report: Report) -> list[str]:
    """All notes of a report, and what its host says of an unquiet machine."""
    return [*(report.get("details") or {}).get("notes", ()), *filter(None, [report["host"].get("note")])]


def contradictions(report: Report) -> Iterator[tuple[str, str]]:
    """Places whose parts do not fit each other, and what they must be; none in what a build writes."""
    details = report.get("details") or {}
    if (agreement := details.get("agreement")) is not None:
        yield from _by_class(agreement, "details.agreement")
        for name, other in (agreement.get("others") or {}).items():
            yield from _by_class(other, f"details.agreement.others.{name}")
    learned = details.get("learned")
    if learned is None:
        return
    for i, head in enumerate(learned.get("calibration") or []):
        for name, net in (("teacher", head["teacher"]), ("student", head["student"])):
            filled = [b for b in net["bins"] if b["count"]]
            if not filled or any(b["confidence"] is None or b["accuracy"] is None for b in filled):
                yield f"details.learned.calibration[{i}].{name}.bins", "some with answers, and of those their means"
    layers, losses = learned.get("layers"), learned.get("losses")
    if layers and [len(row) for row in layers["cka"]] != [len(layers["teacher"])] * len(layers["student"]):
        yield "details.learned.layers.cka", "a row for each layer of the student, a column for each of the teacher"
    for i, row in enumerate(losses["rows"] if losses else []):
        if row["ci95"] is not None and row["gain"] is None:
            yield f"details.learned.losses.rows[{i}].gain", "a number, where its interval is known"


def _by_class(by_class: ByClass, place: str) -> Iterator[tuple[str, str]]:
    count = len(by_class["classes"])
    lengths = {
        "teacher": len(by_class["teacher"]),
        "student": len(by_class["student"]),
        "agree": len(by_class["agree"]),
    }
    lengths["samples"] = len(by_class.get("samples") or by_class["agree"])
    for name, length in lengths.items():
        if length != count:
            yield f"{place}.{name}", f"one for each of {count} classes"
    if any(max(pair[:2]) >= count for pair in by_class.get("pairs") or []):
        yield f"{place}.pairs", f"classes, 0 to {count - 1}"
    confusion = by_class.get("confusion")
    if confusion is not None and [len(row) for row in confusion] != [count] * count:
        yield f"{place}.confusion", f"{count} rows of {count}"
