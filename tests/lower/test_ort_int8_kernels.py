"""Small networks through the whole pipeline for ONNX Runtime: what it runs of their int8 files, and what that answers.

Each shows a structure that stayed in float, between conversions, before there was a pass or an annotation for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekd.compress._base import Context
from edgekd.compress.int8_ptq import Int8Ptq
from edgekd.learn.student import Student, TensorSpec
from edgekd.lower.lower import to_onnx
from edgekd.spec import target

SHAPE, CLASSES, BATCHES = (3, 12, 12), 6, (1, 7)
Array = np.ndarray[Any, Any]


class Net(nn.Module):
    """A convolution, what is tried, and a head; ``parts`` are the layers of what is tried."""

    def __init__(self, compute: Callable[..., Tensor], *parts: nn.Module, width: int = 16) -> None:
        super().__init__()
        self.compute, self.parts = compute, nn.ModuleList(parts)
        self.first, self.head = nn.Conv2d(3, 16, 3, padding=1), nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.compute(F.relu(self.first(x)), *self.parts).mean((2, 3)))


class Tokens(nn.Module):
    """Layers over tokens, as of a transformer's feed-forward."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.wide, self.narrow = nn.LayerNorm(36), nn.Linear(36, 64), nn.Linear(64, 36)
        self.head = nn.Linear(36, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.reshape(-1, 12, 36)
        return self.head(self.norm(tokens + self.narrow(F.gelu(self.wide(self.norm(tokens))))).mean(1))


class Heads(nn.Module):
    """Attention over any number of tokens, whose channels are cut into heads and joined again."""

    def __init__(self) -> None:
        super().__init__()
        self.parts, self.back, self.head = nn.Linear(36, 36), nn.Linear(36, 36), nn.Linear(36, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        heads = self.parts(x).view(*x.shape[:2], 3, 12).transpose(1, 2)
        mixed = (heads @ heads.transpose(2, 3)).softmax(-1) @ heads
        return self.head(self.back(mixed.transpose(1, 2).reshape(*x.shape[:2], 36)).mean(1))


class Steps(nn.Module):
    """Rows of an image as steps of an LSTM: two layers, each both ways."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.LSTM(36, 24, 2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(48, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cells(x.transpose(1, 2).flatten(2))[0][:, -1])


def conv(kernel: int = 3, out: int = 16, stride: int = 1, **more: Any) -> nn.Conv2d:
    return nn.Conv2d(16, out, kernel, stride, kernel // 2, **more)


def gated(x: Tensor, a: nn.Module, down: nn.Module, up: nn.Module) -> Tensor:
    y = F.relu(a(x))
    return y * torch.sigmoid(up(F.relu(down(y.mean((2, 3), keepdim=True)))))


def gated_by_linear(x: Tensor, a: nn.Module, down: nn.Module, up: nn.Module) -> Tensor:
    y = F.relu(a(x))
    return y * torch.sigmoid(up(F.relu(down(y.mean((2, 3)))))).view(-1, 16, 1, 1)


def added_in_place(x: Tensor, a: nn.Module, b: nn.Module) -> Tensor:
    shortcut = F.max_pool2d(F.relu(a(x)), 3, 2, 1)
    y = b(shortcut)
    y += shortcut
    return F.relu(y)


def preactivated(x: Tensor, norm: nn.Module, a: nn.Module, again: nn.Module, b: nn.Module) -> Tensor:
    y = x + a(F.relu(norm(x)))
    return y + b(F.relu(again(y)))


NETS: dict[str, Callable[[], nn.Module]] = {
    "silu": lambda: Net(lambda x, a, b: F.silu(b(F.silu(a(x)))), conv(), conv()),
    "squeeze and excitation": lambda: Net(
        lambda x, a, d, u, b: b(gated(x, a, d, u)), conv(), conv(1, 4), nn.Conv2d(4, 16, 1), conv()
    ),
    "squeeze and excitation by linear layers": lambda: Net(
        lambda x, a, d, u, b: b(gated_by_linear(x, a, d, u)), conv(), nn.Linear(16, 4), nn.Linear(4, 16), conv()
    ),
    "a residual that is added in place": lambda: Net(
        lambda x, a, b, c: c(added_in_place(x, a, b)), conv(), conv(), conv()
    ),
    "pre-activation": lambda: Net(preactivated, nn.BatchNorm2d(16), conv(), nn.BatchNorm2d(16), conv()),
    "average pooling": lambda: Net(
        lambda x, a, b: b(F.avg_pool2d(a(F.avg_pool2d(x, 2)), 3, 1, 1)), conv(), conv()
    ),
    "padding as TensorFlow pads": lambda: Net(
        lambda x, a, b: b(F.relu(a(F.pad(x, (0, 1, 0, 1))))), nn.Conv2d(16, 16, 3, 2), conv()
    ),
    "a mirror around": lambda: Net(
        lambda x, a, b: b(F.relu(a(F.pad(x, (1, 1, 1, 1), mode="reflect")))), nn.Conv2d(16, 16, 3), conv()
    ),
    "hardtanh": lambda: Net(lambda x, a, b: b(F.hardtanh(a(x))), conv(), conv()),
    "concatenation": lambda: Net(lambda x, a, b, c: c(torch.cat([F.relu(a(x)), b(x)], 1)), *[
        *(conv(3, 8), conv(3, 8), conv())
    ]),
    "branches": lambda: Net(
        lambda x, a, b, n, c: c(F.relu(a(x) + b(x) + n(x))),
        *(nn.Sequential(conv(), nn.BatchNorm2d(16)), nn.Sequential(conv(1), nn.BatchNorm2d(16)), nn.BatchNorm2d(16)),
        conv(),
    ),
    "transposed convolution": lambda: Net(
        lambda x, up, norm, b: b(F.relu(norm(up(x)))), nn.ConvTranspose2d(16, 8, 3, 2, 1, 1), nn.BatchNorm2d(8),
        nn.Conv2d(8, 16, 3),
    ),
    "tokens": Tokens,
    "steps": Steps,
}  # fmt: skip


class Built(NamedTuple):
    """A file, what is exported into it, and what torch answers: input and logits, by batch."""

    data: bytes
    student: Student
    answers: dict[int, tuple[Array, Array]]


@cache
def built(name: str) -> Built:
    torch.manual_seed(1)
    chosen, change = target.load("ort-cpu"), Int8Ptq()
    scheme, module = chosen.quantized, NETS[name]()
    assert scheme is not None
    with torch.no_grad():
        module.train()(torch.randn(64, *SHAPE))
    specs = TensorSpec("input", (None, *SHAPE)), TensorSpec("logits", (None, CLASSES))
    student = Student(module.eval(), specs[:1], specs[1:], ({"kind": "student"},))
    prepared = change.apply(student, Context(scheme, 1, [(torch.randn(32, *SHAPE),)]))
    exported = change.finish(prepared, scheme.written)
    data = to_onnx(exported, opset=chosen.opset, metadata={}, asked=chosen.passes)
    reference, answers = change.finish(prepared, scheme).module, {}
    with torch.no_grad():
        for batch in BATCHES:
            x = torch.randn(batch, *SHAPE)
            answers[batch] = x.numpy(), reference(x).numpy()
    return Built(data, exported, answers)


def session(data: bytes, optimized: Path | None = None) -> onnxruntime.InferenceSession:
    """One thread; ``optimized``: where the graph that runs is written."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    if optimized is not None:
        options.optimized_model_filepath = str(optimized)
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def runs(data: bytes, folder: Path) -> list[onnx.NodeProto]:
    """The nodes that ONNX Runtime runs of a file."""
    session(data, folder / "optimized.onnx")
    return list(onnx.load(str(folder / "optimized.onnx")).graph.node)


def counts(nodes: list[onnx.NodeProto]) -> Counter[str]:
    return Counter(node.op_type for node in nodes)


# What each runs, by number; every other operator that computes, and every conversion but that of the input, is none.
RUNS = {
    "silu": {"QLinearConv": 3, "QLinearSigmoid": 2, "QLinearMul": 2},
    "squeeze and excitation": {"QLinearConv": 5, "QLinearGlobalAveragePool": 2, "QLinearSigmoid": 1, "QLinearMul": 1},
    "squeeze and excitation by linear layers": {
        "QLinearConv": 3,
        "QLinearGlobalAveragePool": 2,
        "QLinearSigmoid": 1,
        "QLinearMul": 1,
        "Flatten": 2,
        "QGemm": 3,
        "Reshape": 1,
    },
    "a residual that is added in place": {"QLinearConv": 4, "NhwcMaxPool": 1, "QLinearAdd": 1},
    "pre-activation": {"QLinearConv": 5, "QLinearAdd": 2},
    "average pooling": {"QLinearConv": 5},
    "padding as TensorFlow pads": {"QLinearConv": 3},
    "a mirror around": {"QLinearConv": 3, "Pad": 1},
    "hardtanh": {"QLinearConv": 3},
    "concatenation": {"QLinearConv": 4, "QLinearConcat": 1, "Clip": 1},
    "branches": {"QLinearConv": 3},
    "transposed convolution": {"QLinearConv": 3, "DepthToSpace": 1},
}
HEAD = {"QuantizeLinear": 1, "QLinearGlobalAveragePool": 1, "Flatten": 1, "QGemm": 1}


@pytest.mark.parametrize("name", RUNS)
def test_all_of_it_runs_in_8_bits(name: str, tmp_path: Path) -> None:
    """The last layer's kernel hands on floats itself."""
    nodes = runs(built(name).data, tmp_path)
    found = {op: count for op, count in counts(nodes).items() if op != "Transpose"}  # of layouts
    assert found == {**HEAD, **RUNS[name]}


def test_what_moves_and_cuts_in_8_bits_reads_no_floats(tmp_path: Path) -> None:
    for name, op in (("a mirror around", "Pad"), ("concatenation", "Clip"), ("transposed convolution", "DepthToSpace")):
        nodes = runs(built(name).data, tmp_path)
        makers = {out: node for node in nodes for out in node.output}
        (moved,) = (node for node in nodes if node.op_type == op)
        maker = makers[moved.input[0]]
        while maker.op_type == "Transpose":
            maker = makers[maker.input[0]]
        assert maker.op_type == "QLinearConv"


def test_layers_over_tokens_have_their_bias_inside(tmp_path: Path) -> None:
    nodes = runs(built("tokens").data, tmp_path)
    layers = [node for node in nodes if node.op_type == "MatMulIntegerToFloat"]
    assert [len(node.input) for node in layers] == [7, 7] and all(node.input[6] for node in layers)
    assert counts(nodes)["Add"] == 1, "the residual"


def test_recurrent_layers_read_floats_and_multiply_in_8_bits(tmp_path: Path) -> None:
    """They round what they read themselves: nothing else is rounded but what the last layer reads."""
    ran = counts(runs(built("steps").data, tmp_path))
    assert ran["DynamicQuantizeLSTM"] == 2 and ran["LSTM"] == ran["DequantizeLinear"] == 0
    assert ran["QuantizeLinear"] == 1


WITHOUT = {
    "affine_as_conv": ("pre-activation", "Mul"),
    "pool_as_conv": ("average pooling", "QLinearAveragePool"),
    "int8_pad": ("a mirror around", "DequantizeLinear"),
    "int8_relu": ("concatenation", "DequantizeLinear"),
    "matmul_with_bias": ("tokens", "Add"),
    "dynamic_lstm": ("steps", "LSTM"),
}


@pytest.mark.parametrize("kind", WITHOUT)
def test_it_takes_the_pass(kind: str, tmp_path: Path) -> None:
    """If one of these fails, ONNX Runtime does it by itself by now, and the pass may go."""
    chosen = target.load("ort-cpu")
    assert kind in chosen.passes
    name, op = WITHOUT[kind]
    rest = tuple(other for other in chosen.passes if other != kind)
    data = to_onnx(built(name).student, opset=chosen.opset, metadata={}, asked=rest)
    assert counts(runs(data, tmp_path))[op] > counts(runs(built(name).data, tmp_path))[op]


def test_heads_of_a_free_length_ask_for_no_sizes(tmp_path: Path) -> None:
    specs = TensorSpec("input", (None, None, 36)), TensorSpec("logits", (None, CLASSES))
    student, chosen = Student(Heads().eval(), specs[:1], specs[1:]), target.load("ort-cpu")
    concatenations = {
        passes: counts(runs(to_onnx(student, opset=chosen.opset, metadata={}, asked=passes), tmp_path))["Concat"]
        for passes in (chosen.passes, tuple(kind for kind in chosen.passes if kind != "copied_sizes"))
    }
    assert [*concatenations.values()] == [0, 2]


def test_every_pass_that_the_target_asks_for_has_a_net() -> None:
    known = {*WITHOUT, "copied_sizes"}
    assert {*target.load("ort-cpu").passes} == known == {*target.load("ort-cpu-vnni").passes}


@pytest.mark.parametrize("name", NETS)
def test_the_file_answers_as_torch_does_at_every_batch(name: str) -> None:
    net = built(name)
    opened, spread = session(net.data), float(np.ptp(net.answers[BATCHES[-1]][1]))
    for x, wanted in net.answers.values():
        (logits,) = opened.run(None, {"input": x})
        # What is rounded inside of a recurrent layer is not in torch's answers.
        assert np.abs(logits - wanted).max() <= (2e-2 if name == "steps" else 5e-3) * spread
