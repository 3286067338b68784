"""Rows of few classes are computed in columns: the same numbers and gradients as torch's own, whatever the layout."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from edgekd.learn.losses import _shares

ROWS, CLASSES = (1, _shares.MANY - 1, _shares.MANY), (1, 2, _shares.REGISTER - 1, _shares.REGISTER)
Case = tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]


def cases(count: int, classes: int) -> list[Case]:
    """What is ours, and what torch has."""
    labels, shares = torch.arange(count) % classes, torch.rand(count, classes, dtype=torch.float64).softmax(1)
    return [
        (_shares.log_softmax, lambda x: F.log_softmax(x, 1)),
        (_shares.softmax, lambda x: F.softmax(x, 1)),
        (lambda x: _shares.cross_entropy(x, labels, 0.1), lambda x: F.cross_entropy(x, labels, label_smoothing=0.1)),
        (lambda x: _shares.cross_entropy(x, shares), lambda x: F.cross_entropy(x, shares)),
        (
            lambda x: _shares.cross_entropy(x, labels, reduction="none"),
            lambda x: F.cross_entropy(x, labels, reduction="none"),
        ),
    ]


@pytest.mark.parametrize("count", ROWS)
@pytest.mark.parametrize("classes", CLASSES)
def test_the_numbers_and_gradients_are_torchs(count: int, classes: int) -> None:
    torch.manual_seed(count)
    scores = (3 * torch.randn(count, classes, dtype=torch.float64)).requires_grad_()
    for ours, torchs in cases(count, classes):
        values = ours(scores), torchs(scores)
        torch.testing.assert_close(*values)
        gradients = [torch.autograd.grad(value.square().sum(), scores)[0] for value in values]
        torch.testing.assert_close(*gradients)


def test_rows_of_few_classes_are_turned_and_others_are_not() -> None:
    turned = [_shares.log_softmax(torch.zeros(n, c)).stride() == (1, n) for n in ROWS[1:] for c in CLASSES[1:]]
    assert turned == [False, False, False, True, True, False]
