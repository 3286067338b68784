"""Which parts of an int8 network a runtime computes faster in float: what to try by its profiles, what to keep by time.

Pure. Conversions may cost what a float part wins, so parts are not judged one by one: of all ways to compute some in
float the cheapest, by the profiles, is a minimum cut. What it gives back to float falls into groups that hang together;
like ones, as of repeated blocks, are one. A profile only says what is worth a try: what is kept was timed.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from edgekd.decide import cut
from edgekd.decide.kernel_costs import kind_of, work_of
from edgekd.document.kernel import Kernel
from edgekd.spec.mixed import Unit

PROMISING = 0.03  # of a file's time: what the profiles have to promise of all groups before a file is made
NOTABLE = 0.01  # the same of one group
WORTH = 0.96  # of the time of the file that is all in int8: nearer ones are left, so that two builds decide alike
# Least is time x bytes ** this: a file that is twice as large has to save 7 % of the time. A text's table in float
# makes a small student's file 40 % larger for 1.7 % of its time.
FOR_SIZE = 0.1
MOST_GROUPS = 4
MOST_TRIES = 6
MOST_SECONDS = 30.0  # of tries; one that began is finished
CONVERSION, OF_1000 = 0.7, 0.12  # microseconds: of a conversion, and of 1,000 numbers in it
INPUTS = "<inputs>"
Ratio = tuple[float, float, float]


def promising(int8: Sequence[Kernel], plain: Sequence[Kernel]) -> bool:
    """Whether an int8 file loses more than 3 % of its time in some kinds of kernels, beside the same net in float.

    Args:
        int8, plain: the kernels of both files, of which nothing more is known.
    """
    here, there = (defaultdict[str, float](float) for _ in range(2))
    for spent, kernels in ((here, int8), (there, plain)):
        for kernel in kernels:
            spent[kind_of(kernel)] += kernel.microseconds or 0.0
    lost = sum(max(0.0, microseconds - there[kind]) for kind, microseconds in here.items())
    return lost > PROMISING * sum(here.values())


@dataclass(frozen=True)
class Profile:
    """A file of the network as its runtime ran it.

    Attributes:
        units: which unit a node of the file is, by the name of the node or of its output.
        overhead: microseconds that the profiler takes for itself at each kernel.
    """

    kernels: Sequence[Kernel]
    units: Mapping[str, str]
    overhead: float = 0.0

    def timed(self) -> Iterable[tuple[Kernel, list[str], float]]:
        """Kernels that compute, with the units that each is of, and microseconds."""
        for kernel in self.kernels:
            units = list(dict.fromkeys(unit for name in kernel.layers if (unit := self.units.get(name))))
            if units and work_of(kernel) != "conversion":
                yield kernel, units, max(0.0, (kernel.microseconds or 0.0) - self.overhead)


@dataclass(frozen=True)
class Group:
    """What is given back to float as a whole.

    Attributes:
        layers: units that ran in int8.
        activations, weights: roundings that are left out then, by number.
        int8_us, float_us: of the kernels of ``layers``, by the profiles.
        gain_us: what the profiles promise, conversions included.
    """

    layers: tuple[str, ...]
    activations: frozenset[int]
    weights: frozenset[int]
    int8_us: float
    float_us: float
    gain_us: float


@dataclass
class _Segment:
    """Units that one kernel computes, be it in one file alone."""

    units: list[str] = field(default_factory=list)
    int8_us: float = 0.0
    float_us: float = 0.0
    works: set[str] = field(default_factory=set)

    @property
    def is_float(self) -> bool:
        """Whether it is computed in float in the int8 file, too."""
        return "float" in self.works and "int8" not in self.works


@dataclass
class Network:
    """The int8 network in segments, each in int8 or in float, with what both cost.

    Args:
        units: in their order.
        int8: of the int8 file; plain: of the same file without any rounding.
        fused: whether an int8 kernel may give floats at no cost (``Numerics.chains``).
    """

    units: Sequence[Unit]
    int8: Profile
    plain: Profile
    fused: bool

    def __post_init__(self) -> None:
        self._owner = _owners(self.units, self.int8, self.plain)
        self._segments = {INPUTS: _Segment(works={"float"})}
        for unit in self.units:
            self._segments.setdefault(self._owner[unit.name], _Segment()).units.append(unit.name)
        for kernel, units, microseconds in self.int8.timed():
            segment = self._segments[self._owner[units[0]]]
            segment.int8_us += microseconds
            segment.works.add(work_of(kernel))
        for _, units, microseconds in self.plain.timed():
            self._segments[self._owner[units[0]]].float_us += microseconds
        self._source: dict[int, str] = {}
        self._readers: dict[int, set[str]] = {}
        self._numbers: dict[int, int] = {}
        elements = {unit.name: unit.elements for unit in self.units}
        for unit in self.units:
            for read in unit.reads:
                for number in read.roundings:
                    self._source[number] = INPUTS if read.source is None else self._owner[read.source]
                    self._readers.setdefault(number, set()).add(self._owner[unit.name])
                    self._numbers[number] = unit.elements if read.source is None else elements[read.source]

    @property
    def _floats(self) -> frozenset[str]:
        return frozenset(name for name, segment in self._segments.items() if segment.is_float)

    def groups(self) -> list[Group]:
        """What is worth a try, the most promising first; nothing where the profiles promise less than 3 %."""
        total = sum(max(0.0, (k.microseconds or 0.0) - self.int8.overhead) for k in self.int8.kernels)
        given_back = self._cheapest() | self._floats
        parts = [self._group(*part) for part in self._parts(given_back) if self._can_be_written(*part)]
        merged = _alike(parts, self._kind)
        groups = sorted((g for g in merged if g.gain_us >= NOTABLE * total), key=lambda g: (-g.gain_us, g.layers))
        return groups[:MOST_GROUPS] if sum(g.gain_us for g in groups) >= PROMISING * total else []

    def _cheapest(self) -> frozenset[str]:
        """Segments that are computed in float where all costs are least; a node stands for each rounding, too."""
        costs = {
            name: (math.inf if segment.is_float else segment.int8_us, segment.float_us)
            for name, segment in self._segments.items()
        }
        costs |= {_node(number): (0.0, 0.0) for number in self._source}
        edges = []
        for number, source in self._source.items():
            price = self._price(number)
            # An int8 kernel gives int8: where it may not give floats, its rounding stays.
            edges.append((source, _node(number), 0.0 if self.fused else math.inf, price))
            edges += [(_node(number), reader, price, math.inf) for reader in self._readers[number]]
        return cut.cheapest(costs, edges) & frozenset(self._segments)

    def _price(self, number: int) -> float:
        return CONVERSION + OF_1000 * self._numbers[number] / 1000

    def _left_out(self, floats: Collection[str]) -> set[int]:
        """The roundings that nobody needs where these segments are computed in float."""
        return {
            number
            for number, source in self._source.items()
            if self._readers[number] <= set(floats) and (self.fused or source in floats)
        }

    def _conversions(self, floats: Collection[str], left_out: Collection[int]) -> float:
        """Microseconds of what converts between both precisions."""
        return sum(
            self._price(number) * ((source in floats) + len(self._readers[number] & set(floats)))
            for number, source in self._source.items()
            if number not in left_out
        )

    def _parts(self, floats: frozenset[str]) -> list[tuple[frozenset[str], frozenset[int]]]:
        """Segments that change to float, and roundings that are left out, which hang together."""
        changed, left_out = floats - self._floats, self._left_out(floats)
        joined = cut.Joined([*sorted(changed), *map(_node, sorted(left_out))])
        for number in left_out:
            for segment in {self._source[number], *self._readers[number]} & changed:
                joined.join(_node(number), segment)
        return [
            (changed & frozenset(part), frozenset(number for number in left_out if _node(number) in part))
            for part in joined.parts()
        ]

    def _can_be_written(self, changed: frozenset[str], left_out: frozenset[int]) -> bool:
        """Whether a file without these roundings is another one, computed in float.

        The roundings around are what makes a kernel an int8 one. ONNX Runtime even rounds float weights itself, to 8
        bits in one scale, where what a layer reads and gives is rounded.
        """
        layers = [unit for unit in self.units if unit.weights and self._owner[unit.name] in changed]
        return bool(left_out) or (bool(layers) and not any(_is_rounded(unit) for unit in layers))

    def _group(self, changed: frozenset[str], left_out: frozenset[int]) -> Group:
        int8_us = sum(self._segments[name].int8_us for name in changed)
        float_us = sum(self._segments[name].float_us for name in changed)
        before = self._conversions(self._floats, ())
        after = self._conversions(self._floats | changed, left_out)
        # A layer that ran in float all the while may have a rounded weight, too.
        plain = [
            unit
            for unit in self.units
            if self._owner[unit.name] in changed or any(left_out & {*read.roundings} for read in unit.reads)
        ]
        return Group(
            tuple(unit.name for unit in self.units if self._owner[unit.name] in changed),
            left_out,
            frozenset(number for unit in plain for number in unit.weights),
            int8_us,
            float_us,
            int8_us - float_us + before - after,
        )

    def _kind(self, group: Group) -> object:
        """What like groups have in common: what their layers compute, and how much of it."""
        kinds = {unit.name: (unit.op, unit.elements) for unit in self.units}
        if not group.layers:
            return "conversions"
        return tuple(sorted(kinds[name] for name in group.layers))


def _is_rounded(unit: Unit) -> bool:
    """Whether a unit reads a rounded activation."""
    return any(read.roundings for read in unit.reads)


def _node(number: int) -> str:
    """What stands for a rounding among segments."""
    return f"#{number}"


def _owners(units: Sequence[Unit], int8: Profile, plain: Profile) -> dict[str, str]:
    """By unit the first of its segment: one kernel computes them, or it has none of its own and nothing is rounded
    between it and what it reads."""
    joined = cut.Joined(unit.name for unit in units)
    for profile in (int8, plain):
        for _, names, _ in profile.timed():
            for name in names[1:]:
                joined.join(name, names[0])
    alone = {name for _, names, _ in int8.timed() for name in names}
    for unit in units:
        if unit.name not in alone and unit.reads and not unit.reads[0].roundings and unit.reads[0].source is not None:
            joined.join(unit.name, unit.reads[0].source)
    return {unit.name: joined.part_of(unit.name) for unit in units}


def _alike(groups: Iterable[Group], kind: Callable[[Group], object]) -> list[Group]:
    """Groups of one kind, as of repeated blocks, together."""
    by_kind: dict[object, list[Group]] = {}
    for group in groups:
        by_kind.setdefault(kind(group), []).append(group)
    return [_together(same) for same in by_kind.values()]


def _together(groups: Sequence[Group]) -> Group:
    return Group(
        tuple(name for group in groups for name in group.layers),
        frozenset().union(*(group.activations for group in groups)),
        frozenset().union(*(group.weights for group in groups)),
        sum(group.int8_us for group in groups),
        sum(group.float_us for group in groups),
        sum(group.gain_us for group in groups),
    )


@dataclass(frozen=True)
class Try:
    """A set of groups in float, by number, that was timed: how long it takes against the best before."""

    groups: frozenset[int]
    ratio: Ratio
    kept: bool


def search(
    count: int,
    timed: Callable[[frozenset[int], frozenset[int]], Ratio | None],
    larger: Callable[[frozenset[int], frozenset[int]], float],
    now: Callable[[], float] = time.monotonic,
) -> tuple[frozenset[int], list[Try]]:
    """The groups that are computed in float: all, or as they are; then each the other way round, if that is faster.

    A larger file is paid for in time (``FOR_SIZE``). Where what one group wins does not depend on the others, no other
    set is faster for its size.

    Args:
        count: how many groups there are, the most promising first.
        timed: ``timed(a, b)``: the time of one set over that of another, with its 95 % interval; None: no such file.
        larger: ``larger(a, b)``: the bytes of one set's files over those of another; asked for what was timed.

    Returns:
        The fastest set that was found, empty where that saves less than 4 %, and every try.
    """
    best, tries, started = frozenset[int](), list[Try](), now()
    everything = frozenset(range(count))
    singles = [frozenset({number}) for number in everything]
    asked = {best}
    for change in singles if count < 2 else [everything, *singles]:
        chosen = best ^ change
        if len(tries) == MOST_TRIES or now() - started > MOST_SECONDS:
            break
        if chosen in asked:
            continue
        asked.add(chosen)
        if (ratio := timed(chosen, best)) is not None:
            tries.append(Try(chosen, ratio, ratio[2] * larger(chosen, best) ** FOR_SIZE < 1))
            best = chosen if tries[-1].kept else best
    # At most, of the time of none: each kept try was timed against the kept one before.
    share = math.prod(one.ratio[2] for one in tries if one.kept)
    return (best if share < WORTH else frozenset()), tries
