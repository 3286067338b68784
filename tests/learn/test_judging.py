"""Whether training is worth keeping: by one standard error over the same samples, whatever the metric."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgekd.base import plugins
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.feed import Feed
from edgekd.learn.judging import Validation
from edgekd.metrics import Evaluator
from edgekd.metrics.macro_f1 import MacroF1
from edgekd.spec.recipe import Augment
from edgekd.tasks import SINGLE, Heads
from edgekd.tasks.multi_label import MultiLabel

COUNT = 400


class Says(nn.Module):
    """Gives its own scores, sample by sample; the samples are their numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scores", torch.zeros(COUNT, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.get_buffer("scores")[x[:, 0].long()]


def validation(metric: str, teacher: np.ndarray | None = None) -> tuple[Validation, np.ndarray]:
    labels = np.random.default_rng(0).integers(0, 2, COUNT)
    part = Split(np.arange(COUNT, dtype=np.float32)[:, None], labels)
    feed = Feed(Dataset(part, part, part, ("a", "b"), ()), (), Augment(), 0)
    evaluator = Evaluator(plugins.build("metrics", {"kind": metric}, "metric"), Heads({SINGLE: 2}))
    return Validation(feed, evaluator, teacher, None), labels


def state(labels: np.ndarray, wrong: range) -> dict[str, Tensor]:
    answers = labels.copy()
    answers[wrong] = 1 - answers[wrong]
    return {"scores": nn.functional.one_hot(torch.tensor(answers), 2).float()}


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "auc"])
def test_what_changes_by_chance_gains_nothing(metric: str) -> None:
    """40 samples go wrong and 44 right; then 80 right and none wrong."""
    judge, labels = validation(metric)
    before, module = state(labels, range(100)), Says()
    assert not judge.gains(module, before, before)
    assert not judge.gains(module, before, state(labels, range(44, 140)))
    assert not judge.gains(module, before, state(labels, range(110)))
    after = state(labels, range(20))
    assert judge.gains(module, before, after)
    assert torch.equal(module.get_buffer("scores"), after["scores"])


def test_only_what_the_teacher_answered_counts() -> None:
    """The network agrees with it on more samples, of which the teacher answered none."""
    teacher = np.zeros((COUNT, 2), np.float32)
    teacher[np.arange(COUNT), validation("accuracy")[1]] = 4
    judge, labels = validation("agreement", teacher)
    before, after = state(labels, range(100)), state(labels, range(0))
    assert judge.gains(Says(), before, after)
    teacher[:100] = np.nan
    assert not judge.gains(Says(), before, after)
    assert judge.value(Says()) == np.mean(labels[100:] == 0)


def test_labels_that_seldom_apply_are_judged_at_thresholds_of_their_own() -> None:
    """At 0.5 a network that never says more than 10 % has an F1 of 0, however well it tells the samples apart."""
    labels = (np.random.default_rng(0).random((COUNT, 2)) < 0.05).astype(np.int64)
    part = Split(np.arange(COUNT, dtype=np.float32)[:, None], labels)
    feed = Feed(Dataset(part, part, part, ("a", "b"), ()), (), Augment(), 0)
    heads = Heads({SINGLE: 2}, {SINGLE: MultiLabel()})
    judge, module = Validation(feed, Evaluator(MacroF1(), heads), None, None), Says()
    module.load_state_dict({"scores": torch.tensor(labels - 5.0, dtype=torch.float32)})
    assert judge.value(module) == 1.0
    before = {"scores": torch.full((COUNT, 2), -5.0)}
    assert judge.gains(module, before, {"scores": torch.tensor(labels - 5.0, dtype=torch.float32)})
