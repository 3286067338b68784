"""What did the student learn? How sure it and its teacher are, where they part, what their layers share.

Everything here is of the test split, after the choice, and of the student that ships.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekd.analysis import layers, similarity
from edgekd.base.arrays import AnyArray
from edgekd.base.heads import answers, columns, labels_of, split
from edgekd.base.scores import softmax
from edgekd.build.evaluation import EvaluationSet
from edgekd.build.plan import CompressStep
from edgekd.build.trained import Trained
from edgekd.build.workspace import Workspace
from edgekd.document.apart import Answer, Sample
from edgekd.document.details import Calibration, Layers, Learned

MOST = 12  # samples that the two are furthest apart on


@dataclass(frozen=True)
class Shown:
    """The student that is looked at.

    Attributes:
        target, candidate: where and as what it ships; None where nothing ships.
        step: the trained step that its file was made from.
        scores: (N, C) over the test split, of the file itself; of the torch model where nothing ships.
        exam: what it was scored on.
    """

    target: str | None
    candidate: str | None
    step: str
    scores: NDArray[np.float32]
    evaluation: EvaluationSet


def make(workspace: Workspace, trained: Mapping[str, Trained], shown: Shown) -> Learned:
    """``details.learned`` of report.json, but for the gain of each loss."""
    evaluation = shown.evaluation
    same = answers(evaluation.teacher("test"), workspace.heads) == answers(shown.scores, workspace.heads)
    far = _apart(workspace, shown)
    return {
        "student": {"target": shown.target, "candidate": shown.candidate, "step": shown.step},
        "agreement": float(same.mean()) if workspace.classifies else None,
        "calibration": _calibration(workspace, shown),
        "layers": _layers(workspace, trained, shown.step),
        "unit": "bit" if workspace.classifies else "",
        "apart": [{"sample": evaluation.number("test", i), "divergence": distance} for i, distance in far],
    }


def _calibration(workspace: Workspace, shown: Shown) -> list[Calibration] | None:
    """Of teacher and student, for each head; None without labels."""
    labels, teacher = shown.evaluation.labels["test"], shown.evaluation.teacher("test")
    if labels is None or not workspace.classifies:
        return None
    by_head: list[Calibration] = []
    for name, where in columns(workspace.heads).items():
        head_labels = labels_of(labels, workspace.heads, name)
        by_head.append(
            {
                "head": name if len(workspace.heads) > 1 else None,
                "teacher": similarity.calibration(teacher[:, where], head_labels),
                "student": similarity.calibration(shown.scores[:, where], head_labels),
            }
        )
    return by_head


def _apart(workspace: Workspace, shown: Shown) -> list[tuple[int, float]]:
    """The samples with the largest mean divergence over the heads; of values, with the largest distance."""
    teacher = shown.evaluation.teacher("test")
    if not workspace.classifies:
        return similarity.furthest(similarity.distance(teacher, shown.scores), MOST)
    pairs = zip(*(split(scores, workspace.heads).values() for scores in (teacher, shown.scores)), strict=True)
    by_head = [similarity.divergence(teacher, student) for teacher, student in pairs]
    return similarity.furthest(np.mean(by_head, axis=0), MOST)


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
        for name, where in columns(workspace.heads).items():
            head_labels = labels_of(labels, workspace.heads, name)
            label = None if head_labels is None or not workspace.classifies else int(head_labels[i])
            head_answers = _said(workspace, teacher[i, where], shown.scores[i, where], label, workspace.classes[where])
            prefix = f"{name}: " if len(workspace.heads) > 1 else ""
            sample_answers += [Answer(prefix + answer.name, *answer[1:]) for answer in head_answers]
        furthest.append(
            Sample(evaluation.number("test", i), distance, raw[i], tuple(sample_answers), workspace.classifies)
        )
    return furthest


def _said(
    workspace: Workspace,
    teacher: NDArray[np.float32],
    student: NDArray[np.float32],
    label: int | None,
    classes: tuple[str, ...],
) -> list[Answer]:
    """The best answer of each, the label, and of the others the one they differ most on; of values those alone."""
    says: tuple[AnyArray, AnyArray] = (teacher, student)
    best: list[int] = []
    if workspace.classifies:
        says = (softmax(teacher), softmax(student))
        best = [int(p.argmax()) for p in says]
    listed = list(dict.fromkeys(best if label is None else [*best, label]))
    moved = np.abs(says[0].astype(np.float64) - says[1])
    rest = [int(c) for c in np.argsort(-moved, kind="stable") if c not in listed]
    listed += rest[: 1 if workspace.classifies else 4]
    return [
        Answer(classes[c], (float(says[0][c]), float(says[1][c])), tuple(c == b for b in best), c == label)
        for c in listed
    ]
