"""What a product of activations gives is rounded before it is moved, for OpenVINO."""

from __future__ import annotations

from dataclasses import dataclass

from onnxscript import ir

from edgekd.lower.passes._base import constant, producer, weight_dq
from edgekd.lower.passes._rounded import grid, is_free, only_reader

WIDE = 64  # channels of a head
MOVES = ("Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze")


@dataclass(frozen=True)
class RoundProduct:
    """``MatMul -> Transpose -> Reshape -> Q -> DQ`` -> ``MatMul -> Q -> DQ -> Transpose -> Reshape``, of one scale.

    Where the length is free OpenVINO then rounds in the kernel of the attention: with heads of 64 channels 1 to 2.6 %
    of a DistilBERT of 2 layers, at 8 to 64 tokens. Heads of 32 are moved as floats at less cost: up to 3.5 % slower so.
    Where sizes are fixed it moves and rounds in one kernel as it is, and a ViT would be 3 to 5 % slower; but before a
    convolution, which wants channels last, it turns the codes as it lays them out: 5 % of a net with a non-local block.
    """

    def __call__(self, model: ir.Model) -> None:
        for quantize in [node for node in model.graph if grid(node, "QuantizeLinear") is not None]:
            dequantize = only_reader(quantize.outputs[0])
            moves = _moves(quantize)
            if (
                moves
                and dequantize is not None
                and dequantize.op_type == "DequantizeLinear"
                and (_is_wide(moves[0].inputs[0]) or _is_map(dequantize.outputs[0]))
            ):
                _round_first(model.graph, moves, quantize, dequantize)


def _is_wide(product: ir.Value | None) -> bool:
    """Whether a product of free length has the channels of a wide head."""
    last = product.shape[-1] if product is not None and product.shape is not None else None
    return is_free(product) and isinstance(last, int) and last >= WIDE


def _moves(quantize: ir.Node) -> list[ir.Node]:
    """What moves a product of activations before it is rounded, in order; empty where anything else stands between."""
    moves: list[ir.Node] = []
    value = quantize.inputs[0]
    while (node := producer(value)) is not None and value is not None and only_reader(value) is not None:
        if node.op_type == "MatMul":
            factor = node.inputs[1]
            return [] if weight_dq(factor, axis=1) is not None or constant(factor) is not None else moves
        if node.op_type not in MOVES:
            return []
        moves.insert(0, node)
        value = node.inputs[0]
    return []


def _is_map(value: ir.Value) -> bool:
    """Whether convolutions read a value, and nothing else."""
    readers = [use.node.op_type for use in value.uses()]
    return bool(readers) and set(readers) == {"Conv"}


def _round_first(graph: ir.Graph, moves: list[ir.Node], quantize: ir.Node, dequantize: ir.Node) -> None:
    product, moved, restored = moves[0].inputs[0], moves[-1].outputs[0], dequantize.outputs[0]
    readers = [(use.node, use.idx) for use in restored.uses()]
    if product is None or restored.is_graph_output():
        return
    for reader, place in readers:
        reader.replace_input_with(place, moved)
    quantize.replace_input_with(0, product)
    moves[0].replace_input_with(0, restored)
    for node in (quantize, dequantize):
        graph.remove(node)
        node.outputs[0].shape = product.shape
    graph.insert_before(moves[0], [quantize, dequantize])
