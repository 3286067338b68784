"""What a training that is cut off leaves: taken up where it is whole, else begun anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from edgekd.base import plugins
from edgekd.learn import checkpoint, train
from edgekd.learn.data.made import Made
from edgekd.learn.feed import Feed
from edgekd.learn.objective import make_terms
from edgekd.learn.optimizer import make_optimizer
from edgekd.spec.recipe import Augment, Schedule


def feed() -> Feed:
    data = Made((8, 8, 1), classes=4, train=80, validation=32, test=16).load()
    return Feed(data, data.preprocess, Augment(flip=True, crop=1, views=2), seed=3)


def module() -> nn.Module:
    torch.manual_seed(0)
    made: nn.Module = plugins.build("models", {"kind": "convnet", "width": 8, "depth": 2}, "m").build((1, 8, 8), 4)
    return made


def task(schedule: Schedule, **changed: Any) -> train.TrainingJob:
    terms = make_terms([{"kind": "kl", "weight": 0.7}, {"kind": "cross_entropy", "weight": 0.3}])

    def teacher(view: int) -> np.ndarray:
        return np.random.default_rng(view).standard_normal((80, 4), dtype=np.float32)

    return train.TrainingJob(
        **{"terms": terms, "feed": feed(), "schedule": schedule, "seed": 5, "teacher": teacher, **changed}
    )


def test_a_damaged_checkpoint_is_begun_anew(tmp_path: Path) -> None:
    schedule = Schedule(epochs=2, batch_size=16)
    train.fit(module(), task(schedule), tmp_path)
    file = next(tmp_path.iterdir())
    file.write_bytes(file.read_bytes()[:100])
    assert len(train.fit(module(), task(schedule), tmp_path)) == 2


def test_a_flipped_byte_in_a_checkpoint_is_noticed(tmp_path: Path) -> None:
    schedule = Schedule(epochs=2, batch_size=16)
    train.fit(module(), task(schedule), tmp_path)
    file = next(tmp_path.iterdir())
    data = bytearray(file.read_bytes())
    data[-9] ^= 1
    file.write_bytes(data)
    fresh = module()
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    optimizer = make_optimizer(fresh, schedule)
    assert checkpoint.restore(tmp_path, fresh, optimizer) is None
    assert all(torch.equal(value, before[name]) for name, value in fresh.state_dict().items())


def test_a_checkpoint_of_another_net_is_begun_anew(tmp_path: Path) -> None:
    """As one that somebody else who can write to the cache left under this step's key: whole, and of something else."""
    schedule, other, fresh = Schedule(epochs=2, batch_size=16), torch.nn.Linear(2, 3), module()
    checkpoint.save(tmp_path, other, make_optimizer(other, schedule), checkpoint.TrainingState([]))
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    assert checkpoint.restore(tmp_path, fresh, make_optimizer(fresh, schedule)) is None
    assert all(torch.equal(value, before[name]) for name, value in fresh.state_dict().items())
    assert not any(tmp_path.iterdir())
