from __future__ import annotations

import functools
import resource
import sys
import threading

import numpy as np
import pytest

from edgekd.base import heap

LARGE = 48 << 20  # bytes: more than what glibc ever takes from the heap by itself
glibc = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="pages are counted on Linux")


def faults(times: int) -> int:
    """Pages that the kernel gave for large arrays, made and freed one after the other."""
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    for _ in range(times):
        np.empty(LARGE, np.uint8).fill(1)
    return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before


@glibc
def test_a_large_array_takes_the_pages_that_the_one_before_left() -> None:
    with heap.kept():
        first, more = faults(1), faults(8)
    assert more < max(first, 100)  # eight times as many without: 98,304 pages of 4 KiB, or 192 of 2 MiB


@glibc
def test_afterwards_the_memory_is_given_back() -> None:
    with heap.kept():
        faults(1)
    assert faults(8) >= 4 * max(1, faults(1))


def test_the_outermost_one_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def told(name: str, *given: int) -> int:
        said.append(f"{name} {given[0]}")
        return 1

    monkeypatch.setattr(heap, "_function", lambda name: functools.partial(told, name))
    with heap.kept():
        begun = list(said)
        with heap.kept():
            pass
        inner = threading.Thread(target=heap.kept()(lambda: None))
        inner.start()
        inner.join()
        assert said == begun
    assert said[-1] == "malloc_trim 0"
    assert len(said) == len(begun) + len(heap._USUAL) + 1


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "_function", lambda name: None)
    with heap.kept():
        assert faults(1) >= 0


def test_what_fails_inside_ends_it_too() -> None:
    with pytest.raises(KeyError), heap.kept():
        raise KeyError
    assert heap._depth == 0
