"""Where an exported graph is quantized: the target's numerics, put onto its nodes.

The runtimes' int8 kernels fuse ``conv (+ BatchNorm) (+ ReLU)`` and ``add (+ ReLU)`` with the requantization of
their output. So an output's scale belongs on the *last* node of such a chain and never inside it; one spec object
serves every activation, so that a tensor that several nodes read is observed once.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch.fx import GraphModule, Node

from edgekd.base.errors import ExportError
from edgekd.compress._specs import Ranging, Specs
from edgekd.learn.quiet import quiet
from edgekd.spec.target import Numerics

with quiet():
    from torchao.quantization.pt2e.quantizer import (
        QuantizationAnnotation,
        QuantizationSpec,
        Quantizer,
        SharedQuantizationSpec,
    )

ANNOTATION = "quantization_annotation"
CONVS = frozenset({"conv1d", "conv2d", "conv3d"})
LAYERS = CONVS | {"linear", "embedding"}
ACTIVATIONS = frozenset({"relu", "relu6", "hardtanh"})
POOLS = frozenset({"adaptive_avg_pool2d", "avg_pool2d", "mean"})
# Ops that move numbers and compute none: int8 in, the same int8 out.
PASSING = frozenset(
    {"flatten", "view", "reshape", "permute", "transpose", "squeeze", "unsqueeze", "max_pool2d", "contiguous"}
)
IGNORED = frozenset({"dropout", "feature_dropout"})  # the student that ships has none


def arguments(node: Node) -> list[Any]:
    """A node's positional arguments; torch.fx types them as a union of everything."""
    return list(node.args)


def op(node: Node) -> str:
    """``aten.conv2d.default`` -> ``conv2d``; ``aten.relu_.default`` -> ``relu``; anything else -> an empty string."""
    if node.op != "call_function" or not isinstance(node.target, torch._ops.OpOverload):
        return ""
    return str(node.target._schema.name).removeprefix("aten::").rstrip("_")


class Annotator(Quantizer):
    """Annotates a graph for one scheme.

    Args:
        numerics: which ops, and in which formats; float activations leave all but the weights as they are.
        ranging: how the ranges are found.
        float_layers: paths of modules that stay in float, with all that is in them.

    Attributes:
        quantized: the nodes that were marked.
        layers: the weight of each quantized layer, by its name in the graph: the path of the layer's module.
    """

    def __init__(self, numerics: Numerics, ranging: Ranging, float_layers: Sequence[str] = ()) -> None:
        super().__init__()
        self._ops, self._float = frozenset(numerics.ops), tuple(float_layers)
        self._specs, self._per_channel_from = Specs.of(numerics, ranging), numerics.per_channel_from
        self._written: set[Node] = set()
        self.quantized: list[str] = []
        self.layers: dict[str, str] = {}

    def annotate(self, model: GraphModule) -> GraphModule:
        """Walk the graph in order, so that each node knows whether its inputs are int8 already."""
        int8: set[Node] = set()
        self._check_float(model)
        self._written = _written(model)
        for node in model.graph.nodes:
            name = op(node)
            if self._stays_float(node):
                continue
            if name in CONVS and "conv" in self._ops:
                self._conv(node, int8)
            elif name == "linear" and "linear" in self._ops:
                self._linear(node, int8)
            elif name == "embedding" and "embedding" in self._ops:
                self._layer(node, {arguments(node)[0]: self._specs.table})
            elif name == "add" and "add" in self._ops:
                self._add(node, int8)
            elif name in POOLS and "pool" in self._ops and _source(node) in int8:
                self._pool(node, int8)
            elif name == "cat" and "concat" in self._ops:
                self._concat(node, int8)
            elif name in PASSING and (source := _source(node)) in int8:
                self._pass(node, source, int8)
            elif name in IGNORED and _source(node) in int8:
                int8.add(node)
        return model

    def validate(self, model: GraphModule) -> None:
        """Every annotation is ours."""

    def _conv(self, node: Node, int8: set[Node]) -> None:
        self._multiplies(node, int8)
        self._output(_last(node), int8)

    def _linear(self, node: Node, int8: set[Node]) -> None:
        self._multiplies(node, int8)
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
        if not inputs or not any(arg in int8 for arg in inputs) or (self._written & set(inputs)) - int8:
            return
        first = (inputs[0], node)
        shared = SharedQuantizationSpec(first)
        self._mark(node, {arg: self._of(arg) if arg is inputs[0] else shared for arg in inputs})
        node.meta[ANNOTATION].output_qspec = shared
        int8.add(node)

    def _pass(self, node: Node, source: Node, int8: set[Node]) -> None:
        shared = SharedQuantizationSpec((source, node))
        self._mark(node, {source: self._of(source)})
        node.meta[ANNOTATION].output_qspec = shared
        int8.add(node)

    def _check_float(self, model: GraphModule) -> None:
        layers = {path_of(node) for node in model.graph.nodes if op(node) in LAYERS}
        inside = {".".join(path.split(".")[:i]) for path in layers for i in range(1, len(path.split(".")) + 1)}
        for path in self._float:
            if path not in inside:
                raise ExportError("no such layer", where="int8_qat: float_layers", found=path, allowed=inside)

    def _stays_float(self, node: Node) -> bool:
        return op(node) in LAYERS and any(f"{path_of(node)}.".startswith(f"{path}.") for path in self._float)

    def _multiplies(self, node: Node, int8: set[Node]) -> None:
        """A convolution or a linear layer: its input, where activations are int8, and its weight."""
        x, weight = arguments(node)[:2]
        linear = op(node) == "linear"
        narrow = linear and _width(weight) < self._per_channel_from
        # Rows of an int8 table are int8 already, as is what a dropout hides while it trains: rounded once more they
        # would only take longer.
        known = (linear and self._looked_up(x)) or (op(x) in IGNORED and x in int8)
        formats = self._specs.narrow if narrow else self._specs.weight
        self._layer(node, {x: None if known else self._of(x), weight: formats})

    def _layer(self, node: Node, inputs: dict[Node, object]) -> None:
        self._mark(node, inputs)  # an input that stays float is named, too: torchao counts two for a convolution
        self.layers[str(weight_of(node).target)] = path_of(node)

    def _of(self, source: Node) -> QuantizationSpec | None:
        """How a tensor is rounded for a reader; one that is written to meanwhile only where it is rounded for all."""
        if source in self._written and getattr(source.meta.get(ANNOTATION), "output_qspec", None) is None:
            return None
        return self._specs.input if source.op == "placeholder" else self._specs.activation

    def _looked_up(self, node: Node) -> bool:
        """Whether a tensor is a quantized table's rows, as they are or moved."""
        at = behind(node, PASSING | IGNORED)
        return op(at) == "embedding" and str(weight_of(at).target) in self.layers

    def _mark(self, node: Node, inputs: dict[Node, object]) -> None:
        node.meta[ANNOTATION] = QuantizationAnnotation(input_qspec_map=dict(inputs), _annotated=True)
        self.quantized.append(node.name)

    def _output(self, last: Node, int8: set[Node]) -> None:
        """Requantize the end of a chain, unless it is the model's output: 8-bit logits would tie."""
        if self._specs.activation is None or _answers(last):
            return
        annotation = last.meta.get(ANNOTATION) or QuantizationAnnotation(_annotated=True)
        annotation.output_qspec = self._specs.activation
        last.meta[ANNOTATION] = annotation
        int8.add(last)


