"""The single whole numbers and truths that stand in an ONNX graph: how long a loop runs may be one of them.

The part of the format that is read (onnx.proto3; all else is passed over)::

    GraphProto         node = 1   initializer = 5   input = 11   output = 12   sparse_initializer = 15
    FunctionProto      node = 7
    ValueInfoProto     name = 1
    NodeProto          input = 1   output = 2   op_type = 4   attribute = 5
    AttributeProto     i = 3   t = 5   ints = 8   sparse_tensor = 22
    TensorProto        data_type = 2   int32_data = 5   int64_data = 7   name = 8   raw_data = 9
    SparseTensorProto  values = 1
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from edgekd.base.errors import IntegrityError
from edgekd.runtime import tensor_pb

_NODES = {"graph": 1, "function": 7}
_INITIALIZER, _GIVEN, _GIVES = 5, 11, 12
_HELD = (_INITIALIZER, 15)  # as they are, and sparse
_INPUT, _OUTPUT, _OP, _ATTRIBUTE = 1, 2, 4, 5
_WHOLE, _TENSOR, _WHOLES, _SPARSE = 3, 5, 8, 22
_TYPE, _INT32S, _INT64S, _NAME, _RAW = 2, 5, 7, 8, 9
_BYTES = {7: 8, 9: 1}  # of a number, by the types int64 and bool
HOPS = 100  # by which a name may stand for another one


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
            name = graph.origin(name)
            if name in graph.numbers:
                return graph.numbers[name]
            graph = graph.outer
        return None

    def within(self, data: memoryview) -> Graph:
        """A graph in this one."""
        return Graph(data, "graph", self.where, self)

    def origin(self, name: bytes) -> bytes:
        """What a name stands for, where nodes hand it on as it is.

        Raises:
            IntegrityError: they do so without end.
        """
        for _ in range(HOPS):
            if name not in self.same:
                return name
            name = self.same[name]
        raise IntegrityError("handed on from name to name", where=self.where, allowed=f"{HOPS} times")

    @property
    def is_always_true(self) -> bool:
        """Whether the first output, of a loop's body the condition to go on, is a true constant, or the one before it.

        Raises:
            IntegrityError: no ONNX file.
        """
        outputs, inputs = self._names(_GIVES), self._names(_GIVEN)
        origin = self.origin(outputs[0]) if outputs else b""
        return bool(self.number(origin)) or origin in inputs[1:2]

    @property
    def numbers(self) -> dict[bytes, int]:
        """Of its own, by name: initializers, and what Constants give."""
        return self._held[0]

    @property
    def same(self) -> dict[bytes, bytes]:
        """Which name stands for which other one."""
        return self._held[1]

    @cached_property
    def _held(self) -> tuple[dict[bytes, int], dict[bytes, bytes]]:
        numbers: dict[bytes, int] = {}
        same: dict[bytes, bytes] = {}
        nodes = _NODES[self.kind]
        for number, value in self._parts(self.data, nodes, *(_HELD if self.kind == "graph" else ())):
            if number == nodes:
                first = {_INPUT: b"", _OUTPUT: b"", _OP: b""}
                for place, part in self._parts(value, *first):
                    first[place] = bytes(part) if place == _OP else first[place] or bytes(part)
                name, whole = first[_OUTPUT], self._constant(value) if first[_OP] == b"Constant" else None
                if first[_OP] == b"Identity":
                    same[name] = first[_INPUT]
            else:
                name, whole = self._tensor(value) if number == _INITIALIZER else self._sparse(value)
            if whole is not None:
                numbers[name] = whole
        return numbers, same

    def _names(self, number: int) -> list[bytes]:
        """Of its first two inputs or outputs."""
        ports = [dict(self._parts(port, 1)) for _, port in islice(self._parts(self.data, number), 2)]
        return [bytes(port.get(1, b"")) for port in ports]

    def _constant(self, node: memoryview) -> int | None:
        """The number of a Constant of one; the largest, where an attribute holds more than its name says."""
        numbers: list[int | None] = []
        for _, value in self._parts(node, _ATTRIBUTE):
            for number, held in tensor_pb.fields(value, self.where, "ONNX model", fixed=True):
                if isinstance(held, int):
                    numbers += [_signed(held)] if number in (_WHOLE, _WHOLES) else []
                elif number == _WHOLES:
                    numbers.append(_packed(bytes(held[:10])))
                elif number in (_TENSOR, _SPARSE):
                    numbers.append((self._tensor if number == _TENSOR else self._sparse)(held)[1])
        return max((whole for whole in numbers if whole is not None), default=None)

    def _sparse(self, data: memoryview) -> tuple[bytes, int | None]:
        """As ``_tensor``, of a sparse one; its values bear its name."""
        values = next(self._parts(data, 1), None)
        return (b"", None) if values is None else self._tensor(values[1])

    def _tensor(self, data: memoryview) -> tuple[bytes, int | None]:
        """Name, and the number of a tensor of one, else None."""
        name, kind, numbers, raw = b"", 0, [], b""
        for number, value in tensor_pb.fields(data, self.where, "ONNX model", fixed=True):
            if isinstance(value, int):
                kind = value & 2**32 - 1 if number == _TYPE else kind  # an int32, as C++ reads it
                numbers += [_signed(value)] if number in (_INT32S, _INT64S) else []
            elif number == _NAME:
                name = bytes(value)
            elif number == _RAW:
                raw = bytes(value[:9])
            elif number in (_INT32S, _INT64S) and 0 < len(value) <= 10:
                numbers.append(_packed(bytes(value)))
        if raw and len(raw) == _BYTES.get(kind):
            numbers.append(int.from_bytes(raw, "little", signed=True))
        return name, max(numbers, default=None) if kind in _BYTES else None

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
    return _signed(value & 2**64 - 1)


def _signed(value: int) -> int:
    return value - (value >> 63 << 64)
