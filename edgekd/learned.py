"""What did the student learn? How sure it and its teacher are, where they part, what their layers share.

Everything here is of the test split, after the choice, and of the student that ships.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekd import layers, likeness, steps
from edgekd.measure import Exam
from edgekd.report.pictures import Sample

MOST = 12  # samples that the two are furthest apart on


@dataclass(frozen=True)
class Shown:
    """The student that is looked at.

    Attributes:
        target, candidate: where and as what it ships; None where nothing ships.
        step: the trained step that its file was made from.
        scores: (N, C) over the test split, of the file itself; of the torch model where nothing ships.
    """

    target: str | None
    candidate: str | None
    step: str
    scores: NDArray[np.float32]


def make(bench: steps.Bench, trained: Mapping[str, steps.Trained], exam: Exam, shown: Shown) -> dict[str, Any]:
    """``details.learned`` of report.json, but for the gain of each loss."""
    teacher, labels = exam.teacher("test"), exam.labels["test"]
    nets = {"teacher": teacher, "student": shown.scores}
    return {
        "student": {"target": shown.target, "candidate": shown.candidate, "step": shown.step},
        "agreement": float((teacher.argmax(1) == shown.scores.argmax(1)).mean()),
        "calibration": None if labels is None else {n: likeness.calibration(s, labels) for n, s in nets.items()},
        "layers": _layers(bench, trained, shown.step),
        "apart": [{"sample": bench.feed.number("test", i), "divergence": d} for i, d in _apart(exam, shown)],
    }


def _apart(exam: Exam, shown: Shown) -> list[tuple[int, float]]:
    return likeness.apart(exam.teacher("test"), shown.scores, MOST)


def _layers(bench: steps.Bench, trained: Mapping[str, steps.Trained], step: str) -> dict[str, Any]:
    """CKA of the last student before it was quantized: a quantized graph keeps no modules."""
    while bench.plan.steps[step].numerics is not None:
        step = bench.plan.steps[step].parent or "student"
    student, teacher = trained[step].student.module, trained["teacher"].student.module
    return {"step": step, **layers.similarity(student, teacher, (bench.feed, bench.teacher_feed), bench.terms)}


def samples(bench: steps.Bench, exam: Exam, shown: Shown) -> list[Sample]:
    """The samples of ``apart`` themselves. They are the user's: they go beside the bundle, never into it."""
    teacher, labels, raw = exam.teacher("test"), exam.labels["test"], exam.raw("test")
    found = []
    for i, distance in _apart(exam, shown):
        says = [np.exp(likeness.log_probabilities(scores[i : i + 1]))[0] for scores in (teacher, shown.scores)]
        label = None if labels is None else int(labels[i])
        best = [int(p.argmax()) for p in says]
        classes = list(dict.fromkeys(best if label is None else [*best, label]))
        moved = np.abs(says[0] - says[1])
        moved[classes] = -1.0
        classes += [int(moved.argmax())] if len(classes) < len(moved) else []
        found.append(
            Sample(
                number=bench.feed.number("test", i),
                divergence=distance,
                raw=raw[i],
                answers=tuple((bench.classes[c], float(says[0][c]), float(says[1][c])) for c in classes),
                best=(bench.classes[best[0]], bench.classes[best[1]]),
                label=None if label is None else bench.classes[label],
            )
        )
    return found
