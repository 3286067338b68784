"""What tells two networks apart, and a factory that gives another one each time."""

from __future__ import annotations

import collections
import contextlib
import copy
import dataclasses
import datetime
import decimal
import fractions
import operator
import random
import re
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edgekd.base.errors import FactoryError
from edgekd.build import imports, network_key

EXAMPLE = (torch.zeros(2, 6),)


class Gated(nn.Module):
    """Holds a tensor, a function and a table beside its parameters."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.inner = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
        self.offset, self.squash = torch.ones(6), torch.tanh
        self.options: dict[str, Any] = {"power": (1, [2.0])}
        self.steps: list[Callable[[torch.Tensor], torch.Tensor]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.squash(self.inner(x + self.offset)) ** self.options["power"][0]
        return out


def test_equal_networks_are_equal() -> None:
    assert network_key.fingerprint(Gated(), EXAMPLE) == network_key.fingerprint(Gated(), EXAMPLE)


@pytest.mark.parametrize(
    "change",
    [
        lambda net: net.inner[0].weight.requires_grad_(False),
        lambda net: net.inner[1].eval(),
        lambda net: net.inner[1].running_mean.add_(1e-6),
        lambda net: setattr(net.inner[1], "eps", 1e-3),
        lambda net: net.offset.mul_(-1),
        lambda net: setattr(net, "squash", torch.sigmoid),
        lambda net: net.options["power"][1].append(3.0),
        lambda net: net.steps.append(lambda x: x),
        lambda net: net.inner.register_forward_pre_hook(lambda module, x: x),
        lambda net: setattr(net, "extra", {"a", "b"}),
        lambda net: setattr(net, "extra", np.arange(3)),
        lambda net: setattr(net, "extra", torch.eye(2).to_sparse()),
        lambda net: setattr(net, "extra", torch.zeros(2, dtype=torch.bfloat16)),
    ],
)
def test_a_difference_is_seen(change: Callable[[Any], Any]) -> None:
    net = Gated()
    change(net)
    assert network_key.fingerprint(net) != network_key.fingerprint(Gated())


@dataclasses.dataclass(slots=True)
class Slotted:
    """Has no ``__dict__``."""

    rate: float
    _name: str = ""


class Bare:
    """Neither, and pickle is told nothing of it."""

    __slots__ = ("__rate", "unset")

    def __init__(self, rate: float) -> None:
        self.__rate = rate


class Ring(collections.deque[int]):
    """One of C with attributes."""


class Endless:
    """Made of another of its kind, and so on."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __reduce__(self) -> Any:
        return Endless, (Endless(self.rate),)


class Secret(Endless):
    """Whose own code raises."""

    def __reduce__(self) -> Any:
        raise KeyError(self.rate)


def _ring(name: str) -> Ring:
    ring = Ring([1, 2])
    ring.name = name  # type: ignore[attr-defined]
    return ring


def _looped(value: int) -> Any:
    made = collections.deque([value])
    made.append(made)  # type: ignore[arg-type]
    return made


ONE, TWO = torch.ones(2), torch.zeros(2)
PAIRS: list[tuple[Any, Any]] = [
    *[(kind(0), kind(1)) for kind in (np.int64, np.uint8, np.float32, np.float64, np.bool_, np.complex64)],
    *[(kind([1, 2]), kind([1, 3])) for kind in (collections.deque, bytearray, Ring, iter)],
    (collections.deque([ONE]), collections.deque([TWO])),
    (collections.deque([1], 2), collections.deque([1], 3)),
    (collections.defaultdict(int, a=1), collections.defaultdict(float, a=1)),
    ({1: 2}.keys(), {2: 2}.keys()),
    *[(kind(1), kind(2)) for kind in (Slotted, Bare, Endless, Secret, decimal.Decimal, operator.itemgetter)],
    *[(kind(1), kind(2)) for kind in (range, slice, np.random.default_rng, np.random.RandomState)],
    (_ring("a"), _ring("b")),
    (_looped(1), _looped(2)),
    (re.compile("a"), re.compile("b")),
    (re.compile("a"), re.compile("a", re.IGNORECASE)),
    (fractions.Fraction(1, 2), fractions.Fraction(1, 3)),
    (datetime.date(2020, 1, 1), datetime.date(2021, 1, 1)),
    (torch.Tensor.relu, torch.Tensor.tanh),
    (vars(Slotted)["rate"], vars(Slotted)["_name"]),
    (ONE.add, TWO.add),
    (ONE.add, ONE.sub),
    ("a".join, "b".join),
    (np.sin, np.cos),
    (torch.strided, torch.sparse_coo),
    (np.ma.array([1, 2], mask=[False, True]), np.ma.array([1, 2], mask=[False, False])),
    (weakref.ref(ONE), weakref.ref(TWO)),
    (torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)),
]


