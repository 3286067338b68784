"""What a form keeps of answers, and what is lost."""

from __future__ import annotations

import numpy as np
import pytest

from edgekd.base.scores import log_softmax, softmax
from edgekd.build.outputs import forms
from edgekd.build.outputs.forms import Dense, Top
from edgekd.spec.teacher_outputs import TeacherOutputs


def logits(samples: int = 50, classes: int = 20, scale: float = 4.0) -> np.ndarray:
    values = np.random.default_rng(0).standard_normal((samples, classes)) * scale
    values[3] = np.nan
    return values.astype(np.float32)


def test_float32_keeps_every_bit() -> None:
    form = Dense(20)
    records = np.frombuffer(form.encode(logits()).tobytes(), form.record)
    assert form.record.itemsize == 80 and form.decode(records).tobytes() == logits().tobytes()


def test_float16_keeps_three_digits_and_says_what_it_cannot_hold() -> None:
    form, values = Dense(20, "float16"), logits()
    np.testing.assert_allclose(form.decode(form.encode(values)), values, rtol=1e-3, atol=1e-6)
    assert form.record.itemsize == 40 and form.too_large(values) is None
    values[7, 2] = -65_600
    assert form.too_large(values) == 7 and Dense(20).too_large(values) is None


def test_of_the_likeliest_classes_the_probabilities_are_kept_and_the_others_share_the_rest() -> None:
    form, values = Top((20,), 5), logits()
    records = np.frombuffer(form.encode(values).tobytes(), form.record)
    assert form.record.itemsize == 5 * (1 + 2) + 2
    kept = form.decode(records)
    assert np.isnan(kept[3]).all()
    known = np.delete(np.arange(50), 3)
    before, after = softmax(values[known]), softmax(kept[known])
    best = np.argsort(-before, axis=1)[:, :5]
    np.testing.assert_allclose(np.take_along_axis(after, best, 1), np.take_along_axis(before, best, 1), rtol=0.01)
    np.put_along_axis(before, best, 0, 1)
    np.put_along_axis(after, best, 0, 1)
    np.testing.assert_allclose(after.sum(1), before.sum(1), rtol=0.02, atol=1e-4)
    rest = after[0][after[0] > 0]
    np.testing.assert_allclose(rest, rest[0])


def test_each_head_keeps_its_own_and_a_small_one_all() -> None:
    form, values = Top((3, 9), 4), logits(classes=12)
    kept = form.decode(form.encode(values))
    np.testing.assert_allclose(kept[:, :3], log_softmax(values[:, :3]), rtol=2e-3, atol=1e-4)
    known = np.delete(np.arange(50), 3)
    assert (kept[known, 3:].argmax(1) == values[known, 3:].argmax(1)).all()


def test_hopeless_classes_stay_finite() -> None:
    values = np.array([[0.0, -2e5, -3e5, -1e6]], np.float32)
    kept = Top((4,), 2).decode(Top((4,), 2).encode(values))
    assert np.isfinite(kept).all() and kept.argmax() == 0


@pytest.mark.parametrize(
    ("table", "name", "size"),
    [
        ({}, "float32 of 1000", 4000),
        ({"form": "float16"}, "float16 of 1000", 2000),
        ({"form": "top"}, "top 8 of 900+100", 8 * 4 + 2 + 8 * 3 + 2),
        ({"form": "top", "top": 300}, "top 300 of 900+100", 300 * 4 + 2 + 100 * 3 + 2),
    ],
)
def test_the_recipe_says_which(table: dict[str, object], name: str, size: int) -> None:
    form = forms.of(TeacherOutputs.model_validate(table), (900, 100))
    assert (form.name, form.record.itemsize, form.columns) == (name, size, 1000)
