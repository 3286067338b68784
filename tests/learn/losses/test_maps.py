"""The losses on maps against plain implementations: numpy in float64, written from the formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from edgekd.base import plugins
from edgekd.base.errors import RecipeError

RNG = np.random.default_rng(3)
S, T = RNG.standard_normal((2, 3, 4, 5)), RNG.standard_normal((2, 3, 4, 5))
Y = RNG.integers(-1, 3, (2, 4, 5))


def value(kind: str, student: Any, teacher: Any, labels: Any, **keys: Any) -> float:
    loss = plugins.build("losses", {"kind": kind, **keys}, "test")
    return float(loss(*(None if one is None else torch.as_tensor(one) for one in (student, teacher, labels))))


def softmax(z: np.ndarray, axis: int) -> np.ndarray:
    e = np.exp(z - z.max(axis, keepdims=True))
    return np.asarray(e / e.sum(axis, keepdims=True))


def test_dice_is_of_each_class_of_each_sample() -> None:
    share, each = softmax(S, 1), []
    for n in range(2):
        known = Y[n] >= 0
        for c in range(3):
            p, right = share[n, c][known], (Y[n][known] == c).astype(float)
            each.append(1 - (2 * (p * right).sum() + 0.5) / (p.sum() + right.sum() + 0.5))
    assert value("dice", S, None, Y, smooth=0.5) == pytest.approx(np.mean(each))
    sure = np.where(np.arange(3)[None, :, None, None] == Y.clip(0)[:, None], 50.0, -50.0)
    assert value("dice", sure, None, Y) == pytest.approx(0, abs=1e-9)
    assert value("dice", -sure, None, Y, smooth=1e-3) > 0.9


def test_dice_sees_no_place_without_a_label() -> None:
    moved = np.where((Y < 0)[:, None], RNG.standard_normal(S.shape), S)
    assert value("dice", moved, None, Y) == pytest.approx(value("dice", S, None, Y))
    student = torch.tensor(S, requires_grad=True)
    plugins.build("losses", {"kind": "dice"}, "test")(student, None, torch.as_tensor(Y)).backward()
    assert student.grad is not None and bool((student.grad.movedim(1, -1)[torch.as_tensor(Y < 0)] == 0).all())


def test_channel_wise_compares_where_a_channel_is_large() -> None:
    p, q = (softmax(maps.reshape(2, 3, 20) / 2, 2) for maps in (T, S))
    assert value("channel_wise", S, T, None, temperature=2.0) == pytest.approx(4 * (p * np.log(p / q)).sum(2).mean())
    shifted = T + RNG.standard_normal((2, 3, 1, 1))
    assert value("channel_wise", shifted, T, None) == pytest.approx(0, abs=1e-12), "a channel's level says nothing"


def heat_map(student: np.ndarray, teacher: np.ndarray, **keys: Any) -> float:
    loss = plugins.build("losses", {"kind": "heat_map", "student_layers": ["a"], "teacher_layers": ["b"], **keys}, "t")
    assert loss.adapter([torch.Size(student.shape)], [torch.Size(teacher.shape)]) is None
    return float(loss([torch.as_tensor(student)], [torch.as_tensor(teacher)], None))


def test_heat_map_is_a_gaussian_around_the_teachers_point() -> None:
    points = RNG.uniform(0, 12, (2, 3, 2))
    y, x = np.mgrid[:4, :5] * 3.0 + 1.0  # the centres of cells of 3 pixels, the first pixel's being 0
    squares = (x - points[..., 0, None, None]) ** 2 + (y - points[..., 1, None, None]) ** 2
    g = softmax((-squares / (2 * 4.5**2)).reshape(2, 3, 20), 2)
    q = softmax(S.reshape(2, 3, 20), 2)
    wanted = (g * np.log(g / q)).sum(2).mean()
    assert heat_map(S, points, cell=3.0, sigma=1.5) == pytest.approx(wanted)
    assert heat_map(S, points.reshape(2, 6), cell=3.0, sigma=1.5) == pytest.approx(wanted)
    assert heat_map(np.log(g).reshape(S.shape), points, cell=3.0, sigma=1.5) == pytest.approx(0, abs=1e-12)


def test_heat_map_of_a_teacher_that_has_maps() -> None:
    p, q = (softmax(maps.reshape(2, 3, 20), 2) for maps in (T, S))
    assert heat_map(S, T) == pytest.approx((p * np.log(p / q)).sum(2).mean())
    assert heat_map(S, RNG.standard_normal((2, 3, 2, 2))) > 0


@pytest.mark.parametrize("teacher", [(2, 8), (2, 3, 3), (2, 4, 4, 5), (6,), (2, 3)])
def test_heat_map_wants_a_map_for_each_point(teacher: tuple[int, ...]) -> None:
    with pytest.raises(RecipeError, match="no heat map for each point"):
        heat_map(S, np.zeros(teacher))
