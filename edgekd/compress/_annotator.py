"""Where an exported graph is quantized: the target's numerics, put onto its nodes.

The runtimes' int8 kernels fuse ``conv (+ BatchNorm) (+ ReLU)`` and ``add (+ ReLU)`` with the requantization of
their output. So an output's scale belongs on the *last* node of such a chain and never inside it; one spec object
serves every activation, so that a tensor that several nodes read is observed once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from edgekd.learn.quiet import quiet
from edgekd.target import Numerics

with quiet():
    from torchao.quantization.pt2e import (
        FusedMovingAvgObsFakeQuantize,
        MovingAverageMinMaxObserver,
        MovingAveragePerChannelMinMaxObserver,
    )
    from torchao.quantization.pt2e.quantizer import (
        QuantizationAnnotation,
        QuantizationSpec,
        Quantizer,
        SharedQuantizationSpec,
    )

ANNOTATION = "quantization_annotation"
CONVS = frozenset({"conv1d", "conv2d", "conv3d"})
ACTIVATIONS = frozenset({"relu", "relu6", "hardtanh"})
POOLS = frozenset({"adaptive_avg_pool2d", "avg_pool2d", "mean"})
# Ops that move numbers and compute none: int8 in, the same int8 out.
PASSING = frozenset(
    {"flatten", "view", "reshape", "permute", "transpose", "squeeze", "unsqueeze", "max_pool2d", "contiguous"}
)
IGNORED = frozenset({"dropout"})


def arguments(node: Node) -> list[Any]:
    """A node's positional arguments; torch.fx types them as a union of everything."""
    return list(node.args)


def op(node: Node) -> str:
    """``aten.conv2d.default`` -> ``conv2d``; ``aten.relu_.default`` -> ``relu``; anything else -> an empty string."""
    if node.op != "call_function" or not isinstance(node.target, torch._ops.OpOverload):
        return ""
    return str(node.target._schema.name).removeprefix("aten::").rstrip("_")


class MiddleZeroObserver(MovingAverageMinMaxObserver):
    """uint8 ranges of both signs have their zero in the middle, at 128; ranges of one sign begin at zero.

    This is how the fused kernel behind ``per_tensor_symmetric`` trains; torchao's own observer would convert with 128
    throughout, and waste half of the steps behind a ReLU.
    """

    def calculate_qparams(self) -> tuple[Tensor, Tensor]:
        """(scale, zero point) of the range seen so far."""
        low, high = self.min_val.clamp(max=0), self.max_val.clamp(min=0)
        both = (low < 0) & (high > 0)
        scale = torch.where(both, torch.maximum(-low / 128, high / 127), (high - low) / 255).clamp(min=self.eps)
        zero = torch.where(both, 128, torch.where(low < 0, 255, 0)).to(torch.int64)
        return scale, zero


@dataclass(frozen=True)
class Specs:
    """The formats of a scheme: activations, the network's inputs, weights, and tables that are only looked up."""

    activation: QuantizationSpec
    input: QuantizationSpec
    weight: QuantizationSpec
    table: QuantizationSpec

    @classmethod
    def of(cls, numerics: Numerics) -> Specs:
        """Observers stream: a moving average for activations, the weights as they are now for weights."""
        signed = numerics.activations == "int8"
        low, high = (-128, 127) if signed else (0, 255)

        def activations(symmetric: bool) -> QuantizationSpec:
            kind = MiddleZeroObserver if symmetric and not signed else MovingAverageMinMaxObserver
            observer = FusedMovingAvgObsFakeQuantize.with_args(observer=kind, eps=2**-12)
            scheme = torch.per_tensor_symmetric if symmetric else torch.per_tensor_affine
            return QuantizationSpec(torch.int8 if signed else torch.uint8, observer, low, high, scheme)

        activation = activations(numerics.activation_symmetric)
        inputs = activations(True) if numerics.input_symmetric else activation
        most = 2 ** (numerics.weight_bits - 1) - 1
        whole = FusedMovingAvgObsFakeQuantize.with_args(
            observer=MovingAverageMinMaxObserver, averaging_constant=1.0, eps=2**-24
        )
        if numerics.per_channel:
            per = FusedMovingAvgObsFakeQuantize.with_args(
                observer=MovingAveragePerChannelMinMaxObserver, averaging_constant=1.0, eps=2**-24
            )
            weight = QuantizationSpec(torch.int8, per, -most, most, torch.per_channel_symmetric, ch_axis=0)
        else:
            weight = QuantizationSpec(torch.int8, whole, -most, most, torch.per_tensor_symmetric)
        # A table is gathered and not multiplied: no kernel saturates, and 8 bits are safe everywhere.
        table = QuantizationSpec(torch.int8, whole, -127, 127, torch.per_tensor_symmetric)
        return cls(activation, inputs, weight, table)


