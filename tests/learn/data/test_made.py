"""What every made source has of their base: sizes as asked, data of the seed alone, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgekd.base import plugins
from edgekd.base.errors import EdgekdError
from edgekd.learn.data._made import MOST
from edgekd.tasks.anomaly import Anomaly
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
