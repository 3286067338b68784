"""A BERT encoder with several answers."""

from __future__ import annotations

from torch import Tensor, nn

from edgekd.learn.quiet import quiet

with quiet():
    from transformers import BertConfig, BertModel

MASKED = -1e4  # exp(-1e4) is zero in every float type, and float16 still holds the number


class BertForHeads(nn.Module):
    """A BERT encoder with a linear layer for each head, over every token or over the first one's pooled state.

    The token layer is that of Devlin et al. 2019 (arXiv:1810.04805, section 5.3), the other that of section 4.1.

    Args:
        sizes: of each head, by name, how many scores, and whether for each token.
    """

    def __init__(self, config: BertConfig, sizes: dict[str, tuple[int, bool]]) -> None:
        super().__init__()
        self.bert = BertModel(config, add_pooling_layer=not all(each for _, each in sizes.values()))
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        heads = {name: nn.Linear(config.hidden_size, size) for name, (size, _) in sizes.items()}
        for head in heads.values():
            nn.init.normal_(head.weight, std=config.initializer_range)
            nn.init.zeros_(head.bias)
        self.heads = nn.ModuleDict(heads)
        self._by_token = {name for name, (_, each) in sizes.items() if each}

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor | dict[str, Tensor]:
        """(N, L) token numbers and mask -> (N, L, C) or (N, C) of each head; a tensor where there is one."""
        padding = (1 - attention_mask[:, None, None, :]).to(self.bert.dtype)
        states = self.bert(input_ids, padding * MASKED)
        tokens = self.dropout(states.last_hidden_state)
        pooled = None if states.pooler_output is None else self.dropout(states.pooler_output)
        given = {name: head(tokens if name in self._by_token else pooled) for name, head in self.heads.items()}
        return next(iter(given.values())) if len(given) == 1 else given
