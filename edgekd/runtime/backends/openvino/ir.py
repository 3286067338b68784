"""An OpenVINO IR that depends on the model alone, and is lean. Without OpenVINO itself: its models are passed in."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from types import ModuleType

import numpy as np

from edgekd.runtime.backends.openvino.zero_points import Model, start_at_zero

# OpenVINO numbers its own nodes per process: Constant_23, Reshape_164/fq.
_LAYER = re.compile(r"(Conv|ConvTranspose|Gemm|MatMul)_\d+")  # as lower/passes/short_names.py names layers
_NUMBERED = re.compile(r"(^|/)[A-Z][A-Za-z]*_\d+")


def suit_int8_passes(model: Model, opset: ModuleType) -> None:
    """Write a model so that OpenVINO's int8 passes see what they can use, in place; what it computes is the same.

    Args:
        opset: OpenVINO's operators.
    """
    unshare_weights(model, opset)
    start_at_zero(model, opset)
    share_bounds(model)


def share_bounds(model: Model) -> None:
    """Let a rounding say once what its range is, in place: it reads the same two numbers before and after rounding.

    Two constants of 190 bytes of XML less for each; the compiled network has the same layers and types.
    """
    for node in model.get_ordered_ops():
        if node.get_type_name() != "FakeQuantize":
            continue
        for place in (3, 4):  # behind the range that it reads is the one that it gives
            before, after = (node.input_value(at).get_node() for at in (place - 2, place))
            kinds = {before.get_type_name(), after.get_type_name()}
            if kinds == {"Constant"} and np.array_equal(before.data, after.data):
                node.input(place).replace_source_output(before.output(0))


def unshare_weights(model: Model, opset: ModuleType) -> None:
    """Let each layer restore 8-bit weights by itself, in place: of layers that share them, the first alone ran in int8.

    What OpenVINO simplifies gives them one node, of which its int8 passes see the first reader (a convolution with a
    BatchNorm for each of its three uses: 230 us, 100 so). The numbers are each one's own, or a change of the input's
    size joins the nodes again; they are written once.

    Args:
        opset: OpenVINO's operators.
    """
    for node in model.get_ordered_ops():
        weights = node.input_value(0).get_node() if node.get_type_name() == "Convert" else node
        if weights is node or weights.get_type_name() != "Constant":
            continue
        readers = list(node.output(0).get_target_inputs())
        if all(reader.get_node().get_type_name() in ("Multiply", "Subtract") for reader in readers):
            for reader in readers[1:]:
                copied = opset.constant(weights.data, weights.get_element_type())
                restored = opset.convert(copied, node.get_output_element_type(0))
                reader.replace_source_output(restored.output(0))


def name_nodes(model: Model, onnx: bytes) -> None:
    """Give the nodes that OpenVINO numbered names that depend on the model alone.

    Layers with weights keep the name that the ONNX file gives them, so that a profile can be read beside it.
    """
    nodes = model.get_ordered_ops()
    taken = {node.get_friendly_name() for node in nodes}
    for index, node in enumerate(nodes):
        friendly_name = node.get_friendly_name()
        if node.get_type_name() in ("Parameter", "Result") or not _NUMBERED.search(friendly_name):
            continue
        # Where the bias is a node of its own, that has the layer's name.
        layer = friendly_name.removesuffix("/WithoutBiases")
        if _LAYER.fullmatch(layer) and _names_node(onnx, layer) and (layer == friendly_name or layer not in taken):
            name = layer
        else:
            name = f"n{index}"
            while name in taken:
                name += "_"
        taken.add(name)
        node.set_friendly_name(name)


def _names_node(onnx: bytes, name: str) -> bool:
    """Whether an ONNX file names a node so: field 3 of a NodeProto, with its length."""
    data = name.encode()
    return bytes([3 << 3 | 2, len(data)]) + data in onnx


def tidy(xml: bytes) -> bytes:
    """An IR without indentation (a third of the file), one layer a line, and with only our keys in ``rt_info``.

    What a layer reads has the size and type that its maker is said to give: there alone they stand (a sixth of the
    rest).
    """
    net = ET.fromstring(xml)
    for port in net.iterfind("layers/layer/input/port"):
        port[:], port.attrib = [], {"id": port.attrib["id"]}
    for element in net.iter():
        element.text = element.text if element.text and element.text.strip() else None
        element.tail = "\n" if element.tag in ("layer", "edges", "rt_info") else None
    info = net.find("rt_info")
    if info is not None:
        ours = [e for e in info.iter() if e.tag.startswith("edgekd")]
        net.remove(info)
        if ours:
            model_info = ET.SubElement(ET.SubElement(net, "rt_info"), "model_info")
            model_info.extend(sorted(ours, key=lambda e: e.tag))
    return b'<?xml version="1.0"?>\n' + ET.tostring(net, encoding="utf-8", short_empty_elements=True) + b"\n"
