"""What a student is in a file: its ONNX export, kept under the step's key; and how large the teacher's would be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from edgekd.base import plugins, preprocess
from edgekd.base.errors import ExportError
from edgekd.base.heads import columns
from edgekd.build import cache_keys
from edgekd.build.kept import document
from edgekd.build.plan import Step
from edgekd.build.steps import Bench, make_pass
from edgekd.build.store import canonical, sha256
from edgekd.learn import nets
from edgekd.learn.student import Student, evaluated
from edgekd.lower.lower import to_onnx
from edgekd.spec.target import Numerics


def finished(bench: Bench, step: Step, subject: Student, numerics: Numerics | None = None) -> Student:
    """The student as it is exported: a quantizing pass converts here, everything else only stops training."""
    subject.module.eval()
    if step.table:
        made: Student = plugins.call_user(make_pass(step.table).finish, step.name, subject, numerics)
        return made
    return subject.with_module(evaluated(nets.twin(subject.module)))


def lowered(bench: Bench, step: Step, subject: Student, metadata: Mapping[str, str]) -> bytes:
    """The ONNX file of an export step, from the student of its parent step."""
    made = finished(bench, bench.plan.steps[step.parent or ""], subject, step.numerics)
    if step.numerics is not None and step.numerics.half:
        made = made.with_module(Half(made.module))
    return to_onnx(made, opset=step.opset, metadata=metadata, asked=step.passes)


class Half(nn.Module):
    """A network in float16 whose inputs and outputs stay float32."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module.half()

    def forward(self, *inputs: torch.Tensor) -> Any:
        made = self.module(*(x.half() if x.is_floating_point() else x for x in inputs))
        return made.float() if isinstance(made, torch.Tensor) else tuple(part.float() for part in made)


def export(bench: Bench, step: Step, subject: Student, metadata: Mapping[str, str]) -> bytes:
    """The ONNX file of an export step, from the student of its parent step."""
    files = bench.store.get(step.key, ("model.onnx",))
    if files is None:
        bench.progress({"step": step.name, "epoch": None})
        files = bench.store.put(step.key, {"model.onnx": lowered(bench, step, subject, metadata)})
    return files["model.onnx"]


def teacher_size(bench: Bench, step: Step, subject: Student, opset: int) -> int:
    """Bytes of the teacher's fp32 ONNX export; 4 x its parameters where it can't be exported."""
    known = known_teacher_size(bench, step, opset)
    if known is None:
        try:
            known = len(to_onnx(subject, opset=opset, metadata={}))
        except ExportError:
            known = 4 * subject.params
        bench.store.put(_teacher_size_key(step, opset), {"size.json": canonical(known)})
    return known


def known_teacher_size(bench: Bench, step: Step, opset: int) -> int | None:
    """What ``teacher_size`` found before; None where it was not asked yet."""
    return document(bench.store, _teacher_size_key(step, opset), "size.json", int)


def _teacher_size_key(step: Step, opset: int) -> str:
    code = [cache_keys.own("lower"), cache_keys.versions("lower")]
    return sha256(canonical(["teacher size", step.key, opset, code]))


def metadata(bench: Bench) -> dict[str, str]:
    """What every exported file says about itself, in ``metadata_props`` and ``rt_info``."""
    return {
        "edgekd_labels": json.dumps(_labels(bench), ensure_ascii=False, separators=(",", ":")),
        "edgekd_preprocess": preprocess.to_json(bench.feed.ops),
        "edgekd_sample_shape": json.dumps(list(bench.feed.raw_shape), separators=(",", ":")),
        "edgekd_task": bench.recipe.task,
    }


def _labels(bench: Bench) -> Any:
    """A list of class names, or one by head."""
    by_head = {name: list(bench.classes[where]) for name, where in columns(bench.heads).items()}
    return by_head if len(by_head) > 1 else list(bench.classes)
