"""Rows of products of (N, C) tensors on OpenVINO with one thread, which ends the process where they are left to it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgekd.build import compression
from edgekd.compress._base import Context
from edgekd.learn.student import Student, TensorSpec
from edgekd.lower.lower import to_onnx
from edgekd.spec import target

WIDTH = 64
RUN = """
import sys
import numpy as np
from edgekd.runtime import backend
from edgekd.spec import target

chosen = target.load("openvino")
runtime = backend.make(chosen.backend, dict(chosen.options), "t")
for folder in sys.argv[1:]:
    session = runtime.open(runtime.lower(open(folder + "/model.onnx", "rb").read()), batch=1)
    x = np.load(folder + "/x.npy")
    rows = [np.asarray(session.run({"x": x[i : i + 1]})["y"]).copy() for i in range(len(x))]
    np.save(folder + "/y.npy", np.concatenate(rows))
"""


class Residual(nn.Module):
    """A pre-activation block, as tabular networks have it."""

    def __init__(self, norm: type[nn.Module]) -> None:
        super().__init__()
        self.body = nn.Sequential(norm(WIDTH), nn.Linear(WIDTH, 2 * WIDTH), nn.ReLU(), nn.Linear(2 * WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def nets() -> dict[str, nn.Module]:
    """What ended the process or answered wrongly."""
    first, last = nn.Linear(32, WIDTH), nn.Linear(WIDTH, 10)
    behind = [nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.BatchNorm1d(WIDTH)]
    return {
        "pre-activation": nn.Sequential(
            *(first, Residual(nn.BatchNorm1d), Residual(nn.BatchNorm1d), nn.BatchNorm1d(WIDTH), nn.ReLU(), last)
        ),
        "layer norm": nn.Sequential(first, Residual(nn.LayerNorm), Residual(nn.LayerNorm), last),
        "norm behind the activation": nn.Sequential(first, *behind, nn.Linear(WIDTH, WIDTH), nn.Tanh(), last),
    }


def written(folder: Path, net: nn.Module, kind: str) -> np.ndarray:
    """The file for OpenVINO and its inputs in a folder; what torch answers."""
    torch.manual_seed(0)
    for part in net.modules():
        if isinstance(part, nn.BatchNorm1d):
            nn.init.uniform_(part.weight, 0.5, 2)
            nn.init.uniform_(part.bias, -1, 1)
    batches = [(torch.randn(64, 32),) for _ in range(2)]
    for (x,) in batches:
        net.train()(x)
    spec = (TensorSpec("x", (None, 32)),), (TensorSpec("y", (None, 10)),)
    student, chosen = Student(net.eval(), *spec, ({"kind": "student"},)), target.load("openvino")
    if kind == "int8":
        change = compression.passes([{"kind": "int8_ptq"}], "compress")[0].change
        student = change.finish(change.apply(student, Context(chosen.quantized, 1, batches)))
    folder.mkdir()
    x = batches[0][0][:4]
    data = to_onnx(student, opset=chosen.opset, metadata={}, asked=chosen.passes)
    (folder / "model.onnx").write_bytes(data)
    np.save(folder / "x.npy", x.numpy())
    with torch.no_grad():
        return np.asarray(student.module(x).numpy())


@pytest.mark.parametrize("kind", ["fp32", "int8"])
def test_one_thread_answers_as_torch_does(tmp_path: Path, kind: str) -> None:
    wanted = {name: written(tmp_path / name, net, kind) for name, net in nets().items()}
    subprocess.run([sys.executable, "-c", RUN, *(str(tmp_path / name) for name in wanted)], check=True, timeout=300)
    for name, scores in wanted.items():
        tolerance = (1e-5 if kind == "fp32" else 0.02) * float(np.ptp(scores))
        np.testing.assert_allclose(np.load(tmp_path / name / "y.npy"), scores, rtol=0, atol=tolerance, err_msg=name)
