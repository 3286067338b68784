"""What an exporter leaves at nodes and values, for which ONNX's text has no place."""

from __future__ import annotations

import onnx
from onnxscript import ir

from edgekd.lower.passes.strip_metadata import StripMetadata

TEXT = """
<ir_version: 10, opset_import: ["" : 20]>
g (float[n,2] x) => (float[n,2] y)
<float[2] b = {1, 2}>
{
    r = Relu (x)
    y = Add (r, b)
}
"""


def test_nothing_stands_at_nodes_and_values() -> None:
    model = ir.from_proto(onnx.parser.parse_model(TEXT))
    graph = model.graph
    values = [*graph.inputs, *graph.initializers.values(), *(node.outputs[0] for node in graph)]
    parts = [*values, *graph, graph]
    for part in parts:
        part.doc_string = "a line of Python"
        part.metadata_props["namespace"] = "a module"
    words = (b"a line of Python", b"namespace", b"a module")
    assert [ir.to_proto(model).SerializeToString().count(word) for word in words] == [len(parts)] * 3
    StripMetadata()(model)
    assert [ir.to_proto(model).SerializeToString().count(word) for word in words] == [0] * 3
