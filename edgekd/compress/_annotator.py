"""Where an exported graph is quantized: the target's numerics, put onto its nodes.

The runtimes' int8 kernels fuse ``conv (+ BatchNorm) (+ ReLU)`` and ``add (+ ReLU)`` with the requantization of
their output. So an output's scale belongs on the *last* node of such a chain and never inside it; one spec object
serves every activation, so that a tensor that several nodes read is observed once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from torch.fx import GraphModule, Node

from edgekd.base.errors import ExportError
from edgekd.compress._graph import (
    CONVS,
    IGNORED,
    LAYERS,
    PARTING,
    PASSING,
    PRODUCTS,
    RECURRENT,
    answers,
    arguments,
    behind,
    is_multiplied,
    is_padded,
    is_part,
    is_scaled,
    is_written,
    of_inputs,
    of_numbers,
    op,
    passes_on,
    path_of,
    readers_of,
    source_of,
    weight_of,
    written_over,
)
from edgekd.compress._masks import is_mask
from edgekd.compress._recurrent import cells_of
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
ACTIVATIONS = frozenset({"relu", "relu6", "hardtanh", "clamp", "clamp_min"})
POOLS = frozenset({"adaptive_avg_pool2d", "avg_pool1d", "avg_pool2d", "mean"})
NORMS = frozenset({"batch_norm"})
WIDE = 64  # outputs of a linear layer, from which on their scales are felt


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
        self._specs, self._numerics = Specs.of(numerics, ranging), numerics
        self._attends = "attention" in numerics.ops and numerics.activations != "float32"
        self._written: set[Node] = set()
        self._of_inputs: set[Node] = set()
        self.quantized: list[str] = []
        self.layers: dict[str, str] = {}

    def annotate(self, model: GraphModule) -> GraphModule:
        """Walk the graph in order, so that each node knows whether its inputs are int8 already."""
        int8: set[Node] = set()
        self._check_float(model)
        self._written, self._of_inputs, following = written_over(model), of_inputs(model), of_numbers(model)
        for node in model.graph.nodes:
            # What is the same for every sample (a layer over a table of relative positions, learned queries that attend
            # to themselves) runtimes compute once where it is float; OpenVINO's int8 kernels of it answered wrongly.
            if (node in following or op(node) == "embedding") and not self._stays_float(node):
                self._node(node, int8)
        return model

    def validate(self, model: GraphModule) -> None:
        """Every annotation is ours."""

    def _node(self, node: Node, int8: set[Node]) -> None:
        name, source = op(node), source_of(node)
        if name in CONVS and "conv" in self._ops:
            self._conv(node, int8)
        elif name == "linear" and "linear" in self._ops:
            self._linear(node, int8)
        elif name == "embedding" and "embedding" in self._ops:
            self._layer(node, {arguments(node)[0]: self._specs.table})
        elif name == "add" and "add" in self._ops:
            self._pair(node, int8, any)  # a residual between float tensors (a transformer's) stays float
        elif name == "mul" and "gate" in self._ops:
            self._pair(node, int8, all)  # SiLU, squeeze-and-excitation
        elif name == "cat" and "concat" in self._ops:
            self._concat(node, int8)
        elif name == "lstm" and "recurrent" in self._ops:
            self._recurrent(node)
        elif name in PRODUCTS and self._attends:
            self._product(node, int8)
        elif (name == "layer_norm" and self._feeds_layers_alone(node)) or (name == "softmax" and self._weighs(node)):
            self._output(node, int8)
        elif source is None or source not in int8 or is_written(node) or node in self._written:
            return
        elif name in POOLS and "pool" in self._ops:
            self._pool(node, int8)
        elif (name == "sigmoid" and "gate" in self._ops) or (name in NORMS and "norm" in self._ops):
            self._mark(node, {source: self._of(source)})
            self._output(_last(node), int8)
        elif passes_on(node):
            self._pass(node, source, int8)
        elif name in PARTING:
            self._part(node, source, int8)
        elif name in IGNORED:
            int8.add(node)

    def _conv(self, node: Node, int8: set[Node]) -> None:
        self._multiplies(node, int8)
        self._output(_last(node), int8)

    def _linear(self, node: Node, int8: set[Node]) -> None:
        self._multiplies(node, int8)
        last = _last(node)
        readers = readers_of(last)
        if self._attends and any(is_multiplied(reader) for reader in readers):
            self._output(last, int8, self._specs.input)
        elif any(op(reader) in CONVS | {"linear"} or self._gates(reader, int8) for reader in readers):
            self._output(last, int8)

    def _weighs(self, node: Node) -> bool:
        """Whether an attention's weights are multiplied in int8."""
        return self._attends and any(op(reader) in PRODUCTS for reader in readers_of(node))

    def _feeds_layers_alone(self, node: Node) -> bool:
        """Whether several layers read a tensor, each moved in its own way: rounded once, for all, it costs one kernel.

        Moved as a whole it is rounded behind the move, which takes 1 to 3 % less of a Swin on OpenVINO.
        """
        kinds = {"conv": CONVS, "linear": frozenset({"linear"})}
        layers = {name for kind, names in kinds.items() if kind in self._ops for name in names}
        readers = readers_of(node)
        return len(node.users) > 1 and all(op(r) in layers and not self._stays_float(r) for r in readers)

    def _gates(self, node: Node, int8: set[Node]) -> bool:
        """Whether a sigmoid weighs what is int8, as a squeeze-and-excitation's."""
        products = [reader for reader in readers_of(node) if op(reader) == "mul"]
        weighed = {arg for product in products for arg in product.all_input_nodes}
        return op(node) == "sigmoid" and "gate" in self._ops and bool(weighed & int8)

    def _recurrent(self, node: Node) -> None:
        """An LSTM: its input, and its weights with one scale each, as a step multiplies one row; not its states."""
        weights = [weight for cell in cells_of(node) for weight in cell]
        if weights and self._specs.sequence is not None:
            x = arguments(node)[0]
            known = self._looked_up(x) or self._of(x) is None
            formats: dict[Node, object] = {x: None if known else self._specs.sequence}
            self._mark(node, formats | dict.fromkeys(weights, self._specs.narrow))
            self.layers |= {str(weight.target): path_of(node) for weight in weights}

    def _pair(self, node: Node, int8: set[Node], enough: Callable[[Iterable[bool]], bool]) -> None:
        """A sum or product of two tensors, one or both of them int8; with a parameter or itself it is none."""
        inputs = [arg for arg in arguments(node)[:2] if isinstance(arg, Node)]
        if len(inputs) == 2 and inputs[0] is not inputs[1] and enough(arg in int8 for arg in inputs):
            if op(node) == "add" and _last(node) is node and any(is_mask(arg) for arg in inputs if arg not in int8):
                return  # rounded over all that a mask spans, nothing of the other summand would be left
            self._mark(node, {arg: self._of(arg) for arg in inputs})
            self._output(_last(node), int8)

    def _product(self, node: Node, int8: set[Node]) -> None:
        """A product of two activations that are rounded already, or were before one number scaled them."""
        inputs = [arg for arg in arguments(node)[:2] if isinstance(arg, Node)]
        if all(arg in int8 or (is_scaled(arg) and source_of(arg) in int8) for arg in inputs) and len(set(inputs)) == 2:
            # What a dropout hides while it trains is rounded before it.
            rounded = [arg for arg in inputs if arg in int8 and op(arg) not in IGNORED]
            self._mark(node, {arg: SharedQuantizationSpec(arg) for arg in rounded})

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

    def _part(self, node: Node, source: Node, int8: set[Node]) -> None:
        self._mark(node, {source: self._of(source)})
        for part in node.users:
            if is_part(part):
                spec = SharedQuantizationSpec((source, node))
                part.meta[ANNOTATION] = QuantizationAnnotation(output_qspec=spec, _annotated=True)
                int8.add(part)

    def _check_float(self, model: GraphModule) -> None:
        layers = {path_of(node) for node in model.graph.nodes if op(node) in LAYERS | RECURRENT}
        inside = {".".join(path.split(".")[:i]) for path in layers for i in range(1, len(path.split(".")) + 1)}
        for path in self._float:
            if path not in inside:
                raise ExportError("no such layer", where="int8_qat: float_layers", found=path, allowed=inside)

    def _stays_float(self, node: Node) -> bool:
        if op(node) in CONVS | {"linear"} and arguments(node)[1] in self._of_inputs:
            return True  # kernels made for each sample have no scales of their own that could be known before
        layer = op(node) in LAYERS | RECURRENT
        return layer and any(f"{path_of(node)}.".startswith(f"{path}.") for path in self._float)

    def _multiplies(self, node: Node, int8: set[Node]) -> None:
        """A convolution or a linear layer: its input, where activations are int8, and its weight."""
        x, weight = arguments(node)[:2]
        linear = op(node) == "linear"
        # Rows of an int8 table are int8 already, as is what a dropout hides while it trains: rounded once more they
        # would only take longer.
        known = (linear and self._looked_up(x)) or (op(x) in IGNORED and x in int8)
        formats = self._specs.narrow if linear and self._has_one_scale(x, weight) else self._specs.weight
        self._layer(node, {x: None if known else self._of(x), weight: formats})

    def _has_one_scale(self, x: Node, weight: Node) -> bool:
        """Whether a scale for each output of a linear layer would cost more than it is worth."""
        outputs, inputs = (int(size) for size in weight.meta["val"].shape)
        sizes = x.meta["val"].shape[1:-1]
        # How many rows there are may show in a run alone: those that a tensor picks.
        known = all(isinstance(size, int) for size in sizes)
        few = known and math.prod(sizes) < self._numerics.per_channel_rows and outputs >= WIDE
        return inputs < self._numerics.per_channel_from or few

    def _layer(self, node: Node, inputs: dict[Node, object]) -> None:
        self._mark(node, inputs)  # an input that stays float is named, too: torchao counts two for a convolution
        self.layers[str(weight_of(node).target)] = path_of(node)

    def _of(self, source: Node) -> QuantizationSpec | SharedQuantizationSpec | None:
        """How a tensor is rounded for a reader: as it is for all, if so; else not where it is written to meanwhile.

        In another format it would be rounded twice, and converted between.
        """
        for_all = getattr(source.meta.get(ANNOTATION), "output_qspec", None)
        if isinstance(for_all, QuantizationSpec):
            return for_all
        if for_all is not None:
            return SharedQuantizationSpec(source)
        if source in self._written and for_all is None:
            return None
        return self._specs.input if source.op == "placeholder" else self._specs.activation

    def _looked_up(self, node: Node) -> bool:
        """Whether a tensor is a quantized table's rows, as they are or moved."""
        at = behind(node, PASSING | IGNORED)
        return op(at) == "embedding" and str(weight_of(at).target) in self.layers

    def _mark(self, node: Node, inputs: dict[Node, object]) -> None:
        node.meta[ANNOTATION] = QuantizationAnnotation(input_qspec_map=dict(inputs), _annotated=True)
        self.quantized.append(node.name)

    def _output(self, last: Node, int8: set[Node], spec: QuantizationSpec | None = None) -> None:
        """Requantize the end of a chain, unless it is the model's output: 8-bit logits would tie."""
        if self._specs.activation is None or answers(last) or last in self._written:
            return
        annotation = last.meta.get(ANNOTATION) or QuantizationAnnotation(_annotated=True)
        annotation.output_qspec = spec or (self._specs.input if is_padded(last) else self._specs.activation)
        last.meta[ANNOTATION] = annotation
        int8.add(last)


def _last(node: Node) -> Node:
    """The end of the fused chain that starts here: a layer's BatchNorm, one activation; each the only reader."""
    for names in (NORMS if op(node) in CONVS | {"linear"} else frozenset(), ACTIVATIONS):
        users = list(node.users)
        if len(users) == 1 and op(users[0]) in names and _cuts_like_a_range(users[0]):
            node = users[0]
    return node


def _cuts_like_a_range(node: Node) -> bool:
    """Whether the range of what an activation leaves cuts off the same. A range always holds zero."""
    bounds = {"hardtanh": (-1.0, 1.0), "clamp": (None, None), "clamp_min": (None, None)}.get(op(node))
    if bounds is None:
        return True
    given = arguments(node)[1:]
    low, high = (given[i] if len(given) > i else bounds[i] for i in (0, 1))
    return isinstance(low, int | float) and low <= 0 and (high is None or (isinstance(high, int | float) and high > 0))


def _spatial(node: Node) -> bool:
    """A mean over height and width: a global pool."""
    dims = arguments(node)[1] if len(node.args) > 1 else None
    return isinstance(dims, list | tuple) and sorted(d % 4 for d in dims) == [2, 3]