def _written(model: GraphModule) -> set[Node]:
    """Tensors that an op writes into (``x[:, :4] = 0``) before others read them by their first name.

    What rounds a tensor for one reader stands where the tensor is made: it would not see what is written.
    """
    order = {node: number for number, node in enumerate(model.graph.nodes)}
    overwritten = set()
    for node in model.graph.nodes:
        if not isinstance(node.target, torch._ops.OpOverload) or not node.target._schema.is_mutable:
            continue
        at = _source(node)
        while at is not None:
            if any(order[user] > order[node] for user in at.users):
                overwritten.add(at)
            shared = isinstance(at.target, torch._ops.OpOverload) and any(
                result.alias_info is not None for result in at.target._schema.returns
            )
            at = _source(at) if shared else None
    return overwritten


def behind(node: Node, names: frozenset[str]) -> Node:
    """Where a tensor comes from, seen through ops of these names."""
    while op(node) in names and (source := _source(node)) is not None:
        node = source
    return node


def weight_of(node: Node) -> Node:
    """Where a layer's weight, or table, comes from, seen through what a prepared graph does to it."""
    at: Node = arguments(node)[0 if op(node) == "embedding" else 1]
    while at.op != "get_attr" and (source := _source(at)) is not None:
        at = source
    return at


def _width(weight: Node) -> int:
    """How many inputs a linear layer has."""
    return int(weight.meta["val"].shape[1])


def path_of(node: Node) -> str:
    """The path of the module that a layer of an exported graph was, as ``named_modules`` says it."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return str(stack[-1][0] if stack else "") or str(weight_of(node).target).rpartition(".")[0]


def _answers(node: Node) -> bool:
    """Whether a tensor is the model's output, or is cut into several: nothing is computed between."""
    moving = PASSING | IGNORED | {"split", "split_with_sizes", "getitem", "slice", "chunk"}
    return any(user.op == "output" or (_moves(user, moving) and _answers(user)) for user in node.users)


def _moves(node: Node, names: frozenset[str]) -> bool:
    return op(node) in names or node.target is operator.getitem


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
    readers = []
    for user in node.users:
        readers += _readers(user) if op(user) in PASSING | IGNORED else [user]
    return readers


def _spatial(node: Node) -> bool:
    """A mean over height and width: a global pool."""
    dims = arguments(node)[1] if len(node.args) > 1 else None
    return isinstance(dims, list | tuple) and sorted(d % 4 for d in dims) == [2, 3]
