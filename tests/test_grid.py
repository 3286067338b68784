"""What the torch network says is what the file says: biases lie on the grid of the kernels' sums."""

from __future__ import annotations

import torch

from edgekd.base import plugins
from edgekd.compress._base import Context
from edgekd.learn.student import Student, TensorSpec
from edgekd.lower.lower import to_onnx
from edgekd.runtime import backend as backends
from edgekd.spec import target


def test_int8_convolutions_answer_as_in_torch_to_the_last_step() -> None:
    torch.manual_seed(0)
    shape = (3, 16, 16)
    module = plugins.build("models", {"kind": "convnet", "width": 24, "depth": 4}, "m").build(shape, 5)
    with torch.no_grad():
        module.train()(torch.randn(64, *shape))
    spec = TensorSpec("input", (None, *shape))
    student = Student(module.eval(), (spec,), (TensorSpec("logits", (None, 5)),), ({"kind": "student"},))
    change = plugins.build("compress", {"kind": "int8_ptq"}, "test")
    x = torch.randn(256, *shape)
    context = Context(target.load("ort-cpu").quantized, 8, [(x[:64],)])
    finished = change.finish(change.apply(student, context))
    data = to_onnx(finished, opset=20, metadata={})
    with torch.no_grad():
        wanted = finished.module(x).numpy()
    for kind in ("ort", "openvino"):
        backend = backends.make(kind, {}, "test")
        got = backend.open(backend.lower(data), batch=256).run({"input": x.numpy()})["logits"]
        step = float((wanted.max() - wanted.min()) / 255)
        assert (abs(got - wanted) > step / 2).mean() < 0.002, kind
