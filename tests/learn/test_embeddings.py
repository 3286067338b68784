"""The table of token vectors in a network, and its rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from edgekd.base import plugins, preprocess
from edgekd.base.errors import ExportError
from edgekd.learn import embeddings
from edgekd.learn.student import Student, TensorSpec

TEXT = [{"op": "wordpiece", "vocabulary": range(50), "length": 12}]
DISTILBERT = {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 20}
FAMILIES: list[dict[str, Any]] = [
    {"kind": "bert", "width": 16, "layers": 1, "heads": 2, "positions": 20},
    {"kind": "transformers", "name": "DistilBertForSequenceClassification", "config": DISTILBERT},
]


def student_of(table: dict[str, Any]) -> Student:
    torch.manual_seed(0)
    module = plugins.build("models", table, "m").build((50, 2), 3).eval()
    return Student(module, preprocess.specs(TEXT, np.array("text")), (TensorSpec("logits", (None, 3)),), ())


@pytest.mark.parametrize("table", FAMILIES, ids=lambda t: t["kind"])
def test_tables_are_known_by_what_they_are_given(table: dict[str, Any]) -> None:
    student = student_of(table)
    (token,) = embeddings.tables(student, student.example(), "test")
    (place,) = embeddings.positions(student, student.example(), "test")
    assert token.endswith("word_embeddings") and place.endswith("position_embeddings")


class Reader(torch.nn.Module):
    """Numbers of 32 bits, and a table that is asked once a text: what kind it is of."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places, self.kinds = (torch.nn.Embedding(rows, 4) for rows in (50, 12, 2))

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        places = torch.arange(ids.shape[1], dtype=torch.int32)
        read: torch.Tensor = self.words(ids.int()) + self.places(places) + self.kinds(mask[:, :1])
        return read.mean(1)


def test_tables_that_are_given_other_shapes_and_types_are_told_apart() -> None:
    student = replace(student_of(FAMILIES[0]), module=Reader())
    assert list(embeddings.tables(student, student.example(), "test")) == ["words"]
    assert list(embeddings.positions(student, student.example(), "test")) == ["places"]


def test_other_numbers_for_the_tokens_and_the_rows_in_their_order_are_the_same_answers() -> None:
    student, generator = student_of(FAMILIES[0]), torch.Generator().manual_seed(1)
    order = torch.randperm(50, generator=generator)
    ids, mask = student.example(4)
    with torch.no_grad():
        before = student.module(ids, mask)
        (table,) = embeddings.tables(student, (ids, mask), "test").values()
        embeddings.reorder(table, order.tolist())
        assert torch.equal(student.module(order.argsort()[ids], mask), before)
    assert table.padding_idx == int(order.argsort()[0]), "padding got another number"


def test_a_shorter_table_is_counted_where_the_network_counts_it() -> None:
    student = student_of(FAMILIES[0])
    embeddings.shorten(student.module, "module.bert.embeddings.word_embeddings", 30)
    network: Any = student.module.get_submodule("module")
    assert network.bert.embeddings.word_embeddings.weight.shape == (30, 16) and network.config.vocab_size == 30


def test_a_network_without_a_table_of_tokens_is_told() -> None:
    module = torch.nn.Linear(2, 2)
    student = Student(module, (TensorSpec("input", (None, 2)),), (TensorSpec("logits", (None, 2)),), ())
    with pytest.raises(ExportError, match="reads no texts"):
        embeddings.tables(student, student.example(), "test")
