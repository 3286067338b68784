"""A look at an ONNX file before a runtime opens it: what reads other files, or would not end, is refused.

Read without onnx and without copying a tensor, by the numbers of onnx.proto3's fields. ONNX Runtime 1.31 reads weights
that a model keeps in other files from the current folder, dies (SIGSEGV) of 3,000 functions that call each other, and
makes 2^25 nodes of 26 functions. A ``Loop`` of a constant number of rounds beyond ``ROUNDS``, or without a number and
with a condition that stays true, is refused, too; what is computed while the model runs, or handed to a function,
nobody can tell before: that is for the limits of a child, see ``base.child``.

Where two readers may see two things, nobody sees any: runtimes tell functions apart by domain and name, or by these
and an overload, and protobuf makes one message of two that stand in a place for one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from edgekd.base.errors import IntegrityError
from edgekd.runtime.look_numbers import Graph
from edgekd.runtime.tensor_pb import fields

NODES = 200_000  # with every call of a function written out
DEPTH = 32  # of graphs in graphs, and of functions that call functions
ROUNDS = 1_000_000  # of loops with those around them, where these are constants
# Which fields of a message hold what is looked at, and what.
HOLDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
ONCE = {"model": (7,), "attribute": (5, 6), "sparse": (1, 2)}
NAMES = {"node": (7, 4), "function": (10, 1)}  # domain, and operator or name
OVERLOAD = {"node": 8, "function": 13}
TRAINING, EXTERNAL, LOCATION = 20, 13, 14
INPUT, BODY = 1, 6
COMPILED = "EPContext"  # of an execution provider: opaque, and perhaps the name of a file


def check(data: bytes, where: str) -> None:
    """Raise where an ONNX file is not to be opened.

    Args:
        where: the file.

    Raises:
        IntegrityError: it reads other files, holds more nodes than ``NODES`` or deeper graphs than ``DEPTH``, loops
            more than ``ROUNDS`` times or for ever, calls functions in a circle, holds one twice or an overload, trains,
            holds what a provider compiled elsewhere, or is no ONNX file.
    """
    if is_ort_format(data):
        raise IntegrityError("no ONNX file: ONNX Runtime's own format under another name", where=where)
    look = _Look(where)
    look.walk("model", memoryview(data), _Body(), _Inside())
    look.written_out(look.main, ())


def is_ort_format(data: bytes) -> bool:
    """Whether ONNX Runtime takes a file for its own format; it asks these bytes, and not the name."""
    return len(data) > 8 and data[4:8] == b"ORTM"


@dataclass
class _Body:
    """What stands in a graph or function: how many nodes, the rounds of its longest loop, and whom nodes call.

    ``calls``: a function, and in loops of how many rounds the call stands.
    """

    nodes: int = 0
    rounds: int = 1
    calls: list[tuple[str, int]] = field(default_factory=list)


@dataclass(frozen=True)
class _Inside:
    """Where a message stands: in how many graphs, in which, and in loops of how many rounds."""

    depth: int = 0
    rounds: int = 1
    graph: Graph | None = None


@dataclass
class _Look:
    where: str
    main: _Body = field(default_factory=_Body)
    functions: dict[str, _Body] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)

    def walk(self, kind: str, data: memoryview, body: _Body, inside: _Inside) -> None:
        """Look at one message; ``body``: what its nodes are counted to."""
        if inside.depth > DEPTH:
            raise IntegrityError("graphs in graphs, too deep", where=self.where, allowed=f"{DEPTH} levels")
        body = self.main if kind == "model" else _Body() if kind == "function" else body
        if kind in ("graph", "function"):
            outer = inside.graph if kind == "graph" else None
            inside = _Inside(inside.depth + (kind == "graph"), inside.rounds, Graph(data, kind, self.where, outer))
        names: dict[int, str] = {}
        reads, attributes, once = None, [], set()
        for number, value in fields(data, self.where, "ONNX model", fixed=True):
            if number in once:
                raise IntegrityError("a field stands twice", where=self.where, found=f"{number} of a {kind}")
            if number in ONCE.get(kind, ()):
                once.add(number)
            inner = HOLDS[kind].get(number)
            if inner is not None and not isinstance(value, int):
                if inner == "attribute":
                    attributes.append(value)  # what a node does may stand behind them
                else:
                    self.walk(inner, value, body, inside)
            elif kind == "tensor" and (number == EXTERNAL or (number == LOCATION and value != 0)):
                hint = 'onnx.save(onnx.load("model.onnx"), "whole.onnx") puts them in'
                allowed = "weights in the model itself"
                raise IntegrityError("weights in another file", where=self.where, allowed=allowed, hint=hint)
            elif kind == "model" and number == TRAINING:
                raise IntegrityError("a model that trains", where=self.where)
            elif number == OVERLOAD.get(kind) and value:
                raise IntegrityError("an overload of a function", where=self.where)
            elif number in NAMES.get(kind, ()) and not isinstance(value, int):
                names[number] = bytes(value).decode("utf-8", "replace")
            elif kind == "node" and number == INPUT and reads is None and not isinstance(value, int):
                reads = bytes(value)
        if kind in NAMES:
            inside = self.named(
                kind, [names.get(number, "") for number in NAMES[kind]], reads, attributes, body, inside
            )
        for value in attributes:
            self.walk("attribute", value, body, inside)

    def named(
        self,
        kind: str,
        names: list[str],
        reads: bytes | None,
        attributes: list[memoryview],
        body: _Body,
        inside: _Inside,
    ) -> _Inside:
        """Keep a function, or count a node, that it may call one; where the graphs in it stand."""
        domain, name = names
        key = f"{'' if domain == 'ai.onnx' else domain}:{name}"  # as ONNX Runtime joins them
        if kind == "node":
            if name == COMPILED:  # in any domain
                raise IntegrityError("a node that was compiled elsewhere", where=self.where, found=key)
            self.count(body)
            body.calls.append((key, inside.rounds))
            if name == "Loop" and inside.graph is not None:
                inside = self.entered(reads, attributes, inside, inside.graph)
            body.rounds = max(body.rounds, inside.rounds)
            return inside
        if key in self.functions:
            raise IntegrityError("a function twice", where=self.where, found=key)
        self.functions[key] = body
        return inside

    def entered(self, reads: bytes | None, attributes: list[memoryview], inside: _Inside, graph: Graph) -> _Inside:
        """Where the body of a Loop stands; ``reads``: its first input, how many rounds it makes."""
        rounds = graph.number(reads) or 0 if reads else 0
        for value in () if reads else attributes:
            for number, held in fields(value, self.where, "ONNX model", fixed=True):
                if number == BODY and not isinstance(held, int) and graph.within(held).is_always_true:
                    raise IntegrityError("a loop without an end", where=self.where)
        total = inside.rounds * max(rounds, 1)
        if rounds > 1:
            self.hold_rounds(total)
        return _Inside(inside.depth, total, graph)

    def count(self, body: _Body) -> None:
        """One node more."""
        body.nodes += 1
        if body.nodes > NODES:
            raise self.too_many(body.nodes)

    def written_out(self, body: _Body, above: tuple[str, ...]) -> tuple[int, int]:
        """What a body becomes with every call of a function written out: its nodes, the rounds of its longest loop."""
        if len(above) > DEPTH:
            raise IntegrityError("functions that call functions, too deep", where=self.where, allowed=f"{DEPTH} levels")
        total, rounds = body.nodes, body.rounds
        for key, times in body.calls:
            if key not in self.functions:
                continue
            if key in above:
                raise IntegrityError("a function that calls itself", where=self.where, found=key)
            if key not in self.sizes:
                self.sizes[key] = self.written_out(self.functions[key], (*above, key))
            nodes, inner = self.sizes[key]
            total, rounds = total + nodes, max(rounds, times * inner)
        if total > NODES:
            raise self.too_many(total)
        self.hold_rounds(rounds)
        return total, rounds

    def hold_rounds(self, rounds: int) -> None:
        """Raise where loops in loops make too many rounds."""
        if rounds > ROUNDS:
            raise IntegrityError("a loop of too many rounds", where=self.where, found=rounds, allowed=f"{ROUNDS:,}")

    def too_many(self, count: int) -> IntegrityError:
        """More nodes than any network has."""
        return IntegrityError("too many nodes", where=self.where, found=count, allowed=f"{NODES:,}")
