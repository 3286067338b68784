"""How many threads torch computes with. Another count adds in another order: a digits student that one CPU trained and
one that two CPUs trained had other bytes. So the recipe says how many, and not the machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def fixed(count: int) -> Iterator[None]:
    """So many threads inside, on however many CPUs; as many as before afterwards.

    Args:
        count: 1 or more.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def told(count: int, cpus: int, processes: int = 1) -> str:
    """The count in a line, and what to do where more CPUs could work, or too few are there.

    Args:
        processes: of this machine that train together.
    """
    threads = f"{count} thread{'' if count == 1 else 's'}"
    if processes > 1:
        fewer = f"; here are {cpus} CPUs: threads = {max(1, cpus // processes)} in the recipe suits them"
        return f"torch computes in {processes} processes with {threads} each" + (
            fewer if processes * count > cpus else ""
        )
    more = f"; here are {cpus} CPUs: threads = {cpus} in the recipe uses all, and trains other weights"
    return f"torch computes with {threads}" + (more if cpus > count else "")
