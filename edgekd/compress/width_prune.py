"""Narrower transformers: attention heads and units of the feed-forward layers go, the width between layers stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from edgekd.base.errors import ExportError
from edgekd.compress._base import Context
from edgekd.compress._importance import Criterion, gradients, squares
from edgekd.compress._rounding import Wish, spread, told
from edgekd.compress._structure import SAMPLES, Structural
from edgekd.learn import nets, taps
from edgekd.learn.quiet import quiet
from edgekd.learn.student import Record, Student
from edgekd.learn.teacher import bare

with quiet():
    from transformers import BertModel, DistilBertModel


@dataclass(frozen=True)
class Parts:
    """Where a kind of encoder has what goes: paths in one of its layers.

    Attributes:
        stack: path of the layers, in the encoder.
        attention: the module that parts its input into heads; ``heads`` and ``width`` are what it calls their number
            and their widths together.
        reads: the linear layers that make the heads' inputs; ``writes`` the one that reads the heads.
        first, second: the two linear layers of the feed-forward part.
    """

    stack: str
    attention: str
    heads: str
    width: str
    reads: tuple[str, ...]
    writes: str
    first: str
    second: str


# By the encoder, whatever stands around it: a head of the library's, several, or a layer over the mean of the tokens.
KNOWN: dict[type[nn.Module], Parts] = {
    BertModel: Parts(
        "encoder.layer",
        "attention.self",
        "num_attention_heads",
        "all_head_size",
        ("attention.self.query", "attention.self.key", "attention.self.value"),
        "attention.output.dense",
        "intermediate.dense",
        "output.dense",
    ),
    DistilBertModel: Parts(
        "transformer.layer",
        "attention",
        "n_heads",
        "dim",
        ("attention.q_lin", "attention.k_lin", "attention.v_lin"),
        "attention.out_lin",
        "ffn.lin1",
        "ffn.lin2",
    ),
}


@dataclass(frozen=True)
class WidthPrune(Structural):
    """Remove attention heads (Michel et al. 2019, arXiv:1905.10650) and feed-forward units of a BERT or DistilBERT.

    Attributes:
        heads: share of the heads that goes, 0 to below 1; each layer keeps one at least.
        feed_forward: share of the units between the two feed-forward layers that goes, 0 to below 1; a multiple of the
            target's ``channel_multiple`` stays.
        scope: ``uniform`` takes the share from every layer, ``global`` where heads and units are worth least.
        criterion: what they are worth, as in ``channel_prune``.
        samples: of the training data, 1 or more, that ``taylor`` and ``teacher`` look at.
    """

    heads: float = 0.5
    feed_forward: float = 0.5
    scope: Literal["uniform", "global"] = "uniform"
    criterion: Criterion = "magnitude"
    samples: int = SAMPLES

    def __post_init__(self) -> None:
        for name in ("heads", "feed_forward"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}: allowed is 0 <= {name} < 1")
        if not self.heads and not self.feed_forward:
            raise ValueError("heads: allowed is above 0, or feed_forward above 0")
        if self.samples < 1:
            raise ValueError("samples: allowed is at least 1")

    def requires(self, student: Student, context: Context) -> None:
        """Raise ExportError where the network is of no kind whose parts are known."""
        _layers(student.module)

    def apply(self, student: Student, context: Context) -> Student:
        """The narrower student; its record holds the heads and units of each layer that stay."""
        layers = _layers(student.module)
        if self.criterion == "magnitude":
            magnitudes = [_magnitudes(layer) for layer in layers]
            heads, units = [scores for scores, _ in magnitudes], [scores for _, scores in magnitudes]
        else:
            heads, units = _first_order(student, context, self.criterion, layers)
        record: Record = {
            "kind": "width_prune",
            "heads": _stay(heads, self.heads, self.scope, 1),
            "feed_forward": _stay(units, self.feed_forward, self.scope, context.channel_multiple),
        }
        before, kept, wanted = {}, {}, {}
        for name, share, scores in (("heads", self.heads, heads), ("feed_forward", self.feed_forward, units)):
            for number, layer_scores in enumerate(scores):
                path = f"{layers[number].path} {name}"
                before[path], kept[path] = len(layer_scores), len(record[name][number])
                if self.scope == "uniform":
                    wanted[path] = round(len(layer_scores) * (1 - share), 2)
        return self.replay(student, {**record, **told("heads and units", before, kept, wanted, {})})

    def replay(self, student: Student, record: Record) -> Student:
        """The same heads and units again, with the weights that they have."""
        module = nets.twin(student.module)
        layers = _layers(module)
        for layer, heads, units in zip(layers, record["heads"], record["feed_forward"], strict=True):
            layer.narrow(heads, units)
        return student.with_module(module, record)


@dataclass(frozen=True)
class _Layer:
    """One layer of a transformer; ``path`` is its own in the student's module."""

    module: nn.Module
    path: str
    parts: Parts

    def linear(self, path: str) -> nn.Linear:
        layer = self.module.get_submodule(path)
        if not isinstance(layer, nn.Linear):
            where = f"width_prune: {self.path}.{path}"
            raise ExportError(
                "no linear layer", where=where, found=type(layer).__name__, allowed="low_rank comes later"
            )
        return layer

    @property
    def heads(self) -> int:
        return self.linear(self.parts.writes).in_features // self.size

    @property
    def size(self) -> int:
        """Of one head."""
        attention: Any = self.module.get_submodule(self.parts.attention)
        return int(attention.attention_head_size)

    def narrow(self, heads: Sequence[int], units: Sequence[int]) -> None:
        """Keep these heads and units, in place."""
        inner = [head * self.size + i for head in heads for i in range(self.size)]
        for path in self.parts.reads:
            _slice(self.linear(path), 0, inner)
        _slice(self.linear(self.parts.writes), 1, inner)
        attention = self.module.get_submodule(self.parts.attention)
        setattr(attention, self.parts.heads, len(heads))
        setattr(attention, self.parts.width, len(inner))
        _slice(self.linear(self.parts.first), 0, units)
        _slice(self.linear(self.parts.second), 1, units)


