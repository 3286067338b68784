"""Thresholds of what ships, chosen on validation: of labels, and of answers that are sure.

One for the whole bundle, whichever file and runtime answers: its programs share them, and where a sample is asked about
changes nothing. Hence they are found over all files that ship, each on every runtime that opens it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekd.base import false_alarms, label_thresholds
from edgekd.base.arrays import AnyArray, Samples
from edgekd.build.evaluation import EvaluationSet, Scores, joined
from edgekd.build.measure import Measured
from edgekd.build.workspace import Workspace
from edgekd.decide import abstain, class_distance
from edgekd.decide.abstain import Answers
from edgekd.decide.choose import Choice
from edgekd.document.thresholds import SureFrom, Thresholds
from edgekd.learn.feed import some
from edgekd.runtime import batches
from edgekd.runtime.backend import Session
from edgekd.runtime.thresholds import applied, distance_of
from edgekd.spec.recipe import Abstain
from edgekd.tasks import DISTANCE, Certainty, Heads, Task, certainties_of

Hits = NDArray[np.bool_]
TUNING = 3  # one of so many validation samples orders the thresholds, and the others test them
TOLD_APART = 2  # digits of a share or an area: scores that differ by less are as good, and the first is taken


@dataclass(frozen=True)
class FileScores:
    """What a shipped file says to validation on one runtime.

    Attributes:
        target: its name; runtime: the same, with the backend where it is another than the target's own.
        scores: (N, W).
        tuning: (N,) the samples that order thresholds, and tested: those that test them.
        outside: by split, (M, W) of samples of no class that is known.
    """

    target: str
    runtime: str
    evaluation: EvaluationSet
    scores: Scores
    tuning: Hits
    tested: Hits
    outside: Mapping[str, Scores] = field(default_factory=dict)


class Rated(NamedTuple):
    """One output of a file on a runtime.

    Attributes:
        scores: (N, K); reference: what it is held against, as labels are written; agrees: (N,) whether it says so.
        tuning, tested: see ``FileScores``; outside: (M, K) of samples of no class, see there; None: nobody has any.
    """

    scores: Scores
    reference: AnyArray
    agrees: Hits
    tuning: Hits
    tested: Hits
    outside: Scores | None = None


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
    feed = workspace.feed
    parts = drawn(feed.length("validation"), workspace.recipe.seed, feed.group("validation"))
    files = tuple(
        one for name, file in shipped.items() for one in _asked(name, measured[name], file, parts, workspace.outside)
    )
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


def drawn(count: int, seed: int, group: NDArray[np.int64] | None = None) -> tuple[Hits, Hits]:
    """(count,) which samples order thresholds, a third of them, and which test them, at random and always the same.

    Args:
        group: (count,) of samples that are alike whole groups order, and one of each other group tests: the bound
            counts what tests as independent, and the frames of a video are right or wrong together.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(count)
    if group is not None:
        order = order[np.sort(np.unique(group[order], return_index=True)[1])]  # the first of each group, at random
    tuning, tested = np.zeros(count, bool), np.zeros(count, bool)
    tuning[order[: len(order) // TUNING]] = True
    tested[order[len(order) // TUNING :]] = True
    return (tuning, tested) if group is None else (np.isin(group, group[tuning]), tested)


def certainty(task: Task, rated: Sequence[Rated], wish: Abstain) -> SureFrom:
    """When an output's answers are sure.

    Its temperature and its score are those that tell the tuning samples best, and what ``distance`` is computed with is
    theirs; the others test the threshold.

    Args:
        rated: by runtime.
    """
    heat, measured = 1.0, None
    samples = [(one.scores[one.tuning].astype(np.float64), one.reference[one.tuning]) for one in rated]
    if task.exclusive and all(one.tuning.any() for one in rated):
        heat = abstain.temperature(*zip(*samples, strict=True))
        pooled = np.concatenate([scores for scores, _ in samples])
        measured = class_distance.fitted(pooled, task.answers(pooled)) if wish.by in (None, DISTANCE) else None
    candidates = {by: Certainty(by, heat) for by in certainties_of(task) if by != DISTANCE}
    if measured is not None:
        candidates[DISTANCE] = Certainty(DISTANCE, heat, distance=distance_of(measured))
    by = max(candidates, key=lambda by: _worth(task, rated, candidates[by], wish)) if wish.by is None else wish.by
    if by not in candidates:  # no distance can be told of so few samples
        return {"by": by, "least": None, "temperature": heat}
    tuned, tested = (_answers(task, rated, candidates[by], tuning=tuning) for tuning in (True, False))
    least = abstain.threshold(tuned, tested, wish.agreement, wish.confidence)
    sure: SureFrom = {"by": by, "least": least, "temperature": heat}
    return {**sure, "distance": measured} if by == DISTANCE and measured is not None else sure


def _answers(task: Task, rated: Sequence[Rated], score: Certainty, *, tuning: bool) -> list[Answers]:
    kept = [one.tuning if tuning else one.tested for one in rated]
    return [
        Answers(score.values(task, one.scores[rows]), one.agrees[rows]) for one, rows in zip(rated, kept, strict=True)
    ]


def _worth(task: Task, rated: Sequence[Rated], score: Certainty, wish: Abstain) -> tuple[float, float]:
    """What scores are ordered by, the best last, on the tuning samples.

    Where there are samples of no class, first the share of answers that would be sure less the share of these that
    would be, from a threshold that the tuning samples themselves pass; -1 where none does. Of the 12 choices of
    ``benchmarks/abstain.py`` the score has a mean area of 0.931 on samples of another unknown class then, and takes
    20 % of them as sure; by areas alone, 0.926 and 24 %.

    Then how well it tells answers that agree from those that do not, 0..1, and the mean of that and of how well it
    tells them from samples of no class.
    """
    answers = _answers(task, rated, score, tuning=True)
    outside = [None if one.outside is None else score.values(task, one.outside) for one in rated]
    pairs = [(one, of) for one, of in zip(answers, outside, strict=True) if of is not None]
    if not pairs:
        return 0.0, round(abstain.separation(answers), TOLD_APART)
    areas = [abstain.auroc(one.certainty[one.agrees], of) for one, of in pairs]
    area = float(np.mean([abstain.separation(answers), np.mean(areas)]))
    least = abstain.threshold(answers, answers, wish.agreement, wish.confidence)
    if least is None:
        return -1.0, round(area, TOLD_APART)
    apart = np.mean([(one.certainty >= least).mean() - (of >= least).mean() for one, of in pairs])
    return round(float(apart), TOLD_APART), round(area, TOLD_APART)


def rate(heads: Heads, name: str, task: Task, one: FileScores, split: str, wish: Abstain) -> Rated:
    """One output of what a file says to a split, beside whom it is held against; samples without any known label are
    left out, since nothing disagrees with them."""
    scores, evaluation = heads.split(one.scores)[name], one.evaluation
    reference = _reference(heads, name, evaluation, split, of_labels=wish.against == "labels")
    outside = heads.split(one.outside[split])[name] if split in one.outside else None
    agrees = np.asarray(task.answers(scores) == reference)
    if agrees.ndim == 1:
        return Rated(scores, reference, agrees, one.tuning, one.tested, outside)
    unknown = reference < 0
    known = ~unknown.all(axis=1)
    of_known = np.asarray((agrees | unknown)[known].all(axis=1))
    return Rated(scores[known], reference[known], of_known, one.tuning[known], one.tested[known])


def _asked(
    name: str, measured: Measured, file: str, parts: tuple[Hits, Hits], outside: Mapping[str, Samples]
) -> list[FileScores]:
    """A shipped file on the target's runtime and on each other that opens it.

    Args:
        parts: see ``drawn``; outside: see ``Workspace``.
    """
    evaluation, batch = measured.evaluation, measured.target.shapes.batch
    sessions = {name: measured.open(file)}
    for kind, backend in measured.runtime.also.items():
        sessions[f"{name}, {kind}"] = backend.open(measured.candidates[file].files, batch=batch)
    tuning, tested = (evaluation.of_rows("validation", part) for part in parts)

    def strangers(session: Session) -> dict[str, Scores]:
        return {split: _of_samples(evaluation, session, split, raw, batch) for split, raw in outside.items()}

    return [
        FileScores(name, place, evaluation, scores, tuning, tested, strangers(session))
        for place, session in sessions.items()
        for scores in [evaluation.scores(session, "validation", batch)]
    ]


def _of_samples(evaluation: EvaluationSet, session: Session, split: str, raw: Samples, batch: int) -> Scores:
    """(M, W) what a session says to raw samples of no split, as many as are scored of the split at most."""
    rows = some(len(raw), evaluation.length(split))
    return joined(batches.over(session, lambda index: evaluation.feed.plain(split, index, raw), rows, batch))


def label_thresholds_of(heads: Heads, name: str, files: Sequence[FileScores], *, all_of_it: bool) -> list[float]:
    """A threshold for each label, a probability; not of all samples where the others test what is sure."""
    kept = [one.tuning | all_of_it for one in files]
    scores = np.concatenate([heads.split(one.scores)[name][rows] for one, rows in zip(files, kept, strict=True)])
    references = [_reference(heads, name, one.evaluation, "validation", of_labels=True) for one in files]
    labels = np.concatenate([reference[rows] for reference, rows in zip(references, kept, strict=True)])
    return [1 / (1 + math.exp(-cut)) for cut in label_thresholds.of_columns(scores, labels)]


def score_threshold_of(heads: Heads, name: str, files: Sequence[FileScores], rate: float) -> float:
    """The one score from which on something is an anomaly: false alarms are as rare of every file, on every runtime.

    Raises:
        DataError: too few normal samples.
    """
    each = []
    for one in files:
        labels = _reference(heads, name, one.evaluation, "validation", of_labels=True)
        normal = heads.tasks[name].normal_scores(heads.split(one.scores)[name], labels)
        each.append(false_alarms.threshold(normal, rate, "data (validation)"))
    return max(each)


def _reference(heads: Heads, name: str, evaluation: EvaluationSet, split: str, *, of_labels: bool) -> AnyArray:
    """The labels of an output, or what the teacher answers."""
    labels = heads.labels_of(evaluation.labels[split], name) if of_labels else None
    return heads.tasks[name].answers(heads.split(evaluation.teacher(split))[name]) if labels is None else labels
