"""Thresholds of what ships, chosen on validation: of labels, and of answers that are sure.

One for the whole bundle, whichever file and runtime answers: its programs share them, and where a sample is asked about
changes nothing. Hence they are found over all files that ship, each on every runtime that opens it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekd.base import false_alarms
from edgekd.base.arrays import AnyArray
from edgekd.build.evaluation import EvaluationSet, Scores
from edgekd.build.measure import Measured
from edgekd.build.workspace import Workspace
from edgekd.decide import abstain, label_thresholds
from edgekd.decide.abstain import Answers
from edgekd.decide.choose import Choice
from edgekd.document.thresholds import SureFrom, Thresholds
from edgekd.runtime.thresholds import applied
from edgekd.spec.recipe import Abstain
from edgekd.tasks import Heads, Task

Hits = NDArray[np.bool_]
TUNING = 3  # one of so many validation samples orders the thresholds, and the others test them
TOLD_APART = 2  # digits of an area under the curve: scores that differ by less are as good, and the first is taken


@dataclass(frozen=True)
class FileScores:
    """What a shipped file says to validation on one runtime.

    Attributes:
        target: its name; runtime: the same, with the backend where it is another than the target's own.
        scores: (N, W).
        tuning: (N,) the samples that order thresholds.
    """

    target: str
    runtime: str
    evaluation: EvaluationSet
    scores: Scores
    tuning: Hits


class Rated(NamedTuple):
    """One output of a file on a runtime.

    Attributes:
        scores: (N, K); reference: what it is held against, as labels are written; agrees: (N,) whether it says so.
        tuning: see ``FileScores``.
    """

    scores: Scores
    reference: AnyArray
    agrees: Hits
    tuning: Hits


@dataclass(frozen=True)
class Chosen:
    """What was chosen.

    Attributes:
        heads: the outputs with it.
        table: of the manifest, by output.
        files: what it was chosen on, by runtime.
    """

    heads: Heads
    table: dict[str, Thresholds]
    files: tuple[FileScores, ...]


def choose(workspace: Workspace, measured: Mapping[str, Measured], choices: Mapping[str, Choice]) -> Chosen:
    """Find the thresholds of what ships; nothing is run where none are to be found."""
    heads, wish = workspace.heads, workspace.recipe.abstain
    shipped = {name: choice.shipped for name, choice in choices.items() if choice.shipped is not None}
    if not shipped or (wish is None and not any(task.chooses for task in heads.tasks.values())):
        return Chosen(heads, {}, ())
    tuning = drawn(workspace.feed.length("validation"), workspace.recipe.seed)
    files = tuple(one for name, file in shipped.items() for one in _asked(name, measured[name], file, tuning))
    table: dict[str, Thresholds] = {}
    for name, task in heads.tasks.items():
        if task.chooses and task.false_alarms is not None:
            table[name] = {"scores": [score_threshold_of(heads, name, files, task.false_alarms)]}
        elif task.chooses:
            table[name] = {"labels": label_thresholds_of(heads, name, files, all_of_it=wish is None)}
    if wish is not None:
        tasks = applied(heads, table).tasks
        for name in heads.sure():
            task = tasks[name]
            rated = [rate(heads, name, task, one, "validation", wish) for one in files]
            table[name] = {**table.get(name, {}), "sure": certainty(task, rated, wish)}
    return Chosen(applied(heads, table), table, files)


def drawn(count: int, seed: int) -> Hits:
    """(count,) which samples order thresholds: a third of them, at random and always the same."""
    tuning = np.zeros(count, bool)
    tuning[np.random.default_rng(seed).permutation(count)[: count // TUNING]] = True
    return tuning


def certainty(task: Task, rated: Sequence[Rated], wish: Abstain) -> SureFrom:
    """When an output's answers are sure.

    Its temperature and its score are those that tell the tuning samples best; the others test the threshold.

    Args:
        rated: by runtime.
    """
    heat = 1.0
    if task.exclusive and all(one.tuning.any() for one in rated):
        parts = [(one.scores[one.tuning].astype(np.float64), one.reference[one.tuning]) for one in rated]
        heat = abstain.temperature(*zip(*parts, strict=True))

    def answers(by: str, *, tuning: bool) -> list[Answers]:
        kept = [one.tuning if tuning else ~one.tuning for one in rated]
        return [
            Answers(task.certainty(one.scores[rows], by, heat), one.agrees[rows])
            for one, rows in zip(rated, kept, strict=True)
        ]

    def worth(by: str) -> float:
        return round(abstain.separation(answers(by, tuning=True)), TOLD_APART)

    by = max(task.certainties, key=worth) if wish.by is None else wish.by
    tuned, tested = answers(by, tuning=True), answers(by, tuning=False)
    least = abstain.threshold(tuned, tested, wish.agreement, wish.confidence)
    return {"by": by, "least": least, "temperature": heat}


def rate(heads: Heads, name: str, task: Task, one: FileScores, split: str, wish: Abstain) -> Rated:
    """One output of what a file says to a split, beside whom it is held against; samples without any known label are
    left out, since nothing disagrees with them."""
    scores, evaluation = heads.split(one.scores)[name], one.evaluation
    reference = _reference(heads, name, evaluation, split, of_labels=wish.against == "labels")
    agrees = np.asarray(task.answers(scores) == reference)
    if agrees.ndim == 1:
        return Rated(scores, reference, agrees, one.tuning)
    unknown = reference < 0
    known = ~unknown.all(axis=1)
    of_known = np.asarray((agrees | unknown)[known].all(axis=1))
    return Rated(scores[known], reference[known], of_known, one.tuning[known])


def _asked(name: str, measured: Measured, file: str, tuning: Hits) -> list[FileScores]:
    """A shipped file on the target's runtime and on each other that opens it."""
    evaluation, batch = measured.evaluation, measured.target.shapes.batch
    sessions = {name: measured.open(file)}
    for kind, backend in measured.runtime.also.items():
        sessions[f"{name}, {kind}"] = backend.open(measured.candidates[file].files, batch=batch)
    rows = evaluation.of_rows("validation", tuning)
    return [
        FileScores(name, place, evaluation, evaluation.scores(session, "validation", batch), rows)
        for place, session in sessions.items()
    ]


