"""BERT with an answer for each token, or several answers of different tasks."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from edgekd.base import plugins
from edgekd.base.errors import RecipeError
from edgekd.learn.bert_heads import BertForHeads
from edgekd.learn.models.bert import Bert, share_layers
from edgekd.learn.quiet import quiet
from edgekd.tasks import Heads

with quiet():
    from transformers import BertConfig


@dataclass(frozen=True)
class Tagger(Bert):
    """A BERT with scores for each token, where the task wants these, and for the whole text; untrained.

    Attributes are those of ``bert``.
    """

    def build_heads(self, input_shape: tuple[int, ...], heads: Heads) -> nn.Module:
        """See ``HeadsFamily``: (N, L) token numbers and (N, L) mask -> (N, L, C) of tags, (N, K) of others.

        Raises:
            RecipeError: the inputs are no tokens, or a head answers at places that are no tokens.
        """
        if len(input_shape) != 2:
            allowed = "tokens and their mask"
            raise RecipeError("tagger reads texts", where="model.kind", found=input_shape, allowed=allowed)
        sizes: dict[str, tuple[int, bool]] = {}
        for name, shape in heads.shapes.items():
            by_token = heads.tasks[name].dense
            if len(shape) != 1 + by_token or heads.tasks[name].axis != len(shape) - 1:
                allowed = "(tokens, tags), or scores in a row"
                raise RecipeError("tagger has no such answer", where="model.kind", found=shape, allowed=allowed)
            sizes[name] = shape[-1], by_token
        config = plugins.call_user(BertConfig, "model.config", **self.config, vocab_size=input_shape[0])
        config._attn_implementation = "eager"  # what the other kinds export as, the runtimes fuse less well
        network = BertForHeads(config, sizes)
        if self.shared:
            share_layers(network, self.layers)
        return network
