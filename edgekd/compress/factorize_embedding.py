"""A factorized table of token vectors: narrow rows and a matrix that widens them (Lan et al. 2020, arXiv:1909.11942).

Both come from a singular value decomposition in which each row counts as often as its token comes (after Chen et al.
2018, arXiv:1806.06950): what the frequent tokens lose is the least that a table of this rank can lose. The fine-tuning
that follows fits both to the teacher.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from edgekd.base.errors import ExportError
from edgekd.compress._base import Context
from edgekd.compress._rounding import told
from edgekd.compress._structure import Structural, computes_as
from edgekd.learn import embeddings, nets
from edgekd.learn.student import Record, Student

SEEN_ANYWAY = 0.1  # times that every token counts as seen: one that no sample holds keeps its direction


@dataclass(frozen=True)
class FactorizeEmbedding(Structural):
    """Factorize the table of token vectors: (tokens, width) as (tokens, rank) times (rank, width).

    Attributes:
        rank: width of the narrow rows, 1 or more; smaller than the table's own.
        samples: of the training data, 1 or more, in which tokens are counted.
    """

    suffix: ClassVar[str] = "factorized"
    rank: int = 64
    samples: int = 4096

    def __post_init__(self) -> None:
        for name in ("rank", "samples"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: allowed is at least 1")

    def requires(self, student: Student, context: Context) -> None:
        """Raise ExportError where no table of tokens is torch's own, or two factors would hold no less."""
        for path, table in _tables(student).items():
            if not computes_as(table, nn.Embedding) or table.max_norm is not None:
                more = "a forward of its own" if table.max_norm is None else "max_norm"
                raise ExportError(
                    "two factors would look up a row, and this table computes more",
                    where=f"factorize_embedding: {path}",
                    found=f"{type(table).__name__} with {more}",
                    allowed="an Embedding as torch's",
                    hint="compute it behind the table",
                )
            rows, width = table.weight.shape
            most = (rows * width - 1) // (rows + width)
            if self.rank > most:
                where = f"factorize_embedding.rank: {path}"
                raise ExportError(
                    f"two factors of a table of {rows:,} x {width} hold no less",
                    where=where,
                    found=self.rank,
                    allowed=f"1 to {most}",
                )

    def apply(self, student: Student, context: Context) -> Student:
        """The student with two factors; its record holds the rank, and the share of the rows' squares that is lost.

        The share counts each row as often as its token comes.
        """
        module = nets.twin(student.module)
        tables = _tables(student)
        most = max(table.num_embeddings for table in tables.values())
        counts, before, after, left = self._counts(student, context, most), {}, {}, {}
        for path, table in tables.items():
            rows, widening, lost = factors(table.weight.detach(), counts, self.rank)
            before[path], after[path], left[path] = table.weight.numel(), rows.numel() + widening.numel(), lost
            replaced = _replace(module, path, self.rank)
            with torch.no_grad():
                replaced.rows.weight.copy_(rows)
                replaced.widen.weight.copy_(widening)
        record = {
            "kind": "factorize_embedding",
            "rank": self.rank,
            "left": left,
            **told("weights", before, after, {}, {}),
        }
        return student.with_module(module, record)

    def replay(self, student: Student, record: Record) -> Student:
        """The same factors, their weights the caller's to load."""
        module = nets.twin(student.module)
        for path in record["groups"]:
            _replace(module, path, record["rank"])
        return student.with_module(module, record)

    def _counts(self, student: Student, context: Context, tokens: int) -> Tensor:
        """(tokens,) how often each comes in the samples; padding never does."""
        counts = torch.zeros(tokens, dtype=torch.float64)
        for inputs in context.calibration:
            ids = embeddings.numbers(student, inputs, "factorize_embedding")
            mask = embeddings.mask(student, inputs)
            counts += torch.bincount(ids[mask == 1] if mask is not None else ids.flatten(), minlength=tokens)
        return counts


class FactorizedEmbedding(nn.Module):
    """(N, L) token numbers -> (N, L, width): a narrow row of each, widened by one matrix.

    Attributes:
        rows: the (tokens, rank) table.
        widen: the (width, rank) matrix.
    """

    def __init__(self, tokens: int, rank: int, width: int, padding: int | None) -> None:
        super().__init__()
        self.rows = nn.Embedding(tokens, rank, padding_idx=padding)
        self.widen = nn.Linear(rank, width, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        wide: Tensor = self.widen(self.rows(ids))
        return wide

    @property
    def weight(self) -> Tensor:
        """The (tokens, width) table that the two make, for code that reads an embedding's."""
        return self.rows.weight @ self.widen.weight.T

    @property
    def num_embeddings(self) -> int:
        """How many tokens there are, as an embedding says it."""
        return self.rows.num_embeddings

    @property
    def embedding_dim(self) -> int:
        """The width of what a token becomes, as an embedding says it."""
        return self.widen.out_features

    @property
    def padding_idx(self) -> int | None:
        """The number of the token that is padding, as an embedding says it."""
        return self.rows.padding_idx


def factors(table: Tensor, counts: Tensor, rank: int) -> tuple[Tensor, Tensor, float]:
    """The nearest product of two factors, where a row's error counts as often as its token comes.

    Args:
        table: (tokens, width); counts: (tokens,).

    Returns:
        (tokens, rank) rows, (width, rank) orthogonal directions, and the share of the weighted squares that is lost.
    """
    root = (counts[: len(table)] + SEEN_ANYWAY).sqrt()[:, None]
    _, sizes, directions = torch.linalg.svd(root * table.double(), full_matrices=False)
    main = directions[:rank].T
    lost = 1 - float(sizes[:rank].square().sum() / sizes.square().sum().clamp(min=1e-300))
    rows = table.double() @ main
    return rows.float(), main.float(), round(lost, 6)


def _tables(student: Student) -> dict[str, nn.Embedding]:
    return embeddings.tables(student, student.example(), "factorize_embedding")


def _replace(module: nn.Module, path: str, rank: int) -> FactorizedEmbedding:
    """Two factors in place of a table, whatever their weights."""
    table, (parent, _, name) = module.get_submodule(path), path.rpartition(".")
    if not isinstance(table, nn.Embedding):
        raise ExportError("no table", where=path, found=type(table).__name__, allowed="an Embedding")
    with torch.random.fork_rng(devices=[]):
        factorized = FactorizedEmbedding(table.num_embeddings, rank, table.embedding_dim, table.padding_idx)
    factorized.train(table.training).requires_grad_(table.weight.requires_grad)
    module.get_submodule(parent).register_module(name, factorized)
    return factorized
