"""(ParsedRecipe, [TargetRuntime]) -> Plan. Pure: nothing is trained or measured."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeVar

from edgekd.base import host
from edgekd.base.errors import RecipeError
from edgekd.build import code_keys, parsed_recipe, step_keys, target_runtime
from edgekd.build.compression import Compression
from edgekd.build.parsed_recipe import ParsedRecipe
from edgekd.build.plan import (
    CompressStep,
    DistilStep,
    ExportStep,
    MeasureStep,
    Plan,
    PlannedCandidate,
    Step,
    TeachStep,
    TrainedStep,
)
from edgekd.build.target_runtime import TargetRuntime
from edgekd.compress import TablePass
from edgekd.spec.recipe import SCHEDULE_KEYS, Recipe, Schedule, Table
from edgekd.spec.target import Numerics, Target
from edgekd.tasks import Heads

S = TypeVar("S", bound=Step)


def make(
    parsed: ParsedRecipe,
    runtimes: Sequence[TargetRuntime],
    data: str,
    samples: int,
    quick: bool = False,
    trained: bool = False,
    nets: Mapping[str, str] = MappingProxyType({}),
) -> Plan:
    """Lay out the tree.

    Args:
        parsed: of the recipe, already quickened where ``quick``.
        data: the fingerprint of the data.
        samples: how many training samples there are.
        trained: whether the teacher is the user's own object, which is not trained.
        nets: fingerprints of the networks that users' code gives or that are users' objects, by step.
    """
    return _Planner(parsed, tuple(runtimes), data, samples, quick, trained, nets).make()


@dataclass
class _Planner:
    parsed: ParsedRecipe
    runtimes: tuple[TargetRuntime, ...]
    data: str
    samples: int
    quick: bool
    trained: bool
    nets: Mapping[str, str]
    steps: dict[str, Step] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.recipe, self.content = self.parsed.recipe, step_keys.content(self.parsed.recipe)
        self.targets = tuple(runtime.target for runtime in self.runtimes)

    def make(self) -> Plan:
        student = self._student([self._teacher(name) for name in self.recipe.ensemble])
        candidates = {runtime.name: self._branch(runtime, student) for runtime in self.runtimes}
        identity = step_keys.identity(self.recipe, self.targets, self.data, self.quick)
        return Plan(self.recipe, self.runtimes, self.steps, candidates, identity, self.samples, self.nets)

    def _add(self, step: S, target: Target | None = None) -> S:
        """One step for equal keys; a target's second of a name gets its number, another target's the target's name."""
        for known in self.steps.values():
            if known.key == step.key and type(known) is type(step):
                merged = replace(known, targets=tuple(dict.fromkeys((*known.targets, *step.targets))))
                self.steps[known.name] = merged
                return merged
        free = replace(step, name=step.name if target is None else self._free(step.name, target))
        self.steps[free.name] = free
        return free

    def _free(self, name: str, target: Target) -> str:
        for i in itertools.count(1):
            numbered = name if i == 1 else f"{name} {i}"
            if numbered not in self.steps:
                return numbered
            if target.name not in self.steps[numbered].targets and f"{numbered} [{target.name}]" not in self.steps:
                return f"{numbered} [{target.name}]"
        raise RuntimeError("counting ended")

    def _teacher(self, name: str) -> TeachStep:
        recipe, table = self.recipe, self.recipe.ensemble[name]
        heads = [head for head in self.content["data"]["heads"] if table.head in (None, head[0])]
        base = [
            self.data,
            {**self._data(), "heads": heads},
            self.content["augment"],
            recipe.task,
            self.content["metric"],
            table.seed,
            recipe.threads,
            self.quick,
        ]
        of_kind = name in self.parsed.teachers
        is_given = self.trained and name == "teacher"
        is_read = of_kind or is_given or table.checkpoint is not None or not table.epochs
        settings = table.model_dump(exclude={"seed", "weight", *((*SCHEDULE_KEYS, "augment") if is_read else ())})
        for key in getattr(self.parsed.teachers.get(name), "UNKEYED", ()):
            settings["model"].pop(key, None)
        mixed = not is_read and step_keys.mixed(table)
        weights = [*step_keys.models(recipe, name), self.nets.get(name, "")]
        code = "teachers" if of_kind else "learn"
        key = step_keys.key(code, "teacher", step_keys.without_inputs(settings, "teacher"), weights, mixed, *base)
        schedule = None if is_read else _schedule(table)
        everywhere = tuple(target.name for target in self.targets)
        step = self._add(TeachStep(name=name, key=key, targets=everywhere, schedule=schedule))
        if step.name != name:
            where = f"{name}.seed"
            raise RecipeError(f"the very same as {step.name}", where=where, found=table.seed, allowed="another seed")
        return step

    def _data(self) -> Table:
        """The data's table; what a factory returned is in the fingerprint, whoever returned it."""
        left_out = ("factory", "args") if self.recipe.data.source == "python" else ()
        return {key: value for key, value in self.content["data"].items() if key not in left_out}

    def _student(self, teachers: list[TeachStep]) -> DistilStep:
        """The student, after those of earlier generations."""
        multiples = [target.shapes.channel_multiple for target in self.targets]
        multiple = math.lcm(*multiples) if self.parsed.from_teacher is not None else 1
        generations: list[DistilStep] = []
        for _ in range(self.recipe.student.generations):
            net = self.nets.get("student", "")
            generations.append(self._add(distil_step(self.parsed, teachers, generations, multiple, net=net)))
        return generations[-1]

    def _branch(self, runtime: TargetRuntime, student: DistilStep) -> tuple[PlannedCandidate, ...]:
        """The steps below the student that one target needs, and its candidates in the target's order.

        Every pass gives a candidate. What quantizes is a leaf: the passes after it go on from the float student.
        """
        target = runtime.target
        candidates = [self._candidate("fp32", student, target, target.dense, False)]
        step: TrainedStep = student
        pruned = False
        for compression in self.parsed.compressions:
            change = compression.whole.change
            scheme = target.scheme(getattr(change, "scheme", "")) if change.quantizes else None
            if change.quantizes and scheme is None:
                continue
            pruned = pruned or not change.quantizes
            compressed = self._compressed(compression, step, target, scheme)
            numerics = scheme or target.dense
            name = _free_name([c.name for c in candidates], "-".join(filter(None, (numerics.name, change.suffix))))
            candidates.append(self._candidate(name, compressed, target, numerics, pruned))
            step = step if change.quantizes else compressed
        if target.half:
            candidates.append(self._candidate(target.half.name, step, target, target.half, pruned))
        order = {n.name: i for i, n in enumerate(target.numerics)}
        candidates.reverse()  # of one scheme the latest first
        candidates.sort(key=lambda c: order[c.numerics.name])
        exports = [self.steps[c.export].key for c in candidates]
        key = step_keys.key("measure", "measure", *exports, step_keys.measured(target))
        name = f"measure {target.name}"
        measure = MeasureStep(name=name, key=key, targets=(target.name,), parent=candidates[0].export, runtime=runtime)
        self._add(measure, target)
        return tuple(candidates)

    def _compressed(
        self, compression: Compression, before: TrainedStep, target: Target, scheme: Numerics | None
    ) -> CompressStep:
        """The step of a compress table, or its steps one after the other, of which the last is given."""
        for i, part in enumerate(compression.parts):
            last = i + 1 == len(compression.parts)
            name = part.kind if last else f"{part.kind} {i + 1} of {len(compression.parts)}"
            step = self._pass(compression, part, name, before, target, scheme)
            before = step
        return step

    def _pass(
        self,
        compression: Compression,
        part: TablePass,
        name: str,
        before: TrainedStep,
        target: Target,
        scheme: Numerics | None,
    ) -> CompressStep:
        change, multiple = part.change, target.shapes.channel_multiple
        schedule = compression.training(self._fine_tuning(scheme))
        rounding = scheme.trained if scheme else None
        wants: list[object] = [rounding or multiple]
        if change.timed:  # its clock is the target's, and the code that times
            threads = int(target.options.get("threads", 1))
            wants += [step_keys.measured(target), host.measured_key(threads), code_keys.own("measure")]
        if change.trains:
            wants += [schedule.model_dump(), step_keys.mixed(schedule), *compression.losses]
        step = CompressStep(
            name=f"{name} ({scheme.name})" if scheme else name,
            key=step_keys.key("compress", part.kind, before.key, part.table, wants),
            targets=(target.name,),
            schedule=schedule if change.trains else None,
            parent=before.name,
            applied=part,
            numerics=scheme,
            channel_multiple=multiple,
            terms=compression.terms or self.parsed.terms,
        )
        return self._add(step, target)

    def _fine_tuning(self, scheme: Numerics | None) -> dict[str, object]:
        """What a compress table's training has where it says nothing: the student's, at a quarter of its rate."""
        student = self.recipe.student
        keys = ("batch_size", "optimizer", "weight_decay", "precision", "sampler", "class_weights")
        alike = {key: getattr(student, key) for key in keys}
        if scheme and scheme.quantized and student.precision == "bf16":
            alike["precision"] = "auto"  # 8 bits of mantissa can't tell the 256 steps of fake quantization apart
        return {"lr": student.lr / 4, **alike}

    def _candidate(
        self, name: str, step: TrainedStep, target: Target, numerics: Numerics, pruned: bool
    ) -> PlannedCandidate:
        passes = [{"kind": kind} for kind in target.passes]
        key = step_keys.key("lower", "export", step.key, target.opset, numerics.half, numerics.unrounded, *passes)
        export = ExportStep(
            name=f"export {name}",
            key=key,
            targets=(target.name,),
            parent=step.name,
            numerics=numerics,
            opset=target.opset,
            passes=target.passes,
        )
        return PlannedCandidate(name, step.name, self._add(export, target).name, numerics, pruned)


