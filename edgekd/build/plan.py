"""(Recipe, [Target]) -> Plan: a tree of named steps with content keys. Pure, printable, nothing is trained or measured.

A shared prefix is one step; the tree forks only where targets differ. The key of a step is a SHA-256 over the key
before it and everything that can change its result, so an artifact found under a key is the right one.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from edgekd.base import host
from edgekd.base.door import everything
from edgekd.base.errors import RecipeError
from edgekd.base.plain import plain
from edgekd.base.shards import INDEX, shards
from edgekd.build import cache_keys
from edgekd.build.store import canonical, sha256
from edgekd.spec.compress_tables import build_pass, free_name, losses_of, split_table
from edgekd.spec.recipe import SCHEDULE_KEYS, Recipe, Schedule, Table, inputs
from edgekd.spec.target import Numerics, Target

QUICK_SAMPLES = 512


@dataclass(frozen=True)
class Step:
    """One node of the tree.

    Attributes:
        name: unique in the plan, such as ``"int8_qat (int8)"``.
        kind: teacher, student, a compress kind, export or measure.
        key: the artifact's key.
        parent: the step whose result this one starts from.
        schedule: how it trains, or None where nothing is trained.
        table: the plugin's own table (compress steps).
        numerics: the scheme, for a step that quantizes, and of an export.
        channel_multiple: what channel counts are rounded to.
        targets: who needs it.
        passes: graph passes of an export that its target asks for.
        losses: what the fine-tuning learns from; none: the recipe's.
    """

    name: str
    kind: str
    key: str
    parent: str | None
    targets: tuple[str, ...]
    schedule: Schedule | None = None
    table: Table = field(default_factory=dict)
    numerics: Numerics | None = None
    channel_multiple: int = 1
    opset: int = 0
    passes: tuple[str, ...] = ()
    losses: tuple[Table, ...] = ()

    @property
    def trains(self) -> bool:
        """Whether the step gives a network (a checkpoint that is only read counts), not a file or a measurement."""
        return self.kind not in ("export", "measure")


@dataclass(frozen=True)
class Candidate:
    """A file that may ship on a target: which trained step it is exported from, and how it is called."""

    name: str
    step: str
    export: str
    numerics: Numerics
    pruned: bool


@dataclass(frozen=True)
class Plan:
    """The whole tree. ``identity`` is what ``--out`` is held against: it knows nothing of measured steps.

    ``nets``: see ``make``.
    """

    recipe: Recipe
    targets: tuple[Target, ...]
    steps: Mapping[str, Step]
    candidates: Mapping[str, tuple[Candidate, ...]]
    identity: str
    samples: int
    nets: Mapping[str, str]

    def children(self, name: str | None) -> list[Step]:
        """The steps that start from one."""
        return [step for step in self.steps.values() if step.parent == name]

    def walk(self, name: str | None = None, depth: int = 0) -> Iterator[tuple[int, Step]]:
        """Every step below one, with its depth, in the order of the tree."""
        for step in self.children(name):
            yield depth, step
            yield from self.walk(step.name, depth + 1)

    def target_of(self, step: Step) -> Target:
        """The first of the targets that need a step."""
        return next(target for target in self.targets if target.name == step.targets[0])

    def cost(self, step: Step) -> int:
        """Epochs x training samples of a step."""
        return step.schedule.epochs * self.samples if step.schedule else 0


def quickened(recipe: Recipe) -> Recipe:
    """The recipe with every stage cut to one epoch, for ``--quick``."""

    once = {"epochs": 1}
    student = {"epochs": min(1, recipe.student.epochs)}
    return recipe.model_copy(
        update={
            "teacher": recipe.teacher.model_copy(update=once),
            "teachers": tuple(teacher.model_copy(update=once) for teacher in recipe.teachers),
            "student": recipe.student.model_copy(update=student),
            "compress": tuple({**table, **once} for table in recipe.compress),
        }
    )


def identity(recipe: Recipe, targets: Sequence[Target], data: str, quick: bool = False) -> str:
    """The key of a whole build, found without importing a plugin that needs torch.

    Args:
        data: the fingerprint of the data (and of the objects, where the Python API was given any).
    """
    return _digest(
        "build",
        content(recipe),
        [target.model_dump() for target in targets],
        data,
        [_models(recipe, name) for name in (*recipe.panel, "student")],
        quick,
        [cache_keys.own(step) for step in ("learn", "compress", "lower", "measure", "choose")],
        [cache_keys.versions(step) for step in ("learn", "compress", "lower")],
        cache_keys.of_users(tables(recipe, targets)),
    )


def tables(recipe: Recipe, targets: Sequence[Target]) -> list[Any]:
    """All that names users' code."""
    return [recipe.model_dump(exclude={"tune"}), [target.model_dump() for target in targets]]


