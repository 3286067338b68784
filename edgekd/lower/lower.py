"""Student -> ONNX bytes: export, the column of named passes, the checker. Equal bytes for equal weights."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
from onnxscript import ir

from edgekd.errors import ExportError
from edgekd.learn.student import Student
from edgekd.lower.export import export
from edgekd.lower.passes._base import GraphPass
from edgekd.lower.passes.default_attributes import DefaultAttributes
from edgekd.lower.passes.int8_linear import Int8Linear
from edgekd.lower.passes.lean_qdq import LeanQdq
from edgekd.lower.passes.plain_pooling import PlainPooling
from edgekd.lower.passes.share_constants import ShareConstants
from edgekd.lower.passes.short_names import ShortNames
from edgekd.lower.passes.strip_metadata import StripMetadata

MAX_BYTES = 100_000_000
IR_VERSION = 10
PASSES: tuple[GraphPass, ...] = (
    PlainPooling(),
    Int8Linear(),
    LeanQdq(),
    DefaultAttributes(),
    ShareConstants(),
    StripMetadata(),
    ShortNames(),
)


def to_onnx(student: Student, *, opset: int, metadata: Mapping[str, str]) -> bytes:
    """One lean file with a dynamic batch.

    Args:
        student: float, or finished int8.
        opset: the ONNX operator set.
        metadata: what to put into ``metadata_props`` (preprocessing, labels).

    Raises:
        ExportError: it can't be exported, fails the checker, or is larger than 100 MB.
    """
    model = export(student, opset)
    for change in PASSES:
        change(model)
    model.metadata_props.update(sorted(metadata.items()))
    model.ir_version = IR_VERSION
    proto = ir.to_proto(model)
    try:
        onnx.checker.check_model(proto, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as err:
        raise ExportError(f"the exported graph is not valid ONNX: {str(err).splitlines()[0]}") from err
    data: bytes = proto.SerializeToString(deterministic=True)
    if len(data) > MAX_BYTES:
        raise ExportError("the file is too large", found=f"{len(data) / 1e6:.0f} MB", allowed="at most 100 MB")
    return data
