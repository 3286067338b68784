"""What each loss is worth: the student trained once more without it (``--explain``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edgekd.base import bootstrap
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DivergedError
from edgekd.build import distil, parsed_recipe, planner
from edgekd.build.ensemble import TeacherOutputs
from edgekd.build.evaluation import EvaluationSet
from edgekd.build.plan import DistilStep, TeachStep
from edgekd.build.torch_reference import TorchReference
from edgekd.build.trained import Trained
from edgekd.build.workspace import Workspace
from edgekd.document.details import Loss, Losses
from edgekd.learn.student import Student

Explained = Mapping[str, Trained | None]  # by loss; None where the training without it diverged
SPLITS = ("validation", "test")


def steps_of(workspace: Workspace) -> dict[str, DistilStep]:
    """For each loss the step that trains the student (of several generations the last) without it.

    Schedule and seed are the student's own. Losses without which nothing would be learned are not among them.
    """
    recipe, tree = workspace.recipe, workspace.plan
    teachers = [tree.get(name, TeachStep) for name in recipe.ensemble]
    earlier = [step for step in tree.of_kind(DistilStep) if step.name != "student"]
    multiple, net = tree.get("student", DistilStep).channel_multiple, tree.nets.get("student", "")
    names = dict.fromkeys(term.name.split(" (")[0] for term in workspace.terms)  # of several heads a term each
    without = {}
    for i, name in enumerate(names):
        rest = recipe.losses[:i] + recipe.losses[i + 1 :]
        if any(table.get("weight", 1.0) or table.get("final_weight") for table in rest):
            less = parsed_recipe.parse(recipe.model_copy(update={"losses": rest})).by_head(workspace.heads)
            without[name] = planner.distil_step(less, teachers, earlier, multiple, f"student without {name}", net=net)
    return without


def train(
    workspace: Workspace, taught_by: TeacherOutputs, held_against: TeacherOutputs, teacher: Student
) -> dict[str, Trained | None]:
    """A student without each loss; those in the store are not trained again. See ``distil.student``."""
    students: dict[str, Trained | None] = {}
    for name, step in steps_of(workspace).items():
        try:
            students[name] = distil.student(workspace, step, teacher, taught_by, held_against)
        except DivergedError:  # which says something of the loss, and nothing against the build
            students[name] = None
    return students


def gains(
    workspace: Workspace, explained: Explained, evaluation: EvaluationSet, student: Callable[[str], AnyArray]
) -> Losses:
    """``details.learned.losses``: what the student before compression has with every loss, and without each.

    Args:
        explained: see ``train``.
        student: the scores of the student with every loss over a split.

    Returns:
        ``{seed, draws, validation, test, rows: [{loss, validation, test, gain, ci95}]}``. The gain is the test value
        with the loss less that without it; its 95 % interval is a bootstrap over test samples, the same ones for both:
        it knows nothing of another seed. All four are None where the training without the loss diverged.
    """
    of_student = {split: evaluation.of_rows(split, student(split)) for split in SPLITS}
    cuts = evaluation.cuts(of_student["validation"])
    full = {split: evaluation.value(split, of_student[split], cuts) for split in SPLITS}
    drawn = evaluation.draws("test", of_student["test"])
    whole = evaluation.resampled("test", of_student["test"], cuts)
    resampled = [whole(index) for index in drawn]
    scores = TorchReference(workspace, {name: trained for name, trained in explained.items() if trained is not None})
    rows: list[Loss] = []
    for name, trained in explained.items():
        if trained is None:
            rows.append({"loss": name, "validation": None, "test": None, "gain": None, "ci95": None})
            continue
        others = {split: evaluation.of_rows(split, scores(name, split)) for split in SPLITS}
        cuts = evaluation.cuts(others["validation"])
        values = {split: evaluation.value(split, others[split], cuts) for split in SPLITS}
        less = evaluation.resampled("test", others["test"], cuts)
        ends = bootstrap.interval([a - less(index) for a, index in zip(resampled, drawn, strict=True)])
        gain = full["test"] - values["test"]
        rows.append(
            {"loss": name, "validation": values["validation"], "test": values["test"], "gain": gain, "ci95": list(ends)}
        )
    return {
        "seed": workspace.recipe.seed,
        "draws": len(drawn),
        "validation": full["validation"],
        "test": full["test"],
        "rows": rows,
    }
