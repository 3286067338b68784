"""Before a student trains: do its teachers know what the labels say, in our unit, and in the order of our classes?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekd.base import units
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import RecipeError
from edgekd.base.scores import answered
from edgekd.build.plan import TeachStep
from edgekd.build.workspace import Workspace
from edgekd.decide.standing import FEW, LEAST, Line, Standing, by_luck, line, ranking, standing
from edgekd.tasks import SINGLE, Task, pairs_of, unit_vectors

RANKED = ("auc", "hit_rate", "ndcg")  # what is asked for there is a place in a list, not the first one
UNITLESS = ("pearson", "spearman")  # of values in another unit they are the same
LISTED, SHOWN = 100, 5
SAMPLES, PLACES = 1000, 20_000  # of validation that are looked at, where a sample has many places
ALIKE = 0.5  # of the labels' variance that values of another unit explain, at least
TURNED = 0.3  # an area under the ROC curve of scores that say the opposite

Scores = NDArray[np.float32]


class Rows(NamedTuple):
    """Scores of a sample, or of a place, a row, their labels, and of places the samples that they are of."""

    scores: Scores
    labels: AnyArray
    samples: NDArray[np.int64] | None


class Moved(NamedTuple):
    """A head of a teacher whose classes stand in another order: which head, as errors call it, and in which."""

    head: str
    named: str
    standing: Standing


def check(workspace: Workspace, name: str, scores: Scores) -> None:
    """Tell what is odd about a teacher's answers on validation.

    Args:
        name: of its step.
        scores: (N, W) what it says to the validation split.

    Raises:
        RecipeError: it was trained elsewhere, and its columns surely stand in another order than our classes.
    """
    labels, heads = workspace.feed_of(name).labels("validation"), workspace.heads_of(name)
    moved, schedule = [], workspace.plan.get(name, TeachStep).schedule
    for head, where in heads.columns.items():
        head_labels, task = heads.labels_of(labels, head), heads.tasks[head]
        if head_labels is None:
            continue
        named = name if head == SINGLE or len(workspace.heads) < 2 else f"{name} ({head})"
        if task.pairs:
            _tell_chance(workspace, named, _of_pairs(scores[:, where], head_labels))
        elif "r2" in task.metrics and head_labels.shape == scores[:, where].shape:
            metric, names = _metric_kind(workspace, head), _names(workspace, head)
            _tell_chance(workspace, named, _of_values(scores[:, where], head_labels, names, metric))
        else:
            rows, is_given = _rows(task, heads.shapes[head], scores[:, where], head_labels), schedule is None
            stands = _standing(workspace, head, rows)
            _tell_chance(workspace, named, _of_classes(task, stands) if stands else _of_few(task, rows, is_given))
            if stands and stands.order is not None and is_given:
                moved.append(Moved(head, named, stands))
    if moved:
        _tell_moved(workspace, name, moved)


def _metric_kind(workspace: Workspace, head: str) -> str:
    of_head = workspace.recipe.heads.get(head)
    return str((workspace.recipe.metric if of_head is None else of_head.measured)["kind"])


def _names(workspace: Workspace, head: str) -> tuple[str, ...]:
    """Of the columns of one head."""
    columns = workspace.heads.name_columns
    return workspace.classes[columns[head]] if head in columns else workspace.classes


def _tell_chance(workspace: Workspace, named: str, why: str | None) -> None:
    if why is not None:
        workspace.note(f"the {named} is {why}")


def _rows(task: Task, shape: tuple[int, ...], scores: Scores, labels: AnyArray) -> Rows:
    """What is labelled and answered; of a dense task some places of some samples, drawn by luck, always the same."""
    known = answered(scores)
    if not task.dense:
        known &= (labels >= 0) if labels.ndim == 1 else True
        return Rows(scores[known], labels[known], None)
    generator, chosen = np.random.default_rng(0), np.flatnonzero(known)
    chosen = np.sort(generator.permutation(chosen)[:SAMPLES])
    each, parts = max(PLACES // max(len(chosen), 1), 1), []
    for i in chosen.tolist():
        of_sample = task.label_rows(labels[i : i + 1])
        places = generator.permutation(np.flatnonzero(of_sample.reshape(len(of_sample), -1)[:, 0] >= 0))[:each]
        rows = task.rows(scores[i : i + 1], shape)[places]
        parts.append(Rows(rows, of_sample[places], np.full(len(places), i)))
    if not parts:
        return Rows(scores[:0], labels[:0], None)
    every, numbers, samples = (np.concatenate(list(column)) for column in zip(*parts, strict=True))
    return Rows(every, numbers, samples)


def _standing(workspace: Workspace, head: str, rows: Rows) -> Standing | None:
    """How a teacher stands whose labels are of classes; None of other tasks, and where too little is labelled."""
    task = workspace.heads.tasks[head]
    if not len(rows.labels) or rows.labels.dtype.kind not in "iu":
        return None
    if task.link == "softmax" and rows.labels.ndim == 1:
        if not task.dense and (not task.exclusive or _metric_kind(workspace, head) in RANKED):
            return None
        answers = rows.scores.argmax(axis=1) if task.dense else task.answers(rows.scores)
        return standing(answers, rows.labels, rows.scores.shape[1], rows.samples)
    if "auc" in task.metrics and rows.labels.shape == rows.scores.shape:
        return ranking(rows.scores, rows.labels, rows.samples)
    return None


def _of_few(task: Task, rows: Rows, is_given: bool) -> str | None:
    """In words that few samples are labelled, of which a teacher from elsewhere names no more right than luck does."""
    count, is_classes = len(rows.labels), task.link == "softmax" and task.exclusive and not task.dense
    if not (is_given and is_classes and FEW <= count < LEAST and rows.labels.ndim == 1):
        return None
    answers = task.answers(rows.scores)
    right = int((answers == rows.labels).sum())
    if right > count * by_luck(answers, rows.labels, rows.scores.shape[1]):
        return None
    what = f"right about {right} of {count} validation samples, no more than luck would be"
    return f"{what}; these are too few to tell whether its classes stand in another order (data.validation)"


def _of_classes(task: Task, stands: Standing) -> str | None:
    """In words that a teacher knows no more of its classes than luck does."""
    if not stands.at_chance:
        return None
    if task.link == "softmax":
        return (
            f"no better than chance on validation: it names {units.share(stands.accuracy)} right, and answers that "
            f"know nothing of the sample would {units.share(stands.chance)}"
        )
    larger = "the further from normal" if task.false_alarms is not None else "the more a label applies"
    turned = f"; are its scores turned? The larger one is, {larger}" if stands.accuracy < TURNED else ""
    return (
        f"no better than chance on validation: the area under its ROC curve is {stands.accuracy:.2f}, and that of "
        f"answers that know nothing of the sample would be 0.50{turned}"
    )


def _of_values(scores: Scores, labels: AnyArray, names: Sequence[str], metric: str) -> str | None:
    """In words that a teacher's values say less than the mean of the labels does, and by what they would say more."""
    lines = [(name, of) for name, of in zip(names, _lines(scores, labels), strict=True) if of is not None]
    if metric in UNITLESS:
        odd = [f"{name!r} {of.correlation:.2f}" for name, of in lines if of.at_chance]
        return f"no better than chance on validation: the correlation with the labels of {_few(odd)}" if odd else None
    worse = [(name, of) for name, of in lines if of.explained < 0]
    if not worse:
        return None
    listed = _few([f"{name!r} {of.explained:.3g}" for name, of in worse])
    summary = f"worse than the mean of the labels on validation: r2 of {listed}"
    fits = [(name, of) for name, of in worse if of.correlation**2 >= ALIKE]
    if not fits:
        return summary
    scaled = _few([f"{of.factor:.6g} times {name!r} plus {of.offset:.6g}" for name, of in fits])
    return f"{summary}; are they in another unit? The labels are about {scaled}"


