"""What a pass is told: some training samples as batches, with what is known of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from edgekd.build import context
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.feed import Feed, some
from edgekd.learn.objective import make_terms
from edgekd.spec.recipe import Augment
from edgekd.tasks import Heads

OPS = ({"op": "layout"},)
COUNT = 100


def feed(labelled: bool = True) -> Feed:
    x = np.arange(COUNT, dtype=np.float32).reshape(COUNT, 1, 1, 1)
    part = Split(x, np.arange(COUNT) % 2 if labelled else None)
    return Feed(Dataset(part, part, part, ("a", "b"), OPS), OPS, Augment(), 0)


def change(samples: int) -> Any:
    return SimpleNamespace(samples=samples)


def test_as_many_samples_as_a_pass_wants_with_their_labels() -> None:
    made = context.make(feed(), None, 8, change(70), make_terms([{"kind": "kl"}]))
    assert [len(batch) for (batch,) in made.calibration] == [context.BATCH, context.BATCH, 70 - 2 * context.BATCH]
    seen = torch.cat([batch for (batch,) in made.calibration]).flatten()
    assert seen.tolist() == some(COUNT, 70).tolist() and made.channel_multiple == 8
    assert made.labels is not None and torch.equal(torch.cat(list(made.labels)), seen.long() % 2)
    assert made.teacher is None and made.loss is not None


def test_what_teachers_said_of_the_same_samples() -> None:
    said: Any = SimpleNamespace(split=lambda name: np.arange(COUNT, dtype=np.float32)[:, None])
    made = context.make(feed(labelled=False), None, 1, change(10), make_terms([{"kind": "kl"}]), said)
    assert made.labels is None and made.teacher is not None
    assert torch.cat(list(made.teacher)).flatten().tolist() == some(COUNT, 10).tolist()


def test_losses_on_layers_alone_have_nothing_to_say_of_answers() -> None:
    terms = make_terms([{"kind": "hint", "student_layers": ["a"], "teacher_layers": ["b"]}])
    assert context.make(feed(), None, 1, change(10), terms).loss is None


def test_what_is_answered_of_some_head_alone_is_taken_where_whole_answers_are_few() -> None:
    answers = np.zeros((COUNT, 5), np.float32)
    answers[:90, 2:] = np.nan
    answers[90:95] = np.nan
    said: Any = SimpleNamespace(split=lambda name: answers)
    terms = make_terms([{"kind": "kl"}], heads=Heads({"a": 2, "b": 3}))
    few, many = (context.make(feed(labelled=False), None, 1, change(count), terms, said) for count in (5, 60))
    assert few.teacher is not None and torch.cat(list(few.teacher)).isfinite().all()
    assert torch.cat([batch for (batch,) in few.calibration]).flatten().tolist() == [95, 96, 97, 98, 99]
    rows = torch.cat([batch for (batch,) in many.calibration]).flatten()
    assert len(rows) == 60 and not ((rows >= 90) & (rows < 95)).any()
    assert many.teacher is None, "passes read whole rows"
