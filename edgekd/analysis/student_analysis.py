"""What did the student learn? How sure it and its teacher are, where they part, what their layers share.

Everything here is of the test split, after the choice, and of the student that ships.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgekd.analysis import layers, similarity
from edgekd.base import plugins
from edgekd.base.arrays import AnyArray
from edgekd.build.evaluation import EvaluationSet
from edgekd.build.plan import CompressStep
from edgekd.build.trained import Trained
from edgekd.build.workspace import Workspace
from edgekd.document.apart import Answer, Marked, Sample
from edgekd.document.details import Calibration, Layers, Learned
from edgekd.tasks import Heads, Task
from edgekd.tasks import Shown as TaskSample

MOST = 12  # samples that the two are furthest apart on


@dataclass(frozen=True)
class Shown:
    """The student that is looked at.

    Attributes:
        target, candidate: where and as what it ships; None where nothing ships.
        step: the trained step that its file was made from.
        scores: (N, K) over the test split, of the file itself; of the torch model where nothing ships.
        exam: what it was scored on.
        heads: its outputs with the thresholds that ship.
    """

    target: str | None
    candidate: str | None
    step: str
    scores: NDArray[np.float32]
    evaluation: EvaluationSet
    heads: Heads


def make(workspace: Workspace, trained: Mapping[str, Trained], shown: Shown) -> Learned:
    """``details.learned`` of report.json, but for the gain of each loss."""
    evaluation = shown.evaluation
    same = workspace.heads.agreement(evaluation.teacher("test"), shown.scores)
    far = _apart(workspace, shown)
    return {
        "student": {"target": shown.target, "candidate": shown.candidate, "step": shown.step},
        "agreement": None if same is None else float(same.mean()),
        "calibration": _calibration(workspace, shown),
        "layers": _layers(workspace, trained, shown.step),
        "unit": _unit(workspace.heads),
        "apart": [{"sample": evaluation.number("test", i), "divergence": distance} for i, distance in far],
    }


def _calibration(workspace: Workspace, shown: Shown) -> list[Calibration] | None:
    """Of teacher and student, for each head of classes that has labels; None where there is none."""
    labels, teacher = shown.evaluation.labels["test"], shown.evaluation.teacher("test")
    by_head: list[Calibration] = []
    for name, where in workspace.heads.columns.items():
        head_labels = workspace.heads.labels_of(labels, name)
        if head_labels is None or not workspace.heads.tasks[name].exclusive:
            continue
        certainty = shown.heads.certainties.get(name)
        scores = shown.scores[:, where] / np.float32(1.0 if certainty is None else certainty.temperature)
        by_head.append(
            {
                "head": name if len(workspace.heads) > 1 else None,
                "teacher": similarity.calibration(teacher[:, where], head_labels),
                "student": similarity.calibration(scores, head_labels),
            }
        )
    return by_head or None


def _apart(workspace: Workspace, shown: Shown) -> list[tuple[int, float]]:
    """The samples with the largest distance, the mean over the heads."""
    teacher = shown.evaluation.teacher("test")
    return similarity.furthest(workspace.heads.distance(teacher, shown.scores), MOST)


def _unit(heads: Heads) -> Literal["bit", ""]:
    """Of the distance of two nets; "" where outputs have several."""
    return "bit" if all(task.unit == "bit" for task in heads.tasks.values()) else ""


def _layers(workspace: Workspace, trained: Mapping[str, Trained], step: str) -> Layers | None:
    """CKA of the last student before it was quantized (a quantized graph keeps no modules) and the first teacher.

    None of a teacher that has answers and no network.
    """
    plan = workspace.plan
    if "teacher" in workspace.sources:
        return None
    while isinstance(at := plan.steps[step], CompressStep) and at.numerics is not None:
        step = at.parent
    student, teacher = trained[step].student.module, trained["teacher"].student.module
    feeds = (workspace.feed, workspace.feed_of("teacher"))
    return layers.layer_similarity(student, teacher, feeds, workspace.terms, step)


def samples(workspace: Workspace, shown: Shown) -> list[Sample]:
    """The samples of ``apart`` themselves. They are the user's: they go beside the bundle, never into it."""
    evaluation = shown.evaluation
    teacher, labels, raw = evaluation.teacher("test"), evaluation.labels["test"], evaluation.raw("test")
    furthest = []
    for i, distance in _apart(workspace, shown):
        sample_answers: list[Answer] = []
        sample_marks: list[Marked] = []
        for name, where in workspace.heads.columns.items():
            head_labels = workspace.heads.labels_of(labels, name)
            label = None if head_labels is None else head_labels[i : i + 1]
            parts = teacher[i : i + 1, where], shown.scores[i : i + 1, where]
            names = workspace.classes[workspace.heads.name_columns[name]]
            natural = workspace.heads.natural(name, parts[0]), workspace.heads.natural(name, parts[1])
            head_answers = _answers((workspace.heads.tasks[name], shown.heads.tasks[name]), natural, label, names)
            prefix = f"{name}: " if len(workspace.heads) > 1 else ""
            sample_answers += [Answer(prefix + answer.name, *answer[1:]) for answer in head_answers]
            sample_label = None if label is None else label[0]
            head_marks = plugins.call_user(_marked, "task", workspace, shown.heads, name, parts, sample_label, raw[i])
            sample_marks += [Marked(prefix + who, marks) for who, marks in head_marks]
        known, number = bool(workspace.heads.link), evaluation.number("test", i)
        furthest.append(Sample(number, distance, raw[i], tuple(sample_answers), known, tuple(sample_marks)))
    return furthest