def distil_step(
    parsed: ParsedRecipe,
    teachers: Sequence[TeachStep],
    earlier: Sequence[DistilStep],
    multiple: int,
    name: str | None = None,
    net: str = "",
) -> DistilStep:
    """The step that distils a student, for every target that the teachers are for.

    Args:
        earlier: the students of the generations before it, of which the last teaches it; else the teachers do.
        multiple: what channel counts are rounded to where it is made of the teacher.
        name: absent: ``student``, and of earlier generations which it is.
        net: the fingerprint of the untrained network, where users' code gives it.
    """
    recipe, number = parsed.recipe, len(earlier) + 1
    content = step_keys.content(recipe)
    weights, heads = [teacher.weight for teacher in recipe.ensemble.values()], content["data"]["heads"]
    teaching: list[object] = [recipe.combine, weights, heads, step_keys.models(recipe, "student"), multiple, net]
    if recipe.teacher_outputs.changes_answers:
        teaching.append(recipe.teacher_outputs.of_form)
    settings, before = {**content["student"], "generations": 1}, [step.key for step in (*teachers, *earlier)]
    mixed = step_keys.mixed(recipe.student)
    code = "learn" if parsed.from_teacher is None else "compress"
    key = step_keys.key(code, "student", before, teaching, settings, content["losses"], mixed, recipe.seed, number)
    last = number == recipe.student.generations
    parent: TrainedStep = earlier[-1] if earlier else teachers[0]
    return DistilStep(
        name=name or ("student" if last else f"student {number} of {recipe.student.generations}"),
        key=key,
        targets=parent.targets,
        schedule=_schedule(recipe.student) if recipe.student.epochs else None,
        parent=parent.name,
        passes=parsed.from_teacher,
        channel_multiple=multiple,
        terms=parsed.terms,
    )


def _schedule(table: Schedule) -> Schedule:
    """The schedule in a table that holds more."""
    return Schedule(**{key: getattr(table, key) for key in SCHEDULE_KEYS})


def _free_name(taken: Sequence[str], name: str) -> str:
    """The name, with a number behind it where it is taken."""
    numbered = (name if i == 1 else f"{name}-{i}" for i in itertools.count(1))
    return next(candidate for candidate in numbered if candidate not in taken)


def of_recipe(recipe: Recipe, targets: Sequence[Target], data: str, samples: int, quick: bool = False) -> Plan:
    """The plan of a recipe whose data has no heads of its own and whose networks no users' code gives; parses it all.

    Args:
        data, samples, quick: see ``make``.
    """
    parsed = parsed_recipe.parse(recipe)
    parsed = parsed.by_head(Heads(dict.fromkeys(parsed.by_name, 0), parsed.by_name))
    return make(parsed, [target_runtime.parse(target) for target in targets], data, samples, quick)