def content(recipe: Recipe) -> dict[str, Any]:
    """The recipe without ``[tune]``, which no build reads, and without the paths of its inputs: what they hold is
    hashed, where it lies changes nothing.

    Heads and their groups are lists: their order numbers classes and outputs, and keys know no order of a table.
    """
    table = recipe.model_dump(exclude={"tune"})
    for part, key in list(inputs(table)):
        del part[key]
    table["data"]["heads"] = [[name, list(groups.items())] for name, groups in recipe.data.heads.items()]
    return table


def make(
    recipe: Recipe,
    targets: Sequence[Target],
    data: str,
    samples: int,
    quick: bool = False,
    trained: bool = False,
    nets: Mapping[str, str] = MappingProxyType({}),
) -> Plan:
    """Lay out the tree.

    Args:
        recipe: already quickened where ``quick``.
        data: the fingerprint of the data.
        samples: how many training samples there are.
        trained: whether the teacher is the user's own object, which is not trained.
        nets: fingerprints of the networks that users' code gives or that are users' objects, by step.
    """
    return _Maker(recipe, tuple(targets), data, samples, quick, trained, nets).make()


class _Maker:
    def __init__(
        self,
        recipe: Recipe,
        targets: tuple[Target, ...],
        data: str,
        samples: int,
        quick: bool,
        trained: bool,
        nets: Mapping[str, str],
    ) -> None:
        self.recipe, self.targets, self.data, self.samples = recipe, targets, data, samples
        self.quick, self.trained, self.nets = quick, trained, nets
        self.steps: dict[str, Step] = {}
        self.dump = content(recipe)

    def make(self) -> Plan:
        student = self._student([self._teacher(name) for name in self.recipe.panel])
        candidates = {target.name: self._branch(target, student) for target in self.targets}
        key = identity(self.recipe, self.targets, self.data, self.quick)
        return Plan(self.recipe, self.targets, self.steps, candidates, key, self.samples, self.nets)

    def _add(self, step: Step, target: Target | None = None) -> Step:
        """One step for equal keys; a target's second of a name gets its number, another target's the target's name."""
        for known in self.steps.values():
            if known.key == step.key and known.kind == step.kind:
                names = dict.fromkeys((*known.targets, *step.targets))
                merged = Step(**{**vars(known), "targets": tuple(names)})
                self.steps[known.name] = merged
                return merged
        name = step.name if target is None else self._free(step.name, target)
        self.steps[name] = Step(**{**vars(step), "name": name})
        return self.steps[name]

    def _free(self, name: str, target: Target) -> str:
        for i in itertools.count(1):
            numbered = name if i == 1 else f"{name} {i}"
            if numbered not in self.steps:
                return numbered
            if target.name not in self.steps[numbered].targets and f"{numbered} [{target.name}]" not in self.steps:
                return f"{numbered} [{target.name}]"
        raise AssertionError

    def _all(self) -> tuple[str, ...]:
        return tuple(target.name for target in self.targets)

    def _teacher(self, name: str) -> Step:
        recipe, table = self.recipe, self.recipe.panel[name]
        heads = [head for head in self.dump["data"]["heads"] if table.head in (None, head[0])]
        base = [
            self.data,
            {**self._data(), "heads": heads},
            self.dump["augment"],
            recipe.task,
            self.dump["metric"],
            table.seed,
            recipe.threads,
            self.quick,
        ]
        read = table.checkpoint is not None or (self.trained and name == "teacher")
        own = table.model_dump(exclude={"seed", "weight", *(SCHEDULE_KEYS if read else ())})
        mixed = not read and _mixed(table)
        key = _key("learn", "teacher", _without_inputs(own, "teacher"), self._read(name), mixed, *base)
        schedule = None if read else Schedule(**_schedule_of(table))
        step = self._add(Step(name, "teacher", key, None, self._all(), schedule))
        if step.name != name:
            raise RecipeError(
                f"the very same as {step.name}", where=f"{name}.seed", found=table.seed, allowed="another seed"
            )
        return step

    def _data(self) -> Table:
        """The data's table; what a factory returned is in the fingerprint, whoever returned it."""
        said = ("factory", "args") if self.recipe.data.source == "python" else ()
        return {key: value for key, value in self.dump["data"].items() if key not in said}

    def _read(self, name: str) -> list[str]:
        """What a teacher is, beside what its table says."""
        return [*_models(self.recipe, name), self.nets.get(name, "")]

    def _student(self, teachers: list[Step]) -> Step:
        """The student, after those of earlier generations."""
        made = self.recipe.student.from_teacher is not None
        multiple = math.lcm(*(target.shapes.channel_multiple for target in self.targets)) if made else 1
        before = teachers
        for _ in range(self.recipe.student.generations):
            before = [*before, self._add(self._distilled(teachers, before[len(teachers) :], multiple))]
        return before[-1]

    def _distilled(self, teachers: list[Step], earlier: list[Step], multiple: int) -> Step:
        return student_step(self.recipe, teachers, earlier, multiple, net=self.nets.get("student", ""))

    def _branch(self, target: Target, student: Step) -> tuple[Candidate, ...]:
        """The steps below the student that one target needs, and its candidates in the target's order.

        Every pass gives a candidate. What quantizes is a leaf: the passes after it go on from the float student.
        """
        found = [self._candidate("fp32", student, target, target.dense, False)]
        step, pruned = student, False
        for i, table in enumerate(self.recipe.compress):
            change = build_pass(table, i)
            scheme = target.scheme(getattr(change, "scheme", "")) if change.quantizes else None
            if change.quantizes and scheme is None:
                continue
            pruned = pruned or not change.quantizes
            made = self._compress(table, i, change.parts(), step, target, scheme)
            numerics = scheme or target.dense
            name = free_name([c.name for c in found], "-".join(filter(None, (numerics.name, change.suffix))))
            found.append(self._candidate(name, made, target, numerics, pruned))
            step = step if change.quantizes else made
        if target.half:
            found.append(self._candidate(target.half.name, step, target, target.half, pruned))
        order = {n.name: i for i, n in enumerate(target.numerics)}
        found.reverse()  # of one scheme the latest first
        found.sort(key=lambda c: order[c.numerics.name])
        exports = [self.steps[c.export].key for c in found]
        key = _key("measure", "measure", *exports, _measured(target))
        self._add(Step(f"measure {target.name}", "measure", key, found[0].export, (target.name,)), target)
        return tuple(found)

    def _compress(
        self, table: Table, number: int, parts: Sequence[Table], before: Step, target: Target, scheme: Numerics | None
    ) -> Step:
        """The step of a compress table, or its steps one after the other, of which the last is given."""
        for i, part in enumerate(parts or [table]):
            name = f"{table['kind']} {i + 1} of {len(parts)}" if i + 1 < len(parts) else table["kind"]
            before = self._pass({**table, **part}, number, name, before, target, scheme)
        return before

    def _pass(
        self, table: Table, number: int, name: str, before: Step, target: Target, scheme: Numerics | None
    ) -> Step:
        student, change = self.recipe.student, build_pass(table, number)
        alike = {key: getattr(student, key) for key in ("batch_size", "optimizer", "weight_decay", "precision")}
        if scheme and scheme.quantized and student.precision == "bf16":
            alike["precision"] = "auto"  # 8 bits of mantissa can't tell the 256 steps of fake quantization apart
        own, schedule = split_table(table, {"lr": student.lr / 4, **alike}, f"compress[{number}]")
        losses = losses_of(table, self.recipe.losses, number)
        # How a runtime fuses additions concerns the file alone: the training is shared.
        told = scheme.model_dump(exclude={"residual", "tolerance"}) if scheme else None
        wants: list[Any] = [told or target.shapes.channel_multiple]
        if change.timed:  # its clock is the target's, and the code that times
            wants += [_measured(target), host.measured_key(int(target.options.get("threads", 1)))]
            wants += [cache_keys.own("measure")]
        if change.trains:
            wants += [schedule.model_dump(), _mixed(schedule), *losses]
        step = Step(
            name=f"{name} ({scheme.name})" if scheme else name,
            kind=table["kind"],
            key=_key("compress", table["kind"], before.key, own, wants),
            parent=before.name,
            targets=(target.name,),
            schedule=schedule if change.trains else None,
            table=own,
            numerics=scheme,
            channel_multiple=target.shapes.channel_multiple,
            losses=losses if change.trains else (),
        )
        return self._add(step, target)

    def _candidate(self, name: str, step: Step, target: Target, numerics: Numerics, pruned: bool) -> Candidate:
        passes = [{"kind": kind} for kind in target.passes]
        key = _key("lower", "export", step.key, target.opset, numerics.half, numerics.residual, *passes)
        export = Step(
            f"export {name}",
            "export",
            key,
            step.name,
            (target.name,),
            numerics=numerics,
            opset=target.opset,
            passes=target.passes,
        )
        export = self._add(export, target)
        return Candidate(name, step.name, export.name, numerics, pruned)


