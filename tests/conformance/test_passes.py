"""What every graph pass keeps, found by its file."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from onnxscript import ir

from edgekd.base import plugins
from edgekd.compress._base import Context
from edgekd.learn.student import Student, TensorSpec
from edgekd.lower.export import export
from edgekd.lower.lower import to_onnx
from edgekd.spec import target

KINDS = plugins.kinds("passes")
SHAPE = (3, 8, 8)


@pytest.fixture(scope="module")
def exported() -> dict[str, ir.Model]:
    """Raw exports of a small residual net, float and int8."""
    torch.manual_seed(0)
    module = plugins.build("models", {"kind": "resnet", "depth": 8, "width": 8}, "m").build(SHAPE, 5).eval()
    spec = TensorSpec("input", (None, *SHAPE))
    student = Student(module, (spec,), (TensorSpec("logits", (None, 5)),))
    change = plugins.build("compress", {"kind": "int8_qat"}, "m")
    context = Context(target.load("ort-cpu").quantized, 1, [(torch.randn(8, *SHAPE),)])
    return {"fp32": export(student, 20), "int8": export(change.finish(change.apply(student, context)), 20)}


def run(model: ir.Model) -> np.ndarray:
    x = np.random.default_rng(0).standard_normal((2, *SHAPE), dtype=np.float32)
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto)
    found: np.ndarray = ReferenceEvaluator(proto).run(None, {proto.graph.input[0].name: x})[0]
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["fp32", "int8"])
def test_keeps_the_answers_and_does_nothing_twice(exported: dict[str, ir.Model], kind: str, name: str) -> None:
    model = ir.from_proto(ir.to_proto(exported[name]))
    before = run(model)
    change = plugins.build("passes", {"kind": kind}, "test")
    change(model)
    after = run(model)
    assert np.abs(after - before).max() <= 1e-5 * max(1.0, float(np.ptp(before)))
    once = ir.to_proto(model).SerializeToString(deterministic=True)
    change(model)
    assert ir.to_proto(model).SerializeToString(deterministic=True) == once


def test_a_file_is_lean_and_the_same_twice() -> None:
    torch.manual_seed(0)
    module = plugins.build("models", {"kind": "convnet", "width": 8}, "m").build(SHAPE, 5).eval()
    student = Student(module, (TensorSpec("input", (None, *SHAPE)),), (TensorSpec("logits", (None, 5)),))
    data = to_onnx(student, opset=20, metadata={"edgekd_b": "2", "edgekd_a": "1"})
    assert data == to_onnx(student, opset=20, metadata={"edgekd_a": "1", "edgekd_b": "2"})
    graph = onnx.load_from_string(data)
    assert [entry.key for entry in graph.metadata_props] == ["edgekd_a", "edgekd_b"]
    assert not graph.graph.value_info
    assert all(not node.metadata_props and not node.doc_string for node in graph.graph.node)
    assert graph.graph.input[0].name == "input" and graph.graph.output[0].name == "logits"
    assert not graph.graph.input[0].type.tensor_type.shape.dim[0].HasField("dim_value"), "the batch is not dynamic"
