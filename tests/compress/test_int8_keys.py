"""What the keys of int8_qat and int8_ptq do to a network and to its file."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from edgekd import plugins, target
from edgekd.compress._base import Context
from edgekd.compress._prepared import QatModule
from edgekd.learn.student import Student, TensorSpec
from edgekd.lower.lower import to_onnx

SHAPE = (3, 8, 8)


def student() -> Student:
    torch.manual_seed(0)
    table = {"kind": "convnet", "width": 8, "depth": 3, "strides": [1, 1, 2]}
    module = plugins.build("models", table, "m").build(SHAPE, 5)
    with torch.no_grad():
        module.train()(torch.randn(64, *SHAPE))
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
    assert isinstance(after.module, QatModule) and len(after.module.layers) == 4
