"""A vector of a text: a small BERT, pooled and normalised in the network itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import transformers
from torch import Tensor, nn
from torch.nn import functional as F

from edgekd.base.errors import RecipeError
from edgekd.learn.models.bert import Bert
from edgekd.learn.models.transformers import MASKED

LEAST = 1e-6  # a shorter vector is divided by this


@dataclass(frozen=True)
class Embedder(Bert):
    """A BERT (Devlin et al. 2019, arXiv:1810.04805), untrained, whose tokens are pooled, projected and made of length 1
    (Reimers and Gurevych 2019, arXiv:1908.10084).

    Pooling and normalisation are part of the file: every runtime gives the same vectors, and their dot product is their
    cosine. Width, layers, heads, inner, dropout, positions and shared are those of ``bert``.

    Attributes:
        pool: what stands for the text: the ``mean`` of its tokens without padding, or the ``first``.
    """

    pool: Literal["mean", "first"] = "mean"

    def build(self, input_shape: tuple[int, ...], classes: int) -> nn.Module:
        """(N, L) token numbers and (N, L) mask -> (N, classes) vectors of length 1.

        Raises:
            RecipeError: the inputs are no tokens.
        """
        if len(input_shape) != 2:
            allowed = "tokens and their mask"
            raise RecipeError("embedder reads texts", where="model.kind", found=input_shape, allowed=allowed)
        config = transformers.BertConfig(
            vocab_size=input_shape[0],
            hidden_size=self.width,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            intermediate_size=self.inner or 4 * self.width,
            hidden_dropout_prob=self.dropout,
            attention_probs_dropout_prob=self.dropout,
            max_position_embeddings=self.positions,
        )
        bert = transformers.BertModel(config, add_pooling_layer=False)
        bert.set_attn_implementation("eager")  # what the other kinds export as, the runtimes fuse less well
        if self.shared:
            for number in range(1, self.layers):
                bert.encoder.layer.register_module(str(number), bert.encoder.layer[0])
        return TextVectors(bert, self.width, classes, self.pool)


class TextVectors(nn.Module):
    """The module of ``Embedder``."""

    def __init__(self, bert: nn.Module, width: int, size: int, pool: str) -> None:
        super().__init__()
        self.bert = bert
        self.head = nn.Linear(width, size)
        self._pool = pool

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        padding = (1 - attention_mask[:, None, None, :]).to(self.head.weight.dtype)
        hidden: Tensor = self.bert(input_ids, padding * MASKED, return_dict=False)[0]
        if self._pool == "first":
            pooled = hidden[:, 0]
        else:
            tokens = attention_mask[:, :, None].to(hidden.dtype)
            pooled = (hidden * tokens).sum(dim=1) / tokens.sum(dim=1).clamp_min(1)
        return F.normalize(self.head(pooled), dim=1, eps=LEAST)
