"""Signs of life: from the beginning to the end of a block, whatever goes wrong meanwhile."""

from __future__ import annotations

import threading

import pytest

from edgekd.base import beats


def test_it_beats_at_once_and_again_until_the_block_ends() -> None:
    counts: list[int] = []
    enough = threading.Event()

    def beat(count: int) -> None:
        counts.append(count)
        if count == 3:
            enough.set()
        if count == 1:
            raise OSError("away")

    with beats.beating(beat, 0.001, "beats-of-a-test", (OSError,)):
        assert enough.wait(60)
    assert counts == list(range(len(counts))) and len(counts) >= 4
    assert "beats-of-a-test" not in {thread.name for thread in threading.enumerate()}


def test_it_ends_at_once_with_a_block_that_raises() -> None:
    counts: list[int] = []
    with pytest.raises(KeyError), beats.beating(counts.append, 3600, "beats-of-a-test", ()):
        raise KeyError
    assert counts in ([], [0])
    assert "beats-of-a-test" not in {thread.name for thread in threading.enumerate()}
