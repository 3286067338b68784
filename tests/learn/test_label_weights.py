"""How much each label of a batch counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from edgekd.learn import label_weights
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.feed import Feed
from edgekd.spec.recipe import Augment

CPU = torch.device("cpu")
INDEX = np.array([5, 0, 17])


def feed(y: Any, **augment: Any) -> Feed:
    part = Split(np.random.default_rng(0).integers(0, 256, (40, 4, 4, 3), dtype=np.uint8), y)
    return Feed(Dataset(part, part, part, tuple("abcd"), ()), (), Augment(**augment), 0)


def test_where_all_count_alike_nothing_is_weighed() -> None:
    assert label_weights.of_batch(feed(np.arange(40) % 4, flip=True), 0, INDEX, CPU) == []
    assert label_weights.of_batch(feed(None, ops=[{"kind": "mixup"}]), 0, INDEX, CPU) == []


def test_a_mixed_view_has_the_labels_of_both_by_its_coefficient() -> None:
    for labels in (np.arange(40) % 4, np.stack([np.arange(40) % 3, np.arange(40) % 2], axis=1)):
        mixed = feed(labels, ops=[{"kind": "cutmix", "probability": 1.0}], views=4)
        mixture = mixed.mixture(2, INDEX)
        assert mixture is not None
        (first, own), (second, others) = label_weights.of_batch(mixed, 2, INDEX, CPU)
        assert torch.equal(first, torch.tensor(labels[INDEX]))
        assert torch.equal(second, torch.tensor(labels[mixture.partners]))
        assert own.shape == first.shape and torch.allclose(own + others, torch.ones(first.shape))
        by_sample = own if own.ndim == 1 else own[:, 1]
        assert np.allclose(by_sample, mixture.coefficient)
