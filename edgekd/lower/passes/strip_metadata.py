"""Leave nothing in the file that no runtime reads."""

from __future__ import annotations

from dataclasses import dataclass

from onnxscript import ir


@dataclass(frozen=True)
class StripMetadata:
    """Remove doc strings, exporter metadata and the types of inner values, in branches and bodies of loops, too.

    Kept value types are not only weight: they steer ONNX Runtime into a slower layer normalization.
    """

    def __call__(self, model: ir.Model) -> None:
        model.metadata_props.clear()
        model.doc_string = None
        model.producer_name, model.producer_version = "edgekd", None
        graphs = list(model.graphs())
        kept = {value for graph in graphs for value in (*graph.inputs, *graph.outputs)}
        for graph in graphs:
            _strip(graph, kept)


def _strip(graph: ir.Graph, kept: set[ir.Value]) -> None:
    """Strip one graph; ``kept``: the values whose types stay."""
    graph.metadata_props.clear()
    graph.doc_string = None
    for value in (*graph.inputs, *graph.outputs, *graph.initializers.values()):
        value.metadata_props.clear()
        value.doc_string = None
        if value not in kept:  # an initializer's type stands in its tensor
            value.shape, value.type = None, None
    for node in graph:
        node.metadata_props.clear()
        node.doc_string = None
        for out in node.outputs:
            out.metadata_props.clear()
            out.doc_string = None
            if out not in kept:
                out.shape, out.type = None, None
