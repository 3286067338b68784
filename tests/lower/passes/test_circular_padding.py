"""Circular padding: OpenVINO reads the file and answers as torch does, and ONNX Runtime keeps its own operator."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import torch
from torch import nn

from edgekd.learn.student import Student, TensorSpec
from edgekd.lower.lower import to_onnx
from edgekd.runtime import backend as backends
from edgekd.spec import target


def operators(data: bytes) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load_from_string(data).graph.node)


def test_both_runtimes_answer_as_torch_does() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"),
        nn.ReLU(),
        nn.Conv2d(4, 4, (1, 5), padding=(0, 2), padding_mode="circular"),
        nn.Flatten(),
        nn.Linear(4 * 6 * 7, 2),
    ).eval()
    student = Student(module, (TensorSpec("input", (None, 3, 6, 7)),), (TensorSpec("logits", (None, 2)),))
    files = {
        name: to_onnx(student, opset=20, metadata={}, asked=target.load(name).passes)
        for name in ("ort-cpu", "openvino")
    }
    assert operators(files["ort-cpu"])["Pad"] == 2 and operators(files["openvino"])["Pad"] == 0
    assert (operators(files["openvino"])["Slice"], operators(files["openvino"])["Concat"]) == (6, 3)
    x = torch.randn(2, 3, 6, 7)
    for name, runtime in (("ort-cpu", "ort"), ("openvino", "ort"), ("openvino", "openvino")):
        backend = backends.make(runtime, {}, "t")
        answers = backend.open(backend.lower(files[name]), batch=2).run({"input": x.numpy()})
        answer = np.asarray(next(iter(answers.values())), np.float32)
        np.testing.assert_allclose(answer, module(x).detach().numpy(), atol=1e-5)
