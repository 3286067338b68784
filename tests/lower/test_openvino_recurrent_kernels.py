"""LSTMs through the whole pipeline for OpenVINO: what it runs of their int8 files, and what that answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import openvino as ov
import pytest
import torch
from torch import Tensor, nn

from edgekd.base import host
from edgekd.compress._base import Context
from edgekd.compress.int8_ptq import Int8Ptq
from edgekd.learn.student import Student, TensorSpec
from edgekd.lower.lower import to_onnx
from edgekd.runtime.backends.openvino.backend import BIN, XML, Openvino
from edgekd.spec import target

STEPS, WIDTH, ROWS, CLASSES, ANY = 8, 24, 16, 6, 0
BATCHES = (1, 2, 7, ANY)
CONFIG = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
Array = np.ndarray[Any, Any]


class Steps(nn.Module):
    """Two layers, each both ways, the second of the same sizes as the first."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.LSTM(WIDTH, WIDTH // 2, 2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cells(x)[0].mean(1))


class Memory(nn.Module):
    """A layer over rows of a table, another one over its states, the last of which is read."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.cells = nn.Embedding(ROWS, WIDTH), nn.LSTM(WIDTH, 16, batch_first=True)
        self.more, self.head = nn.LSTM(16, 16, batch_first=True), nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.more(self.cells(self.table(x))[0])[1][0][-1])


NETS: dict[str, Callable[[], nn.Module]] = {"steps": Steps, "memory": Memory}


class Built(NamedTuple):
    """A file, what is exported into it, and 14 inputs with what torch answers."""

    data: bytes
    student: Student
    x: Array
    answers: Array


def samples(name: str, number: int) -> Tensor:
    return torch.randint(0, ROWS, (number, STEPS)) if name == "memory" else 2 * torch.randn(number, STEPS, WIDTH)


@cache
def built(name: str, place: str) -> Built:
    torch.manual_seed(1)
    chosen, change = target.load(place), Int8Ptq()
    scheme, module = chosen.quantized, NETS[name]().eval()
    assert scheme is not None
    ids, numbers = TensorSpec("input", (None, STEPS), "int64", ROWS), TensorSpec("input", (None, STEPS, WIDTH))
    inputs, outputs = (ids if name == "memory" else numbers,), (TensorSpec("logits", (None, CLASSES)),)
    student = Student(module, inputs, outputs, ({"kind": "student"},))
    prepared = change.apply(student, Context(scheme, 1, [(samples(name, 32),)]))
    exported = change.finish(prepared, scheme.written)
    data = to_onnx(exported, opset=chosen.opset, metadata={}, asked=chosen.passes)
    x = samples(name, 14)
    with torch.no_grad():
        return Built(data, exported, x.numpy(), exported.module(x).numpy())


def compiled(data: bytes, batch: int) -> ov.CompiledModel:
    """As it ships: lowered to OpenVINO's own format."""
    core, files = ov.Core(), Openvino().lower(data)
    model = core.read_model(files[XML], files[BIN])
    if batch != ANY:
        shape = model.input(0).partial_shape
        shape[0] = batch
        model.reshape(shape)
    return core.compile_model(model, "CPU", CONFIG)


def precisions(model: ov.CompiledModel) -> list[str]:
    """In which each recurrent layer computes."""
    infos = [node.get_rt_info() for node in model.get_runtime_model().get_ordered_ops()]
    return [str(i["runtimePrecision"].astype(str)) for i in infos if i["layerType"].astype(str) == "RNNSeq"]


def answered(model: ov.CompiledModel, x: Array, size: int) -> Array:
    return np.concatenate([next(iter(model({0: x[i : i + size]}).values())) for i in range(0, len(x), size)])


@pytest.mark.skipif("avx512_vnni" not in host.isa(), reason="the kernel runs on CPUs with AVX512-VNNI")
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize(("name", "cells"), [("steps", 4), ("memory", 2)])
def test_recurrent_layers_compute_in_8_bits_and_answer_as_torch_does(name: str, cells: int, batch: int) -> None:
    """With a free batch, too, as a program of an app's own may open a file: not every first state compiles then."""
    net = built(name, "openvino-vnni")
    model = compiled(net.data, batch)
    assert precisions(model) == ["u8"] * cells
    # What is rounded inside of a recurrent layer is not in torch's answers.
    error = np.abs(answered(model, net.x, batch or 7) - net.answers).max()
    assert error <= 2.5e-2 * np.ptp(net.answers)


@pytest.mark.parametrize("batch", [1, ANY])
@pytest.mark.parametrize("name", NETS)
def test_where_any_cpu_is_meant_they_compute_in_float(name: str, batch: int) -> None:
    """From int8 weights, which the file holds."""
    net = built(name, "openvino")
    model = compiled(net.data, batch)
    assert set(precisions(model)) == {"f32"}
    np.testing.assert_allclose(answered(model, net.x, batch or 7), net.answers, atol=5e-3 * np.ptp(net.answers))
    assert len(net.data) < 3 * sum(weights.numel() for weights in NETS[name]().parameters())


def test_it_takes_the_pass() -> None:
    """If this fails, OpenVINO does it by itself by now, and the pass may go."""
    rest = tuple(kind for kind in target.load("openvino-vnni").passes if kind != "int8_lstm")
    data = to_onnx(built("steps", "openvino-vnni").student, opset=20, metadata={}, asked=rest)
    assert set(precisions(compiled(data, 1))) == {"f32"}
