"""Numbers that a forward reads out of its tensors are found, and how."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgekd.learn import leaving


class Reads(nn.Module):
    def __init__(self, how: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.how, self.norm = how, nn.BatchNorm1d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.how(self.norm(x))


@pytest.mark.parametrize(
    ("how", "spelt"),
    [
        (lambda x: x * torch.from_numpy(np.tanh(x.numpy())), "numpy"),
        (lambda x: x + float(np.asarray(x).max()), "numpy"),
        (lambda x: x / x.max().item(), ".item()"),
        (lambda x: x / float(x.max()), "float(..)"),
        (lambda x: x if x.mean() > 0 else -x, "if"),
        (lambda x: x * max(x[0].tolist()), ".tolist()"),
    ],
)
def test_a_number_that_is_read_is_found_with_its_line(how: Callable[[Tensor], Tensor], spelt: str) -> None:
    place = leaving.place(Reads(how).eval(), (torch.randn(4, 3),))
    assert place is not None and place.startswith(f"{spelt} at test_leaving.py:"), place


def test_a_network_that_stays_in_torch_has_no_such_place() -> None:
    assert leaving.place(Reads(lambda x: x.relu() * len(x)).eval(), (torch.randn(4, 3),)) is None
