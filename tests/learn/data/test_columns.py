"""Batches as libraries give them: dicts, named tuples, dataclasses, tuples of several inputs, samples with a label."""

from __future__ import annotations

from collections import UserDict, namedtuple
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from edgekd.base.errors import DataError
from edgekd.learn.data._base import Dataset
from edgekd.learn.data._batches import from_splits

X, Y = np.arange(24, dtype=np.float32).reshape(6, 4), np.arange(6) % 2
Batch = namedtuple("Batch", ["image", "label"])


@dataclass
class Record:
    image: Any
    target: Any


class Indexed:
    """A data set that has numbers of samples and no iterator, as torch's have."""

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, i: int) -> Any:
        return (X[i], int(Y[i])) if i < len(X) else [][i]


class Keyed:
    """Columns by name that are no Mapping."""

    def keys(self) -> list[str]:
        return ["image", "y"]

    def __getitem__(self, name: str) -> Any:
        return {"image": X, "y": Y}[name]


def parted(make: Any) -> list[Any]:
    return [make(X[i : i + 4], Y[i : i + 4]) for i in (0, 4)]


def read(given: Any, **more: Any) -> Dataset:
    return from_splits((given, given, given), "data", **more)


def test_all_forms_of_one_data_set_are_the_same_data() -> None:
    wanted = read((X, Y)).train
    forms: list[Any] = [
        {"pixel_values": X, "labels": Y},
        ({"pixel_values": X}, Y),
        Keyed(),
        parted(lambda x, y: {"pixel_values": torch.tensor(x), "labels": torch.tensor(y, dtype=torch.int32)}),
        parted(lambda x, y: UserDict({"image": x, "label": y, "path": ["a"] * len(x), "mask": None})),
        parted(lambda x, y: {"inputs": {"pixel_values": x}, "targets": y}),
        parted(lambda x, y: ({"image": x}, y)),
        parted(Batch),
        parted(Record),
        parted(lambda x, y: (x, y[:, None])),
        parted(lambda x, y: (x, np.eye(2, dtype=np.float32)[y])),
        parted(lambda x, y: (x, torch.nn.functional.one_hot(torch.tensor(y), 2))),
        [{"image": x.tolist(), "label": int(y)} for x, y in zip(X, Y, strict=True)],
        [(torch.tensor(x), torch.tensor(y)) for x, y in zip(X, Y, strict=True)],
        Indexed(),
        {"image": X.tolist(), "label": Y.tolist()},
    ]
    for given in forms:
        found = read(given).train
        order = np.argsort(found.x[:, 0])
        assert np.array_equal(found.x[order], wanted.x) and found.x.dtype == np.float32, given
        assert found.y is not None and np.array_equal(found.y[order], Y), given
    assert read({"pixel_values": X, "labels": Y}).inputs == ("pixel_values",) and read((X, Y)).inputs == ()


def test_three_splits_in_a_dict() -> None:
    data = from_splits({"test": (X, Y), "train": (X[:4], Y[:4]), "validation": (X[:2], Y[:2])}, "data")
    assert [len(split) for split in data.splits.values()] == [4, 2, 6]
    with pytest.raises(DataError, match=r"three splits are needed; found 'train, val'"):
        from_splits({"train": (X, Y), "val": (X, Y)}, "data")


def test_what_is_left_out_and_one_hot_labels_are_noted() -> None:
    notes = read(parted(lambda x, y: {"image": x, "y": np.eye(2)[y], "path": ["a"] * len(x)})).notes
    assert "columns without numbers are left out: path" in notes and any("one-hot" in note for note in notes)