def _lines(scores: Scores, labels: AnyArray) -> Iterator[Line | None]:
    """How each column stands."""
    known = ~np.isnan(labels) & answered(scores)[:, None]
    for column, where in enumerate(known.T):
        yield line(scores[where, column].astype(np.float64), labels[where, column].astype(np.float64))


def _of_pairs(scores: Scores, labels: AnyArray) -> str | None:
    """In words that samples which mean the same are no nearer to each other; where all pairs do, than to others."""
    known = answered(scores)
    vectors, (first, second, wanted) = unit_vectors(scores[known]), pairs_of(labels[known])
    if len(wanted) and not np.ptp(wanted):
        first, second = np.tile(first, 2), np.concatenate([second, np.roll(second, 1)])
        wanted = np.repeat([1.0, 0.0], len(wanted))
    cosines = (vectors[first] * vectors[second]).sum(axis=1)
    of = line(cosines.astype(np.float64), wanted)
    if of is None or not of.at_chance:
        return None
    return (
        f"no better than chance on validation: the cosines of pairs and their scores have a correlation of "
        f"{of.correlation:.2f}"
    )


def _few(listed: Sequence[str]) -> str:
    return ", ".join(listed[:SHOWN]) + (f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else "")


def _tell_moved(workspace: Workspace, name: str, moved: Sequence[Moved]) -> None:
    """An error where it is sure, else a note; with the ``classes`` that would set it right."""
    right = _right(workspace, name, moved)
    for head, named, stands in moved:
        message = f"the {named} has its classes in another order: {_map(stands.order or (), _names(workspace, head))}"
        if workspace.heads.tasks[head].link == "softmax":
            now, then = units.share(stands.accuracy), units.share(stands.ordered)
            share = f"as they are it names {now} right, in the likely order {then}"
        else:
            area = "the area under the ROC curve of these labels"
            share = f"as they are {area} is {stands.accuracy:.2f}, in the likely order {stands.ordered:.2f}"
        worse = ", which is worse than chance" if stands.accuracy < stands.chance else ""
        if stands.surely:
            raise RecipeError(f"{message}; {share}{worse} (class order)", where=f"{name}.classes", hint=right)
        workspace.note(f"{message}? {share}{worse}; if that is the class order, {right}")


def _right(workspace: Workspace, name: str, moved: Sequence[Moved]) -> str:
    """What sets the order right."""
    heads, before = workspace.heads_of(name), workspace.recipe.ensemble[name].classes
    if heads.dense and len(heads) > 1:
        return "put the columns of these outputs in our order in its forward"
    order = list(range(sum(where.stop - where.start for where in heads.name_columns.values())))
    for head, _, stands in moved:
        where = heads.name_columns[head]
        order[where] = [where.start + column for column in stands.order or ()]
    keys = order if before is None else [before[i] for i in order]
    return f"set {name}.classes = {keys}" if len(keys) <= LISTED else f"{name}.classes says for each class its column"


def _map(order: Sequence[int], classes: tuple[str, ...]) -> str:
    """Which column means which class, of those that stand elsewhere."""
    return _few([f"class {classes[i]!r} is its column {column}" for i, column in enumerate(order) if column != i])
