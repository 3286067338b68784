"""What a channel is worth, and which of them go; to a latency by a made clock: nothing is timed here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from edgekd.base import plugins
from edgekd.base.errors import ExportError, RecipeError
from edgekd.compress import _latency
from edgekd.compress._base import Clock, Context
from edgekd.compress._channels import pruning
from edgekd.compress._channels.pruning import Group
from edgekd.learn.student import SplitHeads, Student, TensorSpec

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


@pytest.mark.parametrize("heads", [(5,), (3, 2)])
def test_taylor_is_the_mean_square_of_what_each_sample_loses_to_first_order(heads: tuple[int, ...]) -> None:
    """Worked out by hand for the last channels, which only the head reads; batches of several sizes count alike."""
    student, labels = student_of(), [torch.tensor([0, 1, 2, 0, 1, -1]), torch.tensor([1, 1, 0, -1])]
    net: Any = student.module
    if len(heads) > 1:
        outputs = tuple(TensorSpec(name, (None, size)) for name, size in zip("ab", heads, strict=True))
        student = Student(SplitHeads(net, heads), student.inputs, outputs, student.lineage)
        labels = [torch.stack([told, -told.abs()], dim=1) for told in labels]
    here = context(labels=labels)
    found = pruning.find(student, here, "taylor").groups[-1].scores
    wanted = torch.zeros(16)
    for (x,), told in zip(here.calibration, labels, strict=True):
        with torch.no_grad():
            pooled = net.pool(net.features(x)).flatten(1)
            slopes = []
            for i, logits in enumerate(net.head(pooled).split(list(heads), dim=1)):
                mine = told if told.ndim == 1 else told[:, i]
                answer = torch.where(mine >= 0, mine, logits.argmax(1))
                slopes.append(logits.softmax(1) - functional.one_hot(answer, logits.shape[1]))
            wanted += ((torch.cat(slopes, dim=1) @ net.head.weight) * pooled).square().sum(0)
    assert torch.allclose(found.float(), wanted / 10, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("criterion", ["taylor", "teacher"])
def test_what_nobody_reads_goes_first_however_large_its_weights(criterion: str) -> None:
    student = student_of()
    with torch.no_grad():
        student.module.get_parameter("features.0.0.weight")[:4] *= 100.0
        student.module.get_parameter("features.1.0.weight")[:, :4] = 0.0
    gone = {}
    for kind in (criterion, "magnitude"):
        plan = channel_prune(ratio=0.25, criterion=kind).apply(student, context()).lineage[-1]["plan"]
        gone[kind] = plan["parameters"]["features.0.0.weight"]["0"]
    assert gone[criterion] == [0, 1, 2, 3] and not set(gone["magnitude"]) & {0, 1, 2, 3}
    assert all(p.grad is None and p.requires_grad for p in student.module.parameters()), "left as it was"


def test_the_teacher_criterion_asks_the_recipes_losses() -> None:
    """A loss that only sees class 0 makes worthless what only class 1 reads."""
    student = student_of()
    with torch.no_grad():
        student.module.get_parameter("head.weight")[0, :8] = 0.0
    teacher = [torch.randn(6, 5), torch.randn(4, 5)]
    here = context(teacher=teacher, loss=lambda s, t, y: (s[:, 0] - t[:, 0]).square().mean())
    scores = pruning.find(student, here, "teacher").groups[-1].scores
    assert not scores[:8].any() and (scores[8:] > 0).all()
    with pytest.raises(ExportError, match="no channel changes the loss"):
        pruning.find(student, context(teacher=teacher, loss=lambda s, t, y: s.sum() * 0.0), "teacher")


def test_what_stays_is_a_multiple_and_never_fewer_than_keep() -> None:
    """14 of 20 are asked of each of two layers: in fours one keeps more, one less; in sixes 30 are nearer to 28."""
    cases: tuple[tuple[dict[str, Any], list[int]], ...] = (
        ({"multiple": 6}, [18, 12]),
        ({}, [16, 12]),
        ({"multiple": 1}, [14, 14]),
        ({"keep": 13}, [16, 16]),
    )
    for keys, wanted in cases:
        assert widths(channel_prune(ratio=0.3, **keys).apply(student_of(20, depth=2), context())) == wanted, keys
    with pytest.raises(ExportError, match="keep a multiple of 20"):
        channel_prune(ratio=0.3, multiple=20).apply(student_of(20), context())
    with pytest.raises(RecipeError, match=r"criterion.*not one of the choices"):
        channel_prune(criterion="random")


def clock_of(*weights: float, fixed: float = 0.1) -> Clock:
    """Each convolution takes its weight for every begun 8 channels that it makes."""

    def clock(students: Sequence[Student]) -> list[float]:
        return [
            fixed + sum(w * math.ceil(width / 8) for w, width in zip(weights, widths(s), strict=True)) for s in students
        ]

    return clock


def here(clock: Clock | None) -> Context:
    return replace(context(), clock=clock)


def test_what_costs_nothing_is_not_pruned_and_the_goal_is_met() -> None:
    student, clock = student_of(64), clock_of(1.0, 0.0, 0.3)
    change = channel_prune(scope="latency", latency=0.5, criterion="taylor")
    after, again = (change.apply(student, here(clock)) for _ in range(2))
    kept, record = widths(after), after.lineage[-1]
    dense, pruned = clock([student, after])
    assert kept[1] == 64 and kept[0] < 64
    assert record["latency_ms"] == {"dense": dense, "pruned": pruned}
    assert 0.5 * dense - 1.0 < pruned <= 0.5 * dense, "one stair further up would be too slow"
    assert record["costs"]["features.0.0"] == {"16": dense - 6, "32": dense - 4, "48": dense - 2, "64": dense}
    assert again.lineage == after.lineage, "an equal clock gives an equal plan"
    assert widths(Student(change.replay(student, record).module, (), ())) == kept


@pytest.mark.parametrize("scope", ["uniform", "global"])
def test_other_scopes_reach_a_latency_too(scope: str) -> None:
    student, clock = student_of(64), clock_of(1.0, 1.0, 1.0)
    after = channel_prune(scope=scope, latency=0.6).apply(student, here(clock))
    dense, pruned = clock([student, after])
    assert 0.5 * dense < pruned <= 0.6 * dense
    assert scope == "global" or max(widths(after)) - min(widths(after)) <= 4  # a step: rounding is spread


def test_steps_make_up_the_whole() -> None:
    clock = clock_of(1.0, 0.0, 0.3)
    for keys in ({"ratio": 0.6}, {"ratio": 0.6, "scope": "global"}, {"latency": 0.4, "scope": "latency"}):
        one = channel_prune(**keys).apply(student_of(64), here(clock))
        whole, made = channel_prune(steps=3, **keys), [student_of(64)]
        for part in whole.parts():
            change = channel_prune(**{**keys, "steps": 3, **part})
            assert change.parts() == () and change.timed == ("latency" in keys)
            made.append(change.apply(made[-1], here(clock)))
            change.ensures(made[-2], made[-1])
        sizes = [sum(widths(student)) for student in made]
        assert sizes == sorted(sizes, reverse=True) and sizes[1] > sizes[2], "step by step"
        assert sizes[-1] == sum(widths(one)) if "ratio" in keys else clock([made[-1]])[0] <= 0.4 * clock([made[0]])[0]


def test_a_group_goes_down_by_whole_stairs_when_half_of_one_saves_nothing() -> None:
    group = Group("a", np.arange(16)[:, None], torch.arange(16.0))
    other = Group("b", np.arange(16)[:, None], torch.arange(16.0) * 100)
    allowed = {"a": [4, 8, 12, 16], "b": [4, 8, 12, 16]}
    row = {4: 0.5, 8: 0.5, 12: 1.0, 16: 1.0}
    states = _latency.order([group, other], allowed, {"a": row, "b": {n: ms + 0.001 * n for n, ms in row.items()}})
    assert [state["a"] for state in states] == [16, 8, 8, 8, 4], "the last saves nothing"
    assert [state["b"] for state in states] == [16, 16, 8, 4, 4]


def test_mistakes_are_told() -> None:
    with pytest.raises(ExportError, match=r"channel_prune\.latency: can't be made so fast"):
        channel_prune(latency=0.1).apply(student_of(16), here(clock_of(1.0, 1.0, 1.0, fixed=9.0)))
    with pytest.raises(ExportError, match="no target to time it on"):
        channel_prune(latency=0.5).requires(student_of(16), here(None))
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"latency": 0.5, "ratio": 0.5}, "either ratio or latency"),
        ({"scope": "latency"}, "the key latency"),
        ({"latency": 1.0}, "0 < latency < 1"),
        ({"steps": 17}, "1 to 16"),
    ]
    for keys, message in wrong:
        with pytest.raises(RecipeError, match=message):
            channel_prune(**keys)


def test_layers_narrower_than_two_of_the_targets_multiples_take_smaller_steps() -> None:
    student = student_of(16)
    here = replace(context(), channel_multiple=16)
    assert widths(channel_prune(ratio=0.5).apply(student, here)) == [8, 8, 8], "in steps of 8"
    with pytest.raises(ExportError, match="a smaller multiple"):
        channel_prune(ratio=0.3, multiple=32, keep=16).apply(student, here)
