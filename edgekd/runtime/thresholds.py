"""The thresholds in a manifest: read, held against the outputs, and given to their tasks."""

from __future__ import annotations

from collections.abc import Mapping

from edgekd.base import reader
from edgekd.base.errors import IntegrityError
from edgekd.document.thresholds import Distance, SureFrom, Thresholds
from edgekd.runtime._checks import table_at
from edgekd.tasks import DISTANCE, Certainty, ClassDistance, Heads, certainties_of


def decided(heads: Heads, table: object, where: str) -> Heads:
    """The outputs with the thresholds that a manifest holds.

    Raises:
        IntegrityError: none of an output's, not one for each label, out of range, or of a task that has none.
    """
    given = reader.check(table_at(table, where), dict[str, Thresholds], where, IntegrityError)
    for name, thresholds in given.items():
        if name not in heads or not thresholds:
            raise IntegrityError("no thresholds of an output", where=f"{where}.{name}", found=thresholds, allowed=heads)
        if (labels := thresholds.get("labels")) is not None:
            _check_labels(heads, name, labels, f"{where}.{name}.labels")
        if (scores := thresholds.get("scores")) is not None:
            _check_scores(heads, name, scores, f"{where}.{name}.scores")
        if (sure := thresholds.get("sure")) is not None:
            _check_sure(heads, name, sure, f"{where}.{name}.sure")
    return applied(heads, given)


def applied(heads: Heads, given: Mapping[str, Thresholds]) -> Heads:
    """The outputs with thresholds that fit them."""
    labels = {name: table["labels"] for name, table in given.items() if "labels" in table}
    scores = {name: table["scores"] for name, table in given.items() if "scores" in table}
    sure = {name: _certainty(table["sure"]) for name, table in given.items() if "sure" in table}
    return heads.decided({**labels, **scores}, sure)


def _certainty(sure: SureFrom) -> Certainty:
    distance = distance_of(sure["distance"]) if "distance" in sure else None
    return Certainty(sure["by"], sure["temperature"], sure["least"], distance)


def distance_of(table: Distance) -> ClassDistance:
    """The same as a task computes with it."""
    axes, means = (tuple(map(tuple, rows)) for rows in (table["axes"], table["means"]))
    return ClassDistance(tuple(table["shift"]), axes, means, tuple(table["weights"]))


def _check_sure(heads: Heads, name: str, sure: SureFrom, where: str) -> None:
    if sure["by"] not in (known := certainties_of(heads.tasks[name])):
        raise IntegrityError("no score of this task's", where=f"{where}.by", found=sure["by"], allowed=known)
    distance = sure.get("distance")
    if distance is None:
        if sure["by"] == DISTANCE and sure["least"] is not None:
            raise IntegrityError("the score is not described", where=where, found="no distance")
        return
    if sure["by"] != DISTANCE:
        raise IntegrityError("parameters of another score", where=f"{where}.distance", found=sure["by"])
    size, count = heads[name], len(distance["axes"])
    lengths = {
        "shift": len(distance["shift"]) == size,
        "axes": 1 <= count <= size and all(len(row) == size for row in distance["axes"]),
        "means": 1 <= len(distance["means"]) <= size and all(len(row) == count for row in distance["means"]),
        "weights": len(distance["weights"]) == count,
    }
    for key, fits in lengths.items():
        if not fits:
            raise IntegrityError(
                "numbers of another shape", where=f"{where}.distance.{key}", allowed=f"of {size} scores"
            )


def _check_labels(heads: Heads, name: str, labels: list[float], where: str) -> None:
    task = heads.tasks[name]
    if not task.chooses or task.false_alarms is not None:
        raise IntegrityError("thresholds of a task that has none", where=where)
    if len(labels) != heads[name]:
        count = f"{len(labels)} thresholds"
        raise IntegrityError("a threshold for each label", where=where, found=count, allowed=f"{heads[name]}")
    if not all(0 < threshold < 1 for threshold in labels):
        raise IntegrityError("not a probability above 0 and below 1", where=where, found=labels)


def _check_scores(heads: Heads, name: str, scores: list[float], where: str) -> None:
    task = heads.tasks[name]
    if not task.chooses or task.false_alarms is None:
        raise IntegrityError("thresholds of a task that has none", where=where)
    if len(scores) != 1:
        count = f"{len(scores)} thresholds"
        raise IntegrityError("one threshold for the one score", where=where, found=count, allowed="1")
