"""Student -> ONNX bytes: export, the column of named passes, the checker. Equal bytes for equal weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx
from onnxscript import ir

from edgekd.base import units
from edgekd.base.errors import ExportError
from edgekd.learn.student import Student
from edgekd.lower.column import rewrite
from edgekd.lower.export import export

MAX_BYTES = 100_000_000
IR_VERSION = 10


def to_onnx(
    student: Student,
    *,
    opset: int,
    metadata: Mapping[str, str],
    asked: Sequence[str] = (),
    traced: ir.Model | None = None,
) -> bytes:
    """One lean file with a dynamic batch.

    Args:
        student: float, or finished int8; of no account where it was traced.
        opset: the ONNX operator set.
        traced: what ``export`` gave for the student, where that is known; it stays as it is.
        asked: passes of the target's own.
        metadata: what to put into ``metadata_props`` (preprocessing, labels).

    Raises:
        ExportError: it can't be exported, fails the checker (names the pass that left it so), or is larger than 100 MB.
        EdgekdError: as of ``rewrite``.
    """
    model = export(student, opset) if traced is None else traced.clone()
    rewrite(model, asked)
    model.metadata_props.update(sorted(metadata.items()))
    model.ir_version = IR_VERSION
    _hold_size(_numbers(model))  # protobuf, and the checker with it, has no words for more than 2 GiB
    try:
        proto = checked(model)
    except ExportError:  # whose fault is it? Checked behind each pass, the same again says so
        again = export(student, opset) if traced is None else traced.clone()
        checked(again)
        rewrite(again, asked, checked)
        raise
    data: bytes = proto.SerializeToString(deterministic=True)
    _hold_size(len(data))
    return data


def _numbers(model: ir.Model) -> int:
    """How many bytes a model's constants take."""
    values = (value for graph in model.graphs() for value in graph.initializers.values())
    return sum(value.const_value.nbytes for value in values if value.const_value is not None)


def _hold_size(size: int) -> None:
    if size > MAX_BYTES:
        raise ExportError("the file is too large", found=units.size(size), allowed="at most 100 MB")


def checked(model: ir.Model) -> onnx.ModelProto:
    """The model as protobuf.

    Raises:
        ExportError: ONNX's own checker refuses it.
    """
    proto = ir.to_proto(model)
    try:
        onnx.checker.check_model(proto, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as err:
        raise ExportError(f"the exported graph is not valid ONNX: {str(err).splitlines()[0]}") from err
    return proto
