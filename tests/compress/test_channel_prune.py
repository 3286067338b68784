"""What a channel is worth, and which of them go."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from edgekd import plugins
from edgekd.compress import _groups
from edgekd.compress._base import Context
from edgekd.errors import ExportError, RecipeError
from edgekd.learn.student import Student, TensorSpec

SHAPE = (3, 8, 8)


def student_of(width: int = 16, **table: Any) -> Student:
    torch.manual_seed(0)
    module = plugins.build("models", {"kind": "convnet", "width": width, **table}, "m").build(SHAPE, 5)
    with torch.no_grad():
        module.train()(torch.randn(32, *SHAPE))
    spec = TensorSpec("input", (None, *SHAPE))
    return Student(module.eval(), (spec,), (TensorSpec("logits", (None, 5)),), ({"kind": "student"},))


def context(**told: Any) -> Context:
    generator = torch.Generator().manual_seed(0)
    batches = [(torch.randn(size, *SHAPE, generator=generator),) for size in (6, 4)]
    return Context(None, 4, batches, **told)


def channel_prune(**keys: Any) -> Any:
    return plugins.build("compress", {"kind": "channel_prune", **keys}, "compress[0]")


def widths(student: Student) -> list[int]:
    return [m.out_channels for m in student.module.modules() if isinstance(m, nn.Conv2d)]


def test_taylor_is_the_mean_square_of_what_each_sample_loses_to_first_order() -> None:
    """Worked out by hand for the last channels, which only the head reads; batches of several sizes count alike."""
    student, labels = student_of(), [torch.tensor([0, 1, 2, 3, 4, -1]), torch.tensor([1, 1, 0, -1])]
    here = context(labels=labels)
    found = _groups.find(student, here, "taylor")[-1].scores
    wanted = torch.zeros(16)
    for (x,), told in zip(here.calibration, labels, strict=True):
        with torch.no_grad():
            pooled = student.module.pool(student.module.features(x)).flatten(1)
            logits = student.module.head(pooled)
            answer = torch.where(told >= 0, told, logits.argmax(1))
            slope = logits.softmax(1) - functional.one_hot(answer, 5)
            wanted += ((slope @ student.module.head.weight) * pooled).square().sum(0)
    assert torch.allclose(found.float(), wanted / 10, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("criterion", ["taylor", "teacher"])
def test_what_nobody_reads_goes_first_however_large_its_weights(criterion: str) -> None:
    student = student_of()
    with torch.no_grad():
        student.module.features[0][0].weight[:4] *= 100.0
        student.module.features[1][0].weight[:, :4] = 0.0
    plans = {
        kind: channel_prune(ratio=0.25, criterion=kind).apply(student, context()).lineage[-1]["plan"]
        for kind in (criterion, "magnitude")
    }
    assert plans[criterion][0][2] == [0, 1, 2, 3] and not set(plans["magnitude"][0][2]) & {0, 1, 2, 3}
    assert all(p.grad is None and p.requires_grad for p in student.module.parameters()), "left as it was"


def test_the_teacher_criterion_asks_the_recipes_losses() -> None:
    """A loss that only sees class 0 makes worthless what only class 1 reads."""
    student = student_of()
    with torch.no_grad():
        student.module.head.weight[0, :8] = 0.0
    teacher = [torch.randn(6, 5), torch.randn(4, 5)]
    here = context(teacher=teacher, loss=lambda s, t, y: (s[:, 0] - t[:, 0]).square().mean())
    scores = _groups.find(student, here, "teacher")[-1].scores
    assert not scores[:8].any() and (scores[8:] > 0).all()
    with pytest.raises(ExportError, match="no channel changes the loss"):
        _groups.find(student, context(teacher=teacher, loss=lambda s, t, y: s.sum() * 0.0), "teacher")


def test_what_stays_is_a_multiple_and_never_fewer_than_keep() -> None:
    for keys, wanted in (({"multiple": 6}, 12), ({}, 12), ({"multiple": 1}, 14), ({"keep": 13}, 16)):
        assert widths(channel_prune(ratio=0.3, **keys).apply(student_of(20, depth=2), context())) == [
            wanted,
            wanted,
        ], keys
    with pytest.raises(ExportError, match="keep a multiple of 20"):
        channel_prune(ratio=0.3, multiple=20).apply(student_of(20), context())
    with pytest.raises(RecipeError, match=r"criterion.*not one of the choices"):
        channel_prune(criterion="random")
