"""Two processes that train together give what one does, for every buffer, gradient and answer."""

from __future__ import annotations

from pathlib import Path

import _ranks
import pytest
import torch
from torch import Tensor

# Sums of float32 in another order: some units in the last place of the largest number that a tensor holds.
BOUND = 4e-6
States = tuple[dict[str, Tensor], dict[str, Tensor]]


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> States:
    """Of one process and of two, what ``_ranks.compute`` gives."""
    return _ranks.compute(), _ranks.of_two(tmp_path_factory.mktemp("ranks"))


@pytest.mark.parametrize("kind", _ranks.TRAININGS)
def test_two_processes_of_32_are_one_of_64(states: States, kind: str) -> None:
    """BatchNorm's running statistics and the observers' ranges among all that is compared; whole numbers are equal.

    Three epochs of Adam move each weight by what is left of such differences, too: 151 samples, so that the ranks'
    shares of the last batch are not alike.
    """
    one, two = ({name: value for name, value in state.items() if name.startswith(kind)} for state in states)
    assert one.keys() == two.keys() and len(one) > (0 if kind == "answers" else 10)
    for name, value in one.items():
        if value.dtype.is_floating_point:
            largest = max(float(value.abs().max()), 1e-2)
            assert float((value - two[name]).abs().max()) <= BOUND * largest * (10 if kind == "float" else 1), name
        else:
            assert torch.equal(value, two[name]), name


def test_a_process_alone_is_the_first_of_one() -> None:
    assert (_ranks.ranks.count(), _ranks.ranks.number(), _ranks.ranks.share(7)) == (1, 0, (0, 7))
    with _ranks.ranks.joined(None), _ranks.ranks.together():
        assert _ranks.ranks.from_first(lambda: {"a": b"1"}) == {"a": b"1"}
        assert _ranks.ranks.from_first(lambda: None) is None
