"""``[tune]``: where a search may turn a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from edgekd.spec.validation import Frozen


class Knob(Frozen):
    """Where ``edgekd tune`` may turn a key: from ``low`` to ``high``, or to one of the ``choices``.

    Of a table (``losses.1``, ``compress.0``) the choices are ``true`` (as it stands), ``false`` (left out), or tables.
    """

    low: int | float | None = Field(default=None, description="the smallest value")
    high: int | float | None = Field(default=None, description="the largest value")
    step: int | float | None = Field(default=None, gt=0, description="between the values that are tried")
    log: bool = Field(default=False, description="draw on a logarithmic scale")
    choices: tuple[Any, ...] | None = Field(default=None, min_length=1, description="instead of a range")

    @model_validator(mode="after")
    def _one_of_two(self) -> Knob:
        ends = self.low is not None and self.high is not None
        if ends == (self.choices is not None) or (self.choices is not None and (self.low, self.high) != (None, None)):
            raise ValueError("either low and high, or choices")
        if self.choices is not None and (self.step is not None or self.log):
            raise ValueError("step and log go with low and high")
        if self.low is not None and self.high is not None:
            if self.low >= self.high:
                raise ValueError("low must be below high")
            if self.log and (self.step is not None or self.low <= 0):
                raise ValueError("log needs low above 0, and no step")
        return self

    @property
    def ends(self) -> tuple[int | float, int | float]:
        """Low and high of a range.

        Raises:
            ValueError: the knob has choices.
        """
        if self.low is None or self.high is None:
            raise ValueError("a knob of choices has no ends")
        return self.low, self.high


def flat(tables: Mapping[str, object], above: str = "") -> dict[str, object]:
    """``{a: {b: knob}}`` as ``{"a.b": knob}``: a key of ``[tune]`` may be written with or without quotes."""
    knobs: dict[str, object] = {}
    for key, value in tables.items():
        if isinstance(value, Mapping) and value and all(isinstance(inner, Mapping) for inner in value.values()):
            knobs |= flat(value, f"{above}{key}.")
        else:
            knobs[f"{above}{key}"] = value
    return knobs
