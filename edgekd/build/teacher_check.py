"""Before a student trains: do its teachers know the classes, and in our order?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgekd.base import units
from edgekd.base.errors import RecipeError
from edgekd.base.scores import answered
from edgekd.build.plan import TeachStep
from edgekd.build.workspace import Workspace
from edgekd.decide.standing import Standing, standing
from edgekd.tasks import SINGLE

RANKED = ("auc", "hit_rate", "ndcg")  # what is asked for there is a place in a list, not the first one
LISTED, SHOWN = 100, 5


def check(workspace: Workspace, name: str, scores: NDArray[np.float32]) -> None:
    """Tell what is odd about a teacher's answers on validation.

    Args:
        name: of its step.
        scores: (N, K) what it says to the validation split.

    Raises:
        RecipeError: it was trained elsewhere, and its columns surely stand in another order than our classes.
    """
    labels, heads = workspace.feed_of(name).labels("validation"), workspace.heads_of(name)
    order, wrong = np.arange(scores.shape[1]), []
    for head, where in heads.columns.items():
        head_labels = heads.labels_of(labels, head)
        if head_labels is None or not heads.tasks[head].exclusive or _metric_kind(workspace, head) in RANKED:
            continue
        labelled = (head_labels >= 0) & answered(scores[:, where])
        if not labelled.any():
            continue
        answers = heads.tasks[head].answers(scores[labelled, where])
        head_standing = standing(answers, head_labels[labelled], heads[head])
        if head_standing is None:
            continue
        named = name if head == SINGLE or len(workspace.heads) < 2 else f"{name} ({head})"
        if head_standing.at_chance:
            workspace.note(
                f"the {named} is no better than chance on validation: it names {units.share(head_standing.accuracy)} "
                f"right, and answers that know nothing of the sample would {units.share(head_standing.chance)}"
            )
        if head_standing.order is not None and workspace.plan.get(name, TeachStep).schedule is None:
            offset = workspace.heads.columns[head].start if head in workspace.heads else 0
            classes = workspace.classes[offset : offset + heads[head]]
            order[where] = where.start + np.array(head_standing.order)
            message = f"the {named} has its classes in another order: {_map(head_standing.order, classes)}"
            wrong.append((head_standing, message, named))
    if wrong:
        _tell(workspace, name, [int(i) for i in order], wrong)


def _metric_kind(workspace: Workspace, head: str) -> str:
    of_head = workspace.recipe.heads.get(head)
    return str((workspace.recipe.metric if of_head is None else of_head.measured)["kind"])


def _tell(workspace: Workspace, name: str, order: list[int], wrong: list[tuple[Standing, str, str]]) -> None:
    """An error where it is sure, else a note; with the ``classes`` that would set it right."""
    before = workspace.recipe.ensemble[name].classes
    keys = [before[i] for i in order] if before is not None else order
    right = f"{name}.classes = {keys}" if len(keys) <= LISTED else f"{name}.classes says for each class its column"
    for head_standing, message, _ in wrong:
        now, then = units.share(head_standing.accuracy), units.share(head_standing.ordered)
        share = f"as they are it names {now} right, in the likely order {then}"
        worse = ", which is worse than chance" if head_standing.accuracy < head_standing.chance else ""
        if head_standing.surely:
            hint = f"set {right}"
            raise RecipeError(f"{message}; {share}{worse} (class order)", where=f"{name}.classes", hint=hint)
        workspace.note(f"{message}? {share}{worse}; if that is the class order, set {right}")


def _map(order: Sequence[int], classes: tuple[str, ...]) -> str:
    """Which column means which class, of those that stand elsewhere."""
    moved = [f"class {classes[i]!r} is its column {column}" for i, column in enumerate(order) if column != i]
    return ", ".join(moved[:SHOWN]) + (f" and {len(moved) - SHOWN} more" if len(moved) > SHOWN else "")
