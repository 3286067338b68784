"""What a runtime says that it ran of a compiled model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NotRequired, TypedDict

from edgekd.document.rules import Count, NotNegative, closed


@closed
class KernelTable(TypedDict):
    """``Kernel`` in JSON; of an earlier version without what goes in and out."""

    name: str
    op: str
    precision: str
    microseconds: NotNegative | None
    layers: list[str]
    reads: NotRequired[str]
    gives: NotRequired[str]
    shape: NotRequired[list[Count | None]]


@dataclass(frozen=True)
class Kernel:
    """One thing that a runtime really runs of a compiled model.

    Attributes:
        name: the runtime's own.
        op: the runtime's operator: ``QLinearConv``, ``FullyConnected``.
        precision: what it computes in, as numpy names it (``int8`` also stands for uint8); of a conversion both:
            ``float32 to int8``.
        microseconds: typical of some runs with the runtime's profiler on, which costs a little itself; None where
            the runtime does not tell, 0 where it was less than the runtime's clock tells.
        layers: the nodes of the ONNX file that it was made of, as far as the runtime tells.
        reads, gives: the types of its first input and first output; "" where the runtime does not tell.
        shape: of its first output; a size is None where it is not fixed.
    """

    name: str
    op: str
    precision: str
    microseconds: float | None = None
    layers: tuple[str, ...] = ()
    reads: str = ""
    gives: str = ""
    shape: tuple[int | None, ...] = ()

    @classmethod
    def of(cls, table: KernelTable) -> Kernel:
        """From what ``table`` gave."""
        return cls(
            table["name"],
            table["op"],
            table["precision"],
            table["microseconds"],
            tuple(table["layers"]),
            table.get("reads", ""),
            table.get("gives", ""),
            tuple(table.get("shape", ())),
        )

    @property
    def table(self) -> KernelTable:
        """As JSON has it, which knows no tuples."""
        return {
            "name": self.name,
            "op": self.op,
            "precision": self.precision,
            "microseconds": self.microseconds,
            "layers": list(self.layers),
            "reads": self.reads,
            "gives": self.gives,
            "shape": list(self.shape),
        }
