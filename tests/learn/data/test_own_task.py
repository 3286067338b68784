"""What a user's own task gives is held to what the house takes, before anything is trained by it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from edgekd.base.errors import FactoryError, RecipeError
from edgekd.learn.data import Dataset, Split
from edgekd.learn.data._checks import checked
from edgekd.learn.data._own_task import fitted, numbered, shape_of, try_out
from edgekd.runtime import decisions
from edgekd.tasks import Heads, Numbered, Task, Values, make_task
from edgekd.tasks.regression import Regression

SHAPE, NAMES = (2,), ("a", "b")
LABELS = {"train": np.array([0, 2, 1]), "validation": np.array([1, 0])}


@dataclass(frozen=True)
class Steps(Task):
    """Two ordered steps, each of which is taken or not: all that a task of one's own says, and right."""

    axes: ClassVar[tuple[str, ...]] = ("batch", "value")
    hub: ClassVar[Mapping[str, str]] = {}
    metrics: ClassVar[tuple[str, ...]] = ("micro_f1", "mae")
    losses: ClassVar[tuple[str, ...]] = ("binary_cross_entropy",)
    label_loss: ClassVar[str] = "binary_cross_entropy"
    program: ClassVar[str] = "values"
    holds: ClassVar[str] = "{} steps"
    prints: ClassVar[str] = "answer.value"

    def numbered(self, labels: Any, names: Any, at: Any, where: str) -> Numbered:
        return Numbered(NAMES, {name: (of[:, None] > np.arange(2)).astype(np.int64) for name, of in labels.items()})

    def check(self, labels: Any, count: int, size: int, where: str) -> None:
        """Right by its making."""

    def same(self, one: Any, other: Any) -> Any:
        return ((one > 0) == (other > 0)).all(1)

    def decode(self, shares: Any, names: Any) -> Any:
        return Values((float((shares > 0).sum()),), ("grade",))

    def record(self, decided: Any) -> Any:
        return {"values": list(decided.values)}

    def numbers(self, record: Any) -> Any:
        return record["values"]


def made(**changes: Any) -> Task:
    """The same with other methods, or told otherwise."""
    odd: Any = type("Odd", (Steps,), {"__module__": __name__, **changes})
    task: Task = dataclass(frozen=True)(odd)()
    return task


def at(split: str, i: int) -> str:
    return f"{split} {i}"


def rows(value: Any) -> Callable[..., Numbered]:
    return lambda s, labels, *rest: Numbered(NAMES, dict.fromkeys(labels, value))


def numbering(**changes: Any) -> Callable[..., Any]:
    return lambda s, *given: replaced(Steps().numbered(*given), **changes)


def replaced(numbers: Numbered, **changes: Any) -> Numbered:
    return numbers._replace(**changes)


@pytest.mark.parametrize(
    ("gives", "where"),
    [
        (lambda s, *given: None, r"Odd.numbered: a task gives something else"),
        (lambda s, *given: tuple(Steps().numbered(*given)), r"allowed: edgekd.tasks.Numbered"),
        (numbering(names=("a", "a")), "numbered: names"),
        (numbering(names=(0, 1)), "numbered: names"),
        (numbering(labels={"train": np.zeros((3, 2))}), r"found \['train'\]; allowed: labels of train, validation"),
        (rows([[0, 1]] * 3), "labels of train: .*an array of finite numbers"),
        (rows(np.array([["x", "y"]] * 3)), "labels of train: .*found 'an array .*U1"),
        (rows(np.full((3, 2), np.inf)), "labels of train: .*finite"),
        (rows(np.zeros((2, 2))), r"labels of train: .*allowed: 3 of them, one a sample"),
        (lambda s, labels: None, r"Odd.numbered: .*takes 2 positional arguments"),
        (lambda s, labels, *rest: labels["none"], r"raised KeyError at test_own_task.py"),
    ],
)
def test_labels_that_no_data_set_takes_are_told(gives: Any, where: str) -> None:
    with pytest.raises(FactoryError, match=where):
        numbered(made(numbered=gives), LABELS, None, at, "data")


