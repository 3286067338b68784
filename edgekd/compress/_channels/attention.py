"""``nn.MultiheadAttention`` whose heads need not be as wide together as what comes in.

Torch's own asks for inputs of ``embed_dim`` and makes heads of ``embed_dim / num_heads``. A cut one has fewer of both,
each by its own count; it answers as torch's does.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def freed(layer: nn.MultiheadAttention) -> None:
    """Make a layer read its sizes off its weights, in place; its scale stays that of the heads it had."""
    if isinstance(layer, CutAttention):
        return
    layer.__class__ = CutAttention
    layer.scale = float(layer.head_dim) ** -0.5
    layer._qkv_same_embed_dim = False  # TransformerEncoderLayer has one operator for all that are as torch made them


def can_be_freed(layer: nn.MultiheadAttention) -> bool:
    """Whether ``CutAttention`` answers as the layer does: see there what it leaves out."""
    return layer.in_proj_weight is not None and layer.bias_k is None and not layer.add_zero_attn


def standard(layer: nn.MultiheadAttention) -> bool:
    """Whether torch's own forward pass can do with the layer's weights."""
    return layer.in_proj_weight is None or layer.in_proj_weight.shape == (3 * layer.embed_dim, layer.embed_dim)


class CutAttention(nn.MultiheadAttention):
    """See the module. Masks as torch's; no ``bias_k``, no ``add_zero_attn``, one width for query, key and value."""

    scale: Any

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """As ``nn.MultiheadAttention.forward``; queries (N, L, E) or (L, N, E), as ``batch_first`` says."""
        if not self.batch_first:
            query, key, value = (x.transpose(0, 1) for x in (query, key, value))
        weights = self.in_proj_weight.chunk(3)
        biases = (None, None, None) if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        q, k, v = (
            functional.linear(x, weight, bias).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for x, weight, bias in zip((query, key, value), weights, biases, strict=True)
        )
        scores = q @ k.transpose(-2, -1) * self.scale
        for mask in (_lifted(attn_mask, self.num_heads), _padding(key_padding_mask)):
            if mask is not None:
                scores = scores.masked_fill(mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
        shares = functional.dropout(scores.softmax(-1), self.dropout, self.training)
        answer = self.out_proj((shares @ v).transpose(1, 2).flatten(2))
        if not self.batch_first:
            answer = answer.transpose(0, 1)
        if not need_weights:
            return answer, None
        return answer, shares.mean(1) if average_attn_weights else shares


def _lifted(mask: Tensor | None, heads: int) -> Tensor | None:
    """(L, S) or (N heads, L, S) -> what broadcasts over (N, heads, L, S)."""
    return mask if mask is None or mask.ndim == 2 else mask.unflatten(0, (-1, heads))


def _padding(mask: Tensor | None) -> Tensor | None:
    """(N, S) -> (N, 1, 1, S)."""
    return None if mask is None else mask[:, None, None, :]
