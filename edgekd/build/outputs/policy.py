"""Whether answers are kept: what they take, what it costs to answer anew, and how often they are read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edgekd.base import units
from edgekd.build.outputs.forms import Form
from edgekd.build.plan import CompressStep, DistilStep, Plan

SHARE = 0.5  # of the free space, at most, that answers may take where the policy is auto


@dataclass(frozen=True)
class Readings:
    """How much of a teacher's answers a build reads.

    Attributes:
        views: of each training sample.
        epochs: of all trainings that read them together; in each one view is read.
    """

    views: int = 1
    epochs: int = 1

    @property
    def of_each(self) -> float:
        """How often a view is read."""
        return self.epochs / self.views


@dataclass(frozen=True)
class Cost:
    """What one shard costs, in seconds, and what all take.

    Attributes:
        answer_s: to answer its samples.
        write_s: to keep the answers.
        read_s: to read them back.
        total: bytes of all views.
        free: bytes of the disk that nobody uses.
    """

    answer_s: float
    write_s: float
    read_s: float
    total: int
    free: int


def readings(plan: Plan, views: int) -> Readings:
    """What the trainings of a plan read, as long as their schedules let them; ``views``: that there are."""
    steps = [step for step in plan.steps.values() if isinstance(step, DistilStep | CompressStep)]
    epochs = [plan.epochs(step) for step in steps if any("teacher" in term.loss.needs for term in step.terms)]
    return Readings(max(1, min(views, max(epochs, default=1))), max(1, sum(epochs)))


def keeps(cost: Cost, read: Readings) -> tuple[bool, str]:
    """Whether to keep answers, and why, as a sentence.

    Kept, a view is answered once, written once and read as often as it is needed; else it is answered each time.
    """
    if cost.total > SHARE * cost.free:
        total, free = units.size(cost.total), units.size(cost.free)
        return False, f"kept they would take {total}, more than half of the {free} that are free"
    keep = cost.write_s + read.of_each * cost.read_s
    again = max(0.0, read.of_each - 1) * cost.answer_s
    costs = f"of a shard {keep:.3g} s to write and read, {again:.3g} s to answer again ({read.of_each:.3g} readings)"
    return keep <= again, costs


def size_note(name: str, samples: int, views: int, form: Form, shards: int) -> str:
    """What a teacher's answers will take, as a sentence."""
    record = form.record.itemsize
    shown = f"{samples:,} samples x {views:,} views" if views > 1 else f"{samples:,} samples"
    return (
        f"the answers of the {name} take {units.size(samples * views * record)} in {shards:,} shards: "
        f"{shown} at {record:,} bytes ({form.name})"
    )


def large(kept: Iterable[int], free: int) -> str | None:
    """What to say of the bytes of all teachers' answers: None where they are no matter."""
    total = sum(kept)
    if total <= free:
        return None
    return (
        f"they take {units.size(total)}, and {units.size(free)} of the disk are free: "
        'teacher_outputs.form = "float16" or "top" is smaller, policy = "recompute" keeps one view alone'
    )
