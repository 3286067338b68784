"""Maps by the pixel: what is shared, held, written down, and taught."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekd.base.errors import IntegrityError, RecipeError
from edgekd.learn.objective import Objective, make_terms
from edgekd.runtime import golden, parity
from edgekd.tasks import IGNORED, Heads, Mask
from edgekd.tasks.segmentation import Segmentation

SHAPE = (3, 10, 10)
HEADS = Heads({"map": SHAPE}, {"map": Segmentation()})
NAMES = ("sky", "road", "car")
SCORES = (4 * np.random.default_rng(0).standard_normal((2, *SHAPE))).astype(np.float32)


def flat(scores: np.ndarray) -> np.ndarray:
    return scores.reshape(len(scores), -1)


def turned(pixels: int) -> np.ndarray:
    """The same with other classes at some pixels of the first sample."""
    other = SCORES.copy()
    other[0].reshape(3, -1)[:, :pixels] *= -1
    return other


def test_agreement_and_clear_differences_are_shares_of_the_pixels() -> None:
    other = turned(10)
    compared = parity.compare(flat(other), flat(SCORES), heads=HEADS)
    assert compared.argmax_agreement == pytest.approx(1 - 10 / 200)
    wanted = np.sort(SCORES, axis=1)
    lead = (wanted[0, 2] - wanted[0, 0]).reshape(-1)[:10]  # the best class against the worst, which is the best now
    clear = (lead > 0.05 * (SCORES.max() - SCORES.min())).sum() / 200
    assert parity.clearly_differs(flat(other), flat(SCORES), 0.05, HEADS) == pytest.approx(clear)
    assert clear > 0 and parity.clearly_differs(flat(SCORES), flat(SCORES), 0.05, HEADS) == 0


def test_a_pixel_of_equal_scores_is_a_pixel() -> None:
    """Two classes that int8 puts in one step: the first of them is what ``decode`` says, and so what is held."""
    task, clear, tied = Segmentation(), np.full((1, 2, 3, 3), 1.0, np.float32), np.zeros((1, 2, 3, 3), np.float32)
    clear[:, 1] = -1.0
    assert (task.answers(tied) == task.answers(clear)).all() and (task.answers(tied) == 0).all()
    assert task.agreement(tied, clear) == 1.0 and task.lead(tied) == 0.0 and task.same(tied, clear).all()  # type: ignore[union-attr]
    assert (task.decode(tied[0], ("a", "b")).classes == 0).all()
    assert task.distance(tied, clear)[0] > 0


def test_golden_maps_may_change_where_they_were_in_doubt() -> None:
    wanted = np.zeros((1, *SHAPE), np.float32)
    wanted[0, 0], wanted[0, 1] = 8, -8
    wanted[0, :, 0, 0] = 1.0, 1.01, -8
    got = wanted.copy()
    got[0, 0, 0, 0] = 1.02
    difference = golden.difference(flat(got), flat(wanted), 0.05, "golden", head="map", heads=HEADS)
    assert difference == pytest.approx(0.02, rel=1e-3)
    got[0, 1, 5, 5] = 9
    with pytest.raises(IntegrityError, match="other answers than when it was built"):
        golden.difference(flat(got), flat(wanted), 0.05, "golden", head="map", heads=HEADS)


@given(seed=st.integers(0, 1000), sure=st.floats(0, 1))
@settings(max_examples=25, deadline=None)
def test_a_mask_that_is_written_down_holds_its_clear_pixels(seed: int, sure: float) -> None:
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 3, (6, 7)).repeat(2, axis=1).astype(np.uint8)
    scores = np.where(rng.random((6, 14)) < sure, 0.95, 0.5).astype(np.float32)
    mask, task = Mask(classes, scores, NAMES), Segmentation()
    record = json.loads(json.dumps(task.record(mask)))
    unfolded = np.concatenate([np.full(count, number) for number, count in record["runs"]]).reshape(6, 14)
    assert np.array_equal(unfolded, np.where(scores >= 0.9, classes.astype(np.int64), -1))
    assert [off.distance for off in task.off(mask, record, 0.1)] == [0]
    doubtful = Mask(np.where(scores < 0.9, (classes + 1) % 3, classes).astype(np.uint8), scores, NAMES)
    assert [off.distance for off in task.off(doubtful, record, 0.1)] == [0]
    other = Mask(((classes + 1) % 3).astype(np.uint8), scores, NAMES)
    assert [off.distance > 1 for off in task.off(other, record, 0.1)] == [bool((scores >= 0.9).any())]
    assert sum(mask.areas.values()) == pytest.approx(1) and task.labels(record) == list(mask.areas)


def test_a_strangers_runs_are_not_unfolded() -> None:
    mask = Mask(np.zeros((2, 2), np.uint8), np.ones((2, 2), np.float32), NAMES)
    for runs in ([[0, 2**53], [0, 2**53]], [[0, 3]], [[0, 5]]):
        (off,) = Segmentation().off(mask, {"labels": [], "runs": runs}, 0.1)
        assert off.distance == np.inf


def test_losses_on_maps_see_whole_samples() -> None:
    labels = np.random.default_rng(1).integers(0, 3, (2, 10, 10))
    labels[:, 0] = IGNORED
    student, teacher, y = torch.tensor(SCORES), torch.tensor(turned(30)), torch.tensor(labels)
    tables: list[dict[str, Any]] = [{"kind": "dice"}, {"kind": "channel_wise", "temperature": 2.0}]
    terms = make_terms(tables, heads=HEADS)
    _, parts = Objective(terms, torch.nn.Linear(1, 1))(student.flatten(1), teacher.flatten(1), y, 0.0)
    assert float(parts["dice"]) == pytest.approx(float(terms[0].loss(student, None, y)))
    assert float(parts["channel_wise"]) == pytest.approx(float(terms[1].loss(student, teacher, None)))
    unknown = teacher.clone()
    unknown[1] = torch.nan  # a sample that the teacher has no answer to
    _, parts = Objective(terms, torch.nn.Linear(1, 1))(student.flatten(1), unknown.flatten(1), y, 0.0)
    alone = terms[1].loss(student[:1], teacher[:1], None)
    assert float(parts["channel_wise"]) == pytest.approx(float(alone))
    nothing = torch.full_like(y, IGNORED)
    _, parts = Objective(terms, torch.nn.Linear(1, 1))(student.flatten(1), teacher.flatten(1), nothing, 0.0)
    assert float(parts["dice"]) == 0


def test_maps_are_as_large_as_their_masks() -> None:
    assert Segmentation().shape(3, (4, 5)) == (3, 4, 5)
    with pytest.raises(RecipeError, match="maps are as large as their masks, and there are none; found 'no labels'"):
        Segmentation().shape(3, ())
    with pytest.raises(ValueError, match="ignore: allowed is -1 to 65535"):
        Segmentation(ignore=70_000)


def test_distances_are_the_same_however_many_samples_are_looked_at_together(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Segmentation().distance(SCORES, turned(30))
    monkeypatch.setattr("edgekd.tasks._masks.NUMBERS", 1)
    np.testing.assert_allclose(Segmentation().distance(SCORES, turned(30)), whole)
    assert whole[0] > whole[1] == pytest.approx(0, abs=1e-12)
