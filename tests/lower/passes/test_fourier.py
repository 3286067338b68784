"""Fourier transforms in products against numpy's, on both runtimes: OpenVINO reads none of them as they are meant."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnxscript import ir
from torch import Tensor, nn

from edgekd.learn.student import Student, TensorSpec
from edgekd.lower import lower
from edgekd.lower.passes.long_fourier import LongFourier
from edgekd.lower.passes.plain_fourier import PlainFourier
from edgekd.runtime import backend as backends
from edgekd.spec import target

TARGETS = ("ort-cpu", "openvino")
# Batch, entries of each axis; the axis; entries at the end: 1 real, 2 complex.
SIZES = [((2, 5), -2, 1), ((3, 6, 4), 1, 2), ((2, 4, 7), 2, 1), ((2, 4, 7), -2, 2), ((1, 1024), 1, 1), ((2, 1), 1, 2)]


def model(x: NDArray[np.float32], axis: int, is_free: bool, **attributes: int) -> onnx.ModelProto:
    """One DFT of opset 20; the sizes of its input are known beforehand or not."""
    shape = [f"d{i}" if is_free and i < x.ndim - 1 else size for i, size in enumerate(x.shape)]
    node = helper.make_node("DFT", ["x", "", "axis"], ["y"], **attributes)
    shown = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * x.ndim)
    graph = helper.make_graph([node], "g", [shown], [y], [helper.make_tensor("axis", TensorProto.INT64, [], [axis])])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def answers(proto: onnx.ModelProto, x: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Of both runtimes, after both passes."""
    graph = ir.serde.deserialize_model(proto)
    PlainFourier()(graph)
    LongFourier()(graph)
    assert not any(node.op_type == "DFT" for node in graph.graph)
    data = ir.to_proto(graph).SerializeToString()
    (first,) = onnxruntime.InferenceSession(data).run(None, {"x": x})
    compiled = openvino.Core().compile_model(
        openvino.Core().read_model(data), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    return [np.asarray(first), compiled({"x": x})[0]]


@pytest.mark.parametrize("is_free", [False, True])
@pytest.mark.parametrize(("sizes", "axis", "parts"), SIZES)
@pytest.mark.parametrize("way", ["there", "back", "half"])
def test_a_transform_of_any_axis(sizes: tuple[int, ...], axis: int, parts: int, way: str, is_free: bool) -> None:
    parts = 1 if way == "half" else parts
    x = np.random.default_rng(0).standard_normal((*sizes, parts)).astype(np.float32)
    numbers = x[..., 0] + 1j * (x[..., 1] if parts == 2 else 0)
    place = axis if axis >= 0 else axis + 1
    if way == "half":
        wanted = np.fft.rfft(x[..., 0], axis=place)
    else:
        wanted = (np.fft.ifft if way == "back" else np.fft.fft)(numbers, axis=place)
    spelled = np.stack([wanted.real, wanted.imag], axis=-1)
    proto = model(x, axis, is_free, inverse=int(way == "back"), onesided=int(way == "half"))
    for answer in answers(proto, x):
        np.testing.assert_allclose(answer, spelled, rtol=0, atol=2e-5 * max(1.0, float(np.abs(spelled).max())))


@pytest.mark.parametrize("length", [6, 7])
def test_back_from_half_of_the_frequencies(length: int) -> None:
    signal = np.random.default_rng(1).standard_normal((2, length)).astype(np.float32)
    half = np.fft.rfft(signal)
    x = np.stack([half.real, half.imag], axis=-1).astype(np.float32)
    proto = model(x, 1, False, inverse=1, onesided=1)
    proto.graph.node[0].input[1] = "length"
    proto.graph.initializer.append(helper.make_tensor("length", TensorProto.INT64, [], [length]))
    for answer in answers(proto, x):
        np.testing.assert_allclose(answer[..., 0], signal, rtol=0, atol=1e-5)


class Mixing(nn.Module):
    """As FNet mixes tokens, as global filter networks filter maps, and as sounds become spectra."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.randn(3, 8, 5, 2))
        self.register_buffer("window", torch.hann_window(12))

    def forward(self, x: Tensor) -> Tensor:
        mixed = torch.fft.fftn(x, dim=(1, 2)).real
        spectrum = torch.fft.rfft2(mixed, norm="ortho") * torch.view_as_complex(self.weights)
        filtered = torch.fft.irfft2(spectrum, s=(8, 8), norm="ortho")
        window = self.get_buffer("window")
        return torch.stft(filtered.flatten(1), 12, 4, 12, window=window, return_complex=True).abs().mean(-1)


@pytest.mark.parametrize("name", TARGETS)
def test_what_people_write_is_read_by_every_runtime(name: str) -> None:
    torch.manual_seed(0)
    module = Mixing().eval()
    spec = TensorSpec("x", (None, 3, 8, 8))
    student = Student(module, (spec,), (TensorSpec("y", (None, 7)),), ({"kind": "student"},))
    chosen = target.load(name)
    backend = backends.make(chosen.backend, dict(chosen.options), name)
    data = lower.to_onnx(student, opset=chosen.opset, metadata={}, asked=chosen.passes)
    x = torch.randn(1, 3, 8, 8)
    with torch.no_grad():
        wanted = module(x).numpy()
    answers = backend.open(backend.lower(data), batch=1).run({"x": x.numpy()})
    np.testing.assert_allclose(np.asarray(answers["y"], np.float32), wanted, rtol=1e-4, atol=1e-4)
