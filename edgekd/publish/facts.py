"""What a finished build knows, of which its record, its pages and its bundle tell."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

from edgekd.analysis.loss_ablation import Explained
from edgekd.analysis.student_analysis import Shown
from edgekd.build import thresholds
from edgekd.build.evaluation import EvaluationSet, Scores
from edgekd.build.measure import Measured
from edgekd.build.thresholds import Chosen
from edgekd.build.torch_reference import TorchReference
from edgekd.build.trained import Trained
from edgekd.build.workspace import Workspace
from edgekd.decide.choose import Choice
from edgekd.document.details import Baseline
from edgekd.spec.recipe import Budget


@dataclass(frozen=True)
class BuildFacts:
    """Everything that a finished build knows, before it is written down."""

    workspace: Workspace
    trained: Mapping[str, Trained]
    torch_reference: TorchReference
    evaluation: EvaluationSet
    measured: Mapping[str, Measured]
    choices: Mapping[str, Choice]
    budget: Budget
    quick: bool
    explained: Explained | None = None
    baseline: Baseline | None = None
    known: dict[tuple[str, str], Scores] = field(default_factory=dict)

    def tested(self, target: str, candidate: str) -> Scores:
        """What a candidate's file says to the test split; each is run once."""
        key = (target, candidate)
        if key not in self.known:
            self.known[key] = self.measured[target].scores(candidate, "test")
        return self.known[key]

    def step_of(self, target: str, candidate: str) -> str:
        """The trained step that a candidate was exported from."""
        return next(c.step for c in self.workspace.plan.candidates[target] if c.name == candidate)

    @functools.cached_property
    def decided(self) -> Chosen:
        """The thresholds of what ships."""
        return thresholds.choose(self.workspace, self.measured, self.choices)

    @functools.cached_property
    def shown(self) -> Shown:
        """The student of the first target that ships one, run over the test split; else the one before compression."""
        for target, choice in self.choices.items():
            if choice.shipped is not None:
                evaluation = self.measured[target].evaluation
                scores = self.tested(target, choice.shipped)
                step = self.step_of(target, choice.shipped)
                return Shown(target, choice.shipped, step, scores, evaluation, self.decided.heads)
        scores = self.evaluation.of_rows("test", self.torch_reference("student", "test"))
        return Shown(None, None, "student", scores, self.evaluation, self.workspace.heads)
