"""How much each label of a batch counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_sample_weight

from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.feed import Feed
from edgekd.learn.label_weights import LabelWeights, by_class
from edgekd.learn.objective import Weighed
from edgekd.spec.recipe import Augment, ClassWeights

INDEX = np.array([5, 0, 17])


def feed(y: Any, **augment: Any) -> Feed:
    part = Split(np.random.default_rng(0).integers(0, 256, (40, 4, 4, 3), dtype=np.uint8), y)
    return Feed(Dataset(part, part, part, tuple("abcd"), ()), (), Augment(**augment), 0)


def of_batch(one: Feed, classes: ClassWeights = None, view: int = 0) -> list[Weighed]:
    return LabelWeights.of(one, classes).of_batch(view, INDEX, torch.device("cpu"))


def test_where_all_count_alike_nothing_is_weighed() -> None:
    assert of_batch(feed(np.arange(40) % 4, flip=True)) == []
    assert of_batch(feed(None, ops=[{"kind": "mixup"}]), "balanced") == []


def test_a_mixed_view_has_the_labels_of_both_by_its_coefficient() -> None:
    for labels in (np.arange(40) % 4, np.stack([np.arange(40) % 3, np.arange(40) % 2], axis=1)):
        mixed = feed(labels, ops=[{"kind": "cutmix", "probability": 1.0}], views=4)
        mixture = mixed.mixture(2, INDEX)
        assert mixture is not None
        (first, own), (second, others) = of_batch(mixed, None, 2)
        assert torch.equal(first, torch.tensor(labels[INDEX]))
        assert torch.equal(second, torch.tensor(labels[mixture.partners]))
        assert own.shape == first.shape and torch.allclose(own + others, torch.ones(first.shape))
        by_sample = own if own.ndim == 1 else own[:, 1]
        assert np.allclose(by_sample, mixture.coefficient)


def test_balanced_classes_count_alike_together_and_a_label_1_on_average() -> None:
    labels = np.repeat([0, 1, 3], [30, 9, 1])
    weights = by_class(labels, "balanced")
    assert np.bincount(labels, weights=weights)[[0, 1, 3]] == pytest.approx([40 / 3] * 3)
    assert weights == pytest.approx(compute_sample_weight("balanced", labels))
    few = np.where(np.arange(40) % 2 == 0, labels, -1)
    assert (by_class(few, "balanced")[few < 0] == 0).all() and by_class(few, "balanced").sum() == pytest.approx(20)


def test_each_head_has_weights_of_its_own_and_a_list_is_by_class() -> None:
    labels = np.stack([np.repeat([0, 1], [30, 10]), np.repeat([0, 1], 20)], axis=1)
    weights = by_class(labels, "balanced")
    assert weights[0] == pytest.approx([40 / 60, 1]) and weights[-1] == pytest.approx([2, 1])
    assert by_class(np.array([2, -1, 0]), (0.5, 1.0, 3.0)).tolist() == [3.0, 0.0, 0.5]


def test_weights_of_classes_and_shares_of_a_mixture_multiply() -> None:
    labels = np.repeat([0, 1], [30, 10])
    one = feed(labels, ops=[{"kind": "mixup"}])
    mixture, weights = one.mixture(0, INDEX), by_class(labels, (1.0, 5.0))
    assert mixture is not None
    (_, own), (_, others) = of_batch(one, (1.0, 5.0))
    assert np.allclose(own, mixture.coefficient * weights[INDEX])
    assert np.allclose(others, (1 - mixture.coefficient) * weights[mixture.partners])
    ((first, alone),) = of_batch(feed(labels), (1.0, 5.0))
    assert np.allclose(alone, weights[INDEX]) and torch.equal(first, torch.tensor(labels[INDEX]))