def _marked(
    workspace: Workspace, ships: Heads, name: str, parts: tuple[AnyArray, AnyArray], label: AnyArray | None, raw: object
) -> list[Marked]:
    """What the label, the teacher and the student mark in a sample, of one output; none where it marks nothing.

    Args:
        ships: the student's outputs, at whose thresholds all are shown; parts: (1, W) what the two say; label: as the
            task has it.
    """
    task, names = ships.tasks[name], workspace.classes[workspace.heads.name_columns[name]]
    sample, shape = TaskSample(raw, workspace.feed.ops), workspace.heads.natural(name, parts[0]).shape[1:]
    decided = {
        "teacher": ships.decode(name, parts[0], names, [sample])[0],
        "student": ships.decode(name, parts[1], names, [sample])[0],
    }
    shares = None if label is None else task.shares_of_label(label, shape)
    if shares is not None:
        decided = {"label": task.decode_shown(shares, names, sample), **decided}
    marks = {who: task.marks(one) for who, one in decided.items()}
    return [Marked(who, one) for who, one in marks.items() if one is not None]


def _answers(
    tasks: tuple[Task, Task], scores: tuple[AnyArray, AnyArray], label: AnyArray | None, names: Sequence[str]
) -> list[Answer]:
    """What both decide, the label, and of the others what they differ most on; of values those alone.

    Args:
        tasks, scores: (1, *shape) of the teacher and of the student, of whose places the mean is told; label: of the
            one sample, as the task has it.
    """
    task, _ = tasks
    shares = [task.rows(task.shares(of), of.shape[1:]).mean(axis=0) for of in scores]
    picked = [one.picks(one.answers(of), len(names))[0] for one, of in zip(tasks, scores, strict=True)]
    is_label = np.zeros(len(names), bool) if label is None else task.picks(label, len(names))[0]
    listed = list(dict.fromkeys(int(c) for hits in (*picked, is_label) for c in np.flatnonzero(hits)))
    moved = np.abs(shares[0] - shares[1])
    rest = [int(c) for c in np.argsort(-moved, kind="stable") if c not in listed]
    listed += rest[: 1 if task.link else 4]
    return [
        Answer(
            names[c],
            (float(shares[0][c]), float(shares[1][c])),
            tuple(bool(hit[c]) for hit in picked),
            bool(is_label[c]),
        )
        for c in listed
    ]
