"""What every loss keeps, found by its file."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from edgekd import plugins

KINDS = plugins.kinds("losses")


def loss_of(kind: str) -> Any:
    return plugins.build("losses", {"kind": kind}, "test")


def batch(seed: int = 0, count: int = 6, classes: int = 5, dtype: torch.dtype = torch.float64) -> Any:
    generator = torch.Generator().manual_seed(seed)
    student = torch.randn(count, classes, generator=generator, dtype=dtype)
    teacher = torch.randn(count, classes, generator=generator, dtype=dtype)
    return student, teacher, torch.randint(0, classes, (count,), generator=generator)


def call(loss: Any, student: Any, teacher: Any, labels: Any) -> torch.Tensor:
    """Only what the loss says it needs is given."""
    value: torch.Tensor = loss(
        student, teacher if "teacher" in loss.needs else None, labels if "labels" in loss.needs else None
    )
    return value


@pytest.mark.parametrize("kind", KINDS)
def test_is_a_frozen_dataclass_with_a_formula_and_a_source(kind: str) -> None:
    cls = plugins.load("losses", kind, "test")
    assert dataclasses.is_dataclass(cls)
    assert cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert cls.__doc__ and ("arXiv" in cls.__doc__ or "mean" in cls.__doc__)
    assert cls.needs <= {"teacher", "labels"} and cls.needs


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 1000), count=st.integers(1, 9), classes=st.integers(2, 7))
@settings(max_examples=25, deadline=None)
def test_is_a_finite_scalar_and_a_mean(kind: str, seed: int, count: int, classes: int) -> None:
    loss = loss_of(kind)
    student, teacher, labels = batch(seed, count, classes)
    value = call(loss, student, teacher, labels)
    assert value.shape == () and bool(torch.isfinite(value)) and float(value) >= -1e-12
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    assert torch.allclose(value, call(loss, student[order], teacher[order], labels[order]))
    twice = call(loss, student.repeat(2, 1), teacher.repeat(2, 1), labels.repeat(2))
    assert torch.allclose(value, twice)


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_is_right_and_only_the_students(kind: str) -> None:
    loss = loss_of(kind)
    student, teacher, labels = batch(3)
    student.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda s: call(loss, s, teacher, labels), (student,))
    before = teacher.clone()
    call(loss, student, teacher, labels).backward()
    assert torch.equal(before, teacher) and teacher.grad is None


@pytest.mark.parametrize("kind", KINDS)
def test_stays_finite_for_large_logits(kind: str) -> None:
    student, teacher, labels = batch(1, dtype=torch.float32)
    assert bool(torch.isfinite(call(loss_of(kind), 1e4 * student, 1e4 * teacher, labels)))


def test_kl_against_a_plain_implementation() -> None:
    student, teacher, _ = batch(5)
    loss = plugins.build("losses", {"kind": "kl", "temperature": 3.0}, "test")
    total = 0.0
    for s, t in zip(student.tolist(), teacher.tolist(), strict=True):
        p = torch.tensor(t).double().div(3).softmax(0)
        q = torch.tensor(s).double().div(3).softmax(0)
        total += float((p * (p.log() - q.log())).sum())
    assert float(loss(student, teacher, None)) == pytest.approx(9 * total / len(student))
    assert float(loss(teacher, teacher, None)) == pytest.approx(0, abs=1e-12)


def test_cross_entropy_against_torch() -> None:
    student, _, labels = batch(5)
    assert torch.allclose(loss_of("cross_entropy")(student, None, labels), F.cross_entropy(student, labels))
