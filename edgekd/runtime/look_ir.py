"""A look at an OpenVINO IR before a runtime opens it, as ``look`` does with ONNX files.

Read by expat, element by element, and nothing is kept but what loops need: entities (a text that writes itself out to
gigabytes) and other declarations are refused, as are elements in elements without end, and constants outside of the
``.bin``, of a size that nobody can tell, or larger than what stands for them there.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat

from edgekd.base.errors import IntegrityError
from edgekd.runtime.look import DEPTH, NODES, ROUNDS

LEVELS = 4 * DEPTH  # of elements: a body stands four levels below its loop
ELEMENTS = 50 * NODES
_DIGITS = re.compile("[0-9]{1,18}")
_BITS = {  # of a number, by the types' names as OpenVINO writes them: those of a string nobody can tell
    **{f"i{bits}": bits for bits in (4, 8, 16, 32, 64)},
    **{f"u{bits}": bits for bits in (1, 2, 3, 4, 6, 8, 16, 32, 64)},
    **dict.fromkeys(("boolean", "f8e4m3", "f8e5m2", "f8e8m0"), 8),
    **dict.fromkeys(("nf4", "f4e2m1"), 4),
    **dict.fromkeys(("bf16", "f16"), 16),
    "f32": 32,
    "f64": 64,
}
_SPELLED = {"const": "Const", "constant": "Const", "loop": "Loop"}
_KINDS = frozenset(_SPELLED.values())
_OUTSIDE = frozenset({"value", "ptr"})  # where OpenVINO would take a constant's numbers from instead


def check(xml: bytes, weights: bytes | None, where: str) -> None:
    """Raise where an IR is not to be opened.

    Args:
        weights: the ``.bin`` beside it; None leaves out what is to be held against it.
        where: the file.

    Raises:
        IntegrityError: no XML, with declarations, more or deeper elements than a network has, constants that are not
            in the weights or of no known size, types of layers in another spelling, loops of more than ``ROUNDS``
            rounds, edges before layers, or another root than ``net``.
    """
    look = _Look(where, weights)
    parser = expat.ParserCreate()
    parser.StartElementHandler = look.begin
    parser.EndElementHandler = look.end
    parser.StartDoctypeDeclHandler = look.declared
    parser.EntityDeclHandler = look.declared
    try:
        parser.Parse(xml, True)
    except (expat.ExpatError, ValueError, LookupError) as err:  # an encoding that there is none of
        raise IntegrityError(f"no OpenVINO IR: {err}", where=where) from err


@dataclass
class _Net:
    """The layers of a network, or of a loop's body: the numbers that stand in constants, and which are loops.

    ``loops``: the rounds of the longest loop in the body of each; ``rounds``: of the longest one here.
    """

    constants: dict[int, int] = field(default_factory=dict)
    loops: dict[int, int] = field(default_factory=dict)
    rounds: int = 1


@dataclass
class _Look:
    where: str
    weights: bytes | None
    elements: int = 0
    layers: int = 0
    within: list[tuple[str, set[str]]] = field(default_factory=list)  # what is open, and the parts that each had
    nets: list[_Net] = field(default_factory=list)
    layer: list[tuple[str, str]] = field(default_factory=list)  # id and type, of those that are open

    def begin(self, tag: str, attributes: dict[str, str]) -> None:
        """An element."""
        self.elements += 1
        parent, parts = self.within[-1] if self.within else ("", set())
        if not parent and tag != "net":
            raise IntegrityError("no OpenVINO IR", where=self.where, found=tag, allowed="net")
        if tag in ("layers", "edges"):
            self.part(tag, parts)
        self.within.append((tag, set()))
        if len(self.within) > LEVELS:
            raise IntegrityError("elements in elements, too deep", where=self.where, allowed=f"{LEVELS} levels")
        self.layers += tag == "layer"
        if self.layers > NODES or self.elements > ELEMENTS:
            raise IntegrityError("too many nodes", where=self.where, found=self.layers, allowed=f"{NODES:,}")
        if tag == "layers":
            self.nets.append(_Net())
        elif tag == "layer":
            self.spelled(attributes.get("type", ""))
            self.layer.append((attributes.get("id", ""), attributes.get("type", "")))
            if self.nets and attributes.get("type") == "Loop":
                self.nets[-1].loops[_number(attributes.get("id", ""))] = 1
        elif tag == "data" and self.layer and self.layer[-1][1] == "Const":
            self.constant(attributes)
        elif tag == "edge" and parent == "edges":  # and not back_edges, from round to round
            self.edge(attributes)

    def end(self, tag: str) -> None:
        """The end of one."""
        if "layers" in self.within.pop()[1]:
            inner = self.nets.pop().rounds
            if self.nets and self.layer:  # a body, and whose
                outer, loop = self.nets[-1], _number(self.layer[-1][0])
                outer.rounds = max(outer.rounds, inner)
                if loop in outer.loops:
                    outer.loops[loop] = max(outer.loops[loop], inner)
        if tag == "layer":
            self.layer.pop()

    def part(self, tag: str, parts: set[str]) -> None:
        """Layers, and the edges behind them: OpenVINO takes the first of each, in any order."""
        if tag in parts or (tag == "edges" and not parts):
            raise IntegrityError("layers, then edges, once each", where=self.where, found=tag)
        parts.add(tag)

    def declared(self, *what: object) -> NoReturn:
        """A DOCTYPE, or an entity in it."""
        raise IntegrityError("an XML declaration that no network needs", where=self.where, found=what[0])

    def spelled(self, kind: str) -> None:
        """OpenVINO makes a layer of its type however that is written; what is looked at is written in one way."""
        if _SPELLED.get(kind.lower(), kind) != kind:
            raise IntegrityError("a layer's type in another spelling", where=self.where, found=kind, allowed=_KINDS)

    def constant(self, attributes: dict[str, str]) -> None:
        """Hold one against the weights, where alone its numbers may stand."""
        if outside := sorted(_OUTSIDE & attributes.keys()):
            raise IntegrityError("a constant outside of the weights", where=self.where, found=outside[0])
        try:
            at, size = (_number(attributes.get(name, "")) for name in ("offset", "size"))
            shape = [int(part) for part in attributes.get("shape", "").split(",") if part.strip()]
        except ValueError as err:
            raise IntegrityError(f"not a constant: {err}", where=self.where) from err
        kind = attributes.get("element_type", "")
        bits = _BITS.get(kind)
        if bits is None:
            raise IntegrityError("a constant of no numbers", where=self.where, found=kind, allowed=_BITS)
        if any(part < 0 for part in shape) or math.prod(shape) * bits > 8 * size + 7:
            raise IntegrityError(
                "a constant of more numbers than it has", where=self.where, found=attributes.get("shape")
            )
        if self.weights is None:
            return
        if at + size > len(self.weights):
            span = f"{size} bytes at {at}"
            raise IntegrityError(
                "a constant outside of the weights", where=self.where, found=span, allowed=str(len(self.weights))
            )
        if kind[0] in ("i", "u") and 8 * size == bits and self.nets:
            number = int.from_bytes(self.weights[at : at + size], "little", signed=kind[0] == "i")
            constants, layer = self.nets[-1].constants, _number(self.layer[-1][0])
            constants[layer] = max(number, constants.get(layer, number))  # of two, whichever OpenVINO takes

    def edge(self, attributes: dict[str, str]) -> None:
        """Port 0 of a loop is how many rounds it makes, each with all those of the loops in its body."""
        net = self.nets[-1]
        source, loop, port = (_number(attributes.get(name, "")) for name in ("from-layer", "to-layer", "to-port"))
        if loop not in net.loops or port != 0 or (rounds := net.constants.get(source, 0)) < 1:
            return
        net.rounds = max(net.rounds, rounds * net.loops[loop])
        if net.rounds > ROUNDS:
            raise IntegrityError("a loop of too many rounds", where=self.where, found=net.rounds, allowed=f"{ROUNDS:,}")


def _number(text: str) -> int:
    """An id, a port or a place. Read otherwise by OpenVINO ("1x" is 1 to it), another one than here would count."""
    if not _DIGITS.fullmatch(text):
        raise ValueError(f"no whole number: {text[:20]!r}")
    return int(text)
