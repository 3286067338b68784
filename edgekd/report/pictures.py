"""Samples as a page shows them: pictures, sounds, texts, rows of numbers. What can't be shown is named."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from edgekd.base.arrays import AnyArray
from edgekd.document.apart import Sample
from edgekd.report import overlays, raster, text

LARGEST, SMALL = 320, 96  # pixels of a side: larger pictures are thinned out, smaller ones scaled up in blocks
NUMBERS = 40  # that are shown of a row
COLUMNS, HEIGHT = 240, 48  # of a sound


def cards(samples: Sequence[Sample]) -> list[dict[str, object]]:
    """What the page says of each sample."""
    shown = pictures([sample.raw for sample in samples])
    drawn = [overlays.drawn(picture, one.raw, one.marked) for picture, one in zip(shown, samples, strict=True)]
    return [{**_card(sample), "picture": picture} for sample, picture in zip(samples, drawn, strict=True)]


def _card(sample: Sample) -> dict[str, object]:
    def written(value: float) -> str:
        if not sample.shares:
            return text.significant(value)
        return text.unit(text.significant(100 * value, 2 if value < 0.01 else 3), "%")

    rows = [
        {
            "name": answer.name,
            "label": answer.label,
            "said": list(zip(map(written, answer.said), answer.best or (False, False), strict=True)),
        }
        for answer in sample.answers
    ]
    distance = text.significant(sample.distance, 2)
    far = text.unit(distance, "bit") if sample.shares else f"{distance} apart"
    return {"number": f"{sample.number:,}", "distance": far, "rows": rows, "verdict": _verdict(sample)}


def _verdict(sample: Sample) -> str:
    labels = [answer for answer in sample.answers if answer.label]
    if not labels:
        return ""
    teacher, student = (all(answer.best[who] for answer in labels) for who in (0, 1))
    if teacher == student:
        return "both are right" if teacher else "both are wrong"
    return "the teacher is right" if teacher else "the student is right"


def pictures(raw: Sequence[Any]) -> list[Markup]:
    """Each sample as HTML, all of one kind; pictures share one scale of brightness."""
    if not len(raw):
        return []
    if isinstance(raw[0], str | bytes):
        return [_text(value) for value in raw]
    arrays = [np.asarray(value) for value in raw]
    first = arrays[0]
    if first.dtype.kind in "uifb":
        pictures = [layout for array in arrays if (layout := raster.layout(array)) is not None]
        if len(pictures) == len(arrays):
            return _images(pictures)
        if first.ndim == 1:
            whole = first.dtype.kind in "uib" and first.dtype != np.int16
            return [_row(array) if whole or array.size <= NUMBERS else _wave(array) for array in arrays]
    return [
        Markup('<p class="quiet">{} of shape {}</p>').format(a.dtype.name, " x ".join(map(str, a.shape)))
        for a in arrays
    ]


def _images(arrays: Sequence[AnyArray]) -> list[Markup]:
    """Bytes that use their range as they are, all else from its least value (black) to its largest.

    Args:
        arrays: see ``raster.layout``.
    """
    finite = [np.nan_to_num(array.astype(np.float64)) for array in arrays]
    low, high = min(float(a.min()) for a in finite), max(float(a.max()) for a in finite)
    if arrays[0].dtype == np.uint8 and high > 127:
        low, high = 0.0, 255.0
    images = []
    for pixels in finite:
        step = math.ceil(max(pixels.shape[:2]) / LARGEST)
        bright = np.round((pixels[::step, ::step] - low) * (255 / ((high - low) or 1.0))).astype(np.uint8)
        height, width = pixels.shape[:2]
        small = "small" if max(height, width) < SMALL else ""
        images.append(
            Markup('<img class="{}" alt="{} x {} pixels" src="{}">').format(small, width, height, raster.png(bright))
        )
    return images


def _text(value: str | bytes) -> Markup:
    whole = value if isinstance(value, str) else value.decode("utf-8", "replace")
    return Markup("<blockquote>{}</blockquote>").format(text.beginning(whole))


def _row(array: AnyArray) -> Markup:
    shown = ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in array[:NUMBERS].tolist())
    rest = array.size - NUMBERS
    return Markup('<p class="numbers">{}</p>').format(shown + (f", … ({rest:,} more)" if rest > 0 else ""))


def _wave(array: AnyArray) -> Markup:
    """A sound, or any long row of values: from the least to the largest value of each column."""
    values = np.nan_to_num(array.astype(np.float64))
    peak = float(np.abs(values).max()) or 1.0
    parts = np.array_split(values / peak, min(COLUMNS, len(values)))
    top = [HEIGHT / 2 * (1 - part.max()) for part in parts]
    bottom = [HEIGHT / 2 * (1 - part.min()) + 0.5 for part in parts]
    ends = [f"{i} {y:.1f}" for i, y in enumerate(top)] + [f"{i} {y:.1f}" for i, y in reversed(list(enumerate(bottom)))]
    head = '<svg class="wave" role="img" aria-label="{0} values" height="{1}" viewBox="0 0 {2} {1}"'
    path = ' preserveAspectRatio="none"><path d="M{3}Z"/></svg>'
    return Markup(head + path).format(f"{len(values):,}", HEIGHT, len(parts), "L".join(ends))
