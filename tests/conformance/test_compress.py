"""What every compression pass keeps, found by its file."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from edgekd import plugins, target
from edgekd.compress._base import Context
from edgekd.learn.student import Student, TensorSpec
from edgekd.lower.lower import to_onnx
from edgekd.runtime.backends import _base as backends

KINDS = plugins.kinds("compress")
SHAPE = (3, 16, 16)
FAMILIES: list[dict[str, Any]] = [
    {"kind": "convnet", "width": 32},
    {"kind": "resnet", "depth": 8, "width": 16},
    {"kind": "mobilenet"},
]


def student_of(table: dict[str, Any]) -> Student:
    torch.manual_seed(0)
    module = plugins.build("models", table, "m").build(SHAPE, 5)
    with torch.no_grad():
        module.train()(torch.randn(32, *SHAPE))
    spec = TensorSpec("input", (None, *SHAPE))
    return Student(module.eval(), (spec,), (TensorSpec("logits", (None, 5)),), ({"kind": "student"},))


def context() -> Context:
    generator = torch.Generator().manual_seed(0)
    return Context(
        target.load("ort-cpu").quantized, 8, [(torch.randn(8, *SHAPE, generator=generator),) for _ in range(2)]
    )


@pytest.mark.parametrize("table", FAMILIES, ids=lambda t: t["kind"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_life_of_a_pass(kind: str, table: dict[str, Any]) -> None:
    change, before = plugins.build("compress", {"kind": kind}, "test"), student_of(table)
    state = {name: value.clone() for name, value in before.module.state_dict().items()}
    change.requires(before, context())
    after = change.apply(before, context())
    change.ensures(before, after)
    assert all(torch.equal(state[n], v) for n, v in before.module.state_dict().items()), "apply changed its input"
    assert after.lineage[:-1] == before.lineage
    record = json.loads(json.dumps(after.lineage[-1]))  # plain data: it survives JSON

    change.begin_epoch(after, 0, 2)
    after.module.train()
    after.module(torch.randn(4, *SHAPE)).square().mean().backward()
    change.begin_epoch(after, 1, 2)
    after.module.eval()

    replayed = change.replay(before, record)
    replayed.module.load_state_dict(after.module.state_dict())
    x = torch.randn(4, *SHAPE)
    with torch.no_grad():
        assert torch.equal(replayed.module.eval()(x), after.module.eval()(x)), "replay gives another network"

    finished = change.finish(replayed)
    data = to_onnx(finished, opset=20, metadata={})
    session = backends.make("ort", {}, "test").open({"model.onnx": data}, batch=4)
    got = session.run({"input": x.numpy()})["logits"]
    with torch.no_grad():
        wanted = after.module(x).numpy()
    spread = float(np.ptp(wanted))
    assert np.abs(got - wanted).max() <= (0.05 if change.quantizes else 1e-4) * spread


def test_pruning_keeps_the_channel_multiple() -> None:
    change, before = plugins.build("compress", {"kind": "channel_prune", "ratio": 0.4}, "test"), student_of(FAMILIES[0])
    after = change.apply(before, context())
    widths = [m.out_channels for m in after.module.modules() if isinstance(m, torch.nn.Conv2d)]
    assert all(width % 8 == 0 for width in widths) and max(widths) < 32


def test_int8_weights_fit_in_seven_bits() -> None:
    import onnx
    from onnx import numpy_helper

    change, before = plugins.build("compress", {"kind": "int8_qat"}, "test"), student_of(FAMILIES[1])
    data = to_onnx(change.finish(change.apply(before, context())), opset=20, metadata={})
    weights = [numpy_helper.to_array(i) for i in onnx.load_from_string(data).graph.initializer]
    int8 = [w for w in weights if w.dtype == np.int8 and w.ndim > 1]
    assert len(int8) == 10
    assert all(np.abs(w.astype(int)).max() <= 63 for w in int8)


class Twice(torch.nn.Module):
    """One convolution used twice, with a BatchNorm of its own each time."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 3, 3, padding=1, bias=False)
        self.one, self.two = torch.nn.BatchNorm2d(3, eps=1e-3, momentum=0.3), torch.nn.BatchNorm2d(3)
        self.head = torch.nn.Linear(3, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.one(self.conv(x)))
        x = torch.relu(self.two(self.conv(x)))
        return self.head(x.mean((2, 3)))


def test_a_convolution_used_twice_and_another_epsilon_are_folded_rightly() -> None:
    torch.manual_seed(0)
    module = Twice()
    with torch.no_grad():
        module.train()(torch.randn(64, *SHAPE))
        module.one.running_var.mul_(1e-3)
    spec = TensorSpec("input", (None, *SHAPE))
    before = Student(module.eval(), (spec,), (TensorSpec("logits", (None, 5)),), ({"kind": "student"},))
    change = plugins.build("compress", {"kind": "int8_qat"}, "test")
    calibration = [(torch.randn(16, *SHAPE),) for _ in range(4)]
    after = change.apply(before, Context(target.load("ort-cpu").quantized, 1, calibration))
    data = to_onnx(change.finish(after), opset=20, metadata={})
    got = backends.make("ort", {}, "t").open({"model.onnx": data}, batch=16).run({"input": calibration[0][0].numpy()})
    with torch.no_grad():
        wanted = before.module(*calibration[0]).numpy()
    assert np.abs(got["logits"] - wanted).max() <= 0.08 * np.ptp(wanted)
