"""What the keys of int8_qat and int8_ptq do to a network and to its file."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torchao.quantization.pt2e import FakeQuantizeBase

from edgekd.base import plugins
from edgekd.base.errors import ExportError
from edgekd.compress._base import Context
from edgekd.compress._bias import correct_biases
from edgekd.compress._prepared import QatModule
from edgekd.learn.student import Student, TensorSpec
from edgekd.lower.lower import to_onnx
from edgekd.runtime import backend as backends
from edgekd.spec import target
from tests.compress.test_low_rank import bert

SHAPE = (3, 8, 8)
# Both runtimes' kernels for int8 weights would round the inputs of a linear layer as they run.
OPTIONS: dict[str, dict[str, Any]] = {
    "ort": {"config": {"session.qdq_matmulnbits_accuracy_level": "1"}},
    "openvino": {"config": {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}},
}


def student() -> Student:
    torch.manual_seed(0)
    table = {"kind": "convnet", "width": 8, "depth": 2, "strides": [1, 2]}
    module = plugins.build("models", table, "m").build(SHAPE, 5)
    with torch.no_grad():
        module.train()(torch.randn(64, *SHAPE))
    spec = TensorSpec("input", (None, *SHAPE))
    return Student(module.eval(), (spec,), (TensorSpec("logits", (None, 5)),), ({"kind": "student"},))


def plain() -> Student:
    """Three linear layers, the middle one hard to round with one scale: nothing that takes long to export."""
    torch.manual_seed(0)
    layers = [torch.nn.Linear(192, 16), torch.nn.ReLU(), torch.nn.Linear(16, 16), torch.nn.ReLU()]
    module = torch.nn.Sequential(torch.nn.Flatten(), *layers, torch.nn.Linear(16, 5))
    with torch.no_grad():
        layers[2].get_parameter("weight")[0] *= 1e3
        module[5].get_parameter("weight")[:, 0] *= 1e-3
    spec = TensorSpec("input", (None, *SHAPE))
    return Student(module.eval(), (spec,), (TensorSpec("logits", (None, 5)),), ({"kind": "student"},))


def context(**told: Any) -> Context:
    generator = torch.Generator().manual_seed(0)
    batches = [(torch.randn(16, *SHAPE, generator=generator),) for _ in range(3)]
    return Context(target.load("ort-cpu").quantized, 1, batches, **told)


def change(kind: str = "int8_qat", **keys: Any) -> Any:
    return plugins.build("compress", {"kind": kind, **keys}, "c")


def test_learned_step_sizes_reach_the_file_as_they_are() -> None:
    before, qat, x = student(), change(step_sizes="learned", ranges="mse"), torch.randn(16, *SHAPE)
    after = qat.apply(before, context())
    steps = {n: p for n, p in after.module.named_parameters() if n.endswith("log_step")}
    begun = {name: step.detach().clone() for name, step in steps.items()}
    optimizer = torch.optim.Adam(after.module.parameters(), lr=0.02)
    qat.begin_epoch(after, 0, 1)
    after.module.train()
    for _ in range(5):
        optimizer.zero_grad()
        after.module(x).square().mean().backward()
        optimizer.step()
    after.module.eval()
    assert all(bool((step != begun[name]).all()) for name, step in steps.items()), "each is learned"

    again = qat.replay(before, json.loads(json.dumps(after.lineage[-1])))
    again.module.load_state_dict(after.module.state_dict())
    with torch.no_grad():
        assert torch.equal(again.module.eval()(x), after.module(x))
    graph = onnx.load_from_string(to_onnx(qat.finish(again), opset=20, metadata={})).graph
    constants = [numpy_helper.to_array(value) for value in graph.initializer]
    found = {float(v) for c in constants if c.dtype == np.float32 for v in c.reshape(-1)}
    assert {float(v) for step in steps.values() for v in torch.exp(step.detach()).reshape(-1)} <= found
    assert all(np.abs(c.astype(int)).max() <= 63 for c in constants if c.dtype == np.int8 and c.ndim > 1)
    assert isinstance(after.module, QatModule) and len(after.module.layers) == 3


def test_a_frozen_batchnorm_answers_and_exports_as_one_that_is_frozen_later() -> None:
    before, here, x = student(), context(), torch.randn(8, *SHAPE)
    now, later = change(freeze_bn_after=0.0), change(freeze_bn_after=0.5)
    frozen, fused = now.apply(before, here), later.apply(before, here)
    targets = [{str(node.target) for node in s.module.graph.graph.nodes} for s in (frozen, fused)]
    assert ["aten.batch_norm.default" in found for found in targets] == [False, True]
    with torch.no_grad():
        answers = [s.module(x) for s in (frozen, fused)]
        finished = [c.finish(s).module(x) for c, s in ((now, frozen), (later, fused))]
    torch.testing.assert_close(answers[0], answers[1])
    torch.testing.assert_close(finished[0], finished[1])
    torch.testing.assert_close(finished[0], answers[0], atol=0.02, rtol=0.02)

    frozen.module.train()(x).square().mean().backward()
    graded = {name for name, p in frozen.module.named_parameters() if p.grad is not None and bool(p.grad.any())}
    assert graded == {name for name, _ in frozen.module.named_parameters()}, "gamma and beta train, too"


def shift(before: Student, after: Student, calibration: Any) -> float:
    """Of the mean answers, the largest."""
    with torch.no_grad():
        apart = [after.module(*x) - before.module(*x) for x in calibration]
    return float(torch.cat(apart).mean(dim=0).abs().max())


def test_bias_correction_takes_the_shift_of_the_answers_away() -> None:
    before, here = student(), context()
    without, corrected = (change("int8_ptq", bias_correction=on).apply(before, here) for on in (False, True))
    assert shift(before, corrected, here.calibration) < 0.1 * shift(before, without, here.calibration)
    assert corrected.module.training is False


def test_biases_are_corrected_by_tokens_and_not_by_what_stands_at_padding() -> None:
    before = bert(width=16)
    ids, mask = before.example(16, length=12)
    mask[:, 4:] = 0
    padded = [(ids.masked_fill(mask == 0, padding), mask) for padding in (0, 7)]
    here = Context(target.load("ort-cpu").quantized, 1, padded[:1])
    prepared, one, other = (change(bias_correction=False).apply(before, here).module for _ in range(3))
    assert isinstance(one, QatModule) and isinstance(other, QatModule)
    names = correct_biases(one, padded[:1], masked_by=1)
    assert names == correct_biases(other, padded[1:], masked_by=1)
    state, moved = prepared.state_dict(), one.state_dict()
    assert any(not torch.equal(value, moved[name]) for name, value in state.items())
    for name, value in other.state_dict().items():
        torch.testing.assert_close(value, moved[name])


def test_layers_stay_in_float_by_name_or_by_what_their_rounding_does() -> None:
    before, x, numerics = plain(), torch.randn(8, *SHAPE), target.load("ort-cpu").quantized
    assert numerics is not None
    here = Context(numerics.model_copy(update={"per_channel": False}), 1, context().calibration)
    mixed = change(most_float=1, float_layers=["5"])
    assert mixed.suffix == "mixed" and change("int8_ptq", most_float=1).suffix == "ptq-mixed"
    assert change().suffix == "" and change("int8_ptq").suffix == "ptq"
    after = mixed.apply(before, here)
    record = json.loads(json.dumps(after.lineage[-1]))
    assert set(record["sensitivity"]) == {"1", "3"} and record["float_layers"] == ["5", "3"]
    assert isinstance(after.module, QatModule) and set(after.module.layers) == {"1"}
    again = mixed.replay(before, record)
    again.module.load_state_dict(after.module.state_dict())
    with torch.no_grad():
        assert torch.equal(again.module.eval()(x), after.module(x))
    graph = onnx.load_from_string(to_onnx(mixed.finish(after), opset=20, metadata={})).graph
    assert sum(value.data_type == onnx.TensorProto.INT8 and len(value.dims) > 1 for value in graph.initializer) == 1


@pytest.mark.parametrize("dropout", [torch.nn.Dropout, torch.nn.Dropout2d])
def test_what_a_dropout_hides_is_rounded_once_before_it(dropout: Any) -> None:
    net = torch.nn
    two = net.Sequential(net.Conv2d(3, 8, 3), net.ReLU(), dropout(0.5), net.Conv2d(8, 8, 3), net.ReLU())
    before = Student(two.eval(), (TensorSpec("x", (None, *SHAPE)),), (TensorSpec("y", (None, 8, 4, 4)),))
    after = change().apply(before, context())
    assert isinstance(after.module, QatModule) and {len(found) for found in after.module.layers.values()} == {2}
    x = torch.randn(2, *SHAPE)
    with torch.no_grad():
        assert not torch.equal(after.module.train()(x), after.module(x)), "in training it hides"
        assert torch.equal(after.module.eval()(x), after.module(x))
    graph = onnx.load_from_string(to_onnx(change().finish(after), opset=20, metadata={})).graph
    assert [node.op_type for node in graph.node].count("QuantizeLinear") == 2, "the input, and what is hidden"


class Named(torch.nn.Module):
    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.bert = torch.nn.ModuleDict({"encoder": module})

    def forward(self, x: torch.Tensor) -> Any:
        return self.bert["encoder"](x)


def test_a_layer_that_is_not_there_is_told_with_the_nearest() -> None:
    with pytest.raises(ExportError, match=r"float_layers: .*did you mean 'bert\.encoder'"):
        change(float_layers=["bert.encode"]).apply(replace(plain(), module=Named(plain().module)), context())
    with pytest.raises(ExportError, match=r"most_float: .* less than the 3"):
        change(most_float=3).apply(plain(), context())


def test_sensitivity_is_held_against_the_teacher_where_there_is_one() -> None:
    before, here = plain(), context()
    alone = change().apply(before, here).lineage[-1]["sensitivity"]
    with torch.no_grad():
        teacher = [before.module(*batch) for batch in here.calibration]
    same = change().apply(before, Context(here.numerics, 1, here.calibration, teacher)).lineage[-1]["sensitivity"]
    assert all(value > 0 for value in alone.values())
    assert same == pytest.approx(alone, rel=1e-3), "a teacher that says what the student says"


def test_weights_alone_are_int8_in_the_file_and_compute_in_float() -> None:
    """A recommender is its tables: the file is a quarter, and no activation is rounded."""
    users, items, length = 3000, 800, 6
    inputs = (
        TensorSpec("user", (None,), "int64", users),
        TensorSpec("history", (None, length), "int64", items + 1),
    )
    torch.manual_seed(0)
    module = plugins.build("models", {"kind": "fm", "width": 32}, "m").build((users, items + 1), items)
    before = Student(module.eval(), inputs, (TensorSpec("logits", (None, items)),), ({"kind": "student"},))
    numerics = target.Numerics(name="int8-weights", weights="int8", weight_bits=7, ops=("embedding", "linear"))
    ptq, example = change("int8_ptq"), before.example(5, 9)
    after = ptq.apply(before, Context(numerics, 1, [before.example(32, seed) for seed in range(2)]))
    data = to_onnx(ptq.finish(after), opset=20, metadata={})
    graph = onnx.load_from_string(data).graph
    types = {value.name: value.data_type for value in graph.initializer}
    assert [types[node.input[0]] for node in graph.node if node.op_type == "Gather"] == [onnx.TensorProto.INT8] * 2
    assert not [node for node in graph.node if node.op_type == "QuantizeLinear"]
    assert len(data) < 0.4 * len(to_onnx(before, opset=20, metadata={}))
    with torch.no_grad():
        wanted = after.module(*example).numpy()
    for runtime in OPTIONS:
        backend = backends.make(runtime, OPTIONS[runtime], "t")
        arrays = {spec.name: x.numpy() for spec, x in zip(inputs, example, strict=True)}
        got = backend.open(backend.lower(data), batch=5).run(arrays)["logits"]
        assert np.abs(got - wanted).max() <= 1e-5 * np.ptp(wanted)


class Two(torch.nn.Module):
    """Two heads, each of a convolution whose pooled maps are the answers: no linear layer is the last."""

    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.one, self.two = torch.nn.Conv2d(8, 3, 1), torch.nn.Conv2d(8, 2, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = torch.relu(self.body(x))
        pooled = torch.nn.functional.adaptive_avg_pool2d(self.one(x), 1)
        return torch.flatten(pooled, 1), self.two(x).amax((2, 3))


class Cut(torch.nn.Module):
    """One convolution whose channels are the answers of two heads."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 5, 8)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.conv(x).flatten(1).split([3, 2], dim=1))


