"""The veto says what really ran and why, and names operators: on nets of a few nodes, and on kernels made up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edgekd.decide import fallbacks, onnx_graph
from edgekd.decide.choose import Contender, choose
from edgekd.decide.fallbacks import Profile
from edgekd.document.kernel import Kernel
from edgekd.runtime import backend as backends
from edgekd.spec import target
from edgekd.spec.mixed import mixed
from edgekd.spec.recipe import Budget

CHANNELS = 16


class Net:
    """A little QDQ file: nodes in a row, named as ours are."""

    def __init__(self, integers: type[np.generic] = np.uint8, zero: int = 0) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []
        self.at, self.count = "x", dict[str, int]()
        self.integers, self.zero = integers, zero

    def const(self, value: Any) -> str:
        name = f"c{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, op: str, *inputs: str, **attributes: Any) -> Net:
        number = self.count[op] = self.count.get(op, -1) + 1
        name = f"{op}_{number}"
        self.nodes.append(helper.make_node(op, [self.at, *inputs], [f"{name}:0"], name=name, **attributes))
        self.at = f"{name}:0"
        return self

    def quantized(self) -> Net:
        scale, zero = self.const(np.float32(0.05)), self.const(self.integers(self.zero))
        return self.node("QuantizeLinear", scale, zero).node("DequantizeLinear", scale, zero)

    def conv(self) -> Net:
        rng, before = np.random.default_rng(len(self.nodes)), self.at
        self.at = self.const(rng.integers(-60, 60, (CHANNELS, CHANNELS, 3, 3)).astype(np.int8))
        self.node("DequantizeLinear", self.const(np.full(CHANNELS, 0.01, np.float32)), axis=0)
        weight, self.at = self.at, before
        return self.node("Conv", weight, pads=[1, 1, 1, 1])

    def silu(self) -> Net:
        x = self.at
        return self.node("Sigmoid").node("Mul", x)

    def bytes(self) -> bytes:
        shape = ["N", CHANNELS, 12, 12]
        self.nodes[-1].output[0] = "y"
        ports = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in ("x", "y")]
        graph = helper.make_graph(self.nodes, "net", ports[:1], ports[1:], self.tensors)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())


def profile(name: str, net: Net) -> Profile:
    """As a target's runtime really runs it."""
    where = target.load(name)
    backend, data = backends.make(where.backend, dict(where.options), "test"), net.bytes()
    kernels = backends.kernels(backend, backend.lower(data), {"x": np.ones((1, CHANNELS, 12, 12), np.float32)})
    assert where.quantized is not None
    symmetric = where.quantized.model_copy(update={"activations": "int8", "activation_symmetric": True})
    scheme = symmetric if net.integers is np.int8 else where.quantized
    return Profile("int8", scheme, onnx_graph.read(data), kernels, where.float_ops)


@pytest.mark.parametrize("name", ["ort-cpu", "openvino"])
def test_a_net_that_is_quantized_throughout_runs_in_int8(name: str) -> None:
    net = Net().quantized().conv().node("Relu").quantized().conv().node("Relu").quantized()
    found = profile(name, net)
    assert fallbacks.counts(found)["conv"] == {"wanted": 2, "int8": 2, "float": 0, "untold": 0}
    assert fallbacks.fell_back(found) == [] and fallbacks.about_fallbacks(found) is None
    assert found.total > 0 and fallbacks.by_kind(found)["convolutions"] > 0
    said = fallbacks.reasons(found, found, ["answers"])
    assert said == "2 of 2 convolutions run in int8 kernels"


def test_symmetric_activations_fall_back_and_the_zero_point_is_the_reason() -> None:
    net = Net(np.int8, 0).quantized().conv().node("Relu").quantized().conv().node("Relu").quantized()
    said = fallbacks.about_fallbacks(profile("ort-cpu", net))
    assert said is not None and said.startswith("2 of 2 convolutions fell back to float: Conv_0, Conv_1 (")
    assert "zero point 0 is not the lowest value, -128" in said


@pytest.mark.parametrize("name", ["ort-cpu", "openvino"])
def test_a_float_activation_before_a_layer_is_named(name: str) -> None:
    net = Net().quantized().conv().node("Relu").quantized().conv().silu().conv().node("Relu").quantized()
    found = profile(name, net)
    why = {one.layer.node.name: one.why for one in fallbacks.fell_back(found)}
    assert "Conv_2" in why and "Conv_0" not in why
    assert "its input is not quantized: Mul_0 before it stays float, behind Sigmoid_0 (" in why["Conv_2"]
    assert "of 3 convolutions fell back to float" in fallbacks.reasons(found, found, ["latency"])


