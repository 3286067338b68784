"""BERT of a size that a CPU trains: the encoder of the transformers library, by a few numbers."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from edgekd.base import plugins
from edgekd.base.errors import RecipeError
from edgekd.learn.models.transformers import Transformers
from edgekd.learn.teacher import bare


@dataclass(frozen=True)
class Bert:
    """A BERT (Devlin et al. 2019, arXiv:1810.04805) that classifies texts, untrained.

    Attributes:
        width: of the hidden states, 8 to 4096, a multiple of ``heads``.
        layers: 1 to 48.
        heads: of the attention, 1 to 64.
        inner: width of the feed-forward layers; 0: four times ``width``.
        dropout: everywhere, 0 to 0.9.
        positions: how long a text may be, in tokens, 3 to 16384; at least the data's ``length``.
        shared: all layers are one, with the same weights (Lan et al. 2019, arXiv:1909.11942): a file of one layer's
            size, in the time of all.
    """

    width: int = 128
    layers: int = 4
    heads: int = 4
    inner: int = 0
    dropout: float = 0.1
    positions: int = 128
    shared: bool = False

    def __post_init__(self) -> None:
        plugins.check_ranges(self, width=(8, 4096), layers=(1, 48), heads=(1, 64), positions=(3, 16_384))
        if self.width % self.heads:
            raise ValueError(f"width: allowed is a multiple of heads, {self.heads}")
        if not 0 <= self.inner <= 65_536:
            raise ValueError("inner: allowed is 0 to 65536")
        if not 0 <= self.dropout <= 0.9:
            raise ValueError("dropout: allowed is 0 to 0.9")

    def build(self, input_shape: tuple[int, ...], classes: int) -> nn.Module:
        """(N, L) token numbers and (N, L) mask -> (N, classes) logits.

        Raises:
            RecipeError: the inputs are no tokens.
        """
        if len(input_shape) != 2:
            raise RecipeError(
                "bert reads texts", where="model.kind", found=input_shape, allowed="tokens and their mask"
            )
        module = Transformers("BertForSequenceClassification", self.config).build(input_shape, classes)
        if self.shared:
            share_layers(bare(module), self.layers)
        return module

    @property
    def config(self) -> dict[str, float]:
        """Its configuration as the library names the keys."""
        return {
            "hidden_size": self.width,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "intermediate_size": self.inner or 4 * self.width,
            "hidden_dropout_prob": self.dropout,
            "attention_probs_dropout_prob": self.dropout,
            "max_position_embeddings": self.positions,
        }


def share_layers(network: nn.Module, count: int) -> None:
    """Make all layers of a BERT the first one."""
    stack = network.get_submodule("bert.encoder.layer")
    for number in range(1, count):
        stack.register_module(str(number), stack.get_submodule("0"))
