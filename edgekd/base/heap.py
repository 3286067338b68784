"""Memory that large arrays leave, kept for the next ones."""

from __future__ import annotations

import ctypes
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Of malloc.h; mallopt(3).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -2, -3, -4
_KEEPS = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 64 << 20}
# What glibc comes to by itself once an array of 32 MiB was freed; it stops adapting where a threshold was given.
_USUAL = {_MMAP_MAX: 65_536, _MMAP_THRESHOLD: 32 << 20, _TRIM_THRESHOLD: 64 << 20, _TOP_PAD: 128 << 10}

_lock = threading.Lock()
_depth = 0


@contextmanager
def kept() -> Iterator[None]:
    """Let arrays of more than 32 MiB come from the heap, which keeps what they leave, until the outermost one ends.

    glibc maps each such array anew and the kernel fills every page with zeros, which takes longer than what a network
    computes there: with the heap a MobileNet's predictions take 0.36 and its training 0.51 of the time
    (``benchmarks/heap.py``). Elsewhere than on Linux with glibc nothing changes.
    """
    global _depth
    with _lock:
        _depth += 1
        if _depth == 1:
            _set(_KEEPS)
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                _set(_USUAL)
                if (trim := _function("malloc_trim")) is not None:
                    trim(0)


def _set(options: dict[int, int]) -> None:
    if (mallopt := _function("mallopt")) is not None:
        for option, value in options.items():
            mallopt(option, value)


@functools.cache
def _function(name: str) -> Callable[..., int] | None:
    """A function of glibc, None where it isn't the C library."""
    if not sys.platform.startswith("linux"):
        return None
    function: Callable[..., int] | None = getattr(ctypes.CDLL(None), name, None)
    return function