def _layers(module: nn.Module) -> list[_Layer]:
    """The layers of every encoder in a network.

    Raises:
        ExportError: there is none whose parts are known.
    """
    names = {part: path for path, part in module.named_modules()}
    layers = [
        _Layer(layer, names[layer], parts)
        for encoder in names
        for kind, parts in KNOWN.items()
        if isinstance(encoder, kind)
        for layer in encoder.get_submodule(parts.stack).children()
    ]
    if not layers:
        network, allowed = bare(taps.network(module)), [kind.__name__ for kind in KNOWN]
        raise ExportError("narrows transformers", where="width_prune", found=type(network).__name__, allowed=allowed)
    return layers


def _slice(layer: nn.Linear, side: int, stay: Sequence[int]) -> None:
    """Keep some outputs (side 0) or inputs (side 1) of a linear layer, in place."""
    index = torch.tensor(stay, dtype=torch.int64)
    layer.weight = nn.Parameter(layer.weight.detach().index_select(side, index), layer.weight.requires_grad)
    if side == 0 and layer.bias is not None:
        layer.bias = nn.Parameter(layer.bias.detach()[index], layer.bias.requires_grad)
    layer.out_features, layer.in_features = layer.weight.shape


def _magnitudes(layer: _Layer) -> tuple[Tensor, Tensor]:
    """Squared norms of everything that goes with a head, and with a unit, over their means in the layer."""
    with torch.no_grad():
        reads = sum(layer.linear(path).weight.square().sum(1) for path in layer.parts.reads)
        inner = reads + layer.linear(layer.parts.writes).weight.square().sum(0)
        heads = inner.view(layer.heads, layer.size).sum(1)
        first, second = layer.linear(layer.parts.first).weight, layer.linear(layer.parts.second).weight
        units = first.square().sum(1) + second.square().sum(0)
        return heads / heads.mean(), units / units.mean()


def _first_order(
    student: Student, context: Context, criterion: Criterion, layers: Sequence[_Layer]
) -> tuple[list[Tensor], list[Tensor]]:
    """What the loss loses with each head and each unit of each layer: see ``_importance``."""
    heads = [f"{layer.path}.{layer.parts.writes}" for layer in layers]
    units = [f"{layer.path}.{layer.parts.second}" for layer in layers]
    sums: dict[str, Tensor] = {}
    for batch in gradients(student, context, criterion, [*heads, *units], "width_prune"):
        for layer, path in zip(layers, heads, strict=True):
            batch[path] = batch[path].view(-1, layer.heads, layer.size).sum(2)
        squares(batch, sums)
    return [sums[path] for path in heads], [sums[path] for path in units]


def _stay(scores: Sequence[Tensor], share: float, scope: str, multiple: int) -> list[list[int]]:
    """Which of each layer stay, rising: multiples, but one at least, that together are the share asked for."""
    every = torch.cat(list(scores))
    gone = int(len(every) * share + 1e-4)
    worst = float(every.sort().values[gone - 1]) if gone else float("-inf")
    wishes = []
    for layer_scores in scores:
        wanted = len(layer_scores) * (1 - share) if scope == "uniform" else float((layer_scores > worst).sum())
        wishes.append(
            Wish(wanted, min(multiple, len(layer_scores)) if share else len(layer_scores), len(layer_scores), multiple)
        )
    kept = spread(wishes)
    return [
        sorted(layer_scores.sort(descending=True, stable=True).indices[:count].tolist())
        for layer_scores, count in zip(scores, kept, strict=True)
    ]
