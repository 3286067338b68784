"""Laws of labels: views and their inverses give back what there was, and what is tied is told by the pairs alone."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from edgekd.compress._channels import ledger
from edgekd.compress._channels.ledger import Block, Ledger

SIZES = st.lists(st.integers(1, 4), min_size=1, max_size=4)


@given(SIZES, st.data())
def test_a_view_and_its_inverse_give_back_the_labels(parts: list[int], data: st.DataObject) -> None:
    """Channels of one axis that is spread over several, between two axes that have none."""
    channels = math.prod(parts)
    assume(channels > 1)  # one channel is no choice
    old, new = (2, channels, 5), (2, *parts, 5)
    book = Ledger()
    labels = ledger.cleaned([Block((1,), book.fresh(channels))])
    spread = ledger.reshaped(book, labels, old, new)
    again = ledger.reshaped(book, spread, new, old)
    assert not book.pairs and not book.stays
    assert [(b.axes, b.numbers.tolist()) for b in again] == [(b.axes, b.numbers.tolist()) for b in labels]
    order = data.draw(st.permutations(range(len(new))))
    moved = ledger.moved(spread, [order.index(axis) for axis in range(len(new))])
    back = ledger.moved(moved, order)
    assert {b.axes: b.numbers.tobytes() for b in back} == {b.axes: b.numbers.tobytes() for b in spread}


@given(SIZES, SIZES)
def test_aligned_axes_hold_as_many_numbers(one: list[int], other: list[int]) -> None:
    old = [*one, *other]
    new = [math.prod(one), *other[::-1]] if len(set(other)) == 1 else [math.prod(one), math.prod(other)]
    groups = ledger.aligned(old, new)
    assert sorted(a for before, _ in groups for a in before) == list(range(len(old)))
    assert sorted(b for _, behind in groups for b in behind) == list(range(len(new)))
    assert all(math.prod(old[a] for a in before) == math.prod(new[b] for b in behind) for before, behind in groups)


def test_an_axis_alone_ties_what_lies_along_the_others() -> None:
    """Four heads of width three: asked for the widths, those of all heads go together."""
    book = Ledger()
    numbers = book.fresh(4, 3)
    labels, widths = ledger.alone(book, (Block((1, 3), numbers),), 3)
    assert widths is not None and widths.tolist() == numbers[0].tolist()
    assert [block.axes for block in labels] == [(3,)]
    (pair,) = book.pairs
    assert {(int(a), int(b)) for a, b in zip(*pair, strict=True)} == {
        (int(numbers[head, unit]), int(numbers[0, unit])) for head in range(4) for unit in range(3)
    }


def test_channels_that_meet_numbers_without_any_stay() -> None:
    book = Ledger()
    numbers = book.fresh(6)
    labels = ledger.agreed(book, [(Block((1,), numbers),), ()], [(2, 6), (2, 6)], "why")
    assert labels == () and [(n.tolist(), why) for n, why in book.stays] == [(numbers.tolist(), "why")]
    labels = ledger.agreed(book, [(Block((1,), numbers),), ()], [(2, 6), (2, 1)], "why")
    assert len(labels) == 1 and np.array_equal(labels[0].numbers, numbers) and len(book.stays) == 1
