"""How long the sequences may be that a network reads, found by trying it.

A table of positions ends somewhere, a convolution without padding needs some entries to begin with, patches want a
multiple of their size: what a network does not read is told before it is trained, with the lengths that it does read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from edgekd.base import plugins
from edgekd.base.errors import FactoryError, RecipeError
from edgekd.base.preprocess import Spec
from edgekd.learn import nets
from edgekd.learn.student import Student

LEAST = 3  # tokens of the shortest text: [CLS], one of a word, [SEP]; every network reads so many
TRIED = 64  # lengths that are tried one by one; beyond, the longest is searched for by halves
LISTED = 12

Runs = Callable[[int], bool]


def shortest(module: nn.Module, specs: Sequence[Spec], where: str) -> int:
    """The shortest sequence of a network that reads texts of any length up to the specs' longest.

    Args:
        specs: the model's inputs; those without a length of their own are sequences.

    Raises:
        RecipeError: it does not read all lengths from that of the shortest text to the longest; says which it reads.
        FactoryError: what it raises on every length.
    """
    longest = max((spec.longest or 0 for spec in specs), default=0)
    if not longest:
        return 2
    student = Student(module, tuple(specs), ())

    def runs(length: int) -> bool:
        return _answers(module, student.example(length=length), where)

    if all(runs(length) for length in {2, 3, min(7, longest), longest - 1, longest} if 2 <= length <= longest):
        return 2
    lengths = _readable(runs, longest)
    if not lengths:
        with nets.evaluating(module), torch.no_grad():
            plugins.call_user(module, where, *student.example(length=longest))
    if lengths[0] <= LEAST and lengths == range(lengths[0], longest + 1):
        return lengths[0]
    raise _refused(lengths, longest, where)


def too_long(module: nn.Module, x: Sequence[Tensor], where: str) -> RecipeError | None:
    """Why a network does not read sequences of the one length that the data has, where it reads shorter ones.

    Args:
        x: the model's inputs, which it did not read.
    """
    widths = {tensor.shape[1] for tensor in x if tensor.ndim == 2}
    sequences = all(tensor.ndim == 2 and not tensor.is_floating_point() for tensor in x)
    if len(widths) != 1 or not sequences or (width := widths.pop()) < LEAST:
        return None
    lengths = _readable(lambda length: _answers(module, [tensor[:, :length] for tensor in x], where), width)
    if not lengths:
        return None
    return RecipeError(
        f"reads sequences of {_told(lengths)}",
        where=where,
        found=width,
        hint="cut the batches to a length that it reads, or give it a longer table of positions",
    )


def _readable(runs: Runs, longest: int) -> Sequence[int]:
    """The lengths that a network reads: a range, where there is no gap."""
    lengths = [length for length in range(2, min(longest, TRIED) + 1) if runs(length)]
    if lengths and lengths == list(range(lengths[0], min(longest, TRIED) + 1)) and longest > TRIED:
        low, high = TRIED, longest + 1  # it reads the first, and not the second
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if runs(middle) else (low, middle)
        return range(lengths[0], low + 1)
    whole = range(lengths[0], lengths[-1] + 1) if lengths else range(0)
    return whole if lengths == list(whole) else lengths


def _answers(module: nn.Module, x: Sequence[Tensor], where: str) -> bool:
    with nets.evaluating(module), torch.no_grad():
        try:
            plugins.call_user(module, where, *x)
        except FactoryError:
            return False
    return True


def _refused(lengths: Sequence[int], longest: int, where: str) -> RecipeError:
    """The error for a network that reads some of the lengths that texts have."""
    step = math.gcd(*lengths)
    if isinstance(lengths, range) and lengths[-1] < longest:
        hint = f"set data.length to {lengths[-1]} (of a preprocess, wordpiece's length), or give it a longer table"
    elif step > 1:
        hint = f"let forward pad to the next multiple: torch.nn.functional.pad(ids, (0, -ids.shape[1] % {step}))"
    else:
        hint = f"let forward pad what is shorter than {lengths[0]}"
    return RecipeError(
        f"reads texts of {_told(lengths)}",
        where=where,
        found=f"texts of {LEAST} to {longest} tokens",
        allowed="a network that reads all of them",
        hint=hint,
    )


def _told(lengths: Sequence[int]) -> str:
    step = math.gcd(*lengths)
    if isinstance(lengths, range):
        return f"{lengths[0]} to {lengths[-1]} tokens alone"
    if step > 1 and list(lengths) == list(range(lengths[0], lengths[-1] + 1, step)):
        return f"lengths that are multiples of {step} alone"
    return f"some lengths alone ({', '.join(map(str, lengths[:LISTED]))})"