METHODS: list[tuple[str, Any]] = [
    ("same", lambda s, a, b: (a > 0) == (b > 0)),
    ("same", lambda s, a, b: True),
    ("agreement", lambda s, a, b: np.full(len(a), 2.0)),
    ("differs", lambda s, a, b, t: np.zeros((len(a), 2), bool)),
    ("lead", lambda s, a: np.abs(a)),
    ("lead", lambda s, a: np.full(len(a), math.nan)),
    ("margin", lambda s, a: np.full(len(a), -1.0)),
    ("distance", lambda s, a, b: a - b),
    ("answers", lambda s, a: a[:, :1]),
    ("judged", lambda s, a: a[:, :1]),
    ("compared", lambda s, a, y: a),
    ("together", lambda s, y: np.zeros(3)),
    ("shares", lambda s, a: a.sum(-1)),
    ("decode", lambda s, a, names: a.nothing),
    ("record", lambda s, one: {"values": np.array(one.values)}),
    ("record", lambda s, one: [1.0]),
    ("numbers", lambda s, record: [math.nan]),
    ("numbers", lambda s, record: record["none"]),
    ("prints", "answer.nothing"),
    ("certainties", ("margin",)),
]


@pytest.mark.parametrize(("method", "gives"), METHODS)
def test_what_a_method_gives_else_is_told_by_its_name(method: str, gives: Any) -> None:
    place = "decode" if method == "certainties" else method  # its answers have no field 'sure'
    with pytest.raises(FactoryError, match=rf"Odd\.(differing|{place})"):
        try_out(made(**{method: gives}), SHAPE, NAMES, Steps().numbered(LABELS, None, at, "").labels["train"])


def test_labels_of_another_width_than_the_output_are_told() -> None:
    with pytest.raises(FactoryError, match=r"found \(3, 3\); allowed: \(N, 2\) labels"):
        try_out(Steps(), SHAPE, NAMES, np.zeros((3, 3)))


@pytest.mark.parametrize("shape", [[2], (2, 0), ("2",), 2])
def test_a_shape_is_whole_numbers(shape: Any) -> None:
    with pytest.raises(FactoryError, match=r"Odd.shape"):
        shape_of(made(shape=lambda s, names, labels: shape), 2, ())


def test_what_knows_the_labels_is_the_task() -> None:
    with pytest.raises(FactoryError, match=r"Odd.fitted: .*allowed: a Odd"):
        fitted(made(fitted=lambda s, labels: None), None)
    with pytest.raises(FactoryError, match=r"Odd.scale"):
        fitted(made(scale=1.0), None)


def test_a_record_of_no_form_ends_before_anything_trains() -> None:
    heads = Heads({"logits": 2}, {"logits": made(record=lambda s, one: {"grade": 1.0}, numbers=lambda s, r: [1.0])})
    with pytest.raises(FactoryError, match=r"Odd\.record"):
        decisions.check_forms(heads, NAMES)


def test_a_data_set_tries_its_task() -> None:
    task = made(same=lambda s, a, b: True)
    split = Split(np.zeros((3, 4), np.float32), np.zeros((3, 2), np.int64))
    with pytest.raises(FactoryError, match=r"Odd\.same"):
        checked(Dataset(split, split, split, NAMES, ()), "data", task)
    with pytest.raises(FactoryError, match="takes 2 positional arguments"):
        checked(Dataset(split, split, split, NAMES, ()), "data", made(check=lambda s, labels: None))


SAYS: list[tuple[str, Any, str]] = [
    ("axes", "batch", "a tuple of texts"),
    ("axes", ["batch", "value"], "a tuple of texts"),
    ("axes", ("value",), "begin with 'batch'"),
    ("metrics", "micro_f1", "a tuple of texts"),
    ("metrics", (), "no metric suits it"),
    ("metrics", ("micro_f2",), "unknown kind of metrics"),
    ("losses", "kl", "a tuple of texts"),
    ("losses", ("kll",), "unknown kind of losses"),
    ("label_loss", "cross", "unknown kind of losses"),
    ("hub", "tabular", "a table by the kind of sample"),
    ("holds", "steps", "a text with {} for how many"),
    ("holds", "{} of {}", "a text with {} for how many"),
    ("prints", 3, "a text is needed"),
    ("limits", "one", "a tuple of texts"),
    ("link", "tanh", "no function that makes shares"),
    ("program", "mask", "another number of axes"),
]


@pytest.mark.parametrize(("name", "value", "message"), SAYS)
def test_what_a_class_says_in_another_form_is_refused(
    name: str, value: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Steps, name, value)
    with pytest.raises(RecipeError, match=rf"{name}: .*{message}|{name}.*{message}"):
        make_task({"kind": f"{__name__}:Steps"}, "task")


def test_what_is_right_passes() -> None:
    assert make_task({"kind": f"{__name__}:Steps"}, "task") == Steps()
    labels = numbered(Steps(), LABELS, None, at, "data").labels
    try_out(Steps(), shape_of(Steps(), 2, ()), NAMES, labels["train"])
    assert fitted(Steps(), labels["train"]) == Steps()
    assert isinstance(fitted(Regression(), np.zeros((3, 1))), Regression)
