"""What every made source has of their base: sizes as asked, data of the seed alone, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgekd.base import plugins
from edgekd.base.errors import EdgekdError
from edgekd.learn.data._made import MOST
from edgekd.tasks.anomaly import Anomaly
from edgekd.tasks.anomaly_map import AnomalyMap
from edgekd.tasks.regression import Regression
from edgekd.tasks.segmentation import Segmentation

SOURCES = sorted(name for name in plugins.kinds("data") if name.startswith("made"))
TASKS = {"made_points": Regression(points=True), "made_scenes": Segmentation(), "made_tiles": Anomaly()}


def made(source: str, **changes: int) -> Any:
    return plugins.build("data", {"kind": source, "train": 24, "validation": 40, "test": 11, **changes}, "data")


@pytest.mark.parametrize("source", SOURCES)
def test_sizes_are_as_asked_and_all_follows_from_the_fields(source: str) -> None:
    first, again, other = (made(source, seed=seed) for seed in (3, 3, 4))
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()
    of = () if source not in TASKS else (TASKS[source],)
    one, two, three = (data.load(*of) for data in (first, again, other))
    pairs = 2 if source == "made_pairs" else 1  # two sentences each
    assert [len(split) for split in (one.train, one.validation, one.test)] == [24 * pairs, 40 * pairs, 11 * pairs]
    assert np.array_equal(one.train.x[:], two.train.x[:]) and np.array_equal(one.train.y, two.train.y)
    assert not np.array_equal(one.train.x[:], three.train.x[:])


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("changes", [{"train": 0}, {"validation": MOST + 1}, {"test": -1}, {"seed": -1}])
def test_other_sizes_and_seeds_are_refused(source: str, changes: dict[str, int]) -> None:
    with pytest.raises(EdgekdError, match=f"{next(iter(changes))}: allowed is"):
        made(source, **changes)


def test_a_triplet_has_a_positive_that_says_more_of_its_anchor_than_any_negative() -> None:
    dataset = made("made_pairs", negatives=2).load()
    assert [len(split) for split in dataset.splits.values()] == [96, 160, 44]
    for row in dataset.train.x.reshape(-1, 4):
        anchor, positive, *negatives = ({word.partition("word")[0] for word in str(text).split()} for text in row)
        assert 2 * len(anchor & positive) >= len(anchor) == len(positive)
        assert all(len(anchor & negative) < len(anchor & positive) for negative in negatives)


def test_a_tile_has_a_mask_of_its_spot_where_it_has_one() -> None:
    source = made("made_tiles", size=16, seed=2)
    labels, masks = (source.load(task) for task in (Anomaly(), AnomalyMap()))
    assert np.array_equal(labels.test.x[:], masks.test.x[:]) and masks.classes == ("score",)
    assert masks.test.y is not None and masks.test.y.shape == (11, 16, 16) and not masks.train.y.any()
    assert masks.test.y.any(axis=(1, 2)).tolist() == (labels.test.y[:, 0] == 1).tolist()
    spots = [of for of in masks.test.y.sum(axis=(1, 2)).tolist() if of]
    assert all(5 <= of <= 20 for of in spots), "about pi (2 x 0.06 x 16)^2 pixels, 11.6"
    plain, spotted = (
        plugins.build("data", {"kind": "made_tiles", "size": 16, "noise": 0.0, "spot": spot, "test": 40}, "data")
        for spot in (0.0, 120.0)
    )
    away = np.abs(spotted.load(AnomalyMap()).test.x[..., 0].astype(int) - plain.load(AnomalyMap()).test.x[..., 0])
    mask = spotted.load(AnomalyMap()).test.y == 1
    assert away[mask].min() > 10 and away[~mask].max() <= 18, "an eighth of 120 is 16"
