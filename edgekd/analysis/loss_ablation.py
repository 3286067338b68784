"""What each loss is worth: the student trained once more without it (``--explain``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from edgekd.base.errors import DivergedError
from edgekd.build import plan, steps
from edgekd.build.ensemble import Watching
from edgekd.build.evaluation import Exam
from edgekd.build.plan import Step
from edgekd.build.torch_reference import StageScores
from edgekd.learn.objective import make_terms
from edgekd.learn.student import Student
from edgekd.metrics import _bootstrap as bootstrap
from edgekd.spec.recipe import Recipe

Explained = Mapping[str, steps.Trained | None]  # by loss; None where the training without it diverged
SPLITS = ("validation", "test")


def steps_of(bench: steps.Bench) -> dict[str, tuple[Recipe, Step]]:
    """For each loss the recipe without it and the step that trains the student (of several generations the last) so.

    Schedule and seed are the student's own. Losses without which nothing would be learned are not among them.
    """
    recipe, tree = bench.recipe, bench.plan.steps
    teachers = [tree[name] for name in recipe.panel]
    earlier = [step for step in tree.values() if step.kind == "student" and step.name != "student"]
    names = dict.fromkeys(term.name.split(" (")[0] for term in bench.terms)  # of several heads a loss has a term each
    found = {}
    for i, name in enumerate(names):
        rest = recipe.losses[:i] + recipe.losses[i + 1 :]
        if any(table.get("weight", 1.0) or table.get("final_weight") for table in rest):
            less = recipe.model_copy(update={"losses": rest})
            multiple = tree["student"].channel_multiple
            found[name] = (
                less,
                plan.student_step(
                    *(less, teachers, earlier, multiple, f"student without {name}"),
                    net=bench.plan.nets.get("student", ""),
                ),
            )
    return found


def train(bench: steps.Bench, heard: Watching, watching: Watching, above: Student) -> dict[str, steps.Trained | None]:
    """A student without each loss; those in the store are not trained again. See ``steps.student``."""
    found: dict[str, steps.Trained | None] = {}
    for name, (less, step) in steps_of(bench).items():
        terms = make_terms(less.losses, heads=bench.heads)
        try:
            found[name] = steps.student(replace(bench, terms=terms), step, above, heard, watching)
        except DivergedError:  # which says something of the loss, and nothing against the build
            found[name] = None
    return found


def gains(
    bench: steps.Bench, explained: Explained, exam: Exam, student: Callable[[str], NDArray[Any]]
) -> dict[str, Any]:
    """``details.learned.losses``: what the student before compression has with every loss, and without each.

    Args:
        explained: see ``train``.
        student: the scores of the student with every loss over a split.

    Returns:
        ``{seed, draws, validation, test, rows: [{loss, validation, test, gain, ci95}]}``. The gain is the test value
        with the loss less that without it; its 95 % interval is a bootstrap over test samples, the same ones for both:
        it knows nothing of another seed. All four are None where the training without the loss diverged.
    """
    full = {split: exam.value(split, student(split)) for split in SPLITS}
    drawn = exam.draws("test", student("test"))
    whole = exam.resampled("test", student("test"))
    resampled = [whole(index) for index in drawn]
    scores = StageScores(bench, {name: made for name, made in explained.items() if made is not None})
    rows: list[dict[str, Any]] = []
    for name, made in explained.items():
        if made is None:
            rows.append({"loss": name, **dict.fromkeys((*SPLITS, "gain", "ci95"))})
            continue
        values = {split: exam.value(split, scores(name, split)) for split in SPLITS}
        less = exam.resampled("test", scores(name, "test"))
        ends = bootstrap.interval([a - less(index) for a, index in zip(resampled, drawn, strict=True)])
        rows.append({"loss": name, **values, "gain": full["test"] - values["test"], "ci95": list(ends)})
    return {"seed": bench.recipe.seed, "draws": len(drawn), **full, "rows": rows}
