"""A network without some positions of its parameters: plain data that is made once and replayed.

``{"parameters": {name: {axis: positions that go}}, "calls": see resized, "attributes": {module: {name: size}}}``.
Modules of torch keep their own sizes in attributes, which follow from their parameters; what a user's module holds is
in the plan.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypedDict

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from edgekd.compress._channels import attention, resized
from edgekd.compress._channels.traced import named_tensors


class Plan(TypedDict):
    """See the module."""

    parameters: dict[str, dict[str, list[int]]]
    calls: resized.Changes
    attributes: dict[str, dict[str, int]]


def without(module: nn.Module, plan: Plan) -> nn.Module:
    """The network, in place, without what a plan names; gradients are asked for as before."""
    holders: dict[int, list[tuple[nn.Module, str]]] = {}
    for owner in module.modules():
        for name, tensor in (*owner._parameters.items(), *owner._buffers.items()):
            if tensor is not None:
                holders.setdefault(id(tensor), []).append((owner, name))
    named = named_tensors(module)
    for name, axes in plan["parameters"].items():
        smaller = _kept(named[name], axes)
        for owner, attribute in holders[id(named[name])]:
            setattr(owner, attribute, smaller)
    for owner in module.modules():
        for kind, resize in SIZES.items():
            if isinstance(owner, kind):
                resize(owner)
    for path, sizes in plan["attributes"].items():
        vars(module.get_submodule(path)).update(sizes)
    return resized.apply(module, plan["calls"])


def _kept(tensor: Tensor, axes: Mapping[str, list[int]]) -> Tensor:
    kept = tensor.detach()
    for axis, gone in axes.items():
        stays = torch.ones(tensor.shape[int(axis)], dtype=torch.bool)
        stays[gone] = False
        kept = kept.index_select(int(axis), stays.nonzero().flatten().to(kept.device))
    kept = kept.contiguous()
    return nn.Parameter(kept, requires_grad=tensor.requires_grad) if isinstance(tensor, nn.Parameter) else kept


def _conv(layer: Any) -> None:
    rows, columns, *layer.kernel_size = layer.weight.shape
    layer.kernel_size = tuple(layer.kernel_size)
    depthwise = layer.groups > 1 and layer.groups == layer.in_channels
    if isinstance(layer, _ConvTransposeNd):
        layer.groups = rows if depthwise else layer.groups
        layer.in_channels, layer.out_channels = rows, columns * layer.groups
    else:
        multiplier = layer.out_channels // layer.groups
        layer.groups = rows // multiplier if depthwise else layer.groups
        layer.in_channels, layer.out_channels = columns * layer.groups, rows


def _linear(layer: Any) -> None:
    layer.out_features, layer.in_features = layer.weight.shape


def _bilinear(layer: nn.Bilinear) -> None:
    layer.out_features, layer.in1_features, layer.in2_features = layer.weight.shape


def _norm(layer: Any) -> None:
    per_channel = next((t for t in (layer.weight, layer.running_mean) if t is not None), None)
    layer.num_features = layer.num_features if per_channel is None else len(per_channel)


def _layer_norm(layer: Any) -> None:
    if layer.weight is not None:
        layer.normalized_shape = tuple(layer.weight.shape)


def _group_norm(layer: Any) -> None:
    if layer.weight is not None:
        own = layer.num_groups == layer.num_channels
        layer.num_channels = len(layer.weight)
        layer.num_groups = layer.num_channels if own else layer.num_groups


def _embedding(layer: Any) -> None:
    layer.num_embeddings, layer.embedding_dim = layer.weight.shape


def _recurrent(layer: Any) -> None:
    gates = {"LSTM": 4, "GRU": 3}.get(layer.mode, 1)
    layer.hidden_size = layer.weight_hh_l0.shape[0] // gates
    layer.input_size = layer.weight_ih_l0.shape[1]
    layer.proj_size = layer.weight_hr_l0.shape[0] if layer.proj_size else 0


def _cell(layer: nn.RNNCellBase) -> None:
    layer.hidden_size, layer.input_size = layer.weight_hh.shape[1], layer.weight_ih.shape[1]


def _heads(layer: Any) -> None:
    if layer.in_proj_weight is not None and not attention.standard(layer):
        attention.freed(layer)
        layer.embed_dim = layer.in_proj_weight.shape[1]
        layer.head_dim = layer.in_proj_weight.shape[0] // (3 * layer.num_heads)


def _prelu(layer: Any) -> None:
    layer.num_parameters = len(layer.weight)


SIZES: dict[Any, Callable[[Any], None]] = {
    _ConvNd: _conv,
    nn.Linear: _linear,
    nn.Bilinear: _bilinear,
    _NormBase: _norm,
    nn.LayerNorm: _layer_norm,
    nn.RMSNorm: _layer_norm,
    nn.GroupNorm: _group_norm,
    nn.Embedding: _embedding,
    nn.EmbeddingBag: _embedding,
    nn.RNNBase: _recurrent,
    nn.RNNCellBase: _cell,
    nn.PReLU: _prelu,
    nn.MultiheadAttention: _heads,
}
