"""A DistilBERT made of a BERT: every k-th layer and the embeddings copied."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from edgekd.base.errors import ExportError
from edgekd.compress._base import Context
from edgekd.compress._structure import Structural, check_kept, kept
from edgekd.learn.quiet import quiet
from edgekd.learn.student import Record, Student
from edgekd.learn.teacher import PickedOutput, bare

with quiet():
    from transformers import BertForSequenceClassification, DistilBertConfig, DistilBertForSequenceClassification

# A layer of DistilBERT <- the same part of a BERT layer.
PARTS = {
    "attention.q_lin": "attention.self.query",
    "attention.k_lin": "attention.self.key",
    "attention.v_lin": "attention.self.value",
    "attention.out_lin": "attention.output.dense",
    "sa_layer_norm": "attention.output.LayerNorm",
    "ffn.lin1": "intermediate.dense",
    "ffn.lin2": "output.dense",
    "output_layer_norm": "output.LayerNorm",
}


@dataclass(frozen=True)
class Distilbert(Structural):
    """BertForSequenceClassification -> DistilBertForSequenceClassification (Sanh et al. 2019, arXiv:1910.01108).

    DistilBERT has no token types: the first one's vector, which every token of a text got, is added to the positions,
    so that its embeddings are the BERT's own. The pooler's matrix becomes the layer before the classifier.

    Attributes:
        every: keep the every-th, the 2 every-th, ... layer; 2 to 64.
        keep: or the very layers that stay, counted from 0.
    """

    every: int = 2
    keep: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_kept(self.every, self.keep)

    def requires(self, student: Student, context: Context) -> None:
        """Raise ExportError where the network is no BERT that classifies, has too few layers, or narrowed ones."""
        bert = _bert(student)
        kept(len(bert.bert.encoder.layer), self.every, self.keep, "distilbert")
        whole = bert.config.hidden_size, bert.config.intermediate_size
        for number, layer in enumerate(bert.bert.encoder.layer):
            sizes = layer.attention.self.query.out_features, layer.intermediate.dense.out_features
            if sizes != whole:
                raise ExportError(
                    "a layer that was made narrower",
                    where=f"distilbert: layer {number}",
                    found=sizes,
                    allowed=f"{whole}; distilbert comes before width_prune",
                )

    def apply(self, student: Student, context: Context) -> Student:
        """The DistilBERT with the BERT's weights; its record holds the layers that stay."""
        stay = kept(len(_bert(student).bert.encoder.layer), self.every, self.keep, "distilbert")
        shallower = self.replay(student, {"kind": "distilbert", "keep": list(stay)})
        _copy(_bert(student), bare(shallower.module), stay)
        return shallower

    def replay(self, student: Student, record: Record) -> Student:
        """The same DistilBERT, its weights the caller's to load."""
        with torch.random.fork_rng(devices=[]):
            network = DistilBertForSequenceClassification(_config(_bert(student).config, len(record["keep"])))
        return student.with_module(_put(student.module, network.train(student.module.training)), record)


def _bert(student: Student) -> Any:
    bert = bare(student.module)
    if not isinstance(bert, BertForSequenceClassification):
        raise ExportError(
            "makes a DistilBERT of a BERT",
            where="distilbert",
            found=type(bert).__name__,
            allowed="BertForSequenceClassification",
        )
    return bert


def _config(bert: Any, layers: int) -> Any:
    keys: Record = {
        "vocab_size": bert.vocab_size,
        "max_position_embeddings": bert.max_position_embeddings,
        "n_layers": layers,
        "n_heads": bert.num_attention_heads,
        "dim": bert.hidden_size,
        "hidden_dim": bert.intermediate_size,
        "dropout": bert.hidden_dropout_prob,
        "attention_dropout": bert.attention_probs_dropout_prob,
        "activation": bert.hidden_act,
        "seq_classif_dropout": bert.hidden_dropout_prob if bert.classifier_dropout is None else bert.classifier_dropout,
        "initializer_range": bert.initializer_range,
        "pad_token_id": bert.pad_token_id,
        "num_labels": bert.num_labels,
        "attn_implementation": bert._attn_implementation,
    }
    return DistilBertConfig(**keys)


def _put(wrapped: nn.Module, network: nn.Module) -> nn.Module:
    """The same wrappers around another network."""
    if not isinstance(wrapped, PickedOutput):
        return network
    rewrapped = copy.copy(wrapped)
    rewrapped._modules = {"module": _put(wrapped.module, network)}
    return rewrapped


@torch.no_grad()
def _copy(bert: Any, student: Any, stay: tuple[int, ...]) -> None:
    """Weights and the layer normalisations' epsilons."""
    theirs, ours = bert.bert.embeddings, student.distilbert.embeddings
    _same(theirs.word_embeddings, ours.word_embeddings)
    ours.position_embeddings.weight.copy_(theirs.position_embeddings.weight + theirs.token_type_embeddings.weight[0])
    _same(theirs.LayerNorm, ours.LayerNorm)
    for layer, number in zip(student.distilbert.transformer.layer, stay, strict=True):
        for name, source in PARTS.items():
            _same(bert.bert.encoder.layer[number].get_submodule(source), layer.get_submodule(name))
    _same(bert.bert.pooler.dense, student.pre_classifier)
    _same(bert.classifier, student.classifier)


def _same(source: nn.Module, target: nn.Module) -> None:
    target.load_state_dict(source.state_dict())
    if isinstance(source, nn.LayerNorm) and isinstance(target, nn.LayerNorm):
        target.eps = source.eps
