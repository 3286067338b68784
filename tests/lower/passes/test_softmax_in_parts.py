"""Softmax in parts: for the target that asks, the same answers, and on every opset that a target may name."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from edgekd.base.errors import TargetError
from edgekd.learn.student import Student, TensorSpec
from edgekd.lower.lower import to_onnx
from edgekd.runtime import backend as backends
from edgekd.spec import target

OPENVINO = (
    *("apart_in_3d", "bias_of_matmul", "circular_padding", "extremes_apart", "kept_axes", "linear_of_one"),
    "long_fourier",
)
SHARED = (1, 2)  # axes that the two softmaxes below sum over


class Attention(nn.Module):
    """Two softmaxes over different axes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(x, SHARED[0]) @ torch.softmax(30 * x, SHARED[1]).transpose(1, 2)


@pytest.fixture
def student() -> Student:
    return Student(Attention().eval(), (TensorSpec("x", (None, 6, 5)),), (TensorSpec("y", (None, 6, 6)),))


@pytest.mark.parametrize("opset", [17, 18, 20, 23])
def test_only_where_it_is_asked_for_and_with_the_same_answers(student: Student, opset: int) -> None:
    usual = to_onnx(student, opset=opset, metadata={})
    parts = to_onnx(student, opset=opset, metadata={}, asked=("softmax_in_parts",))
    counts = Counter(node.op_type for node in onnx.load_from_string(parts).graph.node)
    assert (counts["Softmax"], counts["Exp"], counts["ReduceSum"]) == (0, 2, 2)
    assert Counter(node.op_type for node in onnx.load_from_string(usual).graph.node)["Softmax"] == 2
    x = {"x": 10 * np.random.default_rng(0).standard_normal((3, 6, 5), dtype=np.float32)}
    said = [
        next(iter(backends.make(runtime, {}, "t").open({"model.onnx": data}, batch=3).run(x).values())).astype(
            np.float32
        )
        for data in (usual, parts)
        for runtime in ("ort", "reference")
    ]
    for other in said[1:]:
        np.testing.assert_allclose(other, said[0], atol=1e-6)
    assert np.isfinite(said[0]).all()


def test_the_portable_target_asks_for_it() -> None:
    assert target.load("portable-int8").passes == ("softmax_in_parts", *OPENVINO), "OpenVINO opens it, too"
    assert "softmax_in_parts" not in (*target.load("ort-cpu").passes, *target.load("openvino").passes)


def test_an_unknown_pass_is_named_with_the_nearest(tmp_path: Path) -> None:
    table = (target.folder() / "portable-int8.toml").read_text().replace("softmax_in_parts", "softmax_in_part")
    (tmp_path / "mine.toml").write_text(table)
    with pytest.raises(TargetError, match=r"softmax_in_part\b") as caught:
        target.load(str(tmp_path / "mine.toml"))
    assert "softmax_in_parts" in str(caught.value)
