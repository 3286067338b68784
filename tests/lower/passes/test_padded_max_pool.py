"""Zeros around what a MaxPool reads: ONNX Runtime answers as it does when it optimises nothing."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import helper
from onnxscript import ir

from edgekd.base import plugins

SIZES = st.integers(1, 3)


def answers(model: onnx.ModelProto, x: NDArray[np.float32], optimised: bool) -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimised else levels.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": x})
    return np.asarray(found, np.float32)


def padded(
    sizes: tuple[int, ...], pads: list[int], pool: dict[str, object], free: bool, kind: int = onnx.TensorProto.FLOAT
) -> onnx.ModelProto:
    """``MaxPool(Pad(x))`` over these sizes, with zeros before and behind each."""
    rank = len(sizes)
    amounts = [0, 0, *pads[:rank], 0, 0, *pads[rank:]]
    nodes = [helper.make_node("Pad", ["x", "p"], ["padded"]), helper.make_node("MaxPool", ["padded"], ["y"], **pool)]
    inputs = [helper.make_tensor_value_info("x", kind, ["n", 2, *(["k"] * rank if free else sizes)])]
    outputs = [helper.make_tensor_value_info("y", kind, None)]
    initial = [helper.make_tensor("p", onnx.TensorProto.INT64, [len(amounts)], amounts)]
    graph = helper.make_graph(nodes, "g", inputs, outputs, initial)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.data())
def test_numbers_below_zero_are_pooled_as_the_standard_says(data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, 2))
    sizes = tuple(data.draw(st.lists(st.integers(1, 6), min_size=rank, max_size=rank)))
    pads = data.draw(st.lists(st.integers(0, 3), min_size=2 * rank, max_size=2 * rank))
    kernel, strides, dilations = (data.draw(st.lists(SIZES, min_size=rank, max_size=rank)) for _ in range(3))
    mine = [data.draw(st.integers(0, size - 1)) for size in (*kernel, *kernel)]
    ceil = data.draw(st.booleans())
    reach = [(size - 1) * step + 1 for size, step in zip(kernel, dilations, strict=True)]
    total = [n + pads[i] + pads[rank + i] for i, n in enumerate(sizes)]
    assume(all(r <= whole for r, whole in zip(reach, total, strict=True)))
    pool = {"kernel_shape": kernel, "strides": strides, "dilations": dilations, "pads": mine, "ceil_mode": int(ceil)}
    before = padded(sizes, pads, pool, free=data.draw(st.booleans()))
    x = data.draw(st.sampled_from([-3.0, -0.5])) + np.random.default_rng(0).random((2, 2, *sizes)).astype(np.float32)
    changed = ir.from_proto(before)
    plugins.build("passes", {"kind": "padded_max_pool"}, "test")(changed)
    wanted = answers(before, x.astype(np.float32), optimised=False)
    np.testing.assert_array_equal(answers(ir.to_proto(changed), x.astype(np.float32), optimised=True), wanted)


def test_it_takes_the_pass() -> None:
    """If this fails ONNX Runtime pads before it pools by now, and the pass may go."""
    model = padded((5, 5), [1, 1, 1, 1], {"kernel_shape": [3, 3]}, free=False)
    x = -np.ones((1, 2, 5, 5), np.float32)
    assert not np.array_equal(answers(model, x, optimised=True), answers(model, x, optimised=False))


@pytest.mark.parametrize("name", ["float16", "float32", "float64"])
@pytest.mark.parametrize("free", [False, True])
def test_constants_have_the_type_of_what_is_pooled(name: str, free: bool) -> None:
    dtype = np.dtype(name)
    kind = helper.np_dtype_to_tensor_dtype(dtype)
    changed = ir.from_proto(padded((5,), [1, 1], {"kernel_shape": [3]}, free, kind))
    plugins.build("passes", {"kind": "padded_max_pool"}, "test")(changed)
    arrays = [onnx.numpy_helper.to_array(tensor) for tensor in ir.to_proto(changed).graph.initializer]
    (numbers,) = (array for array in arrays if array.dtype.kind == "f")
    assert numbers.dtype == dtype
    if free:
        assert numbers.tolist() == [0] and np.signbit(numbers).all()
    else:
        assert set(numbers.flat) == {dtype.type(0), np.finfo(dtype).min}


def test_whole_numbers_have_no_zero_of_two_signs() -> None:
    for free in (False, True):
        before = padded((5,), [1, 1], {"kernel_shape": [3]}, free, onnx.TensorProto.INT8)
        changed = ir.from_proto(before)
        plugins.build("passes", {"kind": "padded_max_pool"}, "test")(changed)
        assert [node.op_type for node in changed.graph] == ["Pad", "MaxPool"]
        assert [*changed.graph.initializers] == ["p"]
