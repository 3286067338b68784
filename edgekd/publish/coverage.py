"""What thresholds that were chosen on validation come to, for the report: values at them, and how much is sure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from edgekd.base import units
from edgekd.build.evaluation import Scores
from edgekd.build.thresholds import Chosen, FileScores, rate
from edgekd.build.workspace import Workspace
from edgekd.decide import abstain
from edgekd.document.report import Target
from edgekd.document.thresholds import Covered, Outside, Promise, SureOf, Thresholds
from edgekd.metrics import Evaluator, of_head
from edgekd.spec.recipe import Recipe
from edgekd.tasks import Certainty, Task


class OfBundle(TypedDict):
    """The keys of a report."""

    thresholds: NotRequired[dict[str, Thresholds]]
    abstain: NotRequired[Promise]


def of_bundle(recipe: Recipe, decided: Chosen) -> OfBundle:
    """What was chosen, and what it promises."""
    table: OfBundle = {"thresholds": decided.table} if decided.table else {}
    if (wish := recipe.abstain) is not None:
        table["abstain"] = {"agreement": wish.agreement, "confidence": wish.confidence, "against": wish.against}
        if wish.outside:
            table["abstain"]["outside"] = list(wish.outside)
    return table


def tell(row: Target, workspace: Workspace, decided: Chosen, target: str, tested: Scores) -> None:
    """Add what it comes to to a target's row; ``tested``: what the file says to the test split, (N, W)."""
    here = [one for one in decided.files if one.target == target]
    if any("labels" in thresholds for thresholds in decided.table.values()) and workspace.metric.against == "labels":
        value = {split: _value(workspace, decided, here[0], split, tested) for split in ("validation", "test")}
        row["at_thresholds"] = {"value_validation": value["validation"], "value_test": value["test"]}
    if workspace.recipe.abstain is not None and here:
        row["sure"] = {one.runtime: _sure(workspace, decided, one, tested) for one in here}


def _value(workspace: Workspace, decided: Chosen, here: FileScores, split: str, tested: Scores) -> float:
    """The metric at the thresholds; where the data has no labels, the teacher's answers at its own count as such."""
    evaluation, heads = here.evaluation, workspace.heads
    teacher, labels = evaluation.teacher(split), evaluation.labels[split]
    scores = tested if split == "test" else here.scores
    values = []
    for name, where in heads.columns.items():
        theirs, of_head_labels = teacher[:, where], heads.labels_of(labels, name)
        wanted = heads.tasks[name].answers(heads.natural(name, theirs)) if of_head_labels is None else of_head_labels
        evaluator = Evaluator(of_head(workspace.metric, name), decided.heads.only(name))
        values.append(evaluator(scores[:, where], wanted, theirs, evaluation.raw(split)))
    return float(np.mean(values))


def _sure(workspace: Workspace, decided: Chosen, one: FileScores, tested: Scores) -> dict[str, SureOf]:
    """By output. The test split is asked on the target's own runtime alone."""
    heads, wish, by_head = decided.heads, workspace.recipe.abstain, {}
    if wish is None:
        return {}
    for name, certainty in heads.certainties.items():
        task = heads.tasks[name]
        validation = rate(workspace.heads, name, task, one, "validation", wish)
        sure = certainty.sure(task, validation.scores)
        held = validation.tested
        row: SureOf = {"validation": covered(sure[held], validation.agrees[held], wish.confidence)}
        if validation.outside is not None:
            inside = validation.scores[held]
            row["validation"]["outside"] = of_outside(certainty, task, inside, validation.outside)
        if one.runtime == one.target:
            none = np.zeros(len(tested), bool)
            of_test = FileScores(one.target, one.runtime, one.evaluation, tested, none, ~none, one.outside)
            test = rate(workspace.heads, name, task, of_test, "test", wish)
            row["test"] = covered(certainty.sure(task, test.scores), test.agrees, wish.confidence)
            if test.outside is not None:
                row["test"]["outside"] = of_outside(certainty, task, test.scores, test.outside)
        by_head[name] = row
    return by_head


def covered(sure: NDArray[np.bool_], agrees: NDArray[np.bool_], confidence: float) -> Covered:
    """(N,) whether answers are sure, and agree."""
    count, hits = int(sure.sum()), int((sure & agrees).sum())
    return {
        "samples": len(sure),
        "coverage": count / max(len(sure), 1),
        "agreement": hits / count if count else None,
        "at_least": abstain.at_least(hits, count, confidence),
    }


def of_outside(certainty: Certainty, task: Task, inside: Scores, outside: Scores) -> Outside:
    """How (M, K) scores of samples of no class are told from (N, K) of others, whether these agree or not."""
    auroc = abstain.auroc(*(certainty.values(task, scores) for scores in (inside, outside)))
    return {"samples": len(outside), "coverage": float(certainty.sure(task, outside).mean()), "auroc": auroc}


def sentences(workspace: Workspace, targets: Mapping[str, Target]) -> Iterator[str]:
    """For the user."""
    metric = workspace.recipe.metric["kind"]
    for name, target in targets.items():
        shipped = next((c for c in target["candidates"] if c["name"] == target["shipped"]), None)
        if (at := target.get("at_thresholds")) is not None and shipped is not None:
            values = f"{at['value_test']:.4g} (at this file's own {shipped['value_test']:.4g})"
            yield f"{name}: {metric} on test, at the thresholds that all shipped files share: {values}"
        for output, row in target.get("sure", {}).get(name, {}).items():
            place = name if len(workspace.heads) == 1 else f"{name}, {output}"
            yield f"{place}: {_in_words(workspace, row)}"
            outside = [(split, of) for split, part in _parts(row) if (of := part.get("outside")) is not None]
            for split, of in outside[:1]:
                yield f"{place}: {_of_outside(workspace, split, of)}"


def _parts(row: SureOf) -> Iterator[tuple[str, Covered]]:
    """Test first: no choice looked at it."""
    if "test" in row:
        yield "test", row["test"]
    yield "validation", row["validation"]


def _of_outside(workspace: Workspace, split: str, of: Outside) -> str:
    names = ", ".join(workspace.recipe.abstain.outside) if workspace.recipe.abstain is not None else ""
    sure = f"sure of {units.share(of['coverage'])} of the {of['samples']:,} {split} samples of {names}"
    return f"{sure}, which it never learned; area under the ROC curve of the others against these {of['auroc']:.3f}"


def _in_words(workspace: Workspace, row: SureOf) -> str:
    wish = workspace.recipe.abstain
    if wish is None or "test" not in row:
        return ""
    whom = "the teacher" if wish.against == "teacher" else "the labels"
    promise = f"at least {units.share(wish.agreement)} is promised, with {units.share(wish.confidence)} confidence"
    if row["test"]["agreement"] is None:
        if at := row["validation"]["coverage"]:
            tested = f"of the validation samples that test it {units.share(at)} are"
            return f"no answer to the test samples is sure, {tested}; {promise}"
        known = f"too few of the {row['validation']['samples']:,} validation samples that test it agree with {whom}"
        return f"no answer to the test samples is sure: {known}; {promise}"
    share, agree = units.share(row["test"]["coverage"]), units.share(row["test"]["agreement"])
    return f"sure of {share} of the test samples, of which {agree} agree with {whom}; {promise}"
