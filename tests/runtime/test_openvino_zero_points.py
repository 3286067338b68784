"""Rounded numbers that begin at zero in OpenVINO's file: the same answers, of kernels without zero points."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from edgekd.runtime.backend import Session
from edgekd.runtime.backends.openvino.backend import XML, Openvino
from edgekd.runtime.backends.ort.backend import Ort

WIDTH, SCALE = 8, 0.05
HEAD = '<ir_version: 10, opset_import: ["" : 20]>\ng '
# Two layers of rows; of maps, whose second convolution may add zeros around. What is between them has both signs.
ROWS = """(float[n,8] x) => (float[n,8] y) <float s, uint8 z>
{
    x8 = QuantizeLinear (x, s, z)
    x1 = DequantizeLinear (x8, s, z)
    w1 = DequantizeLinear (codes1, scales, zeros)
    p1 = MatMul (x1, w1)
    a1 = Add (p1, bias1)
    g = Gelu (a1)
    g8 = QuantizeLinear (g, s, z)
    g1 = DequantizeLinear (g8, s, z)
    w2 = DequantizeLinear (codes2, scales, zeros)
    p2 = MatMul (g1, w2)
    y = Add (p2, bias2)
}"""
SUMMED = ROWS.replace("y = Add (p2, bias2)", "a2 = Add (p2, bias2)\n    y = Add (a2, g1)")
BARE = ROWS.replace("y = Add (p2, bias2)", "y = Relu (p2)")
MAPS = """(float[n,8,6,6] x) => (float[n,8,a,b] y) <float s, uint8 z>
{
    x8 = QuantizeLinear (x, s, z)
    x1 = DequantizeLinear (x8, s, z)
    w1 = DequantizeLinear <axis = 0> (codes1, scales, zeros)
    a1 = Conv <kernel_shape = [1, 1]> (x1, w1, bias1)
    g = Gelu (a1)
    g8 = QuantizeLinear (g, s, z)
    g1 = DequantizeLinear (g8, s, z)
    w2 = DequantizeLinear <axis = 0> (codes2, scales, zeros)
    y = Conv <kernel_shape = [1, 1], pads = [PADS]> (g1, w2, bias2)
}"""
CASES = {
    # what it is: (text, roundings that begin below zero, of two)
    "rows": (ROWS, 0),
    "rows that an addition reads, too": (SUMMED, 1),
    "no bias to move it into": (BARE, 1),
    "maps": (MAPS.replace("PADS", "0, 0, 0, 0"), 0),
    "zeros around a map": (MAPS.replace("PADS", "1, 1, 1, 1"), 1),
}


def model(text: str, zero: int) -> bytes:
    """The network; its roundings begin at ``-zero`` steps."""
    made = onnx.parser.parse_model(HEAD + text.replace(" <float s, uint8 z>", ""))
    rng, maps = np.random.default_rng(0), "Conv" in text
    values = {"s": np.float32(SCALE), "z": np.uint8(zero), "zeros": np.zeros(WIDTH, np.int8)}
    values["scales"] = rng.uniform(0.005, 0.02, WIDTH).astype(np.float32)
    for number in "12":
        codes = rng.integers(-63, 64, (WIDTH, WIDTH)).astype(np.int8)
        values[f"codes{number}"] = codes.reshape(WIDTH, WIDTH, 1, 1) if maps else codes
        values[f"bias{number}"] = rng.normal(size=WIDTH).astype(np.float32)
    for name, value in values.items():
        if name in text:
            made.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), name))
    return made.SerializeToString()


def feeds(text: str) -> dict[str, Any]:
    shape = (5, WIDTH, 6, 6) if "Conv" in text else (5, WIDTH)
    return {"x": np.random.default_rng(1).normal(size=shape).astype(np.float32)}


def run(session: Session, x: dict[str, Any]) -> NDArray[np.float32]:
    (values,) = session.run(x).values()
    return np.asarray(values, np.float32)


def below_zero(files: dict[str, bytes]) -> int:
    """How many roundings of a file begin below zero."""
    net, binary = ET.fromstring(files[XML]), files[XML.replace(".xml", ".bin")]
    layers = {layer.get("id"): layer for layer in net.iter("layer")}
    edges = {(edge.get("to-layer"), edge.get("to-port")): edge.get("from-layer") for edge in net.iter("edge")}
    count = 0
    for key, layer in layers.items():
        if layer.get("type") == "FakeQuantize":
            data = layers[edges[key, "3"]].find("data")
            assert data is not None
            count += np.frombuffer(binary, np.float32, 1, int(data.get("offset", ""))).item() < 0
    return count


@pytest.mark.parametrize("name", CASES)
def test_what_only_products_read_begins_at_zero(name: str) -> None:
    text, after = CASES[name]
    onnx_file, x = model(text, 60), feeds(text)
    files = Openvino().lower(onnx_file)
    assert below_zero(files) == after
    answers, expected = run(Openvino().open(files), x), run(Ort().open({"model.onnx": onnx_file}), x)
    np.testing.assert_allclose(answers, expected, rtol=0, atol=1e-4 * float(np.abs(expected).max()))


@pytest.mark.parametrize(("zero", "after"), [(0, 0), (60, 0), (128, 2), (255, 0)])
def test_a_zero_in_the_middle_stays_there(zero: int, after: int) -> None:
    """int8 has it there without a zero point; of one sign there is nothing to move."""
    files = Openvino().lower(model(ROWS, zero))
    assert below_zero(files) == (2 if zero == 255 else after)


def test_the_kernels_have_no_zero_points() -> None:
    kernels = Openvino().kernels(Openvino().lower(model(ROWS, 60)), feeds(ROWS))
    assert not [layer for kernel in kernels for layer in kernel.layers if "Subtract" in layer]