def student_step(
    recipe: Recipe,
    teachers: Sequence[Step],
    earlier: Sequence[Step],
    multiple: int,
    name: str | None = None,
    net: str = "",
) -> Step:
    """The step that distils a student, for every target that the teachers are for.

    Args:
        earlier: the students of the generations before it, of which the last teaches it; else the teachers do.
        multiple: what channel counts are rounded to where it is made of the teacher.
        name: absent: ``student``, and of earlier generations which it is.
        net: the fingerprint of the untrained network, where users' code gives it.
    """
    table, number = content(recipe), len(earlier) + 1
    weights, heads = [teacher.weight for teacher in recipe.panel.values()], table["data"]["heads"]
    said = [recipe.combine, weights, heads, _models(recipe, "student"), multiple, net]
    own, before = {**table["student"], "generations": 1}, [step.key for step in (*teachers, *earlier)]
    package = "learn" if recipe.student.from_teacher is None else "compress"
    key = _key(package, "student", before, said, own, table["losses"], _mixed(recipe.student), recipe.seed, number)
    last = number == recipe.student.generations
    name = name or ("student" if last else f"student {number} of {recipe.student.generations}")
    parent = earlier[-1] if earlier else teachers[0]
    schedule = Schedule(**_schedule_of(recipe.student)) if recipe.student.epochs else None
    return Step(name, "student", key, parent.name, parent.targets, schedule, channel_multiple=multiple)


