"""An ONNX file as the fallback analysis reads it: who makes and reads a tensor, and what a scheme wanted in int8."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import onnx
from onnx import numpy_helper

OPS = {
    "conv": ("Conv", "ConvTranspose"),
    "linear": ("Gemm", "MatMul"),
    "add": ("Add",),
    "pool": ("GlobalAveragePool", "AveragePool"),
    "concat": ("Concat",),
}
KIND_OF = {op: kind for kind, ops in OPS.items() for op in ops}


@dataclass(frozen=True)
class Node:
    """One node. ``zero`` and ``lowest`` of a QuantizeLinear: its zero point, and the lowest value of its type."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    group: int = 1
    zero: int | None = None
    lowest: int | None = None


@dataclass(frozen=True)
class Layer:
    """A node that a scheme wanted in int8, and of what kind it is (a key of ``OPS``)."""

    node: Node
    kind: str


@dataclass(frozen=True)
class Graph:
    """The nodes in their order, and how many bytes each constant has."""

    nodes: tuple[Node, ...]
    constants: Mapping[str, int]

    @functools.cached_property
    def _made(self) -> dict[str, Node]:
        return {name: node for node in self.nodes for name in node.outputs}

    @functools.cached_property
    def _read(self) -> dict[str, list[Node]]:
        readers: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in node.inputs:
                readers.setdefault(name, []).append(node)
        return readers

    def producer(self, name: str) -> Node | None:
        """The node that makes a tensor; None for inputs and constants."""
        return self._made.get(name)

    def readers(self, name: str) -> Sequence[Node]:
        """The nodes that read a tensor."""
        return self._read.get(name, ())

    def floats_behind(self, node: Node) -> list[Node]:
        """The nodes that a node's input comes from, the nearest first, back to where it was last quantized."""
        upstream, left = [node], [node]
        while left:
            makers = (self.producer(name) for name in left.pop(0).inputs)
            new = [n for n in makers if n is not None and n.op != "DequantizeLinear" and n not in upstream]
            upstream += new
            left += new
        return upstream[1:]

    def dequantized(self, name: str) -> bool:
        """Whether a tensor comes straight out of a DequantizeLinear."""
        producer = self.producer(name)
        return producer is not None and producer.op == "DequantizeLinear"

    def is_constant(self, name: str) -> bool:
        """Whether a tensor is a constant, or one behind a DequantizeLinear."""
        producer = self.producer(name)
        return name in self.constants or (
            producer is not None and producer.op == "DequantizeLinear" and producer.inputs[0] in self.constants
        )

    def _is_quantized(self, name: str) -> bool:
        """Whether a tensor is a quantized activation: no constant, and no row of an int8 table."""
        producer = self.producer(name)
        before = (
            self.producer(producer.inputs[0]) if producer is not None and producer.op == "DequantizeLinear" else None
        )
        return before is not None and before.op == "QuantizeLinear"

    def wanted(self, ops: Collection[str]) -> list[Layer]:
        """What a scheme wanted in int8.

        Of the products those with a constant (attention multiplies activations, in float by design); of additions,
        poolings and concatenations those that read something quantized (an addition of floats stays float).
        """
        layers = []
        for node in self.nodes:
            kind = KIND_OF.get(node.op)
            if kind is None or kind not in ops:
                continue
            if kind in ("conv", "linear"):
                wanted = node.op != "MatMul" or self.is_constant(node.inputs[1])
            else:
                wanted = any(self._is_quantized(name) for name in node.inputs)
            if wanted:
                layers.append(Layer(node, kind))
        return layers

    def layers(self) -> dict[str, int]:
        """How many of each operator with weights the file has."""
        return dict(Counter(node.op for node in self.nodes if node.op in (*OPS["conv"], *OPS["linear"], "Gather")))

    def bytes_by_op(self) -> dict[str, int]:
        """Bytes of constants by the operator that reads them, also through a DequantizeLinear."""
        spent: Counter[str] = Counter()
        for name, size in self.constants.items():
            for reader in self.readers(name)[:1]:
                behind = self.readers(reader.outputs[0]) if reader.op == "DequantizeLinear" else ()
                spent[behind[0].op if behind else reader.op] += size
        return dict(spent)


def read(data: bytes) -> Graph:
    """The graph of an ONNX file.

    Args:
        data: the file; it was checked when it was exported.
    """
    graph = onnx.load_from_string(data).graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    sizes = {name: len(tensor.raw_data) or tensor.ByteSize() for name, tensor in tensors.items()}
    return Graph(tuple(_node(node, tensors) for node in graph.node), sizes)


def _node(node: onnx.NodeProto, tensors: Mapping[str, onnx.TensorProto]) -> Node:
    group = next((a.i for a in node.attribute if a.name == "group"), 1)
    zero = lowest = None
    if node.op_type == "QuantizeLinear":
        kind = tensors.get(node.input[2]) if len(node.input) > 2 else None
        value = numpy_helper.to_array(kind) if kind is not None else None
        if value is None:
            zero = lowest = 0  # ONNX: uint8 and 0 where nothing is said
        elif value.dtype.name in ("int8", "uint8") and value.size == 1:
            zero, lowest = int(value.reshape(-1)[0]), -128 if value.dtype.name == "int8" else 0
    return Node(node.name, node.op_type, tuple(node.input), tuple(node.output), group, zero, lowest)
