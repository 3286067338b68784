"""The exporter's table of operators is made once, and nobody changes another's."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from onnxscript import opset20
from torch import nn
from torch.onnx._internal.exporter._registration import ONNXRegistry

from edgekd.learn.student import Student, TensorSpec
from edgekd.lower import _operator_table, export
from edgekd.lower._operator_table import one_table
from edgekd.lower.lower import to_onnx

RELU, OPSET = torch.ops.aten.relu.default, 20


def test_files_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(2, 2), nn.RReLU()).eval()
    student = Student(module, (TensorSpec("x", (None, 2)),), (TensorSpec("logits", (None, 2)),))
    ours = [to_onnx(student, opset=OPSET, metadata={}) for _ in range(2)]
    monkeypatch.setattr(export, "one_table", contextlib.nullcontext)
    assert ours == [to_onnx(student, opset=OPSET, metadata={})] * 2


def test_a_translation_that_is_added_to_one_is_in_no_other() -> None:
    before = vars(ONNXRegistry)[_operator_table.MAKE]
    with one_table():
        one, other = (ONNXRegistry.from_torchlib(opset_version=OPSET) for _ in range(2))
        known = len(other.functions[RELU.name()])
        one.register_op(RELU, opset20.Relu)
        third = ONNXRegistry().from_torchlib(opset_version=OPSET)
    assert len(one.functions[RELU.name()]) == known + 1
    assert {len(table.functions[RELU.name()]) for table in (other, third)} == {known}
    assert other.functions[RELU.name()][0] is third.functions[RELU.name()][0], "made once"
    assert vars(ONNXRegistry)[_operator_table.MAKE] is before


def test_operators_that_come_later_are_in_it(tmp_path: Path) -> None:
    """As where a float network is exported first, in a process that has not loaded torchao yet."""
    lines = [
        "import sys\nfrom torch.onnx._internal.exporter._registration import ONNXRegistry",
        "from edgekd.lower._operator_table import one_table",
        "assert 'torchao' not in sys.modules",
        "with one_table(): ONNXRegistry.from_torchlib(opset_version=20)",
        "import torchao.quantization.pt2e",
        "with one_table(): later = ONNXRegistry.from_torchlib(opset_version=20)",
        "assert any('dequantize_per_channel' in str(name) for name in later.functions)",
    ]
    (tmp_path / "later.py").write_text("\n".join(lines))
    subprocess.run([sys.executable, "-W", "ignore", str(tmp_path / "later.py")], check=True)


def test_another_operator_set_has_its_own() -> None:
    with one_table():
        tables = [ONNXRegistry.from_torchlib(opset_version=version) for version in (18, OPSET, 18)]
    assert [table.opset_version for table in tables] == [18, OPSET, 18]