def label_thresholds_of(heads: Heads, name: str, files: Sequence[FileScores], *, all_of_it: bool) -> list[float]:
    """A threshold for each label, a probability; not of all samples where the others test what is sure."""
    kept = [one.tuning | all_of_it for one in files]
    scores = np.concatenate([heads.split(one.scores)[name][rows] for one, rows in zip(files, kept, strict=True)])
    references = [_reference(heads, name, one.evaluation, "validation", of_labels=True) for one in files]
    labels = np.concatenate([reference[rows] for reference, rows in zip(references, kept, strict=True)])
    pairs = zip(scores.T.astype(np.float64), labels.T, strict=True)
    return [1 / (1 + math.exp(-label_thresholds.best(column, hits))) for column, hits in pairs]


def score_threshold_of(heads: Heads, name: str, files: Sequence[FileScores], rate: float) -> float:
    """The one score from which on a sample is an anomaly: false alarms are as rare of every file, on every runtime.

    Raises:
        DataError: too few normal samples.
    """
    each = []
    for one in files:
        normal = _reference(heads, name, one.evaluation, "validation", of_labels=True)[:, 0] == 0
        each.append(false_alarms.threshold(heads.split(one.scores)[name][normal, 0], rate, "data (validation)"))
    return max(each)


def _reference(heads: Heads, name: str, evaluation: EvaluationSet, split: str, *, of_labels: bool) -> AnyArray:
    """The labels of an output, or what the teacher answers."""
    labels = heads.labels_of(evaluation.labels[split], name) if of_labels else None
    return heads.tasks[name].answers(heads.split(evaluation.teacher(split))[name]) if labels is None else labels
