"""Signs of life that a thread gives while something else is done."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def beside(work: Callable[[threading.Event], object], name: str) -> Iterator[None]:
    """Work in a thread of this name while the block runs; it is told when that is over, and waited for."""
    over = threading.Event()
    thread = threading.Thread(target=work, args=(over,), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextlib.contextmanager
def beating(
    beat: Callable[[int], None], seconds: float, name: str, forgiven: tuple[type[Exception], ...]
) -> Iterator[None]:
    """Call ``beat`` with 0, 1, 2 ... while the block runs: at once, and then every so many seconds.

    Args:
        name: of the thread.
        forgiven: what a beat may raise without an end to the beating, such as of a disk that is away for a while.
    """

    def run(over: threading.Event) -> None:
        for count in itertools.count():
            with contextlib.suppress(*forgiven):
                beat(count)
            if over.wait(seconds):
                return

    with beside(run, name):
        yield