def test_a_layer_that_was_measured_to_be_faster_in_float_did_not_fall_back_for_another_reason() -> None:
    net = Net().quantized().conv().node("Relu").quantized()
    net.node("Conv", net.const(np.ones((CHANNELS, CHANNELS, 3, 3), np.float32)), pads=[1, 1, 1, 1]).quantized()
    found = profile("openvino", net)
    assert [one.why for one in fallbacks.fell_back(found)] == ["its weights stand in float in the file"]
    found = replace(found, numerics=mixed(found.numerics, (), (1,)))
    assert [one.why for one in fallbacks.fell_back(found)] == ["float was measured to be faster here"]


class Bare:
    """A user's own backend, which tells nothing."""


def test_a_backend_that_does_not_tell_still_gets_a_reason_that_names_operators() -> None:
    bare: Any = Bare()
    assert backends.kernels(bare, {}, {}) is None
    untold = made("int8", None)
    assert (
        fallbacks.reasons(untold, untold, ["latency"]) == "what the runtime ran of it is not known; the file has 2 Conv"
    )
    assert fallbacks.record(untold) is None


def made(name: str, kernels: Sequence[Kernel] | None, net: Net | None = None) -> Profile:
    scheme = next(n for n in target.load("ort-cpu").numerics if n.name == name.partition("-")[0])
    file = net or Net().quantized().conv().node("Relu").quantized().conv().node("Relu").quantized()
    return Profile(name, scheme, onnx_graph.read(file.bytes()), kernels)


def ran(op: str, us: float, precision: str = "float32", layer: str = "") -> Kernel:
    return Kernel(layer or op, op, precision, us, (layer,) if layer else ())


INT8 = [
    ran("QuantizeLinear", 9, "float32 to int8"),
    ran("QLinearConv", 8, "int8", "Conv_0"),
    ran("QLinearConv", 8, "int8", "Conv_1"),
    ran("DequantizeLinear", 9, "int8 to float32"),
]
FP32 = [ran("Conv", 12, layer="Conv_0"), ran("Conv", 12, layer="Conv_1")]


def test_edges_that_cost_more_than_int8_saves_are_told() -> None:
    said = fallbacks.reasons(made("int8", INT8), made("fp32", FP32), ["latency"])
    assert said.startswith("the net is too small: conversions and layout (QuantizeLinear, DequantizeLinear) cost 18 of")
    assert "2 conversions take 53 % of the time (QuantizeLinear/DequantizeLinear)" in said


def test_what_is_slower_is_told_by_kind_of_kernel() -> None:
    slow = [ran("QLinearConv", 40, "int8", "Conv_0"), ran("Softmax", 3)]
    said = fallbacks.reasons(made("int8", slow), made("fp32", FP32), ["latency"])
    assert said == "in the profile it loses to fp32 in convolutions 40 us against 24, Softmax 3 us against 0"


def test_many_layers_of_one_reason_are_counted() -> None:
    net = Net()
    for _ in range(6):
        net.conv().node("Relu")
    ran_in_float = [ran("FusedConv", 1, layer=f"Conv_{i}") for i in range(6)]
    said = fallbacks.about_fallbacks(made("int8", ran_in_float, net))
    assert said is not None and said.startswith("6 of 6 convolutions fell back to float: Conv_0 (its input, the")
    assert "Conv_1, Conv_2, Conv_3, Conv_4 and 1 more (its input is not quantized: Relu_0 before it" in said


def test_a_larger_file_is_told_by_its_constants() -> None:
    small = Net().conv()
    said = fallbacks.reasons(made("fp32", FP32), made("fp32-pruned", FP32, small), ["size"])
    assert said == "weights of Conv 4.7 kB against 2.4 in fp32-pruned"


def test_weights_alone_in_int8_are_no_fallback() -> None:
    scheme = next(n for n in target.load("ort-cpu").numerics if n.name == "int8-weights")
    found = Profile("int8-weights", scheme, made("int8", None).graph, FP32)
    assert fallbacks.counts(found) == {} and fallbacks.fell_back(found) == []
    assert "convolutions take 100 %" in fallbacks.reasons(found, found, ["latency"])


def test_every_refusal_gets_its_reason_and_what_ships_gets_none() -> None:
    profiles = {"int8": made("int8", INT8), "fp32": made("fp32", FP32)}
    contenders = [Contender("int8", 300, 0.9, 2.0), Contender("fp32", 1000, 0.9, 1.0)]
    p50 = {c.name: c.p50_ms for c in contenders}

    def ratio(a: str, b: str) -> tuple[float, float, float]:
        return (p50[a] / p50[b],) * 3

    slower = choose(contenders, None, 0.9, ratio, fallbacks.by_profile(profiles))
    assert slower.verdicts["fp32"] == "ships"
    assert slower.verdicts["int8"].startswith("slower than fp32: 2.00") and "QuantizeLinear" in slower.verdicts["int8"]
    missed = choose(contenders, Budget(max_drop=0.0, max_size_kb=0.1), 0.95, ratio, fallbacks.by_profile(profiles))
    assert missed.shipped is None and "weights of Conv" in missed.verdicts["fp32"]
    assert "run in int8 kernels" in missed.verdicts["int8"]
