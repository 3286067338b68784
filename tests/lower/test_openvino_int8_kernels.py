"""Small networks through the whole pipeline for OpenVINO: what it runs of their int8 files, and what that answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import openvino as ov
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekd.compress._base import Context
from edgekd.compress.int8_ptq import Int8Ptq
from edgekd.learn.student import Student, TensorSpec
from edgekd.lower.lower import to_onnx
from edgekd.spec import target

SHAPE, CLASSES, BATCHES = (3, 16, 16), 6, (1, 7)
CONFIG = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
AROUND = {"Input", "Output", "Const", "Parameter", "Result", "Reorder", "Reshape", "Transpose"}
Array = np.ndarray[Any, Any]


class Net(nn.Module):
    """A convolution, what is tried, and a head; ``parts`` are the layers of what is tried."""

    def __init__(self, compute: Callable[..., Tensor], *parts: nn.Module) -> None:
        super().__init__()
        self.compute, self.parts = compute, nn.ModuleList(parts)
        self.first, self.head = nn.Conv2d(3, 16, 3, padding=1), nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.compute(F.relu(self.first(x)), *self.parts).mean((2, 3)))


def conv(kernel: int = 3, out: int = 16, **more: Any) -> nn.Conv2d:
    return nn.Conv2d(16, out, kernel, padding=kernel // 2, **more)


def ghost(x: Tensor, a: nn.Module, cheap: nn.Module, b: nn.Module, c: nn.Module) -> Tensor:
    y = F.relu(a(x))
    both = torch.cat([y, F.relu(cheap(y))], 1)
    return F.relu(b(both)) + c(both)


def convnext(x: Tensor, spatial: nn.Module, norm: nn.Module, wide: nn.Module, narrow: nn.Module) -> Tensor:
    y = norm(spatial(x).permute(0, 2, 3, 1))
    return x + narrow(F.gelu(wide(y))).permute(0, 3, 1, 2)


def looked_around(x: Tensor, q: nn.Module, k: nn.Module, v: nn.Module) -> Tensor:
    query, key, value = (layer(x).flatten(2) for layer in (q, k, v))
    shares = torch.softmax(query.transpose(1, 2) @ key / 4, -1)
    return (shares @ value.transpose(1, 2)).transpose(1, 2).reshape(x.shape)


NETS: dict[str, Callable[[], nn.Module]] = {
    "elu": lambda: Net(lambda x, a, b: F.relu(b(F.elu(a(x)))), conv(), conv()),
    "silu": lambda: Net(lambda x, a, b: F.relu(b(F.silu(a(x)))), conv(), conv()),
    "residual": lambda: Net(lambda x, a, b: F.relu(b(F.relu(a(x))) + x), conv(), conv()),
    "ghost": lambda: Net(ghost, conv(1, 8), nn.Conv2d(8, 8, 3, padding=1, groups=8), conv(), conv(1)),
    "convnext": lambda: Net(
        convnext, conv(7, groups=16), nn.LayerNorm(16), nn.Linear(16, 64), nn.Linear(64, 16)
    ),
    "instance norm": lambda: Net(
        lambda x, a, n, b: F.relu(b(F.relu(n(a(x))))), conv(), nn.InstanceNorm2d(16, affine=True), conv()
    ),
    "non-local": lambda: Net(
        lambda x, q, k, v, o: F.relu(x + o(looked_around(x, q, k, v))), conv(1), conv(1), conv(1), conv(1)
    ),
    "a sum with one number a channel": lambda: Net(
        lambda x, a, b: F.relu(b(x) + a(x.mean((2, 3), keepdim=True))), conv(1), conv()
    ),
}  # fmt: skip


class Built(NamedTuple):
    """A file, what is exported into it, and what torch answers: input and logits, by batch."""

    data: bytes
    student: Student
    prepared: Student  # with fake quantization
    answers: dict[int, tuple[Array, Array]]


@cache
def built(name: str) -> Built:
    torch.manual_seed(1)
    chosen, change = target.load("openvino"), Int8Ptq()
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
    return Built(data, exported, prepared, answers)


@cache
def compiled(data: bytes, batch: int) -> ov.CompiledModel:
    core = ov.Core()
    model = core.read_model(data)
    model.reshape([batch, *SHAPE])
    return core.compile_model(model, "CPU", CONFIG)


class Layer(NamedTuple):
    """What OpenVINO runs: its operator, in which type it computes and hands on, and of which nodes it was made."""

    type: str
    precision: str
    gives: str
    nodes: frozenset[str]


def layers(data: bytes) -> list[Layer]:
    """In the order in which they run; constants, copies, and what moves weights or views left out."""
    found = []
    for node in compiled(data, 1).get_runtime_model().get_ordered_ops():
        info = {key: str(value.astype(str)) for key, value in node.get_rt_info().items()}
        nodes = frozenset(info["originalLayersNames"].split(","))
        found.append(Layer(info["layerType"], info["runtimePrecision"], info["outputPrecisions"], nodes))
    return [layer for layer in found if layer.type not in AROUND]


# Beside the rounding of the input (a Subgraph), the mean and the last layer.
RUNS = {
    "elu": {"Convolution": 3},
    "silu": {"Convolution": 3},
    "residual": {"Convolution": 3},
    "ghost": {"Convolution": 5, "Concatenation": 1},
}
ENDS = {"Subgraph": 1, "Reduce": 1, "FullyConnected": 1}


@pytest.mark.parametrize("name", RUNS)
def test_activations_and_sums_are_computed_in_the_convolutions_kernels(name: str) -> None:
    ran = layers(built(name).data)
    assert Counter(layer.type for layer in ran) == {**ENDS, **RUNS[name]}
    convolutions = [layer for layer in ran if layer.type == "Convolution"]
    assert {(layer.precision, layer.gives) for layer in convolutions} <= {("u8", "u8"), ("u8", "i8")}


def test_what_is_put_together_stays_in_8_bits_where_its_parts_have_other_readers() -> None:
    (both,) = (layer for layer in layers(built("ghost").data) if layer.type == "Concatenation")
    assert (both.precision, both.gives) == ("u8", "u8")


def test_linear_layers_over_maps_compute_bias_and_activation_themselves() -> None:
    ran = layers(built("convnext").data)
    assert not any(layer.type == "Eltwise" for layer in ran)
    wide, narrow = (layer for layer in ran if layer.type == "FullyConnected" and "logits" not in layer.nodes)
    assert {"MatMul_0", "Add_0", "Gelu_0"} <= wide.nodes and {"MatMul_1", "Add_1"} <= narrow.nodes
    assert wide.precision == narrow.precision == "u8"


def test_what_a_non_local_block_gives_is_rounded_in_the_products_kernel() -> None:
    ran = layers(built("non-local").data)
    product = [layer for layer in ran if layer.type == "MatMul"][-1]
    assert product.gives in ("u8", "i8")


def test_an_instance_norm_reads_8_bits() -> None:
    ran = layers(built("instance norm").data)
    (place,) = (number for number, layer in enumerate(ran) if layer.type == "MVN")
    before = next(layer for layer in reversed(ran[:place]) if layer.type == "Convolution")
    assert before.gives == "u8" and ran[place].gives == "u8", "it rounds what it gives, too"


def test_it_takes_the_pass_for_linear_layers() -> None:
    """If this fails, OpenVINO does it by itself by now, and the pass may go."""
    chosen = target.load("openvino")
    assert "flat_linear" in chosen.passes and "flat_linear" in target.load("openvino-vnni").passes
    rest = tuple(kind for kind in chosen.passes if kind != "flat_linear")
    data = to_onnx(built("convnext").student, opset=chosen.opset, metadata={}, asked=rest)
    linear = [layer for layer in layers(data) if layer.type == "FullyConnected" and "logits" not in layer.nodes]
    assert not any("Gelu_0" in layer.nodes for layer in linear)


@pytest.mark.parametrize("name", ["elu", "silu"])
def test_it_takes_unrounded_chains(name: str) -> None:
    scheme, net = target.load("openvino").quantized, built(name)
    assert scheme is not None and scheme.chains == "fused"
    everywhere = scheme.written.model_copy(update={"chains": "quantized"})
    data = to_onnx(Int8Ptq().finish(net.prepared, everywhere), opset=20, metadata={}, asked=("flat_linear",))
    assert len(layers(data)) > len(layers(net.data))


@pytest.mark.parametrize("name", NETS)
def test_the_file_answers_as_torch_does_at_every_batch(name: str) -> None:
    net = built(name)
    spread = float(np.ptp(net.answers[BATCHES[-1]][1]))
    for batch, (x, wanted) in net.answers.items():
        (logits,) = compiled(net.data, batch)({0: x}).values()
        assert np.abs(logits - wanted).max() <= 5e-3 * spread
