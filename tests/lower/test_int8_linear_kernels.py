"""OpenVINO's int8 fully connected kernel: where it is wrong, and that our graph passes leave no file that meets it."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, compose, helper, numpy_helper
from onnxscript import ir
from torch import nn

from edgekd.base import host
from edgekd.build import compression
from edgekd.compress._base import Context
from edgekd.learn.student import Student, TensorSpec
from edgekd.lower.column import rewrite
from edgekd.lower.lower import to_onnx
from edgekd.lower.passes.bias_of_matmul import BiasOfMatmul
from edgekd.spec import target

ISAS = ("", "AVX2", "AVX512_CORE", "AVX512_CORE_VNNI")
SAMPLES = 64
Array = np.ndarray[Any, Any]


class Chain:
    """Int8 linear layers one after another, as a graph and as numpy computes it in float64.

    Args:
        widths: of the input and each layer.
        bias: of every layer but the last: None, one value, or "random".
        op: ``Gemm`` with an int32 bias, ``MatMul`` with an Add, or ``Gemm`` of a float bias.
        batch_norm: a factor and a summand for each output behind every layer but the last, some factors below 0.
        transposed: the weights as an export has them, before our passes.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        bias: float | str | None,
        op: str = "MatMul",
        zero: int = 128,
        relu: bool = True,
        batch_norm: bool = False,
        transposed: bool = False,
    ) -> None:
        rng, self.nodes, self.constants = np.random.default_rng(7), list[Any](), list[Any]()
        self.layers: list[Any] = []
        current = "x"
        for i, (before, after) in enumerate(itertools.pairwise(widths)):
            last = i == len(widths) - 2
            weight = rng.integers(-63, 64, (before, after)).astype(np.int8)
            scale = rng.uniform(0.005, 0.015, after).astype(np.float32)
            x_scale, x_zero = np.float32(0.02), np.array(zero if i == 0 else 0, np.uint8)
            own = rng.normal(size=after) if last or bias == "random" else None if bias is None else np.full(after, bias)
            factor = rng.normal(1, 0.6, after).astype(np.float32) if batch_norm and not last else None
            shift = rng.normal(size=after).astype(np.float32) if batch_norm and not last else None
            self._quantize(i, current, x_scale, x_zero)
            self._constant(f"w{i}", weight.T if transposed else weight)
            self._constant(f"s{i}", scale)
            self._constant(f"z{i}", np.zeros(after, np.int8))
            self._node("DequantizeLinear", [f"w{i}", f"s{i}", f"z{i}"], f"wd{i}", axis=0 if transposed else 1)
            current = self._linear(i, op, own, transposed, scale * x_scale)
            if factor is not None and shift is not None:
                self._constant(f"g{i}", factor)
                self._constant(f"h{i}", shift)
                self._node("Mul", [current, f"g{i}"], f"mul{i}")
                self._node("Add", [f"mul{i}", f"h{i}"], f"norm{i}")
                current = f"norm{i}"
            if relu and not last:
                self._node("Relu", [current], f"r{i}")
                current = f"r{i}"
            self.layers.append((weight, scale, x_scale, int(x_zero), own, factor, shift, relu and not last))
        self.nodes[-1].output[0] = "y"
        self.width = widths

    def _constant(self, name: str, value: Array) -> None:
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))

    def _node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> None:
        self.nodes.append(helper.make_node(op, inputs, [output], name=f"n{len(self.nodes)}", **attributes))

    def _quantize(self, i: int, current: str, scale: Any, zero: Array) -> None:
        self._constant(f"xs{i}", scale)
        self._constant(f"xz{i}", zero)
        self._node("QuantizeLinear", [current, f"xs{i}", f"xz{i}"], f"q{i}")
        self._node("DequantizeLinear", [f"q{i}", f"xs{i}", f"xz{i}"], f"d{i}")

    def _linear(self, i: int, op: str, bias: Array | None, transposed: bool, scale: Array) -> str:
        if op == "MatMul":
            self._node("MatMul", [f"d{i}", f"wd{i}"], f"m{i}")
            if bias is None:
                return f"m{i}"
            self._constant(f"b{i}", bias.astype(np.float32))
            self._node("Add", [f"m{i}", f"b{i}"], f"a{i}")
            return f"a{i}"
        inputs = [f"d{i}", f"wd{i}"]
        if bias is not None:
            self._constant(f"b{i}", bias.astype(np.float32))
            inputs.append(f"b{i}")
        self._node("Gemm", inputs, f"m{i}", transB=int(transposed))
        return f"m{i}"

    def model(self) -> onnx.ModelProto:
        ports = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size])
            for name, size in (("x", self.width[0]), ("y", self.width[-1]))
        ]
        graph = helper.make_graph(self.nodes, "chain", ports[:1], ports[1:], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        onnx.checker.check_model(model)
        return model

    def right(self, x: Array) -> Array:
        y = x.astype(np.float64)
        for weight, scale, x_scale, zero, bias, factor, shift, relu in self.layers:
            q = np.clip(np.rint(y / np.float64(x_scale)) + zero, 0, 255) - zero
            y = (q * np.float64(x_scale)) @ (weight * scale.astype(np.float64))
            y = y if bias is None else y + bias
            y = y if factor is None else y * factor + shift
            y = np.maximum(y, 0) if relu else y
        return y


# Twenty graphs: those that the kernel answers wrongly as they are, and their neighbours.
GRAPHS: dict[str, Chain] = {
    f"{op.lower()}_{'none' if bias is None else bias}_{'x'.join(map(str, widths))}{'_bn' if norm else ''}": Chain(
        widths, bias, op, zero, relu, norm, transposed=op == "Gemm"
    )
    for widths, bias, op, zero, relu, norm in (
        ((64, 32, 16), None, "MatMul", 128, True, False),
        ((64, 32, 16), 0.0, "MatMul", 128, True, False),
        ((64, 32, 16), 1e-8, "MatMul", 0, False, False),
        ((64, 32, 16), 0.5, "MatMul", 0, True, False),
        ((64, 32, 16), "random", "MatMul", 128, True, False),
        ((64, 32, 16), None, "Gemm", 128, True, False),
        ((64, 32, 16), 0.0, "Gemm", 128, True, False),
        ((64, 32, 16), 0.5, "Gemm", 0, False, False),
        ((64, 32, 16), "random", "Gemm", 0, True, False),
        ((64, 32, 16), None, "Gemm", 128, True, True),
        ((64, 32, 16), "random", "Gemm", 128, False, True),
        ((10, 20, 30), None, "Gemm", 100, True, False),
        ((3, 3, 3), 0.5, "Gemm", 128, True, False),
        ((256, 256, 128), None, "Gemm", 0, False, False),
        ((64, 8, 16), 0.0, "Gemm", 0, True, False),
        ((64, 1, 16), None, "Gemm", 128, True, False),
        ((64, 1, 16), 0.5, "MatMul", 128, True, False),
        ((33, 17, 9, 5), None, "Gemm", 128, True, True),
        ((33, 17, 9, 5), -0.25, "MatMul", 100, False, False),
        ((200, 64, 64, 7), None, "MatMul", 128, True, False),
    )
}


def inputs(width: int) -> Array:
    return np.random.default_rng(width).normal(size=(SAMPLES, width)).astype(np.float32)


def lowered(model: onnx.ModelProto) -> bytes:
    """After our passes, those for OpenVINO among them."""
    found = ir.from_proto(model)
    rewrite(found, ["bias_of_matmul"])
    data: bytes = ir.to_proto(found).SerializeToString()
    return data


def openvino_answers(folder: Path, isa: str) -> None:
    env = {**os.environ, **({"ONEDNN_MAX_CPU_ISA": isa} if isa else {})}
    line = [sys.executable, str(Path(__file__).with_name("_openvino_answers.py")), str(folder)]
    done = subprocess.run(line, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def worst(found: Array, wanted: Array) -> float:
    """The mean difference as a share of the range: a rounding that falls otherwise moves one answer by a step."""
    return float(np.abs(found - wanted).mean() / max(float(np.ptp(wanted)), 1e-9))


def test_there_are_twenty_graphs() -> None:
    assert len(GRAPHS) == 20


@pytest.mark.skipif("avx512_vnni" not in host.isa(), reason="the kernel runs on CPUs with AVX512-VNNI")
def test_the_smallest_graph_that_openvino_answers_wrongly(tmp_path: Path) -> None:
    """If this fails, OpenVINO has mended its kernel: ``distinct_bias`` and ``bias_of_matmul`` may go."""
    chain = GRAPHS["matmul_none_64x32x16"]
    (tmp_path / "bare.onnx").write_bytes(chain.model().SerializeToString())
    np.savez(tmp_path / "bare.npz", x=inputs(64))
    openvino_answers(tmp_path, "")
    with np.load(tmp_path / "bare.out.npz") as found:
        assert worst(found["64 y"], chain.right(inputs(64))) < 1e-6
        assert worst(found["1 y"], chain.right(inputs(64))) > 0.1


def side_by_side(models: Mapping[str, onnx.ModelProto]) -> onnx.ModelProto:
    """One file of all, with ``NAME/`` before each one's names: OpenVINO compiles it in half of the time. As they are,
    without our passes, it answers the same ones wrongly.
    """
    whole, *others = (compose.add_prefix(model, f"{name}/") for name, model in models.items())
    for other in others:
        for part in ("node", "input", "output", "initializer"):
            getattr(whole.graph, part).extend(getattr(other.graph, part))
    return whole


@pytest.mark.parametrize("isa", ISAS, ids=lambda isa: isa or "native")
def test_lowered_graphs_are_right_at_every_batch(tmp_path: Path, isa: str) -> None:
    models = {name: onnx.load_from_string(lowered(chain.model())) for name, chain in GRAPHS.items()}
    (tmp_path / "all.onnx").write_bytes(side_by_side(models).SerializeToString())
    given: dict[str, Any] = {f"{name}/x": inputs(chain.width[0]) for name, chain in GRAPHS.items()}
    np.savez(tmp_path / "all.npz", **given)
    openvino_answers(tmp_path, isa)
    wrong = {}
    with np.load(tmp_path / "all.out.npz") as found:
        assert len(found) == 4 * len(GRAPHS)
        for batch_of, said in found.items():
            chain = GRAPHS[batch_of.split(" ")[1].removesuffix("/y")]
            if (far := worst(said, chain.right(inputs(chain.width[0])))) > 2e-3:
                wrong[batch_of] = far
    assert not wrong


@pytest.mark.parametrize("name", list(GRAPHS))
def test_onnx_runtime_reads_them_alike(name: str) -> None:
    chain = GRAPHS[name]
    session = onnxruntime.InferenceSession(lowered(chain.model()))
    (found,) = session.run(None, {"x": inputs(chain.width[0])})
    assert worst(found, chain.right(inputs(chain.width[0]))) <= 2e-3


def test_a_batch_norm_goes_into_the_layer() -> None:
    graph = onnx.load_from_string(lowered(GRAPHS["gemm_none_64x32x16_bn"].model())).graph
    assert {"Mul", "Add"} & {node.op_type for node in graph.node} == set()
    assert [len(node.input) for node in graph.node if node.op_type == "Gemm"] == [3, 3]


def test_only_a_matmul_without_a_bias_gets_one() -> None:
    for name, more in (("matmul_none_64x32x16", 1), ("matmul_random_64x32x16", 0), ("gemm_0.5_3x3x3", 0)):
        model = ir.from_proto(GRAPHS[name].model())
        before = sum(node.op_type == "Add" for node in model.graph)
        for _ in range(2):
            BiasOfMatmul()(model)
        assert sum(node.op_type == "Add" for node in model.graph) == before + more


class Ffn(nn.Module):
    """Linear layers without biases over tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(16, 24, bias=False), nn.ReLU(), nn.Linear(24, 8, bias=False), nn.ReLU())
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x).mean(1))


NETS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "normalised": (
        nn.Sequential(nn.Linear(20, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 3)),
        (20,),
    ),
    "convolved": (
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 16, bias=False), nn.Linear(16, 4)),
        (3, 6, 6),
    ),
    "tokens": (Ffn(), (5, 16)),
}


@pytest.mark.parametrize("name", ["openvino", "portable-int8"])
def test_whole_nets_are_right_at_every_batch(tmp_path: Path, name: str) -> None:
    chosen, wanted = target.load(name), {}
    for net, (module, shape) in NETS.items():
        torch.manual_seed(0)
        with torch.no_grad():
            module.train()(torch.randn(32, *shape))
            classes = module.eval()(torch.zeros(2, *shape)).shape[1]
        x = torch.randn(SAMPLES, *shape)
        specs = TensorSpec("input", (None, *shape)), TensorSpec("logits", (None, classes))
        change, scheme = compression.passes([{"kind": "int8_ptq"}], "compress")[0].change, chosen.quantized
        student = change.apply(
            Student(module, specs[:1], specs[1:], ({"kind": "student"},)), Context(scheme, 1, [(x,)])
        )
        made = change.finish(student, scheme)
        with torch.no_grad():
            wanted[net] = made.module(x).numpy()
        (tmp_path / f"{net}.onnx").write_bytes(to_onnx(made, opset=20, metadata={}, asked=chosen.passes))
        np.savez(tmp_path / f"{net}.npz", input=x.numpy())
    openvino_answers(tmp_path, "")
    for net, right in wanted.items():
        with np.load(tmp_path / f"{net}.out.npz") as found:
            for batch, said in found.items():
                assert worst(said, right) <= 5e-3, f"{net}, batch {batch}"
