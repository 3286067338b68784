"""What ``predict`` takes: raw samples as in training, or an error that says how they are given."""

from __future__ import annotations

import io
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from edgekd.base import preprocess, samples
from edgekd.base.errors import UsageError
from edgekd.base.wordpiece import Vocabulary
from edgekd.learn.data import _encoded
from edgekd.runtime.model import Model
from edgekd.tasks import Heads

WORDS = Vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b"])
TEXT = [{"op": "wordpiece", "vocabulary": WORDS, "length": 5, "lower": True}]


def model(ops: Any, shape: tuple[int, ...], dtype: str, rate: int = 0, answer: float = 0.0) -> Model:
    """A student that answers two classes, the first of them."""

    class Session:
        inputs, outputs = (), ()

        def run(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            self.seen = next(iter(arrays.values()))
            return {"logits": np.array([[1.0, answer]] * len(self.seen), np.float32)}

    about = {"labels": ("yes", "no"), "heads": Heads({"logits": 2}), "preprocess": ops, "sample_shape": shape}
    bundle: Any = SimpleNamespace(**about, sample_dtype=dtype, rate=rate)
    return Model(bundle, SimpleNamespace(target="here"), Session())  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
@pytest.mark.parametrize("dtype", ["uint8", "float32", ""])
def test_what_is_no_number_is_refused(value: float, dtype: str) -> None:
    raw = np.full((3, 4), 7.0)
    raw[1, 2] = value
    with pytest.raises(UsageError, match="not finite"):
        samples.check_numbers(raw, dtype)
    with pytest.raises(UsageError, match="not finite"):
        model([], (4,), dtype).predict(raw)


def test_an_answer_that_is_no_number_is_none() -> None:
    with pytest.raises(UsageError, match="answers NaN or Inf"):
        model([], (4,), "float32", answer=np.nan).predict(np.ones(4))


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_pictures_that_are_scaled_already_are_refused(kind: Any) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 3))
    student = model([{"op": "scale", "divide": 255.0}, {"op": "layout"}], (6, 5, 3), "uint8")
    scaled = (pixels / 255).astype(kind)
    for raw in (scaled, scaled[None], [scaled, scaled], 2 * scaled - 1, (scaled - 0.45) / 0.25):
        with pytest.raises(UsageError, match=r"already: the preprocessing is part of the student.*uint8"):
            student.predict(raw)
    for raw in (pixels.astype(kind), pixels.astype(np.uint8), np.zeros((6, 5, 3), kind), pixels // 200):
        assert student.predict(raw).label == "yes"


def test_black_and_white_are_0_and_255() -> None:
    """As 0 and 1 of 255 a picture was nearly black, and nothing said so."""
    grey = np.arange(30, dtype=np.uint8).reshape(6, 5) * 8
    student = model([{"op": "scale", "divide": 255.0}, {"op": "layout"}], (6, 5, 1), "uint8")
    for raw in (grey > 99, [grey > 99, grey > 50], torch.tensor(grey > 99)):
        with pytest.raises(UsageError, match=r"predict: truth values.*mask.astype\('uint8'\) \* 255"):
            student.predict(raw)
    with pytest.raises(UsageError, match="mode 1"):
        student.predict(Image.fromarray(grey > 99))
    assert student.predict((grey > 99).astype(np.uint8) * 255).label == "yes"


COLOURS = np.random.default_rng(2).integers(0, 256, (6, 6, 3)).astype(np.uint8)


@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGBA", "CMYK", "YCbCr", "HSV", "I;16", "F", "turned", "clear"])
def test_a_picture_that_training_reads_otherwise_is_refused(mode: str) -> None:
    image = Image.fromarray(COLOURS)
    if mode == "turned":
        image.getexif()[0x0112] = 6
    elif mode == "clear":
        image.info["transparency"] = (1, 2, 3)
    else:
        image = (image.convert("L") if mode in ("1", "LA", "I;16", "F") else image).convert(mode)
    found = {"turned": "mode RGB, EXIF orientation 6", "clear": "mode RGB, transparent"}.get(mode, f"mode {mode}")
    shape = (6, 6, len(image.getbands()))
    for given in (image, [image, image]):
        with pytest.raises(UsageError, match=f"not read as in training; found '{found}.*ImageOps.exif_transpose"):
            model([{"op": "layout"}], shape, "uint8").predict(given)


@pytest.mark.parametrize(("mode", "white"), [("I;16", 65_535), ("F", 1)])
def test_what_a_grey_of_16_bits_is_told_to_become_is_what_training_reads(mode: str, white: int) -> None:
    grey = Image.fromarray((np.linspace(0, white, 36).reshape(6, 6)).astype("<u2" if white > 1 else np.float32))
    assert grey.mode == mode
    with pytest.raises(UsageError) as caught:
        model([{"op": "layout"}], (6, 6, 1), "uint8").predict(grey)
    code = str(caught.value.hint).partition(", as often")[0]
    file = io.BytesIO()
    grey.save(file, "TIFF")
    wanted = _encoded.open_image(file.getvalue(), "t")[..., 0]
    np.testing.assert_array_equal(eval(code, {"numpy": np, "ImageOps": ImageOps, "im": grey}), wanted)
    assert len(np.unique(wanted)) == 36


def test_a_picture_as_training_reads_it_is_taken() -> None:
    student = model([{"op": "layout"}], (6, 6, 3), "uint8")
    image = Image.fromarray(COLOURS)
    assert student.predict(image).label == "yes" and len(student.predict([image, image])) == 2
    image.getexif()[0x0112] = 6
    assert student.predict(ImageOps.exif_transpose(image).convert("RGB")).label == "yes"
    np.testing.assert_array_equal(student._first.seen[0].transpose(1, 2, 0), np.rot90(COLOURS, -1))  # type: ignore[attr-defined]


def test_a_table_of_uint8_is_no_picture() -> None:
    for raw in ([0.0, 1.0, 1.0, 0.0], [0.5, 0.25, 0.0, 1.0], [True, False, True, True]):
        assert model([], (4,), "uint8").predict(raw).label == "yes"
    with pytest.raises(UsageError, match=r"beyond those.*numbers from 0 to 255; give them as in"):
        model([], (4,), "uint8").predict([0.0, 900.0, 1.0, 0.0])


def test_numbers_of_other_students_may_be_small() -> None:
    for dtype in ("float32", "int64", ""):
        assert model([], (4,), dtype).predict(np.full(4, -0.5)).label == "yes"


SOUND = [{"op": "scale", "divide": 32768.0}]


@pytest.mark.parametrize("length", [1, 7, 10, 11, 24])
def test_a_clip_of_any_length_is_heard_as_in_training(length: int) -> None:
    student = model(SOUND, (10,), "int16", rate=8000)
    clip = np.random.default_rng(length).integers(-(2**15), 2**15, length).astype(np.int16)
    wanted = np.zeros(10, np.int16)
    start = max(0, (length - 10) // 2)
    wanted[: min(length, 10)] = clip[start : start + 10]
    assert student.predict(clip).label == "yes"
    np.testing.assert_array_equal(student._first.seen, preprocess.apply(SOUND, wanted[None])["input"])  # type: ignore[attr-defined]
    assert len(student.predict(clip[None])) == 1
    np.testing.assert_array_equal(student._first.seen[0], wanted / np.float32(32768))  # type: ignore[attr-defined]
    both = student.predict([clip, clip.tolist() * 3])
    assert len(both) == 2 and student._first.seen.shape == (2, 10)  # type: ignore[attr-defined]
    assert student.predict(np.zeros((0, 10), np.int16)) == []


@pytest.mark.parametrize("clip", [np.zeros((2, 3, 10)), np.array([]), 5, ["a"], [np.zeros(3), np.zeros(0)]])
def test_what_is_no_clip_is_refused(clip: Any) -> None:
    with pytest.raises(UsageError, match="not a clip"):
        model(SOUND, (10,), "int16", rate=8000).predict(clip)


def test_text_that_is_longer_than_the_student_reads_is_told_once() -> None:
    student = model(TEXT, (), "text")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert student.predict("a b a").label == "yes"  # fills the row, and loses nothing
    with pytest.warns(UserWarning, match="2 of 3 texts longer than the 5 tokens"):
        student.predict(["a b a b", "b", "a a b b a"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        student.predict("a b a b a b")


CLIP = np.random.default_rng(3).integers(-9_000, 9_000, 40)


@pytest.mark.parametrize(
    ("dtype", "raw", "said"),
    [
        ("int16", (CLIP / 32_768).astype(np.float32), "scaled already.*int16"),
        ("int16", CLIP * 65_536, "beyond those of the training"),
        ("int16", (CLIP // 256 + 128).astype(np.uint8), "8 bits"),
        ("uint8", np.arange(40) * 1_000, "beyond those of the training"),
        ("uint8", -np.arange(40.0) * 3, "beyond those of the training"),
    ],
)
def test_numbers_of_another_range_are_refused(dtype: str, raw: np.ndarray, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        samples.check_numbers(raw[None], dtype)
    with pytest.raises(UsageError, match=said):
        samples.check_numbers(np.stack([raw, raw]), dtype)


@pytest.mark.parametrize("dtype", ["uint8", "int16"])
def test_one_scaled_sample_of_a_batch_is_enough(dtype: str) -> None:
    batch = np.random.default_rng(5).integers(0, 256, (3, 4, 4)).astype(np.float64)
    batch[2] = batch[2] > 99  # nearly black, or nearly silent
    samples.check_numbers(batch, dtype)
    batch[1] /= 255
    with pytest.raises(UsageError, match=r"sample 1: scaled already.*from 0 to 1"):
        samples.check_numbers(batch, dtype)


@pytest.mark.parametrize(
    ("dtype", "raw"),
    [
        ("int16", np.sign(CLIP).astype(np.float32)),  # nearly silent
        ("int16", CLIP.astype(np.float64)),
        ("int16", CLIP),
        ("uint8", np.linspace(-9, 270, 40)),  # as after a bicubic resize
        ("uint8", np.arange(2)),
        ("float32", np.arange(40) * 1_000),
        ("", np.arange(40) > 20),
    ],
)
def test_numbers_of_the_range_are_taken_in_any_type(dtype: str, raw: np.ndarray) -> None:
    samples.check_numbers(raw[None], dtype)


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [((9, 6, 8, 3), (6, 8)), ((9, 3, 6, 8), (6, 8)), ((9, 1, 6, 8), (6, 8)), ((9, 4, 4, 1), (4, 4))],
)
def test_sides_of_pictures_whose_channels_come_first_or_last(shape: tuple[int, ...], wanted: tuple[int, int]) -> None:
    assert samples.sides(shape) == wanted
    assert samples.sides((9, 6, 8, 12), channels_last=True) == (6, 8)
