"""Which parts go back to float: what made-up profiles promise, and what made-up times keep."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest

from edgekd.decide import mixed_precision
from edgekd.decide.mixed_precision import MOST_TRIES, Network, Profile, Ratio, promising, search
from edgekd.document.kernel import Kernel
from edgekd.spec.mixed import Read, Unit


class Chain:
    """Layers in a row, each rounding what it gives; a row is (operator, int8 microseconds, float microseconds).

    Of a layer that has no int8 kernel the first is None.
    """

    def __init__(self, *rows: tuple[str, float | None, float], elements: int = 1000) -> None:
        self.units = [
            Unit(f"u{i}", op, (Read(f"u{i - 1}" if i else None, (i,)),), (i,) if op == "Conv" else (), elements)
            for i, (op, _, _) in enumerate(rows)
        ]
        names = {f"{op}_{i}": f"u{i}" for i, (op, _, _) in enumerate(rows)}
        int8 = [
            Kernel(f"{op}_{i}", op, "float32" if us is None else "int8", plain if us is None else us, (f"{op}_{i}",))
            for i, (op, us, plain) in enumerate(rows)
        ]
        plain_ = [Kernel(f"{op}_{i}", op, "float32", us, (f"{op}_{i}",)) for i, (op, _, us) in enumerate(rows)]
        self.int8, self.plain = Profile(int8, names), Profile(plain_, names)

    def groups(self, *, fused: bool = False) -> list[mixed_precision.Group]:
        return Network(self.units, self.int8, self.plain, fused).groups()


def test_a_layer_that_wins_more_than_its_conversions_cost_is_a_group_with_its_roundings_and_weights() -> None:
    (group,) = Chain(("Conv", 10, 30), ("Conv", 40, 8), ("Mish", 30, 8), ("Conv", 10, 30)).groups()
    assert group.layers == ("u1", "u2")
    assert group.activations == {2}, "what another layer reads or gives in int8 is rounded still"
    assert group.weights == {1}
    assert (group.int8_us, group.float_us) == (70, 16)
    assert group.gain_us == pytest.approx(70 - 16 - 2 * 0.82), "a conversion before and one behind"


def test_what_conversions_would_eat_up_stays_as_it_is() -> None:
    layers = (("Conv", 10, 30), ("Mish", 11.0, 9.5), ("Conv", 10, 30))
    assert Chain(*layers).groups() == []
    assert [group.layers for group in Chain(*layers, elements=1).groups()] == [], "0.1 of 31 microseconds are none"
    assert Chain(("Conv", 10, 30), ("Conv", 10, 30)).groups() == []


def test_conversions_between_layers_that_have_no_int8_kernel_are_left_out() -> None:
    layers = (("Conv", 20, 30), ("Conv", None, 20), ("Conv", None, 20), ("Conv", 20, 30))
    (group,) = Chain(*layers, elements=10_000).groups()
    assert (group.layers, set(group.activations), set(group.weights)) == ((), {2}, {2})
    assert group.gain_us == pytest.approx(2 * 1.9)


def test_a_layer_alone_between_roundings_stays_and_one_that_reads_floats_goes_back_with_its_weights() -> None:
    """ONNX Runtime would round the weights of the first itself, to 8 bits."""
    chain = Chain(("Conv", 10, 30), ("Conv", 40, 8), ("Conv", 10, 30))
    assert chain.groups() == []
    chain.units[1] = replace(chain.units[1], reads=(Read(None, ()),))
    (group,) = chain.groups()
    assert (group.layers, set(group.activations), set(group.weights)) == (("u1",), set(), {1})


def test_an_int8_kernel_that_may_give_floats_has_no_conversion_behind_it() -> None:
    layers = (("Conv", 10, 30), ("Mish", 40, 8), ("Conv", 10, 30))
    assert Chain(*layers).groups() == [], "between int8 and int8 no file can say that this one is float"
    (group,) = Chain(*layers).groups(fused=True)
    assert group.layers == ("u1",) and group.activations == {1}


def test_like_parts_of_repeated_blocks_are_one_group() -> None:
    block = (("Conv", 10, 30), ("Mish", 40, 8), ("Mish", 40, 8))
    (group,) = Chain(*block, *block, *block, ("Conv", 10, 30)).groups()
    assert group.layers == ("u1", "u2", "u4", "u5", "u7", "u8")


def test_the_profiler_s_own_time_is_no_kernel_s() -> None:
    chain = Chain(("Conv", 10, 30), ("Mish", 3, 1.2), ("Mish", 3, 1.2), ("Conv", 10, 30), elements=1)
    assert len(chain.groups()) == 1
    net = Network(chain.units, Profile(chain.int8.kernels, chain.int8.units, 2.9), chain.plain, fused=False)
    assert net.groups() == []


def test_files_whose_kernels_lose_little_are_not_looked_at() -> None:
    def ran(us: float, op: str) -> Kernel:
        return Kernel(op, op, "int8", us)

    assert not promising([ran(50, "QLinearConv"), ran(1, "QLinearMul")], [ran(90, "Conv"), ran(1, "Mul")])
    assert promising([ran(50, "QLinearConv"), ran(9, "QLinearMul")], [ran(90, "Conv")])


def same_size(groups: frozenset[int], best: frozenset[int]) -> float:
    return 1.0


class Times:
    """A backend whose times are made: each group takes its own time, in whichever company."""

    def __init__(self, *changes: float) -> None:
        self.changes, self.asked = changes, list[tuple[frozenset[int], frozenset[int]]]()

    def of(self, groups: frozenset[int]) -> float:
        return 100.0 + sum(self.changes[number] for number in groups)

    def __call__(self, groups: frozenset[int], best: frozenset[int]) -> Ratio | None:
        self.asked.append((groups, best))
        ratio = self.of(groups) / self.of(best)
        return ratio, ratio - 0.001, ratio + 0.001


@pytest.mark.parametrize("seed", range(30))
def test_of_groups_that_do_not_depend_on_each_other_the_fastest_set_is_found(seed: int) -> None:
    rng = random.Random(seed)
    times = Times(*(rng.choice([-12, -8, -5, 5, 9, 14]) for _ in range(rng.randint(1, 4))))
    count = len(times.changes)
    best, tries = search(count, times, same_size)
    sets = [frozenset(c) for size in range(count + 1) for c in itertools.combinations(range(count), size)]
    assert times.of(best) == min(map(times.of, sets))
    assert len(tries) == len(times.asked) <= min(count + 1, MOST_TRIES)
    assert len({asked for asked, _ in times.asked}) == len(times.asked), "no file is timed twice against the same"


def test_nothing_slower_and_nothing_in_doubt_is_kept() -> None:
    assert search(2, Times(4, 7), same_size)[0] == frozenset()
    assert search(1, Times(-3), same_size)[0] == frozenset(), "as little may be the process's own"
    doubtful = search(1, lambda groups, best: (0.9, 0.8, 1.01), same_size)
    assert doubtful[0] == frozenset() and [one.kept for one in doubtful[1]] == [False]


def test_a_larger_file_is_paid_for_in_time() -> None:
    """A text's table in float is 40 % of a small file, for 1.7 % of its time."""
    times = Times(-15, -1.7)
    table = frozenset({1})

    def larger(groups: frozenset[int], best: frozenset[int], growth: float = 1.4) -> float:
        return growth ** (len(groups & table) - len(best & table))

    best, tries = search(2, times, larger)
    assert best == {0} and [one.kept for one in tries] == [True, False, True], "what both won does not pay for it"
    assert search(2, times, lambda groups, best: larger(groups, best, 1.05))[0] == {0, 1}
    assert search(1, times, lambda groups, best: 8.0)[0] == frozenset(), "15 % of the time for eight times the bytes"


def test_small_steps_add_up() -> None:
    assert search(3, Times(-3, 2, -3), same_size)[0] == {0, 2}


def test_a_file_that_cannot_be_made_is_passed_over() -> None:
    times = Times(-10, -20)
    best, tries = search(2, lambda groups, best: None if 0 in groups else times(groups, best), same_size)
    assert best == {1} and len(tries) == 1


def test_tries_are_bounded_in_number_and_in_time() -> None:
    assert len(search(50, Times(*[-1.0] * 50), same_size)[1]) == MOST_TRIES
    clock = itertools.count(0.0, mixed_precision.MOST_SECONDS / 2)
    assert len(search(4, Times(-9, -9, -9, -9), same_size, lambda: next(clock))[1]) == 2
    assert search(0, Times(), same_size)[1] == []
