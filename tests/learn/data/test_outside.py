"""Classes that nobody is to learn leave the data whole but for their samples."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekd.base.errors import RecipeError
from edgekd.learn.data import Dataset, Split, without
from edgekd.tasks import CLASSES
from edgekd.tasks.multi_label import MultiLabel

NAMES = ("ant", "bee", "cat", "dog")


def dataset(labels: list[int], names: tuple[str, ...] = NAMES) -> Dataset:
    y = np.array(labels, np.int64)
    x = np.stack([y, np.arange(len(y))], axis=1).astype(np.float32)
    train, validation, test = (Split(x + 100 * i, y, np.arange(len(y))) for i in range(3))
    return Dataset(train, validation, test, names, ())


@given(
    labels=st.lists(st.integers(0, 3), min_size=1, max_size=30),
    outside=st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True),
)
@settings(max_examples=30, deadline=None)
def test_every_sample_is_kept_with_its_class_or_outside(labels: list[int], outside: list[str]) -> None:
    data = dataset([0, 1, 2, 3, *labels])
    rest, strangers = without(data, outside, CLASSES)
    assert rest.classes == tuple(name for name in NAMES if name not in outside)
    for split, part in rest.splits.items():
        whole = data.splits[split]
        y, kept, ids = (np.asarray(values) for values in (whole.y, part.y, part.ids))
        left = [i for i, label in enumerate(y.tolist()) if NAMES[label] not in outside]
        assert np.array_equal(np.asarray(part.x), np.asarray(whole.x)[left]) and ids.tolist() == left
        assert [rest.classes[i] for i in kept] == [NAMES[label] for label in y[left]]
        if split == "train":
            assert split not in strangers
        else:
            assert len(strangers[split]) == len(whole) - len(part)
            assert {NAMES[int(row[0]) % 100] for row in strangers[split]} == set(outside)
    assert "are not learned" in rest.notes[-1] and ", ".join(outside) in rest.notes[-1]


def test_test_may_have_none() -> None:
    data = dataset([0, 1, 2, 0, 1])
    data = replace(data, test=data.test.some(np.array([0, 1])))
    rest, strangers = without(data, ["cat"], CLASSES)
    assert list(strangers) == ["validation"] and len(rest.test) == 2


SOME = dataset([0, 1, 2, 3])
WRONG: list[tuple[Dataset, list[str], Any, str]] = [
    (SOME, ["cta"], CLASSES, r"abstain\.outside: no such class; found 'cta'.*did you mean 'cat'"),
    (SOME, ["ant", "bee", "cat"], CLASSES, "too few classes are left"),
    (dataset([0, 1, 3]), ["cat"], CLASSES, "no sample of them in validation"),
    (replace(SOME, validation=SOME.validation.some(np.array([2]))), ["cat"], CLASSES, "a split has no other samples"),
    (SOME, ["cat"], MultiLabel(), "no classes to leave out"),
    (replace(SOME, heads={"a": 2, "b": 2}), ["cat"], CLASSES, "no classes to leave out"),
    (replace(SOME, train=replace(SOME.train, y=None)), ["cat"], CLASSES, "no classes to leave out"),
]


@pytest.mark.parametrize(("data", "names", "task", "message"), WRONG)
def test_what_can_not_be_left_out_is_told(data: Dataset, names: list[str], task: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        without(data, names, task)
