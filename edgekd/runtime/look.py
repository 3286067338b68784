"""A look at an ONNX file before a runtime opens it: what reads other files, or would not end, is refused.

Read without onnx and without copying a tensor, by the numbers of onnx.proto3's fields. ONNX Runtime 1.31 reads weights
that a model keeps in other files from the current folder, dies (SIGSEGV) of 3,000 functions that call each other, and
makes 2^25 nodes of 26 functions. A ``Loop`` of a constant number of rounds beyond ``ROUNDS`` is refused, too; what is
computed while the model runs nobody can tell before: that is for the limits of a child, see ``base.child``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from edgekd.errors import IntegrityError
from edgekd.runtime.tensor_pb import fields

NODES = 200_000  # with every call of a function written out
DEPTH = 32  # of graphs in graphs, and of functions that call functions
ROUNDS = 1_000_000  # of loops with those around them, where these are constants
# Which fields of a message hold what is looked at, and what.
HOLDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
NAMES = {"node": (7, 4), "function": (10, 1)}  # domain, and operator or name
TRAINING, EXTERNAL, LOCATION = 20, 13, 14
NODES_OF = {"graph": 1, "function": 7}
# Of a node: inputs, outputs, operator. Of an attribute: a whole number. Of a tensor: type, whole numbers, name, bytes.
INPUT, OUTPUT, OP, ATTRIBUTE, TENSOR, WHOLE = 1, 2, 4, 5, 5, 3
TYPE, INT64, INT64S, NAME, RAW = 2, 7, 7, 8, 9
Key = tuple[str, str]
Constants = Mapping[bytes, int]  # whole numbers, by name


def check(data: bytes, where: str) -> None:
    """Raise where an ONNX file is not to be opened.

    Args:
        where: the file.

    Raises:
        IntegrityError: it reads other files, holds more nodes than ``NODES`` or deeper graphs than ``DEPTH``, loops
            more than ``ROUNDS`` times, calls functions in a circle, trains, or is no ONNX file.
    """
    found = _Look(where)
    found.walk("model", memoryview(data), _Body(), _Inside())
    found.written_out(found.main, ())


@dataclass
class _Body:
    """What stands in a graph or function: how many nodes, and whom they call."""

    nodes: int = 0
    calls: list[Key] = field(default_factory=list)


@dataclass(frozen=True)
class _Inside:
    """Where a message stands: in how many graphs, in loops of how many rounds, and the constants that it may read."""

    depth: int = 0
    rounds: int = 1
    constants: Constants = field(default_factory=dict)


@dataclass
class _Look:
    where: str
    main: _Body = field(default_factory=_Body)
    functions: dict[Key, _Body] = field(default_factory=dict)
    sizes: dict[Key, int] = field(default_factory=dict)

    def walk(self, kind: str, data: memoryview, body: _Body, inside: _Inside) -> None:
        """Look at one message; ``body``: what its nodes are counted to."""
        if inside.depth > DEPTH:
            raise IntegrityError("graphs in graphs, too deep", where=self.where, allowed=f"{DEPTH} levels")
        body = self.main if kind == "model" else _Body() if kind == "function" else body
        inside = self.entered(kind, data, inside)
        names: dict[int, str] = {}
        for number, value in fields(data, self.where, "ONNX model", fixed=True):
            inner = HOLDS[kind].get(number)
            if inner is not None and not isinstance(value, int):
                self.walk(inner, value, body, inside)
            elif kind == "tensor" and (number == EXTERNAL or (number == LOCATION and value != 0)):
                raise IntegrityError("weights in another file", where=self.where, allowed="weights in the model itself")
            elif kind == "model" and number == TRAINING:
                raise IntegrityError("a model that trains", where=self.where)
            elif number in NAMES.get(kind, ()) and not isinstance(value, int):
                names[number] = bytes(value).decode("utf-8", "replace")
        if kind in NAMES:
            domain, name = (names.get(number, "") for number in NAMES[kind])
            if kind == "function":
                self.functions[domain, name] = body
            else:
                self.count(body)
                body.calls.append((domain, name))

    def entered(self, kind: str, data: memoryview, inside: _Inside) -> _Inside:
        """Where what stands in a message stands."""
        if kind in NODES_OF:
            outer = inside.constants if kind == "graph" else {}
            known = {**outer, **self.constants(data, kind)}
            return _Inside(inside.depth + (kind == "graph"), inside.rounds, known)
        if kind == "node":
            found = [(number, bytes(value)) for number, value in self.fields(data, OP, INPUT)]
            inputs = [name for number, name in found if number == INPUT]
            rounds = inside.constants.get(inputs[0], 1) if inputs and (OP, b"Loop") in found else 1
            if rounds > 1 and rounds * inside.rounds > ROUNDS:
                told = rounds * inside.rounds
                raise IntegrityError("a loop of too many rounds", where=self.where, found=told, allowed=f"{ROUNDS:,}")
            return _Inside(inside.depth, inside.rounds * max(rounds, 1), inside.constants)
        return inside

    def constants(self, data: memoryview, kind: str) -> dict[bytes, int]:
        """The single whole numbers of a graph or function: initializers, and what Constants give."""
        found: dict[bytes, int] = {}
        nodes = NODES_OF[kind]
        for number, value in self.fields(data, nodes, *([TENSOR] if kind == "graph" else [])):
            if number != nodes:
                name, whole = self.tensor(value)
            else:
                parts = list(self.fields(value, OP, OUTPUT, ATTRIBUTE))
                if (OP, b"Constant") not in [(part, bytes(op)) for part, op in parts if part == OP]:
                    continue
                name = next((bytes(output) for part, output in parts if part == OUTPUT), b"")
                whole = next((self.attribute(held) for part, held in parts if part == ATTRIBUTE), None)
            if whole is not None:
                found[name] = whole
        return found

    def attribute(self, data: memoryview) -> int | None:
        """The whole number of a Constant's attribute."""
        for number, value in fields(data, self.where, "ONNX model", fixed=True):
            if number == WHOLE and isinstance(value, int):
                return value
            if number == TENSOR and not isinstance(value, int):
                return self.tensor(value)[1]
        return None

    def tensor(self, data: memoryview) -> tuple[bytes, int | None]:
        """Name, and the number of a tensor of one whole number, else None."""
        name, kind, numbers = b"", 0, b""
        for number, value in fields(data, self.where, "ONNX model", fixed=True):
            if isinstance(value, int):
                kind = value if number == TYPE else kind
                numbers = value.to_bytes(8, "little") if number == INT64S else numbers
            elif number == NAME:
                name = bytes(value)
            elif number == RAW and len(value) == 8:
                numbers = bytes(value)
            elif number == INT64S and 0 < len(value) <= 10:  # packed, as varints
                numbers = _varint(bytes(value))
        return name, int.from_bytes(numbers, "little", signed=True) if kind == INT64 and numbers else None

    def fields(self, data: memoryview, *wanted: int) -> Iterator[tuple[int, memoryview]]:
        """The texts and messages of some numbers."""
        for number, value in fields(data, self.where, "ONNX model", fixed=True):
            if number in wanted and not isinstance(value, int):
                yield number, value

    def count(self, body: _Body) -> None:
        """One node more."""
        body.nodes += 1
        if body.nodes > NODES:
            raise self.too_many(body.nodes)

    def written_out(self, body: _Body, above: tuple[Key, ...]) -> int:
        """How many nodes a body becomes with every call of a function written out."""
        if len(above) > DEPTH:
            raise IntegrityError("functions that call functions, too deep", where=self.where, allowed=f"{DEPTH} levels")
        total = body.nodes
        for key in body.calls:
            if key not in self.functions:
                continue
            if key in above:
                raise IntegrityError("a function that calls itself", where=self.where, found=key[1])
            if key not in self.sizes:
                self.sizes[key] = self.written_out(self.functions[key], (*above, key))
            total += self.sizes[key]
        if total > NODES:
            raise self.too_many(total)
        return total

    def too_many(self, found: int) -> IntegrityError:
        """More nodes than any network has."""
        return IntegrityError("too many nodes", where=self.where, found=found, allowed=f"{NODES:,}")


def _varint(data: bytes) -> bytes:
    """The first one, in eight bytes."""
    value = 0
    for place, byte in enumerate(data):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            break
    return (value & 2**64 - 1).to_bytes(8, "little")
