"""What a network answers, asked anew each time."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from edgekd.learn import predictions
from edgekd.learn.data import from_splits
from edgekd.learn.feed import Feed
from edgekd.learn.teaching import NetworkOutputs
from edgekd.spec.recipe import Augment


def test_a_network_answers_views_as_they_are_shown_and_splits_as_they_are() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 255, (6, 4, 4, 1)).astype(np.uint8)
    feed = Feed(from_splits([(x, np.arange(6) % 2)] * 3, "d"), ({"op": "layout"},), Augment(flip=True, views=2), 0)
    torch.manual_seed(0)
    outputs = NetworkOutputs(nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), feed)
    for view in range(2):
        np.testing.assert_array_equal(outputs.view(view), predictions.predict_view(outputs.module, feed, view))
    assert not np.array_equal(outputs.view(0), outputs.view(1))
    np.testing.assert_array_equal(outputs.split("test"), predictions.predict(outputs.module, feed, "test"))