@pytest.mark.parametrize(("one", "other"), PAIRS, ids=lambda value: type(value).__name__)
def test_what_has_no_attributes_is_seen(one: Any, other: Any) -> None:
    """Such networks had one key, and the second was given what was trained for the first."""
    found = [network_key._hash_of({"x": value, "next": 1}) for value in (one, other)]
    assert found[0] != found[1]
    with contextlib.suppress(TypeError, KeyError, RecursionError):  # what can't be copied
        twin = one if isinstance(one, weakref.ref) else copy.deepcopy(one)
        assert network_key._hash_of({"x": twin, "next": 1}) == found[0], "no address, and no order of a hash"


def test_what_can_not_be_read_is_told_but_for_locks() -> None:
    with pytest.warns(UserWarning, match=r"of builtins\.generator, which a network holds, nothing can be read"):
        network_key._hash_of(value for value in range(3))
    assert network_key._hash_of([threading.Lock(), 1]) != network_key._hash_of([threading.Lock(), 2])


def test_random_numbers_of_its_own_are_no_other_network() -> None:
    def make() -> nn.Module:
        net = Gated()
        net.options["draws"] = [np.random.RandomState(), np.random.default_rng()]
        return net

    assert network_key.of_factory(make, 0, EXAMPLE, "t") == network_key.of_factory(make, 0, EXAMPLE, "t")


def test_what_is_held_by_itself_ends() -> None:
    def looped(value: float) -> Gated:
        net = Gated()
        net.options["self"] = [net.options, value]
        return net

    assert network_key.fingerprint(looped(1.0)) == network_key.fingerprint(looped(1.0))
    assert network_key.fingerprint(looped(1.0)) != network_key.fingerprint(looped(2.0))


def test_what_is_nested_too_deeply_is_no_error_of_pythons() -> None:
    net: nn.Module = nn.Linear(6, 2)
    for _ in range(400):
        net = nn.Sequential(net)
    with pytest.raises(FactoryError, match="modules are nested too deeply"):
        network_key.fingerprint(net)


def test_what_torch_prints_of_a_network_that_it_cant_export_is_not_seen(capfd: pytest.CaptureFixture[str]) -> None:
    class Branches(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = super().forward(x)
            return y if y.mean() > 0 else -y

    network_key.fingerprint(Branches(6, 2), EXAMPLE)
    assert capfd.readouterr() == ("", "")


def test_whose_mode_is_set_by_every_step_does_not_count_and_stays() -> None:
    net = Gated().eval()
    assert network_key.fingerprint(net, EXAMPLE) == network_key.fingerprint(Gated(), EXAMPLE)
    net.inner[1].train()
    network_key.fingerprint(net, EXAMPLE)
    assert not net.training and net.inner[1].training


def test_a_global_of_the_graph_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    before = network_key.fingerprint(Scaled(), EXAMPLE)
    monkeypatch.setitem(globals(), "FACTOR", 2.0)
    assert network_key.fingerprint(Scaled(), EXAMPLE) != before


FACTOR = 1.0


class Scaled(nn.Module):
    """Reads a number of its module."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * FACTOR


@pytest.mark.parametrize("draw", [torch.rand, lambda n: torch.tensor(np.random.rand(n)), lambda n: random.random()])
def test_random_numbers_of_a_factory_are_seeded(draw: Callable[[int], Any]) -> None:
    def make() -> nn.Module:
        drawn = draw(3)  # first: the network seeds torch anew
        net = Gated()
        net.options["drawn"] = drawn
        return net

    def random_states() -> tuple[list[int], Any]:
        return np.random.get_state(legacy=False)["state"]["key"][:3].tolist(), random.getstate()

    after = random_states()
    one = network_key.of_factory(make, 3, EXAMPLE, "student.model")
    assert one == network_key.of_factory(make, 3, EXAMPLE, "student.model")
    assert one != network_key.of_factory(make, 4, EXAMPLE, "student.model")
    assert after == random_states(), "the user's own numbers go on"


def test_a_time_that_a_network_keeps_is_no_other_network() -> None:
    clock = iter(range(100))

    def make() -> nn.Module:
        net = Gated()
        net.options["made"] = (next(clock), [])
        return net

    assert network_key.of_factory(make, 0, EXAMPLE, "t") == network_key.of_factory(make, 0, EXAMPLE, "t")


def test_code_is_the_same_in_every_process() -> None:
    def member(x: str) -> bool:
        return x in {"a", "b", "c"} or (lambda y: y in {"d", "e"})(x)

    assert imports.code(member.__code__).count("frozenset") == 0


@pytest.mark.parametrize(
    ("place", "said"), [("inner.2.bias", "inner.2.bias"), ("offset", "offset"), ("options", "options")]
)
def test_a_factory_that_gives_another_network_each_time_is_refused(place: str, said: str) -> None:
    generator = np.random.default_rng()

    def make() -> nn.Module:
        net = Gated()
        if place == "options":
            net.options["order"] = generator.permutation(8)
        else:
            tensor = net.get_parameter(place) if "." in place else net.offset
            tensor.data.add_(float(generator.random()))
        return net

    with pytest.raises(FactoryError, match=rf"student.model: the factory gives another network.*'{said}' differs"):
        network_key.of_factory(make, 0, EXAMPLE, "student.model")
