"""What ``share_constants`` does not compare, which the cases in text are too small for."""

from __future__ import annotations

import onnx
import pytest
from onnxscript import ir

from edgekd.lower.passes.share_constants import ShareConstants

TEXT = """
<ir_version: 10, opset_import: ["" : 20]>
g (float[n,2] x) => (float[n,2] y, float[2] c)
<float[2] a = {1, 2}, float[2] b = {1, 2}, float[2] c = {1, 2}>
{
    s = Add (x, a)
    t = Mul (s, b)
    y = Sub (t, c)
}
"""


@pytest.mark.parametrize(("largest", "left"), [(1, ["a", "b", "c"]), (2, ["a", "c"])])
def test_large_constants_and_outputs_stay(largest: int, left: list[str]) -> None:
    model = ir.from_proto(onnx.parser.parse_model(TEXT))
    ShareConstants(largest=largest)(model)
    assert list(model.graph.initializers) == left
