"""What a build will do: a tree of named steps with content keys. Plain values; ``planner`` lays it.

A shared prefix is one step; the tree forks only where targets differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from edgekd.compress import TablePass
from edgekd.learn.objective import Term
from edgekd.spec.recipe import Recipe, Schedule
from edgekd.spec.target import Numerics, Target

if TYPE_CHECKING:
    from edgekd.build.target_runtime import TargetRuntime

Kind = TypeVar("Kind", bound="Step")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One node of the tree.

    Attributes:
        name: unique in the plan, such as ``"int8_qat (int8)"``.
        key: the artifact's key.
        targets: who needs it.
    """

    name: str
    key: str
    targets: tuple[str, ...]

    @property
    def kind(self) -> str:
        """What it is called in the plan and in the report: teacher, student, a compress kind, export or measure."""
        raise NotImplementedError

    @property
    def above(self) -> str | None:
        """The step whose result this one starts from; None of a teacher."""
        return None


@dataclass(frozen=True, kw_only=True)
class TrainedStep(Step):
    """A step that gives a network, be it one that is only read or converted.

    Attributes:
        schedule: how it is trained, or None where nothing is.
    """

    schedule: Schedule | None = None


@dataclass(frozen=True, kw_only=True)
class TeachStep(TrainedStep):
    """Train a teacher on the labels, or read its checkpoint."""

    @property
    def kind(self) -> str:
        return "teacher"


@dataclass(frozen=True, kw_only=True)
class DistilStep(TrainedStep):
    """Train a student on its teachers' outputs.

    Attributes:
        parent: the first teacher, or the student of an earlier generation, which teaches this one.
        passes: what makes it of the teacher; None where it has a model of its own.
        channel_multiple: what channel counts are rounded to there.
        terms: what it learns from.
    """

    parent: str
    passes: tuple[TablePass, ...] | None
    channel_multiple: int
    terms: tuple[Term, ...]

    @property
    def kind(self) -> str:
        return "student"

    @property
    def above(self) -> str:
        return self.parent


@dataclass(frozen=True, kw_only=True)
class CompressStep(TrainedStep):
    """Apply one pass to a student and, with a schedule, fine-tune what is left.

    Attributes:
        applied: the pass, and its table.
        numerics: the scheme, of a pass that quantizes.
        channel_multiple: what channel counts are rounded to.
        terms: what the fine-tuning learns from.
    """

    parent: str
    applied: TablePass
    numerics: Numerics | None
    channel_multiple: int
    terms: tuple[Term, ...]

    @property
    def kind(self) -> str:
        return self.applied.kind

    @property
    def above(self) -> str:
        return self.parent


@dataclass(frozen=True, kw_only=True)
class ExportStep(Step):
    """Write a trained step's network as ONNX.

    Attributes:
        numerics: the number format of the file.
        passes: graph passes that the target asks for, beside the usual ones.
    """

    parent: str
    numerics: Numerics
    opset: int
    passes: tuple[str, ...]

    @property
    def kind(self) -> str:
        return "export"

    @property
    def above(self) -> str:
        return self.parent


@dataclass(frozen=True, kw_only=True)
class MeasureStep(Step):
    """Score and time every candidate of a target.

    Attributes:
        parent: the export of the first.
        runtime: the target, and its backends.
    """

    parent: str
    runtime: TargetRuntime

    @property
    def kind(self) -> str:
        return "measure"

    @property
    def above(self) -> str:
        return self.parent


@dataclass(frozen=True)
class PlannedCandidate:
    """A file that may ship on a target: which trained step it is exported from, and how it is called."""

    name: str
    step: str
    export: str
    numerics: Numerics
    pruned: bool


@dataclass(frozen=True)
class Plan:
    """The whole tree.

    Attributes:
        runtimes: the targets with their backends, in the order that was asked for.
        identity: what ``--out`` is held against: it knows nothing of measured steps.
        samples: of training.
        nets: see ``planner.make``.
    """

    recipe: Recipe
    runtimes: tuple[TargetRuntime, ...]
    steps: Mapping[str, Step]
    candidates: Mapping[str, tuple[PlannedCandidate, ...]]
    identity: str
    samples: int
    nets: Mapping[str, str]

    @property
    def targets(self) -> tuple[Target, ...]:
        return tuple(runtime.target for runtime in self.runtimes)

    def of_kind(self, kind: type[Kind]) -> Iterator[Kind]:
        """The steps of a class, in the order of the tree."""
        return (step for _, step in self.walk() if isinstance(step, kind))

    def get(self, name: str, kind: type[Kind]) -> Kind:
        """A step by name, of the class that it is known to have.

        Raises:
            KeyError: there is none.
        """
        step = self.steps[name]
        if not isinstance(step, kind):
            raise KeyError(f"{name} is no {kind.__name__}")
        return step

    def children(self, name: str | None) -> list[Step]:
        """The steps that start from one."""
        return [step for step in self.steps.values() if step.above == name]

    def walk(self, name: str | None = None, depth: int = 0) -> Iterator[tuple[int, Step]]:
        """Every step below one, with its depth, in the order of the tree."""
        for step in self.children(name):
            yield depth, step
            yield from self.walk(step.name, depth + 1)

    def runtime_of(self, step: Step) -> TargetRuntime:
        """The first of the targets that need a step."""
        return next(runtime for runtime in self.runtimes if runtime.name == step.targets[0])

    def epochs(self, step: Step) -> int:
        """Of a step's training; 0 where nothing is trained."""
        return step.schedule.epochs if isinstance(step, TrainedStep) and step.schedule else 0

    def cost(self, step: Step) -> int:
        """Epochs x training samples of a step."""
        return self.epochs(step) * self.samples
