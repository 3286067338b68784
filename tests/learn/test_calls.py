"""Inputs go to the arguments of forward that are called as they are, else in their order; what goes nowhere is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgekd.base.errors import DataError
from edgekd.learn.calls import Arguments, arranged
from edgekd.learn.data._base import Dataset
from edgekd.learn.data._batches import from_splits
from edgekd.learn.quiet import quiet
from edgekd.learn.readers import NetworkReader
from edgekd.learn.teacher import PickedOutput, bare

Y = np.arange(8) % 2
IDS, MASK = np.arange(24).reshape(8, 3), np.ones((8, 3), np.int64)


class Texts(nn.Module):
    """As a library's: an argument between the two that are given, and names that a tokenizer gives in another order."""

    def __init__(self, rows: int = 50) -> None:
        super().__init__()
        self.words, self.kinds, self.head = nn.Embedding(rows, 4), nn.Embedding(3, 4), nn.Linear(4, 2)

    def forward(
        self, input_ids: Tensor, attention_mask: Any = None, head_mask: Any = None, token_type_ids: Any = None
    ) -> Tensor:
        x = self.words(input_ids)
        x = x if token_type_ids is None else x + self.kinds(token_type_ids)
        return self.head((x * attention_mask[..., None]).sum(1))


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.head = nn.Embedding(40, 4), nn.Linear(4, 2)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.head((self.words(input_ids) * attention_mask[..., None]).sum(1))


class Batch(nn.Module):
    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return batch["a"] + 2 * batch["b"]


class Loose(nn.Module):
    def forward(self, **columns: Tensor) -> Tensor:
        return columns["a"] + 2 * columns["b"]


class Wrapped(nn.Module):
    """Hands on whatever it is given, as adapters do."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        return torch.as_tensor(self.module(*args, **kwargs))


class Second(nn.Module):
    def forward(self, text: Any = None, image: Any = None) -> Tensor:
        assert text is None
        return torch.as_tensor(image)


def read(given: Any, *networks: nn.Module) -> Dataset:
    roles = ("student", "teacher")
    readers = [NetworkReader(network, role) for network, role in zip(networks, roles, strict=False)]
    return from_splits((given, given, given), "data", None, readers)


def test_columns_go_where_their_name_is() -> None:
    a, b = torch.ones(2, 3), torch.ones(2, 3) * 5
    for network in (Batch(), Loose()):
        assert torch.equal(arranged(network, ("a", "b"), True, "student")(a, b), a + 2 * b)
        assert torch.equal(arranged(network, ("b", "a"), True, "student")(a, b), b + 2 * a)
    one, several = Wrapped(nn.Linear(3, 2)), Wrapped(Texts())
    assert arranged(one, ("pixels",), True, "student") is one, "the inner argument has another name"
    ids = torch.tensor(IDS)
    wanted = several(ids, torch.tensor(MASK), None, ids % 3)
    names = ("input_ids", "token_type_ids", "attention_mask")
    assert torch.equal(arranged(several, names, True, "student")(ids, ids % 3, torch.tensor(MASK)), wanted)
    assert torch.equal(arranged(Second(), ("image",), True, "student")(a), a)
    same = Plain()
    assert arranged(same, ("input_ids", "attention_mask"), True, "student") is same, "in order: no wrapper"
    assert bare(PickedOutput(arranged(same, ("attention_mask", "input_ids"), True, "student"))) is same


def test_whole_numbers_that_come_as_floats_are_whole_in_the_network() -> None:
    network = arranged(Plain(), ("ids", "mask"), False, "student", frozenset({0}))
    assert network(torch.tensor([[3.0, 39.0]]), torch.ones(1, 2)).shape == (1, 2)


def test_a_teacher_may_take_more_columns_than_the_student() -> None:
    kinds = IDS % 3
    tokens = {"input_ids": IDS, "token_type_ids": kinds, "attention_mask": MASK, "idx": np.arange(8), "labels": Y}
    data = read(tokens, Plain(), Texts())
    assert data.preprocess[0]["names"] == ["input_ids", "attention_mask"] and data.preprocess[0]["sizes"] == [40, 2]
    assert data.teacher_preprocess is not None
    assert data.teacher_preprocess[0]["names"] == ["input_ids", "attention_mask", "token_type_ids"]
    assert data.teacher_preprocess[0]["sizes"] == [40, 2, 3], "the rows of the smaller embedding"
    assert data.train.x.shape == (8, 9) and "columns that no network takes are left out: idx" in data.notes
    assert read(tokens, Plain()).teacher_preprocess is None


def test_one_column_of_whole_numbers_is_whole_where_the_networks_want_it_so() -> None:
    data = read((IDS, Y), nn.Sequential(nn.Embedding(30, 2), nn.Flatten(), nn.Linear(6, 2)))
    assert data.preprocess == ({"op": "columns", "names": ["input"], "sizes": [30], "widths": [3]},)
    assert read((IDS, Y), nn.Linear(3, 2)).train.x.dtype == np.float32, "numbers of a table"
    assert read({"ids": IDS, "y": Y}, nn.Linear(3, 2)).preprocess == ()


def test_names_of_inputs_without_any_are_the_students_arguments() -> None:
    data = read((IDS, MASK, Y), Plain(), Texts())
    assert data.preprocess[0]["names"] == ["input_ids", "attention_mask"] and data.inputs == ()


@pytest.mark.parametrize(
    ("given", "network", "message"),
    [
        ({"input_ids": IDS, "mask": MASK, "y": Y}, Plain(), r"student.forward: no column is called 'attention_mask'.*"
         r"found 'input_ids, mask'; allowed: columns for input_ids, attention_mask"),
        ({"input_ids": IDS, "mask": MASK, "y": Y}, Texts(), r"a column that no network takes; found 'mask \(3,\)'"),
        ((IDS, MASK, IDS, Y), Plain(), r"another number of inputs.*found 3; allowed: 2 to 2: input_ids, att"),
        ((IDS, MASK, Y), nn.Linear(3, 2), r"another number of inputs.*found 2; allowed: 1 to 1: input"),
    ],
)  # fmt: skip
def test_columns_that_go_nowhere_are_told(given: Any, network: nn.Module, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(given, network)


def test_arguments_are_read_of_any_network() -> None:
    assert Arguments.of(nn.Sequential()).names == ("input",)
    with quiet():
        scripted = Arguments.of(torch.jit.trace(nn.Linear(3, 2), torch.ones(1, 3)))
    assert scripted.takes(("0", "1"), False, "teacher") == ("0", "1")
