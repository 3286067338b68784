"""Samples on a page, each as what it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgekd.report import pictures


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (np.arange(36, dtype=np.uint8).reshape(6, 6, 1), 'class="small" alt="6 x 6 pixels"'),
        (np.zeros((200, 100, 3), np.uint8), 'class="" alt="100 x 200 pixels"'),
        (np.zeros((3, 8, 9), np.float32), 'alt="9 x 8 pixels"'),
        ("<b>a text</b>", "<blockquote>&lt;b&gt;a text&lt;/b&gt;</blockquote>"),
        ("x" * 1000, "(400 more)"),
        (np.arange(50), "38, 39, … (10 more)"),
        (np.sin(np.arange(1000) / 9).astype(np.float32), '<path d="M0 '),
        ((np.sin(np.arange(1000) / 9) * 9999).astype(np.int16), '<path d="M0 '),
        (np.zeros((2, 3, 4, 5), np.float32), "float32 of shape 2 x 3 x 4 x 5"),
        (np.zeros((5, 7, 9), np.float32), "float32 of shape 5 x 7 x 9"),
    ],
)
def test_every_kind_of_sample_is_shown(raw: Any, shown: str) -> None:
    assert shown in pictures.pictures([raw])[0]


def test_a_picture_keeps_its_pixels_and_a_large_one_is_thinned_out() -> None:
    import base64
    import io

    from PIL import Image

    def pixels(raw: Any) -> Any:
        url = str(pictures.pictures([raw])[0]).split("base64,")[1].split('"')[0]
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(url))))

    bright = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    bright[0, 0] = 255
    assert np.array_equal(pixels(bright), bright)
    assert np.array_equal(pixels(np.array([[[0], [8]], [[16], [4]]], np.uint8)), [[0, 128], [255, 64]])
    assert pixels(np.zeros((1000, 500, 1), np.float32)).shape == (250, 125)
