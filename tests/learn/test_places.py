"""Rows of places: the losses on them are those of the places alone."""

from __future__ import annotations

import numpy as np
import torch

from edgekd.learn.data import Dataset, Split
from edgekd.learn.feed import Feed
from edgekd.learn.objective import Objective, make_terms
from edgekd.learn.places import by_place
from edgekd.spec.recipe import Augment
from edgekd.tasks import IGNORED, Heads
from tests.tasks.test_dense import Grid

SHAPE = (3, 2, 2)  # classes, y, x
SCORES = torch.arange(1.0, 25.0).reshape(2, 12)


def test_ignored_places_are_left_out_and_the_others_keep_their_order() -> None:
    labels = torch.tensor([[0, IGNORED, 1, -1], [2, IGNORED, IGNORED, 0]])
    s, t, y = by_place(Grid(), SHAPE, SCORES, -SCORES, labels)
    assert s.tolist() == [[1, 5, 9], [3, 7, 11], [4, 8, 12], [13, 17, 21], [16, 20, 24]]
    assert t is not None and torch.equal(t, -s)
    assert y is not None and y.tolist() == [0, 1, -1, 2, 0]


def test_without_labels_a_place_that_a_sample_has_not_is_left_out() -> None:
    teacher = SCORES.clone()
    teacher.reshape(2, 3, 4)[0, :, 1] = 0
    s, t, y = by_place(Grid(), SHAPE, SCORES, teacher, None)
    assert len(s) == 7 and t is not None and len(t) == 7 and y is None
    assert len(by_place(Grid(), SHAPE, torch.zeros(2, 12), None, None)[0]) == 0


def test_a_student_that_is_told_few_labels_still_ignores_the_same_places() -> None:
    x, y = np.zeros((6, 3), np.float32), np.array([[0, IGNORED], [1, 0]] * 3)
    split = Split(x, y)
    few = Feed(Dataset(split, split, split, ("a", "b"), ()), (), Augment(views=1), 0).with_labels(2).labels("train")
    assert few is not None and ((few == IGNORED) == (y == IGNORED)).all()
    assert sum((row >= 0).any() for row in few) == 2


def test_an_objective_learns_of_the_places_that_have_a_label() -> None:
    heads = Heads({"a": 2, "map": SHAPE}, {"map": Grid()})
    terms = make_terms([{"kind": "kl", "temperature": 1.0}, {"kind": "cross_entropy"}], heads=heads)
    objective = Objective(terms, torch.nn.Linear(1, 1))
    scores = torch.cat([torch.zeros(2, 2), SCORES], dim=1)
    labels = torch.tensor([[1, 0, IGNORED, 1, -1], [0, IGNORED, IGNORED, IGNORED, IGNORED]])
    _, parts = objective(scores, scores * 0.5, labels, 0.0)
    rows = SCORES.reshape(2, 3, 4)[0].T[[0, 2, 3]]
    cross = torch.nn.functional.cross_entropy(rows[:2], torch.tensor([0, 1]))
    torch.testing.assert_close(parts["cross_entropy (map)"], cross)
    kl = torch.nn.functional.kl_div(
        rows.log_softmax(1), (rows * 0.5).log_softmax(1), reduction="batchmean", log_target=True
    )
    torch.testing.assert_close(parts["kl (map)"], kl)
    nothing = torch.full((2, 5), IGNORED)
    nothing[:, 0] = 0
    assert float(objective(scores, scores, nothing, 0.0)[1]["cross_entropy (map)"]) == 0
