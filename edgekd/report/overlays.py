"""What answers mark in a sample, drawn: areas over a picture, points in it, spans of a text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from edgekd.base.marks import NOWHERE
from edgekd.document.apart import Marked
from edgekd.report import raster
from edgekd.report.text import beginning

# Of names in turn, each told from its neighbours and from grey; those behind the last begin anew.
COLOURS = (
    "#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#46d0e6",
    "#f032e6", "#bfae00", "#fa7e9e", "#469990", "#9a6324", "#808000",
)  # fmt: skip
OPACITY = 150  # of an area, of 255: what lies below can be made out
SIDE = 320  # pixels of a drawn area at most


def drawn(picture: Markup, raw: object, marked: Sequence[Marked]) -> Markup:
    """A sample, and beside it the sample with what each one marks.

    Args:
        picture: the sample by itself; ``raw``: as the user gave it.
    """
    if not marked:
        return picture
    if isinstance(raw, str | bytes):
        text = raw if isinstance(raw, str) else raw.decode("utf-8", "replace")
        labels = list(dict.fromkeys(label for one in marked for *_, label in one.marks.spans))
        return Markup("").join(_spans(text, one, labels) for one in marked)
    parts = [Markup("<figure>{}<figcaption>sample</figcaption></figure>").format(picture)]
    pixels = raster.layout(np.asarray(raw))
    if pixels is not None:
        parts += [_over(picture, (pixels.shape[0], pixels.shape[1]), one) for one in marked]
    return Markup('<div class="marked">{}</div>{}').format(Markup("").join(parts), _legend(marked))


def _over(picture: Markup, size: tuple[int, int], one: Marked) -> Markup:
    """A picture under what somebody marks in it."""
    height, width = size
    layers = [picture]
    if one.marks.areas is not None:
        layers.append(_areas(one.marks.areas))
    if one.marks.points:
        radius = max(height, width) / 60
        # A point is counted from the centre of the first pixel, a drawing from its corner.
        circles = [(f"{x + 0.5:.2f}", f"{y + 0.5:.2f}") for x, y in one.marks.points]
        dots = Markup("").join(Markup('<circle cx="{}" cy="{}" r="{:.2f}"/>').format(x, y, radius) for x, y in circles)
        layers.append(Markup('<svg class="over" viewBox="0 0 {} {}">{}</svg>').format(width, height, dots))
    stack = Markup('<span class="stack">{}</span>').format(Markup("").join(layers))
    return Markup("<figure>{}<figcaption>{}</figcaption></figure>").format(stack, one.who)


def _areas(areas: NDArray[np.int64]) -> Markup:
    """A transparent picture of areas, each in its name's colour."""
    step = -(-max(areas.shape) // SIDE)
    kept = areas[::step, ::step]
    colours = np.array([[*bytes.fromhex(colour[1:]), OPACITY] for colour in COLOURS], np.uint8)
    pixels = np.where((kept == NOWHERE)[..., None], np.uint8(0), colours[kept % len(COLOURS)])
    return Markup('<img class="over" alt="" src="{}">').format(raster.png(pixels))


def _legend(marked: Sequence[Marked]) -> Markup:
    """The names of the areas that somebody marks, each with its colour."""
    seen: dict[int, str] = {}
    for one in marked:
        if one.marks.areas is not None:
            numbers = [int(number) for number in np.unique(one.marks.areas) if number != NOWHERE]
            seen |= {number: one.marks.names[number] for number in numbers}
    if not seen:
        return Markup("")
    names = [_chip(number, name) for number, name in sorted(seen.items())]
    return Markup('<p class="legend">{}</p>').format(Markup(" ").join(names))


def _chip(number: int, name: str) -> Markup:
    return Markup('<span><i style="background:{}"></i>{}</span>').format(COLOURS[number % len(COLOURS)], name)


def _spans(text: str, one: Marked, labels: Sequence[str]) -> Markup:
    """A text with its spans marked, each with its label behind it; of ``labels``, each has a colour."""
    pieces, at = [], 0
    for start, stop, label in one.marks.spans:
        colour = COLOURS[labels.index(label) % len(COLOURS)]
        mark = Markup('<mark style="border-color:{}">{} <small>{}</small></mark>')
        pieces += [escape(text[at:start]), mark.format(colour, text[start:stop], label)]
        at = stop
    rest = beginning(text[at:])
    return Markup("<blockquote><b>{}</b> {}{}</blockquote>").format(one.who, Markup("").join(pieces), rest)
