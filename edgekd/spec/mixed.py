"""Mixed precision: the parts of an int8 network that a file may compute in float, and the scheme of such a file."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydantic import Field

from edgekd.spec.target import Numerics

_FROZEN = re.compile(r"_frozen_param(\d+)$")


class MixedNumerics(Numerics):
    """The numerics of a file with parts in float. In no target's table: which parts, was measured.

    Roundings of activations count in the order of the finished network, weights as ``convert_pt2e`` numbers them.
    """

    float_activations: tuple[int, ...] = Field(default=(), description="roundings of activations that are left out")
    float_weights: tuple[int, ...] = Field(default=(), description="weights that are not rounded")

    @property
    def unrounded(self) -> str:
        """See ``Numerics``: other parts in float are another file of the same network."""
        parts = (" ".join(map(str, numbers)) for numbers in (self.float_activations, self.float_weights))
        return f"{super().unrounded} without {' and '.join(parts)}"


def mixed(numerics: Numerics, activations: tuple[int, ...], weights: tuple[int, ...]) -> MixedNumerics:
    """The numerics of a file with these parts in float; see ``MixedNumerics``."""
    return MixedNumerics(**numerics.model_dump(), float_activations=activations, float_weights=weights)


def weight_number(name: str) -> int | None:
    """The number of a rounded weight, as ``convert_pt2e`` names them; None for anything else."""
    match = _FROZEN.search(name)
    return None if match is None else int(match[1])


@dataclass(frozen=True)
class Read:
    """A tensor that a unit reads: the unit that computes it (None: an input of the network), the roundings between."""

    source: str | None
    roundings: tuple[int, ...]


@dataclass(frozen=True)
class Unit:
    """A node of an int8 network that is no rounding.

    Attributes:
        reads: its activations; weights: its rounded constants, by number.
        elements: how many numbers it gives for one sample.
    """

    name: str
    op: str
    reads: tuple[Read, ...]
    weights: tuple[int, ...]
    elements: int
