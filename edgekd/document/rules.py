"""What a number or a list of a document may be, beyond its type."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sized
from dataclasses import dataclass
from typing import Annotated, TypeVar

Shape = TypeVar("Shape", bound=type)


@dataclass(frozen=True)
class Range:
    """A number from ``low`` to ``high``, both allowed."""

    low: float
    high: float

    def takes(self, value: float) -> bool:
        """Whether a number is within it."""
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Some:
    """At least one entry."""

    def takes(self, value: Sized) -> bool:
        """Whether there is one."""
        return len(value) > 0

    def __str__(self) -> str:
        return "one or more"


@dataclass(frozen=True)
class Length:
    """A list of so many entries."""

    count: int

    def takes(self, value: Sized) -> bool:
        """Whether it has them."""
        return len(value) == self.count

    def __str__(self) -> str:
        return f"a list of {self.count}"


@dataclass(frozen=True)
class Spelled:
    """A text of a pattern."""

    pattern: str
    words: str

    def takes(self, value: str) -> bool:
        """Whether it is."""
        return re.fullmatch(self.pattern, value, re.DOTALL) is not None

    def __str__(self) -> str:
        return self.words


@dataclass(frozen=True)
class Keys:
    """A table of these keys and no others."""

    names: tuple[str, ...]

    def takes(self, value: Iterable[str]) -> bool:
        """Whether it has them all."""
        return set(value) == set(self.names)

    def __str__(self) -> str:
        return f"a table of {', '.join(self.names)}"


def closed(shape: Shape) -> Shape:
    """Mark a TypedDict as one without other keys, as ``closed=True`` will (PEP 728)."""
    shape.__closed__ = True  # type: ignore[attr-defined]
    return shape


# Ranges are wide, and such that pages can draw what is in them: no product of two overflows, no logarithm is of 0. The
# mean square of errors of millions of a currency is above 1e15.
Number = Annotated[float, Range(-1e30, 1e30)]
Positive = Annotated[float, Range(1e-12, 1e15)]
NotNegative = Annotated[float, Range(0, 1e30)]
Share = Annotated[float, Range(0, 1)]
Count = Annotated[int, Range(0, 2**53)]
Bytes = Annotated[int, Range(1, 2**53)]
Nanoseconds = Annotated[int, Range(1, 2**53)]
Interval = Annotated[list[Number], Length(2)]  # its ends
