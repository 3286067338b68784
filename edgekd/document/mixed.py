"""Mixed precision in report.json and in the cache: which parts of an int8 file are computed in float, and why."""

from __future__ import annotations

from typing import TypedDict

from edgekd.document.rules import Count, Interval, NotNegative, Number, Positive


class MixedGroup(TypedDict):
    """Parts that a target's profiles promised to be faster in float.

    ``layers``: nodes of the file that is all in int8; none where only conversions between floats are left out;
    ``int8_us``, ``float_us``: microseconds of their kernels by the profiles; ``promised_us``: saved by those, with
    conversions; ``in_float``: whether the file computes them so.
    """

    layers: list[str]
    int8_us: NotNegative
    float_us: NotNegative
    promised_us: Number
    in_float: bool


class MixedTry(TypedDict):
    """A file that was timed in turns with the best before: which groups, by number, it computes in float."""

    groups: list[Count]
    ratio: Positive
    ci95: Interval
    kept: bool


class Mixed(TypedDict):
    """``mixed.json``, and a candidate's ``mixed``. ``activations``, ``weights``: the roundings that are left out.

    ``refused``: why the file that was fastest does not ship in the int8 one's place; null: it does, or there is none.
    """

    groups: list[MixedGroup]
    tries: list[MixedTry]
    activations: list[Count]
    weights: list[Count]
    refused: str | None
