"""How long a student's shape takes on a target: what passes that are ``timed`` are given, and what the rehearsal tells.

Weights don't matter to a kernel's time, so an untrained student, or one that was just cut, tells the truth.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgekd.build.target_runtime import TargetRuntime
from edgekd.compress import Clock
from edgekd.learn.student import Student, evaluated
from edgekd.lower.lower import to_onnx
from edgekd.runtime.jobs import BenchJob
from edgekd.runtime.runners import LocalRunner, Runner

SECONDS = 0.2  # of running time for each student


def of(target: TargetRuntime, seconds: float = SECONDS, run: Runner | None = None) -> Clock:
    """The clock of a target: median milliseconds of each student, timed in turns in one process of their own.

    A shape that was timed before, by this clock, is not timed again; but the first one always is, beside new ones: what
    the machine does at the moment divides out, so that times of several calls can be compared.

    Args:
        run: where it is timed; here by default.
    """
    known: dict[tuple[tuple[str, tuple[int, ...]], ...], float] = {}

    def clock(students: Sequence[Student]) -> list[float]:
        new = {shape_of(s): s for s in students if shape_of(s) not in known}
        if new:
            first = shape_of(students[0])
            todo = {first: students[0], **new}
            took = dict(zip(todo, _timed(target, list(todo.values()), seconds, run or LocalRunner()), strict=True))
            drift = known.get(first, took[first]) / took[first]
            known.update({shape: took[shape] * drift for shape in new})
        return [known[shape_of(student)] for student in students]

    return clock


def shape_of(student: Student) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """What tells two shapes of a network apart: every tensor's name and size."""
    return tuple((name, tuple(value.shape)) for name, value in student.module.state_dict().items())


def inputs_of(student: Student, batch: int) -> dict[str, np.ndarray]:
    """One batch of a student's inputs."""
    example = student.example(batch)
    return {spec.name: tensor.numpy() for spec, tensor in zip(student.inputs, example, strict=True)}


def _timed(runtime: TargetRuntime, students: Sequence[Student], seconds: float, run: Runner) -> list[float]:
    target, backend = runtime.target, runtime.backend
    still = [s.with_module(evaluated(s.module)) for s in students]
    onnx = [to_onnx(s, opset=target.opset, metadata={}, asked=target.passes) for s in still]
    job = BenchJob(
        target.backend,
        {str(i): backend.lower(data) for i, data in enumerate(onnx)},
        "0",
        inputs_of(students[0], target.shapes.batch),
        options=target.options,
        batch=target.shapes.batch,
        min_seconds=seconds,
        where=target.name,
    )
    samples = run.bench(job).samples
    return [float(np.median(samples[str(i)])) / 1e6 for i in range(len(students))]
