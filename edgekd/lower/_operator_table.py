"""The exporter's table of operators, made once a process, and once more when torchao has registered its own.

It is the same for every network, and torch makes it anew for each file: a quarter of a small network's export. It names
only operators that are registered when it is made: those that round come with torchao, which float networks don't need.
"""

from __future__ import annotations

import copy
import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

from torch.onnx._internal.exporter._registration import ONNXRegistry

MAKE = "from_torchlib"
Make = Callable[..., ONNXRegistry]


@contextmanager
def one_table() -> Iterator[None]:
    """``torch.onnx.export`` takes copies of it while the block runs; a translation added to one is in no other."""
    before = vars(ONNXRegistry)[MAKE]
    setattr(ONNXRegistry, MAKE, staticmethod(_copied))
    try:
        yield
    finally:
        setattr(ONNXRegistry, MAKE, before)


def _copied(**about: int) -> ONNXRegistry:
    table = copy.copy(_made("torchao.quantization.pt2e" in sys.modules, **about))
    table.functions = {operator: list(known) for operator, known in table.functions.items()}
    return table


# Looked up before any block puts ``_copied`` in its place.
_make = cast(Make, ONNXRegistry.from_torchlib)


@functools.cache
def _made(rounds: bool, **about: int) -> ONNXRegistry:
    """``rounds``: torchao's operators are registered."""
    return _make(**about)
