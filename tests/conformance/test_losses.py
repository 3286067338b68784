"""What every loss keeps, found by its file: responses (logits) and features (layers) alike."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edgekd.base import plugins
from edgekd.learn.losses import WeighedLoss

KINDS = plugins.kinds("losses")
LAYERS = {"student_layers": ["a"], "teacher_layers": ["b"]}


def loss_of(kind: str) -> Any:
    cls = plugins.load("losses", kind, "test")
    taps = LAYERS if "features" in cls.needs else {}
    return plugins.build("losses", {"kind": kind, **taps}, "test")


FEATURES = [kind for kind in KINDS if "features" in plugins.load("losses", kind, "test").needs]
RESPONSES = [kind for kind in KINDS if kind not in FEATURES]
# The labels are not what the teacher says; pulling the teacher's best items up has no end; and of a teacher that is not
# sure an entropy is left.
NEVER_DONE = {"cross_entropy", "ranking", "soft_cross_entropy", "binary_cross_entropy", "focal", "huber", "dice"}
# Labels of pairs of samples: a row [pair, score].
PAIRED = {"similarity_scores", "info_nce", "multiple_negatives", "labelled_triplets", "margin_mse"}
TRIPLETS = {kind for kind in RESPONSES if getattr(plugins.load("losses", kind, "test"), "triplets", False)}
NEVER_DONE |= {*PAIRED, "deep_sad"} - {"margin_mse"}
# Those that compare maps, (N, C, H, W).
MAPS = [kind for kind in RESPONSES if getattr(plugins.load("losses", kind, "test"), "maps", False)]
# A matrix or a set of tuples over the batch is no mean over samples: twice the batch is another problem.
OVER_PAIRS = {"similarity_preserving", "relational", "triplet", "contrastive", "info_nce", "multiple_negatives"}


# Those whose labels are rows: of values, or of labels of which several apply.
VALUES, SEVERAL = {"huber"}, {"binary_cross_entropy", "deep_sad"}


def batch(seed: int = 0, count: int = 6, classes: int = 5, dtype: torch.dtype = torch.float64, kind: str = "kl") -> Any:
    generator = torch.Generator().manual_seed(seed)
    places = (3, 2) if kind in MAPS else ()
    student = torch.randn(count, classes, *places, generator=generator, dtype=dtype)
    teacher = torch.randn(count, classes, *places, generator=generator, dtype=dtype)
    if kind in VALUES:
        return student, teacher, torch.randn(count, classes, generator=generator, dtype=dtype)
    if kind in TRIPLETS:
        number = torch.arange(count)
        rows = torch.stack([number // 3, 2 + number % 3], dim=1).to(dtype)
        alone = number >= count - count % 3
        return student, teacher, rows.masked_fill(alone[:, None], torch.nan)
    if kind in PAIRED:
        pairs = torch.arange(count) // 2
        scores = torch.rand(count, generator=generator, dtype=dtype)[pairs] * 0.5 + 0.5
        alone = pairs == count // 2  # of an odd number one belongs to nobody
        return student, teacher, torch.stack([pairs.to(dtype), scores], dim=1).masked_fill(alone[:, None], torch.nan)
    if kind in SEVERAL:
        return student, teacher, torch.randint(-1, 2, (count, classes), generator=generator)
    return student, teacher, torch.randint(-1 if places else 0, classes, (count, *places), generator=generator)


def call(loss: Any, student: Any, teacher: Any, labels: Any) -> torch.Tensor:
    """Only what the loss says it needs is given."""
    value: torch.Tensor = loss(
        student, teacher if "teacher" in loss.needs else None, labels if "labels" in loss.needs else None
    )
    return value


def features(kind: str, seed: int = 0, count: int = 6, alike: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    """What two layers give: sequences for losses on sequences, else maps; ``alike``: of one width.

    Of heat maps the teacher always has as many; where not alike it says points.
    """
    generator = torch.Generator().manual_seed(seed)
    one: tuple[int, ...] = (count, 4, 5) if kind == "hidden_states" else (count, 4, 3, 3)
    other: tuple[int, ...] = one if alike else ((count, 4, 7) if kind == "hidden_states" else (count, 6, 2, 2))
    if kind == "heat_map" and not alike:
        other = (count, 8)
    make = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in (one, other)]
    return make[0], make[1]


def adapter_of(loss: Any, student: torch.Tensor, teacher: torch.Tensor) -> nn.Module | None:
    torch.manual_seed(0)
    made: nn.Module | None = loss.adapter([student.shape], [teacher.shape])
    return made.double().eval() if made is not None else None


@pytest.mark.parametrize("kind", KINDS)
def test_is_a_frozen_dataclass_with_a_formula_and_a_source(kind: str) -> None:
    cls = plugins.load("losses", kind, "test")
    assert dataclasses.is_dataclass(cls)
    assert cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
    sources = ("arXiv", "doi:", "eq. ")
    assert cls.__doc__ and any(source in cls.__doc__ for source in sources) and "mean" in cls.__doc__
    needs: frozenset[str] = getattr(cls, "needs", frozenset())
    assert needs and (needs <= {"teacher", "labels"} or needs <= {"features", "mask"})


@pytest.mark.parametrize("kind", RESPONSES)
@given(seed=st.integers(0, 1000), count=st.integers(1, 9), classes=st.integers(2, 7))
@settings(max_examples=25, deadline=None)
def test_a_response_gives_a_finite_scalar_and_a_mean(kind: str, seed: int, count: int, classes: int) -> None:
    loss = loss_of(kind)
    student, teacher, labels = batch(seed, count, classes, kind=kind)
    value = call(loss, student, teacher, labels)
    assert value.shape == () and bool(torch.isfinite(value)) and float(value) >= -1e-9
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    assert torch.allclose(value, call(loss, student[order], teacher[order], labels[order]))
    if kind in OVER_PAIRS:
        return
    twice = call(loss, *(torch.cat([part, part]) for part in (student, teacher, labels)))
    assert torch.allclose(value, twice, atol=1e-9)


@pytest.mark.parametrize("kind", [kind for kind in RESPONSES if "labels" in loss_of(kind).needs and kind not in PAIRED])
def test_a_loss_that_compares_labels_has_a_value_of_each_sample(kind: str) -> None:
    """So that labels may be mixed, and classes weighed."""
    loss, (student, teacher, labels) = loss_of(kind), batch(5, kind=kind)
    assert isinstance(loss, WeighedLoss)
    each = loss.per_sample(student, teacher, labels)
    assert each.shape == (6,) and torch.allclose(each.mean(), call(loss, student, teacher, labels))
    one = [call(loss, student[i : i + 1], teacher[i : i + 1], labels[i : i + 1]) for i in range(6)]
    assert torch.allclose(each, torch.stack(one))


@pytest.mark.parametrize("kind", RESPONSES)
def test_the_gradient_is_right_and_only_the_students(kind: str) -> None:
    loss = loss_of(kind)
    student, teacher, labels = batch(3, kind=kind)
    student.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda s: call(loss, s, teacher, labels), (student,))
    before = teacher.clone()
    call(loss, student, teacher, labels).backward()
    assert torch.equal(before, teacher) and teacher.grad is None


@pytest.mark.parametrize("kind", RESPONSES)
def test_stays_finite_for_large_logits(kind: str) -> None:
    student, teacher, labels = batch(1, dtype=torch.float32, kind=kind)
    assert bool(torch.isfinite(call(loss_of(kind), 1e4 * student, 1e4 * teacher, labels)))


def forms(kind: str) -> list[dict[str, Any]]:
    """The tables of a kind, and of a kind that can standardise."""
    names = {field.name for field in dataclasses.fields(plugins.load("losses", kind, "test"))}
    return [{"kind": kind}, *([{"kind": kind, "standardise": True}] if "standardise" in names else [])]


def test_the_losses_on_soft_answers_standardise() -> None:
    assert {kind for kind in RESPONSES if len(forms(kind)) == 2} == {"kl", "decoupled_kl", "dist"}


@pytest.mark.parametrize("table", [table for kind in RESPONSES if kind not in NEVER_DONE for table in forms(kind)])
def test_a_student_that_says_the_same_has_nothing_to_learn(table: dict[str, Any]) -> None:
    _, teacher, labels = batch(4, kind=table["kind"])
    student = teacher.clone().requires_grad_(True)
    value = call(plugins.build("losses", table, "test"), student, teacher, labels)
    value.backward()
    assert float(value.detach()) == pytest.approx(0, abs=1e-9)
    assert student.grad is not None and float(student.grad.abs().max()) < 1e-7


def test_ranking_only_pulls_the_teachers_best_up_and_falls_to_zero() -> None:
    _, teacher, labels = batch(4)
    loss = plugins.build("losses", {"kind": "ranking", "top": 2}, "test")
    student = teacher.clone().requires_grad_(True)
    call(loss, student, teacher, labels).backward()
    best = torch.zeros_like(teacher).scatter(1, teacher.topk(2, dim=1).indices, 1.0).bool()
    assert student.grad is not None
    assert bool((student.grad[best] < 0).all()) and bool((student.grad[~best] == 0).all())
    assert float(call(loss, teacher + 50 * best, teacher, labels)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("kind", FEATURES)
@pytest.mark.parametrize("alike", [True, False])
def test_features_give_a_finite_scalar_in_any_order(kind: str, alike: bool) -> None:
    loss = loss_of(kind)
    student, teacher = features(kind, alike=alike)
    adapter = adapter_of(loss, student, teacher)
    value = loss([student], [teacher], adapter)
    assert value.shape == () and bool(torch.isfinite(value)) and float(value.detach()) >= 0
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    assert torch.allclose(value, loss([student[order]], [teacher[order]], adapter))
    if kind not in OVER_PAIRS:
        both = [torch.cat([part, part]) for part in (student, teacher)]
        assert torch.allclose(value, loss([both[0]], [both[1]], adapter))
    two = plugins.build("losses", {"kind": kind, "student_layers": ["a", "c"], "teacher_layers": ["b", "d"]}, "test")
    wide = two.adapter([student.shape] * 2, [teacher.shape] * 2)
    assert bool(torch.isfinite(two([student] * 2, [teacher] * 2, wide.double() if wide is not None else None)))


@pytest.mark.parametrize("kind", FEATURES)
def test_the_gradient_of_features_is_right_and_only_the_students(kind: str) -> None:
    loss = loss_of(kind)
    student, teacher = features(kind, seed=2, alike=False)
    adapter = adapter_of(loss, student, teacher)
    student.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda s: loss([s], [teacher], adapter), (student,))
    assert teacher.grad is None


@pytest.mark.parametrize("kind", FEATURES)
def test_a_batch_of_one_is_no_mistake(kind: str) -> None:
    loss = loss_of(kind)
    student, teacher = features(kind, count=1)
    value = loss([student.requires_grad_(True)], [teacher], adapter_of(loss, student, teacher))
    value.backward()
    assert student.grad is not None and bool(torch.isfinite(value)) and bool(torch.isfinite(student.grad).all())


@pytest.mark.parametrize("kind", FEATURES)
def test_features_need_as_many_layers_of_both(kind: str) -> None:
    from edgekd.base.errors import RecipeError

    with pytest.raises(RecipeError, match="teacher_layers"):
        plugins.build("losses", {"kind": kind, "student_layers": ["a"], "teacher_layers": ["b", "c"]}, "test")
