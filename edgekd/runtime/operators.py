"""The operators of an ONNX file, read without onnx.

The part of the format that is read (onnx.proto3; all else is passed over)::

    ModelProto  graph = 7        GraphProto  node = 1        NodeProto  input = 1   output = 2   op_type = 4
"""

from __future__ import annotations

from collections import Counter

from edgekd.base.errors import IntegrityError
from edgekd.runtime import tensor_pb

_GRAPH, _NODE, _INPUT, _OUTPUT, _OP = 7, 1, 1, 2, 4


def of_onnx(data: bytes, where: str) -> tuple[Counter[str], Counter[str]]:
    """Operators of the main graph, and how many of each read a DequantizeLinear's output.

    Raises:
        IntegrityError: not an ONNX file.
    """
    graphs = _parts(data, _GRAPH, "ModelProto", where)
    nodes = [_node(node, where) for graph in graphs for node in _parts(graph, _NODE, "GraphProto", where)]
    if not nodes:
        raise IntegrityError("not an ONNX file, or one without an operator", where=where)
    dequantized = {name for op, _, outputs in nodes if op == "DequantizeLinear" for name in outputs}
    count, quantized = Counter(op for op, _, _ in nodes), Counter[str]()
    for op, inputs, _ in nodes:
        if op != "QuantizeLinear" and any(name in dequantized for name in inputs):
            quantized[op] += 1
    return count, quantized


def _parts(data: bytes, number: int, what: str, where: str) -> list[bytes]:
    """The messages of one field."""
    fields = tensor_pb.fields(data, where, what)
    return [value for field, value in fields if field == number and isinstance(value, bytes)]


def _node(data: bytes, where: str) -> tuple[str, list[bytes], list[bytes]]:
    """Operator, inputs and outputs."""
    op = b"".join(_parts(data, _OP, "NodeProto", where)[:1])
    inputs, outputs = (_parts(data, field, "NodeProto", where) for field in (_INPUT, _OUTPUT))
    return op.decode("utf-8", "replace"), inputs, outputs
