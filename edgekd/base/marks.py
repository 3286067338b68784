"""What an answer marks in the sample itself: areas and points of a picture, spans of a text. Pages draw it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NOWHERE = -1  # the area of a pixel that is none


@dataclass(frozen=True, eq=False)
class Marks:
    """What is marked in one sample; most answers mark one kind of thing alone.

    Attributes:
        areas: (H, W) for each pixel the number of a name, ``NOWHERE`` of none; it may be larger or smaller than the
            picture, and covers all of it.
        names: of the areas.
        points: (x, y) in pixels of the picture, from the centre of the first one.
        spans: (first character, the one behind the last, label), in order, none over another.
    """

    areas: NDArray[np.int64] | None = None
    names: tuple[str, ...] = ()
    points: tuple[tuple[float, float], ...] = ()
    spans: tuple[tuple[int, int, str], ...] = ()
