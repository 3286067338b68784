"""What answers mark is drawn over the sample: areas, points, spans."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
from markupsafe import Markup
from PIL import Image

from edgekd.base.marks import NOWHERE, Marks
from edgekd.document.apart import Marked
from edgekd.report import overlays

PICTURE = Markup('<img src="x">')
RAW = np.zeros((4, 6, 3), np.uint8)


def test_areas_have_the_colours_of_their_names_and_lie_over_the_picture() -> None:
    areas = np.array([[0, 0, 1], [NOWHERE, 13, 1]])
    names = tuple(f"<class {i}>" for i in range(14))
    page = overlays.drawn(PICTURE, RAW, [Marked("teacher", Marks(areas=areas, names=names))])
    url = re.search(r"base64,([^\"]+)", page)
    assert url
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(url[1]))))
    assert pixels.shape == (2, 3, 4)
    assert pixels[1, 0, 3] == 0, "what is nowhere is left as it is"
    colours = ["#" + bytes(pixels[y, x, :3].tolist()).hex() for y, x in ((0, 0), (0, 2), (1, 1))]
    assert colours == [overlays.COLOURS[0], overlays.COLOURS[1], overlays.COLOURS[1]]
    assert page.count('<img src="x">') == 2 and "<figcaption>teacher</figcaption>" in page
    legend = page.split('class="legend"')[1]
    assert "&lt;class 0&gt;" in legend and "&lt;class 13&gt;" in legend and "class 2&" not in legend


def test_a_large_mask_is_thinned_out() -> None:
    areas = np.zeros((1000, 500), np.int64)
    page = overlays.drawn(PICTURE, RAW, [Marked("label", Marks(areas=areas, names=("a",)))])
    url = re.search(r"base64,([^\"]+)", page)
    assert url and Image.open(io.BytesIO(base64.b64decode(url[1]))).size == (125, 250)


def test_points_are_counted_from_the_centre_of_the_first_pixel() -> None:
    page = overlays.drawn(PICTURE, RAW, [Marked("student", Marks(points=((0.0, 0.0), (5.0, 3.25))))])
    assert 'viewBox="0 0 6 4"' in page
    assert re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', page) == [("0.50", "0.50"), ("5.50", "3.75")]
    assert "legend" not in page
    first = overlays.drawn(PICTURE, np.zeros((3, 4, 6), np.float32), [Marked("a", Marks(points=((1.0, 1.0),)))])
    assert 'viewBox="0 0 6 4"' in first, "channels first"


def test_spans_are_marked_in_the_text_of_everyone() -> None:
    text = "play <Abba> at noon"
    both = [Marked("label", Marks(spans=((5, 11, "artist"), (15, 19, "time")))), Marked("student", Marks())]
    page = overlays.drawn(Markup("<blockquote>x</blockquote>"), text, both)
    assert page.count("<blockquote>") == 2
    assert "play <mark" in page and "&lt;Abba&gt; <small>artist</small></mark> at <mark" in page
    assert "<b>student</b> play &lt;Abba&gt; at noon" in page
    plain = re.sub(r"<small>[^<]*</small>|<[^>]+>", "", page.split("</blockquote>")[0])
    assert plain.replace("  ", " ").split() == ["label", "play", "&lt;Abba&gt;", "at", "noon"]
    assert "(400 more)" in overlays.drawn(PICTURE, "x" * 1000, [Marked("label", Marks())])


def test_without_marks_or_a_picture_the_sample_stands_as_it_is() -> None:
    assert overlays.drawn(PICTURE, RAW, []) == PICTURE
    row = overlays.drawn(PICTURE, np.zeros(7), [Marked("teacher", Marks(points=((1.0, 1.0),)))])
    assert "circle" not in row and "x" in row
