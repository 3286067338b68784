"""What a student is in a file: its ONNX export, kept under the step's key; and how large a teacher is."""

from __future__ import annotations

import json
from collections.abc import Mapping

import torch
from onnxscript import ir
from torch import nn

from edgekd.base import plugins, preprocess
from edgekd.build.plan import CompressStep, ExportStep, TrainedStep
from edgekd.build.workspace import Workspace
from edgekd.learn import nets
from edgekd.learn.foreign import Foreign
from edgekd.learn.student import Student, evaluated
from edgekd.learn.teacher import bare
from edgekd.lower.export import export as trace_of
from edgekd.lower.lower import to_onnx
from edgekd.spec.target import Numerics

# What a student was traced to, by the step that made it, the operator set, and what of the file differs by target.
Traces = dict[tuple[str, int, bool, str], ir.Model]


def finished(step: TrainedStep, subject: Student, numerics: Numerics | None = None) -> Student:
    """The student as it is exported: a quantizing pass converts here, everything else only stops training."""
    subject.module.eval()
    if isinstance(step, CompressStep):
        converted: Student = plugins.call_user(step.applied.change.finish, step.name, subject, numerics)
        return converted
    return subject.with_module(evaluated(nets.twin(subject.module)))


def lowered(
    workspace: Workspace, step: ExportStep, subject: Student, metadata: Mapping[str, str], traces: Traces | None = None
) -> bytes:
    """The ONNX file of an export step, from the student of its parent step; targets share what was traced."""
    traced = trace(workspace, step, subject, {} if traces is None else traces)
    return to_onnx(subject, opset=step.opset, metadata=metadata, asked=step.passes, traced=traced)


def trace(workspace: Workspace, step: ExportStep, subject: Student, traces: Traces) -> ir.Model:
    """What the student of an export step is traced to, which no graph pass has seen; not to be changed."""
    key = (step.parent, step.opset, step.numerics.half, step.numerics.unrounded)
    if key not in traces:
        student = finished(workspace.plan.get(step.parent, TrainedStep), subject, step.numerics.written)
        student = student.with_module(Half(student.module)) if step.numerics.half else student
        traces[key] = trace_of(student, step.opset)
    return traces[key]


class Half(nn.Module):
    """A network in float16 whose inputs and outputs stay float32."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module.half()

    def forward(self, *inputs: torch.Tensor) -> object:
        outputs = self.module(*(x.half() if x.is_floating_point() else x for x in inputs))
        return outputs.float() if isinstance(outputs, torch.Tensor) else tuple(part.float() for part in outputs)


def export(
    workspace: Workspace, step: ExportStep, subject: Student, metadata: Mapping[str, str], traces: Traces | None = None
) -> bytes:
    """The ONNX file of an export step, from the student of its parent step; ``traces``: as of ``lowered``."""
    files = workspace.store.get(step.key, ("model.onnx",))
    if files is None:
        workspace.progress({"step": step.name, "epoch": None})
        files = workspace.store.put(step.key, {"model.onnx": lowered(workspace, step, subject, metadata, traces)})
    return files["model.onnx"]


def teacher_size(subject: Student) -> int:
    """Bytes of a teacher: of its own file, or four for each of its parameters."""
    outside = bare(subject.module)
    return outside.size_bytes if isinstance(outside, Foreign) else 4 * subject.params


def metadata(workspace: Workspace) -> dict[str, str]:
    """What every exported file says about itself, in ``metadata_props`` and ``rt_info``."""
    return {
        "edgekd_labels": json.dumps(_labels(workspace), ensure_ascii=False, separators=(",", ":")),
        "edgekd_preprocess": preprocess.to_json(workspace.feed.ops),
        "edgekd_sample_shape": json.dumps(list(workspace.feed.raw_shape), separators=(",", ":")),
        "edgekd_task": workspace.task_kind,
    }


def _labels(workspace: Workspace) -> object:
    """A list of class names, or one by head."""
    by_head = {name: list(workspace.classes[where]) for name, where in workspace.heads.name_columns.items()}
    return by_head if len(by_head) > 1 else list(workspace.classes)