class Annotator(Quantizer):
    """Annotates a graph for one scheme.

    Args:
        numerics: which ops, and in which formats.
    """

    def __init__(self, numerics: Numerics) -> None:
        super().__init__()
        self._ops = frozenset(numerics.ops)
        self._specs = Specs.of(numerics)
        self.quantized: list[str] = []

    def annotate(self, model: GraphModule) -> GraphModule:
        """Walk the graph in order, so that each node knows whether its inputs are int8 already."""
        int8: set[Node] = set()
        for node in model.graph.nodes:
            name = op(node)
            if name in CONVS and "conv" in self._ops:
                self._conv(node, int8)
            elif name == "linear" and "linear" in self._ops:
                self._linear(node, int8)
            elif name == "embedding" and "embedding" in self._ops:
                self._mark(node, {arguments(node)[0]: self._specs.table})
            elif name == "add" and "add" in self._ops:
                self._add(node, int8)
            elif name in POOLS and "pool" in self._ops and _source(node) in int8:
                self._pool(node, int8)
            elif name == "cat" and "concat" in self._ops:
                self._concat(node, int8)
            elif name in PASSING and _source(node) in int8:
                self._pass(node, int8)
            elif name in IGNORED and _source(node) in int8:
                int8.add(node)
        return model

    def validate(self, model: GraphModule) -> None:
        """Every annotation is ours."""

    def _conv(self, node: Node, int8: set[Node]) -> None:
        self._mark(node, {arguments(node)[0]: self._of(arguments(node)[0]), arguments(node)[1]: self._specs.weight})
        self._output(_last(node), int8)

    def _linear(self, node: Node, int8: set[Node]) -> None:
        self._mark(node, {arguments(node)[0]: self._of(arguments(node)[0]), arguments(node)[1]: self._specs.weight})
        last = _last(node)
        if any(op(user) in CONVS | {"linear"} for user in _readers(last)):
            self._output(last, int8)

    def _add(self, node: Node, int8: set[Node]) -> None:
        inputs = [arg for arg in arguments(node)[:2] if isinstance(arg, Node)]
        # A residual between float tensors (a transformer's) stays float.
        if len(inputs) == 2 and inputs[0] is not inputs[1] and any(arg in int8 for arg in inputs):
            self._mark(node, {arg: self._of(arg) for arg in inputs})
            self._output(_last(node), int8)

    def _pool(self, node: Node, int8: set[Node]) -> None:
        if op(node) == "mean" and not _spatial(node):
            return
        self._mark(node, {arguments(node)[0]: self._of(arguments(node)[0])})
        self._output(node, int8)

    def _concat(self, node: Node, int8: set[Node]) -> None:
        inputs = [arg for arg in arguments(node)[0] if isinstance(arg, Node)]
        if not inputs or not any(arg in int8 for arg in inputs):
            return
        first = (inputs[0], node)
        shared = SharedQuantizationSpec(first)
        self._mark(node, {arg: self._of(arg) if arg is inputs[0] else shared for arg in inputs})
        node.meta[ANNOTATION].output_qspec = shared
        int8.add(node)

    def _pass(self, node: Node, int8: set[Node]) -> None:
        source = _source(node)
        assert source is not None
        shared = SharedQuantizationSpec((source, node))
        self._mark(node, {source: self._of(source)})
        node.meta[ANNOTATION].output_qspec = shared
        int8.add(node)

    def _of(self, source: Node) -> QuantizationSpec:
        return self._specs.input if source.op == "placeholder" else self._specs.activation

    def _mark(self, node: Node, inputs: dict[Node, object]) -> None:
        node.meta[ANNOTATION] = QuantizationAnnotation(input_qspec_map=dict(inputs), _annotated=True)
        self.quantized.append(node.name)

    def _output(self, last: Node, int8: set[Node]) -> None:
        """Requantize the end of a chain, unless it is the model's output: 8-bit logits would tie."""
        if any(user.op == "output" for user in last.users):
            return
        found = last.meta.get(ANNOTATION) or QuantizationAnnotation(_annotated=True)
        found.output_qspec = self._specs.activation
        last.meta[ANNOTATION] = found
        int8.add(last)


def _last(node: Node) -> Node:
    """The end of the fused chain that starts here: BatchNorm and then one activation, each the only reader."""
    for names in (frozenset({"batch_norm"}), ACTIVATIONS):
        users = list(node.users)
        if len(users) == 1 and op(users[0]) in names and _clips_at_zero(users[0]):
            node = users[0]
    return node


def _clips_at_zero(node: Node) -> bool:
    """``hardtanh`` is ReLU6 only where it cuts at zero."""
    return op(node) != "hardtanh" or (len(node.args) > 1 and bool(arguments(node)[1] == 0.0))


def _source(node: Node) -> Node | None:
    first = arguments(node)[0] if node.args else None
    return first if isinstance(first, Node) else None


def _readers(node: Node) -> list[Node]:
    """Who reads a tensor, seen through ops that only move it."""
    found = []
    for user in node.users:
        found += _readers(user) if op(user) in PASSING | IGNORED else [user]
    return found


def _spatial(node: Node) -> bool:
    """A mean over height and width: a global pool."""
    dims = arguments(node)[1] if len(node.args) > 1 else None
    return isinstance(dims, list | tuple) and sorted(d % 4 for d in dims) == [2, 3]
