"""The step that applies one compression pass and, where it trains, the fine-tuning that follows, by distillation."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from edgekd.base import plugins
from edgekd.build import structure, taken
from edgekd.build.ensemble import TeacherOutputs
from edgekd.build.fit import fit
from edgekd.build.plan import CompressStep
from edgekd.build.trained import Trained, stored
from edgekd.build.workspace import Workspace
from edgekd.learn import nets
from edgekd.learn.checkpoint import EpochRecord
from edgekd.learn.student import Student


def compress(
    workspace: Workspace, step: CompressStep, before: Student, teacher_outputs: TeacherOutputs, live: nn.Module
) -> Trained:
    """A compressed student, from the store where it was made before.

    Args:
        watching: the teachers; live: the first of them, whose layers a loss may tap.
    """

    def make(scratch: Path) -> Trained:
        change = step.applied.change
        changed = structure.apply(step.applied, before, structure.context_of(workspace, step, change, teacher_outputs))
        history: list[EpochRecord] = []
        if step.schedule is not None:
            untrained = nets.state_of(changed.module) if change.quantizes else None
            begin_epoch = functools.partial(change.begin_epoch, changed)
            judged = functools.partial(as_exported, step, changed) if change.quantizes else None
            taught_by = held_against = teacher_outputs
            history = fit(
                workspace, step, step.schedule, changed, taught_by, held_against, live, scratch, begin_epoch, judged
            )
            if history and untrained is not None and _is(changed.module, untrained):
                changed = replace(
                    changed, lineage=(*changed.lineage[:-1], {**changed.lineage[-1], taken.UNTRAINED: True})
                )
        plugins.call_user(change.ensures, step.name, before, changed)
        return Trained(changed, history, 0.0)

    trained = stored(workspace, step, make)
    structure.tell_taken(workspace, step, trained.student)
    return trained


def _is(module: nn.Module, state: Mapping[str, Tensor]) -> bool:
    return all(torch.equal(value, state[name]) for name, value in module.state_dict().items())


def as_exported(step: CompressStep, changed: Student, module: nn.Module) -> nn.Module:
    """What a step's network in training would be exported as, on the CPU: each rounding where a file has it, see
    ``Numerics.judged``.

    Fake quantization is not the file: of the MobileNet-like net's answers to 4,000 images 0.7 % differ from it.
    """
    if any(tensor.device.type != "cpu" for tensor in module.parameters()):
        module = copy.deepcopy(module).cpu()
    finish = step.applied.change.finish
    numerics = None if step.numerics is None else step.numerics.judged
    converted: Student = plugins.call_user(finish, step.name, changed.with_module(module), numerics)
    return nets.Still(converted.module)