def _measured(target: Target) -> Table:
    """What a measurement depends on: not what is only told."""
    return target.model_dump(exclude={"description", "float_ops"})


def _schedule_of(table: Schedule) -> dict[str, Any]:
    return {key: getattr(table, key) for key in SCHEDULE_KEYS}


def _mixed(schedule: Schedule) -> bool:
    """Whether this machine's CPU trains such a schedule in bf16."""
    return schedule.precision == "bf16" and host.multiplies_bf16()


def _key(package: str, *parts: Any) -> str:
    return _digest(cache_keys.own(package), cache_keys.versions(package), cache_keys.of_users(list(parts)), *parts)


def _digest(*parts: Any) -> str:
    return sha256(canonical(plain(list(parts))))


def _models(recipe: Recipe, name: str) -> list[str]:
    """Hashes of the files and folders that a network of a recipe is read from, by the name of its step."""
    role, table = ("student", recipe.student) if name == "student" else ("teacher", recipe.panel[name])
    return [_input_hash(Path(part[key])) for part, key in inputs({role: table.model_dump()})]


def _without_inputs(table: Table, role: str) -> Table:
    """A network's table without the paths of its inputs."""
    for part, key in list(inputs({role: table})):
        del part[key]
    return table


def _input_hash(path: Path) -> str:
    """A file's, that of an index and its shards, or that of every file of a folder.

    Where nothing can be read, that is told when it is used.

    Raises:
        IntegrityError: a folder in it can't be listed, and what lies there may be read by its name.
    """
    digest = hashlib.sha256()
    inside = map(path.joinpath, everything(path)) if path.is_dir() else [path]
    files = sorted(file for file in inside if file.is_file())
    if path.name.endswith(INDEX):
        with contextlib.suppress(OSError, RecipeError):
            files += sorted({file for file in shards(path).values() if file.is_file()})
    for file in files:
        digest.update((file.name if path.name.endswith(INDEX) else file.relative_to(path).as_posix()).encode())
        try:
            with file.open("rb") as data:
                digest.update(hashlib.file_digest(data, "sha256").digest())
        except OSError:
            return "unreadable"
    return digest.hexdigest()
