"""Student -> ONNX bytes: export, the column of named passes, the checker. Equal bytes for equal weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx
from onnxscript import ir

from edgekd.base import plugins
from edgekd.base.errors import ExportError, TargetError
from edgekd.learn.student import Student
from edgekd.lower.export import export
from edgekd.lower.passes._base import GraphPass

MAX_BYTES = 100_000_000
IR_VERSION = 10


def passes(asked: Sequence[str] = ()) -> tuple[GraphPass, ...]:
    """Every file of ``lower/passes/`` that always runs, and what a target asks for, by their ``order``.

    Made anew each time: a user's package that was edited is imported again.
    """
    kinds = dict.fromkeys((*plugins.kinds("passes"), *asked))
    made: dict[str, GraphPass] = {
        kind: plugins.build("passes", {"kind": kind}, "passes", TargetError) for kind in kinds
    }
    run = [change for kind, change in made.items() if change.always or kind in asked]
    return tuple(sorted(run, key=lambda change: change.order))


def to_onnx(student: Student, *, opset: int, metadata: Mapping[str, str], asked: Sequence[str] = ()) -> bytes:
    """One lean file with a dynamic batch.

    Args:
        student: float, or finished int8.
        opset: the ONNX operator set.
        asked: passes of the target's own.
        metadata: what to put into ``metadata_props`` (preprocessing, labels).

    Raises:
        ExportError: it can't be exported, fails the checker, or is larger than 100 MB.
    """
    model = export(student, opset)
    for change in passes(asked):
        plugins.call_user(change, f"passes: {type(change).__name__}", model)
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
