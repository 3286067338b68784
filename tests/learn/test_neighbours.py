"""Sums in memory that ranks share: of threads here, each a rank; of processes in ``test_ranks.py``."""

from __future__ import annotations

import mmap
import threading
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from edgekd.base.rank import Rank
from edgekd.learn import neighbours
from edgekd.learn.neighbours import Neighbours

TYPES = (torch.float32, torch.float64, torch.int32, torch.int64)


def together(count: int, work: Callable[[int, Neighbours], None]) -> None:
    """The work of each rank, in its thread, over memory of their own."""
    memory = mmap.mmap(-1, neighbours.size_of(count))
    errors: list[BaseException] = []

    def one(number: int) -> None:
        try:
            work(number, Neighbours(memory, number, count, lambda: True))
        except BaseException as err:
            errors.append(err)
            raise

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


@settings(deadline=None, max_examples=12)
@given(
    st.integers(2, 4),
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from(TYPES), st.booleans()), min_size=1, max_size=5),
)
def test_every_rank_has_the_sum_or_the_maximum_of_all(
    count: int, wanted: Sequence[tuple[int, torch.dtype, bool]]
) -> None:
    """Of one that is larger than the memory, too: 64 bytes at once."""
    rng = np.random.default_rng(0)
    rounds = [(torch.tensor(rng.normal(0, 100, (count, size))).to(dtype), is_sum) for size, dtype, is_sum in wanted]
    results: dict[int, list[Tensor]] = {}

    def work(number: int, near: Neighbours) -> None:
        results[number] = []
        for every, is_sum in rounds:
            mine = every[number].clone()
            near.reduce(mine, np.add if is_sum else np.maximum)
            results[number].append(mine)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(neighbours, "SLOT", 64)
        together(count, work)
    for found in results.values():
        for (every, is_sum), whole in zip(rounds, found, strict=True):
            right = every[0].clone()
            for other in every[1:]:
                right = right + other if is_sum else torch.maximum(right, other)
            assert torch.equal(whole, right), "in the order of the ranks, on each of them"


def test_who_waits_for_a_rank_that_ended_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "DOUBTED_S", 0.0)
    near = Neighbours(mmap.mmap(-1, neighbours.size_of(2)), 0, 2, lambda: False)
    with pytest.raises(RuntimeError, match="gone"):
        near.reduce(torch.ones(3), np.add)


def test_ranks_of_several_machines_share_no_memory() -> None:
    with neighbours.met(Rank(0, 4, 0, 2, "127.0.0.1", 1)) as near:
        assert near is None