def test_several_inputs_become_columns_of_whole_numbers() -> None:
    ids, mask = np.arange(18).reshape(6, 3), np.ones((6, 3), np.int64)
    for given in ((ids, mask, Y), ((ids, mask), Y), [(torch.tensor(ids), torch.tensor(mask), Y)]):
        data = read(given)
        op = {"op": "columns", "names": ["input_0", "input_1"], "sizes": [18, 2], "widths": [3, 3]}
        assert data.preprocess == (op,) and data.train.x.dtype == np.int64 and data.inputs == ()
        order = np.argsort(data.train.x[:, 0])
        assert np.array_equal(data.train.x[order], np.concatenate([ids, mask], axis=1))
    named = read({"attention_mask": mask, "input_ids": ids, "labels": Y})
    assert named.inputs == ("attention_mask", "input_ids") and named.preprocess[0]["sizes"] == [2, 18]


def test_inputs_of_other_kinds_become_parts() -> None:
    image, user, one = np.random.default_rng(0).random((6, 1, 2, 2)), np.arange(6), np.arange(6)[:, None]
    data = read({"image": image, "user": user, "one": one, "y": Y})
    shapes = {"op": "parts", "names": ["image", "user", "one"], "sizes": [0, 6, 6], "shapes": [[1, 2, 2], [], [1]]}
    assert data.preprocess == (shapes,) and data.train.x.dtype == np.float32 and data.train.x.shape == (6, 6)


def test_sequences_are_padded_where_a_mask_says_so() -> None:
    def batch(length: int) -> dict[str, Any]:
        mask = np.ones((3, length), np.int64)
        mask[0, -1] = 0
        return {"input_ids": np.where(mask, 7, 5), "attention_mask": mask, "labels": np.arange(3) % 2}

    data = read([batch(2), batch(4)])
    ids, mask = data.train.x[:, :4], data.train.x[:, 4:]
    assert data.train.x.shape == (6, 8) and np.array_equal(ids, np.where(mask, 7, 5)), "what stood where the mask is 0"
    assert any("sequences of 2 to 4 are padded to 4" in note for note in data.notes)
    with pytest.raises(DataError, match=r"batch 1: a batch of another shape.*padded where a column attention_mask"):
        read([(np.ones((3, n), np.int64), np.arange(3) % 2) for n in (2, 4)])


def runs_once() -> Iterator[Any]:
    yield {"x": X, "y": Y}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"x": X, "label": Y, "target": Y},
            r"data \(train\): several columns may be the labels; found 'label, target'",
        ),
        (({"x": X, "y": Y}, Y), "labels twice"),
        (
            {"text": ["a"] * 6, "labels": Y},
            r"no column that a network reads; found 'text, labels'; allowed: .*label_ids",
        ),
        ({"x": X, "category": Y}, r"without labels the class names are needed; labels are looked for .*labels, label,"),
        ({"x": X, "y": np.full((6, 2), 0.5)}, r"labels are whole numbers.*float64 \(6, 2\).*one-hot.*no labels"),
        ({"x": X, "y": Y[:4]}, r"as many labels as samples"),
        ((X, (Y, Y)), "labels in several arrays without names; found '2 arrays'; .*several heads"),
        ((X, [Y, Y, Y]), "labels in several arrays without names; found '3 arrays'"),
        ({"a": X, "b": X[:4], "y": Y}, r"columns of different lengths; found \{'a': 6, 'b': 4\}"),
        (
            [{"x": X, "y": Y}, {"z": X, "y": Y}],
            r"batch 1: a batch with other parts.*found 'z and labels'; allowed: x and",
        ),
        ({"a": X, "n": np.arange(6) - 9, "y": Y}, r"data: n: a whole number below 0; found -9"),
        (runs_once(), "runs only once"),
        (
            {"ids": [[1, 2], [1, 2, 3]], "label": [0, 1]},
            r"data \(train\): ids: rows of different lengths.*padding=True",
        ),
    ],
)
def test_what_can_not_be_told_is_an_error(given: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(given)


def test_splits_of_other_columns_are_told() -> None:
    one, other = {"x": X, "y": Y}, {"z": X, "y": Y}
    with pytest.raises(DataError, match=r"data \(test\): other columns than in train; found \{'z'"):
        from_splits((one, one, other), "data")
    with pytest.raises(DataError, match="columns with names in every split or in none; found 'names in train"):
        from_splits((one, one, (X, Y)), "data")
