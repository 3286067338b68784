"""Two factors in place of a table of token vectors: the frequent tokens lose the least."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edgekd.base import plugins, preprocess
from edgekd.base.errors import ExportError
from edgekd.compress._base import Context
from edgekd.compress.factorize_embedding import FactorizedEmbedding, factors
from edgekd.learn.student import Student, TensorSpec

TABLE = "module.bert.embeddings.word_embeddings"


def student_of(rank: int) -> Student:
    """Its table is of a rank, with padding as a row of its own."""
    torch.manual_seed(0)
    table = {"kind": "bert", "width": 16, "layers": 1, "heads": 2, "positions": 12}
    specs = preprocess.specs([{"op": "wordpiece", "vocabulary": range(50), "length": 12}], np.array("text"))
    module = plugins.build("models", table, "m").build((50, 2), 3).eval()
    with torch.no_grad():
        module.get_submodule(TABLE).weight.copy_(torch.randn(50, rank) @ torch.randn(rank, 16))
    return Student(module, specs, (TensorSpec("logits", (None, 3)),), ())


def change_of(**keys: Any) -> Any:
    return plugins.build("compress", {"kind": "factorize_embedding", **keys}, "compress[0]")


def test_a_table_of_such_a_rank_loses_nothing() -> None:
    student, x = student_of(4), student_of(4).example(3, seed=1)
    after = change_of(rank=4).apply(student, Context(None, 8, [x]))
    factorized = after.module.get_submodule(TABLE)
    assert isinstance(factorized, FactorizedEmbedding) and factorized.rows.weight.shape == (50, 4)
    assert after.lineage[-1]["left"][TABLE] < 1e-6
    with torch.no_grad():
        assert torch.allclose(student.module(*x), after.module.eval()(*x), atol=1e-5)
        assert torch.allclose(factorized.weight, student.module.get_parameter(f"{TABLE}.weight"), atol=1e-5)
    table: Any = student.module.get_submodule(TABLE)
    for name in ("num_embeddings", "embedding_dim", "padding_idx"):
        assert getattr(factorized, name) == getattr(table, name), "code may read what an embedding says of itself"


def test_frequent_tokens_lose_less_and_padding_counts_nothing() -> None:
    student = student_of(16)
    ids = torch.tensor([[5, 6, 7, 0, 0, 0, 0, 0]] * 40)
    after = change_of(rank=3).apply(student, Context(None, 8, [(ids, (ids > 0).long())]))
    whole: Any = student.module.get_submodule(TABLE).weight
    with torch.no_grad():
        lost: Any = (after.module.get_submodule(TABLE).weight - whole).square().sum(1) / whole.square().sum(1)
    assert lost[5:8].max() < 0.01 < lost[0] and lost[8:].median() > 0.3


def test_the_lost_share_is_that_of_the_weighted_rows() -> None:
    generator = torch.Generator().manual_seed(0)
    table, counts = torch.randn(30, 8, generator=generator), torch.randint(0, 90, (30,), generator=generator)
    rows, widening, left = factors(table, counts, 3)
    weights = (counts + 0.1)[:, None]
    lost = (weights * (table - rows @ widening.T).square()).sum() / (weights * table.square()).sum()
    assert left == pytest.approx(float(lost), abs=1e-4)


def test_a_rank_that_saves_nothing_is_told() -> None:
    with pytest.raises(ExportError, match=r"50 x 16 hold no less.*found 13.*1 to 12"):
        change_of(rank=13).requires(student_of(4), Context(None, 8, []))


class Scaled(nn.Embedding):
    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return super().forward(ids) * 4.0


@pytest.mark.parametrize(("kind", "keys"), [(Scaled, {}), (nn.Embedding, {"max_norm": 1.0})])
def test_a_table_that_computes_more_than_it_looks_up_is_refused(kind: type[nn.Embedding], keys: dict[str, Any]) -> None:
    student = student_of(4)
    parent, _, name = TABLE.rpartition(".")
    setattr(student.module.get_submodule(parent), name, kind(50, 16, padding_idx=0, **keys))
    with pytest.raises(ExportError, match=r"word_embeddings: two factors would look up a row.*found '(Scaled|Emb)"):
        change_of(rank=4).requires(student, Context(None, 8, []))
