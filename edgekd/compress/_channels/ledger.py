"""Which channel every position of a tensor belongs to, and which channels can only go together.

A position along an axis carries the number of a channel. Operators pass the numbers on (``rules``); two positions that
must stay or go together are joined. An axis without numbers never gets shorter.

A reshape may spread the channels of one axis over several: (heads x width) or (groups x channels). Such axes are a
``Block``: one array of numbers over all of them, so that the inverse reshape gives back what there was. Only where an
operator looks at one of the axes alone, the others are tied: along them all positions go together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
STAYS = 0  # the number of what must stay
MOST = 1 << 22  # positions of the axes of one block


@dataclass(frozen=True)
class Block:
    """Axes of a tensor whose positions belong to channels together.

    Attributes:
        axes: of the tensor, in the order of the axes of ``numbers``.
        numbers: the channel of each position; its shape is that of these axes.
    """

    axes: tuple[int, ...]
    numbers: Numbers


Labels = tuple[Block, ...]  # of one tensor; each axis is in one block at most


@dataclass
class Ledger:
    """Channels by number, what joins them, and why some must stay."""

    count: int = 1
    pairs: list[tuple[Numbers, Numbers]] = field(default_factory=list)
    stays: list[tuple[Numbers, str]] = field(default_factory=list)

    def fresh(self, *shape: int) -> Numbers:
        """New channels."""
        first = self.count
        self.count += math.prod(shape)
        return np.arange(first, self.count, dtype=np.int64).reshape(shape)

    def join(self, one: Numbers, other: Numbers) -> None:
        """Position for position they stay or go together; shapes broadcast."""
        if one is not other:
            one, other = np.broadcast_arrays(one, other)
            self.pairs.append((one.ravel(), other.ravel()))

    def fix(self, numbers: Numbers, why: str) -> None:
        """They must stay."""
        if numbers.size:
            self.stays.append((numbers.ravel(), why))

    def tie(self, numbers: Numbers, axis: int) -> Numbers:
        """All along an axis go together; the numbers without it."""
        first = np.take(numbers, [0], axis)
        if numbers.shape[axis] > 1:
            self.join(numbers, first)
        return first.squeeze(axis)


def simple(block: Block) -> Block | None:
    """Without the axes along which it does not change; None where nothing is left but positions that must stay."""
    axes, numbers = list(block.axes), block.numbers
    for at in reversed(range(len(axes))):
        if len(axes) > 1 and (numbers == np.take(numbers, [0], at)).all():
            numbers = np.take(numbers, 0, at)
            del axes[at]
    if not axes or not numbers.any():
        return None
    return Block(tuple(axes), numbers)


def cleaned(blocks: Iterator[Block | None] | Sequence[Block | None]) -> Labels:
    """Simple blocks alone, in the order of their first axes."""
    kept = [s for block in blocks if block is not None and (s := simple(block)) is not None]
    return tuple(sorted(kept, key=lambda block: min(block.axes)))


def block_of(labels: Labels, axis: int) -> Block | None:
    """The block that an axis is in."""
    return next((block for block in labels if axis in block.axes), None)


def without(ledger: Ledger, labels: Labels, axis: int) -> Labels:
    """The labels where positions along an axis are all alike: of a block of several the others carry on."""
    blocks: list[Block] = []
    for block in labels:
        if axis not in block.axes:
            blocks.append(block)
        elif len(block.axes) > 1:
            at = block.axes.index(axis)
            blocks.append(Block((*block.axes[:at], *block.axes[at + 1 :]), ledger.tie(block.numbers, at)))
    return cleaned(blocks)


def alone(ledger: Ledger, labels: Labels, axis: int) -> tuple[Labels, Numbers | None]:
    """The labels where an axis carries its channels by itself, and their numbers; None: the axis has none."""
    block = block_of(labels, axis)
    while block is not None and len(block.axes) > 1:
        other = next(a for a in block.axes if a != axis)
        labels = without(ledger, labels, other)
        block = block_of(labels, axis)
    return labels, None if block is None else block.numbers


def moved(labels: Labels, where: Sequence[int | None]) -> Labels:
    """The labels where axis i becomes ``where[i]``; None: it has gone, and one number stands for its positions."""
    blocks = []
    for block in labels:
        axes = [where[axis] for axis in block.axes]
        numbers = block.numbers
        for at in reversed(range(len(axes))):
            if axes[at] is None:
                numbers = np.take(numbers, 0, at)
        left = tuple(axis for axis in axes if axis is not None)
        blocks.append(Block(left, numbers) if left else None)
    return cleaned(blocks)


def taken(labels: Labels, axis: int, index: NDArray[np.int64]) -> Labels:
    """The labels of some positions along an axis."""
    return cleaned(
        [
            Block(block.axes, np.take(block.numbers, index, block.axes.index(axis))) if axis in block.axes else block
            for block in labels
        ]
    )


def fixed(ledger: Ledger, labels: Labels, why: str) -> None:
    """All channels of a tensor must stay."""
    for block in labels:
        ledger.fix(block.numbers, why)


def agreed(ledger: Ledger, all_labels: Sequence[Labels], shapes: Sequence[tuple[int, ...]], why: str) -> Labels:
    """The labels of what tensors of broadcast shapes make element by element.

    Args:
        all_labels: of each tensor.
        shapes: of each, as long as the result's by leading ones.
        why: an axis must stay, where one tensor's has channels and another's has none.
    """
    rank = len(shapes[0]) if shapes else 0
    blocks = [block for labels in all_labels for block in labels]
    whole = [tuple(b.axes for b in labels) for labels, shape in zip(all_labels, shapes, strict=True) if labels]
    if len(set(whole)) <= 1 and _full(all_labels, shapes):
        return _together(ledger, [labels for labels in all_labels if labels])
    carried: dict[int, Numbers] = {}
    lists = list(all_labels)
    for axis in sorted({axis for block in blocks for axis in block.axes}, reverse=True):
        axis_numbers = []
        for i, labels in enumerate(lists):
            lists[i], numbers = alone(ledger, labels, axis)
            axis_numbers.append(numbers)
        size = max(shape[axis] for shape in shapes)
        if size == 1:
            continue
        present = [n for n in axis_numbers if n is not None and len(n) == size]
        bare = any(n is None and shape[axis] == size for n, shape in zip(axis_numbers, shapes, strict=True))
        for numbers in present:
            ledger.join(numbers, present[0])
            if bare:
                ledger.fix(numbers, why)
        if present and not bare:
            carried[axis] = present[0]
    return cleaned([Block((axis,), carried[axis]) for axis in range(rank) if axis in carried])


def _full(all_labels: Sequence[Labels], shapes: Sequence[tuple[int, ...]]) -> bool:
    """Whether every tensor either has labels on all labelled axes at full size, or is of size one there."""
    rank = len(shapes[0])
    sizes = [max(shape[axis] for shape in shapes) for axis in range(rank)]
    axes = {axis for labels in all_labels for block in labels for axis in block.axes}
    for labels, shape in zip(all_labels, shapes, strict=True):
        labelled = {axis for block in labels for axis in block.axes}
        for axis in axes:
            if axis in labelled and shape[axis] != sizes[axis]:
                return False
            if axis not in labelled and shape[axis] != 1:
                return False
    return bool(axes)


def _together(ledger: Ledger, all_labels: Sequence[Labels]) -> Labels:
    first, *others = all_labels
    for labels in others:
        for one, other in zip(first, labels, strict=True):
            ledger.join(one.numbers, other.numbers)
    return first


def reshaped(ledger: Ledger, labels: Labels, old: Sequence[int], new: Sequence[int]) -> Labels:
    """The labels behind a view of another shape."""
    groups = aligned(old, new)
    blocks: list[Block] = []
    used: set[int] = set()
    # What is larger carries on where two blocks would share an axis.
    for block in sorted(labels, key=lambda b: -b.numbers.size):
        touched = [(a, b) for a, b in groups if set(a) & set(block.axes)]
        before = [axis for a, _ in touched for axis in a]
        after = [axis for _, b in touched for axis in b]
        size = math.prod(old[axis] for axis in before)
        if size > MOST or used & set(after):
            ledger.fix(block.numbers, "two kinds of channels become one axis" if size <= MOST else "too many positions")
            continue
        used |= set(after)
        order = np.argsort([before.index(axis) for axis in block.axes])
        numbers = block.numbers.transpose(order)
        spread = numbers.reshape([old[axis] if axis in block.axes else 1 for axis in before])
        whole = np.broadcast_to(spread, [old[axis] for axis in before]).reshape([new[axis] for axis in after])
        blocks.append(Block(tuple(after), whole))
    return cleaned(blocks)


def aligned(old: Sequence[int], new: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Axes of two shapes of one size that hold the same numbers: [(axes of old, axes of new), ...]."""
    groups: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(old) or j < len(new):
        if i < len(old) and old[i] == 1:
            groups.append(([i], []))
            i += 1
        elif j < len(new) and new[j] == 1:
            groups.append(([], [j]))
            j += 1
        else:
            a, b = [i], [j]
            one, other = old[i], new[j]
            i, j = i + 1, j + 1
            while one != other:
                if one < other:
                    one, i = one * old[i], i + 1
                    a.append(i - 1)
                else:
                    other, j = other * new[j], j + 1
                    b.append(j - 1)
            groups.append((a, b))
    return groups