@pytest.mark.parametrize("module", [Two(), Cut()], ids=["two", "cut"])
def test_the_answers_are_not_rounded_whatever_computes_them(module: torch.nn.Module) -> None:
    spec, outputs = TensorSpec("input", (None, *SHAPE)), (TensorSpec("a", (None, 3)), TensorSpec("b", (None, 2)))
    before = Student(module.eval(), (spec,), outputs, ({"kind": "student"},))
    after = change().apply(before, context())
    output = next(node for node in after.module.graph.graph.nodes if node.op == "output")
    for node in output.args[0]:
        while node.op == "call_function" and node.target not in COMPUTES:
            node = node.args[0]
        assert node.op == "call_function", f"rounded at the end: {node}"


COMPUTES = {
    torch.ops.aten.conv2d.default,
    torch.ops.aten.adaptive_avg_pool2d.default,
    torch.ops.aten.amax.default,
}


class Ramp(torch.nn.Module):
    """Makes a tensor of its own as it runs, and asks for another's type: an export writes down on which device."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(192, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        ramp = torch.arange(5, device=x.device).to(x.dtype)
        return self.linear(x.flatten(1)) + ramp.to(x.device)


def test_a_graph_makes_its_tensors_where_its_module_is() -> None:
    # "meta" stands for a GPU: a tensor left behind on the CPU is an error there, too.
    module = change().apply(replace(plain(), module=Ramp().eval()), context()).module
    assert isinstance(module, QatModule)
    for name, part in list(module.graph.named_modules()):
        if isinstance(part, FakeQuantizeBase):  # reads a number, which "meta" has none of
            module.graph.set_submodule(name, torch.nn.Identity())
    for place in ("meta", "cpu"):
        module.to_empty(device=place)
        assert module(torch.ones(2, *SHAPE, device=place)).device.type == place
