"""The single whole numbers that stand in an ONNX graph: how many rounds a loop makes may be one of them.

The part of the format that is read (onnx.proto3; all else is passed over)::

    GraphProto      node = 1   initializer = 5             FunctionProto   node = 7
    NodeProto       output = 2   op_type = 4   attribute = 5
    AttributeProto  i = 3   t = 5
    TensorProto     data_type = 2   int64_data = 7   name = 8   raw_data = 9
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from edgekd.runtime import tensor_pb

_NODES = {"graph": 1, "function": 7}
_INITIALIZER, _OUTPUT, _OP, _ATTRIBUTE = 5, 2, 4, 5
_WHOLE, _TENSOR = 3, 5
_TYPE, _INT64, _INT64S, _NAME, _RAW = 2, 7, 7, 8, 9


@dataclass
class Graph:
    """A graph or a function; read when a number is asked for, since few graphs have loops.

    Attributes:
        data: the message.
        kind: ``graph`` or ``function``.
        where: the file.
        outer: the graph around it, whose numbers may be read in it.
    """

    data: memoryview
    kind: str
    where: str
    outer: Graph | None = None

    def number(self, name: bytes) -> int | None:
        """The whole number of a name, here or in a graph around; None where it is no constant.

        Raises:
            IntegrityError: no ONNX file.
        """
        graph: Graph | None = self
        while graph is not None:
            if name in graph.numbers:
                return graph.numbers[name]
            graph = graph.outer
        return None

    @cached_property
    def numbers(self) -> dict[bytes, int]:
        """Of its own, by name: initializers, and what Constants give."""
        found: dict[bytes, int] = {}
        nodes = _NODES[self.kind]
        for number, value in self._parts(self.data, nodes, *([_INITIALIZER] if self.kind == "graph" else [])):
            name, whole = self._constant(value) if number == nodes else self._tensor(value)
            if whole is not None:
                found[name] = whole
        return found

    def _constant(self, node: memoryview) -> tuple[bytes, int | None]:
        """What a node gives, and its number where it is a Constant of one."""
        name, op, whole = b"", b"", None
        for number, value in self._parts(node, _OUTPUT, _OP):
            name, op = (bytes(value), op) if number == _OUTPUT else (name, bytes(value))
        for _, value in self._parts(node, _ATTRIBUTE) if op == b"Constant" else ():
            for number, held in tensor_pb.fields(value, self.where, "ONNX model", fixed=True):
                if number == _WHOLE and isinstance(held, int):
                    whole = held - (held >> 63 << 64)
                elif number == _TENSOR and not isinstance(held, int):
                    whole = self._tensor(held)[1]
        return name, whole

    def _tensor(self, data: memoryview) -> tuple[bytes, int | None]:
        """Name, and the number of a tensor of one, else None."""
        name, kind, whole = b"", 0, None
        for number, value in tensor_pb.fields(data, self.where, "ONNX model", fixed=True):
            if isinstance(value, int):
                kind = value if number == _TYPE else kind
                whole = value - (value >> 63 << 64) if number == _INT64S else whole
            elif number == _NAME:
                name = bytes(value)
            elif number == _RAW and len(value) == 8:
                whole = int.from_bytes(value, "little", signed=True)
            elif number == _INT64S and 0 < len(value) <= 10:
                whole = _packed(bytes(value))
        return name, whole if kind == _INT64 else None

    def _parts(self, data: memoryview, *wanted: int) -> Iterator[tuple[int, memoryview]]:
        """The texts and messages of some numbers."""
        for number, value in tensor_pb.fields(data, self.where, "ONNX model", fixed=True):
            if number in wanted and not isinstance(value, int):
                yield number, value


def _packed(data: bytes) -> int:
    """The first of some numbers in a row."""
    value = 0
    for place, byte in enumerate(data):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            break
    value &= 2**64 - 1
    return value - (value >> 63 << 64)
