"""What a runtime computes in float, between the roundings that a network was trained with."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from edgekd.compress._graph import (
    CONVS,
    IGNORED,
    PARTING,
    RECURRENT,
    behind,
    is_multiplied,
    is_part,
    of_numbers,
    op,
    passes_on,
    readers_of,
    source_of,
)
from edgekd.learn.quiet import quiet

with quiet():
    import torchao.quantization.pt2e  # noqa: F401  # it registers the operators below

# What a kernel computes of its own result, in float.
FUSED = frozenset(
    {
        *("relu", "relu6", "hardtanh", "clamp", "clamp_min", "clamp_max", "leaky_relu", "prelu", "elu", "selu", "celu"),
        *("sigmoid", "tanh", "gelu", "silu", "mish", "softplus", "hardswish", "hardsigmoid", "mul", "abs", "sqrt"),
    }
)
# What is computed in float in any case, number by number: in a kernel of its own, which reads floats as fast. Without
# the rounding in front of it small convolutional networks took 0.95 to 0.98 of the time on OpenVINO.
ELEMENTWISE = FUSED | {
    *("maximum", "minimum", "where", "gt", "ge", "lt", "le", "threshold", "hardshrink", "softshrink"),
    *("log_sigmoid", "pow", "square", "exp", "sin", "cos"),
}
QUANTIZE = torch.ops.quantized_decomposed.quantize_per_tensor.default
DEQUANTIZE = torch.ops.quantized_decomposed.dequantize_per_tensor.default


def fuse_residuals(graph: GraphModule) -> None:
    """Drop the rounding of one convolution before each addition, and keep its range's ends, in place.

    OpenVINO's kernel convolves, clips and adds at once, in float: it drops the rounding in silence, on every
    instruction set, but not the clip (where a trained block's numbers leave the range, answers without it were off by
    half of what they span). Of two convolutions that are added it takes the first; the other one's output is written,
    in int8. Its file keeps the rounding: without it the scales of the convolution's channels go into the other summand,
    and what is added to a block's own input becomes a kernel of its own (resnets 2 to 4 % slower).

    Args:
        graph: after conversion, with quantize and dequantize nodes.
    """
    following = of_numbers(graph)
    for node in graph.graph.nodes:
        if node.target is torch.ops.aten.add.Tensor and _is_residual(node, following):
            for arg in node.args[:2]:
                source = _rounded(arg)
                if source is not None:
                    scale, zero, low, high = arg.args[1:5]
                    ends = ((low - zero) * scale, (high - zero) * scale)
                    with graph.graph.inserting_before(arg):
                        clipped = graph.graph.call_function(torch.ops.aten.clamp.default, (source, *ends))
                    node.replace_input_with(arg, clipped)
                    break
    graph.graph.eliminate_dead_code()
    graph.recompile()


def _is_residual(node: Node, following: set[Node]) -> bool:
    """Whether an addition is of two maps of one shape, each made of the inputs: what is broadcast, or a parameter, is
    added by a kernel of its own, behind the rounding."""
    args = [arg for arg in node.args[:2] if isinstance(arg, Node)]
    shapes = [_shape(arg) for arg in args]
    return len(args) == 2 and shapes[0] == shapes[1] and set(args) <= following


def _shape(node: Node) -> tuple[object, ...] | None:
    """Of one sample; a conversion has none of its own in a graph."""
    at: Node | None = node
    while at is not None and at.target in (QUANTIZE, DEQUANTIZE):
        at = source_of(at)
    value = None if at is None else at.meta.get("val")
    return tuple(value.shape[1:]) if isinstance(value, Tensor) else None


def fuse_chains(graph: GraphModule) -> None:
    """Drop, in place, the rounding of what only float operators read.

    OpenVINO computes an activation behind a layer in that layer's kernel; a rounding between the two costs 4 to 8 % of
    a small convolutional network's time. What was rounded alike before, and only moved, is not rounded again: where a
    Concat's inputs have other readers, their kernels would write floats (GhostNet 1.17 times as slow). The small layers
    of a gate stay int8: in float they were 1 to 3 % slower from 128 channels on.

    Args:
        graph: after conversion, with quantize and dequantize nodes.
    """

    def is_idle(source: Node, quantize: Node, readers: list[Node]) -> bool:
        return _lies_on_the_grid(source, quantize) or all(op(reader) in ELEMENTWISE for reader in readers)

    _drop(graph, is_idle)


def float_attention(graph: GraphModule) -> None:
    """Drop, in place, the rounding of what only products of activations read, but for a convolution's result.

    ONNX Runtime's int8 kernel of two activations, and what converts around it, was measured to be slower than the
    float one. An int8 convolution gives 8 bits in any case.
    """

    def is_idle(source: Node, quantize: Node, readers: list[Node]) -> bool:
        return op(behind(source, FUSED)) not in CONVS and all(is_multiplied(reader) for reader in readers)

    _drop(graph, is_idle)


def unrounded_sequences(graph: GraphModule) -> None:
    """Drop, in place, the rounding of what only recurrent layers read, but for a convolution's result.

    ONNX Runtime's kernel rounds its input and its state itself, by what they hold; OpenVINO's that runs everywhere
    computes in float.
    """

    def is_idle(source: Node, quantize: Node, readers: list[Node]) -> bool:
        return op(behind(source, FUSED)) not in CONVS and all(op(reader) in RECURRENT for reader in readers)

    _drop(graph, is_idle)


def _drop(graph: GraphModule, is_idle: Callable[[Node, Node, list[Node]], bool]) -> None:
    """Drop each rounding that does nothing: of its source, its quantize node, and who reads what it restores.

    From behind, each with its nodes: one that is dropped would count as a reader of the one before it.
    """
    for quantize in reversed([node for node in graph.graph.nodes if node.target is QUANTIZE]):
        restored = [user for user in quantize.users if user.target is DEQUANTIZE]
        source = source_of(quantize)
        if len(restored) < len(quantize.users) or source is None:
            continue
        if is_idle(source, quantize, [reader for user in restored for reader in readers_of(user)]):
            for user in restored:
                user.replace_all_uses_with(source)
                graph.graph.erase_node(user)
            graph.graph.erase_node(quantize)
    graph.graph.eliminate_dead_code()
    graph.recompile()


def _lies_on_the_grid(moved: Node, quantize: Node) -> bool:
    """Whether what is rounded was rounded alike before, and only moved since."""
    if moved.target is DEQUANTIZE:
        return moved.args[1:] == quantize.args[1:]
    if op(moved) == "cat":
        return all(_lies_on_the_grid(source, quantize) for source in moved.all_input_nodes)
    source = source_of(moved)  # sizes are read, too
    moves = passes_on(moved) or is_part(moved) or op(moved) in PARTING
    return moves and source is not None and _lies_on_the_grid(source, quantize)


def _rounded(dequantize: Node) -> Node | None:
    """The convolution behind a rounding that the addition alone reads."""
    if dequantize.target is not DEQUANTIZE or len(dequantize.users) != 1:
        return None
    quantize = source_of(dequantize)
    if quantize is None or quantize.target is not QUANTIZE or len(quantize.users) != 1:
        return None
    source = source_of(quantize)
    return source if source is not None and op(source) in CONVS else None


def round_residuals(graph: GraphModule) -> None:
    """Let additions read a LayerNorm's result as layers do, in int8, in place, where the length is free.

    OpenVINO then rounds in the LayerNorm's own kernel; where an addition reads floats the rounding is one by itself: 2
    to 3 % of a DistilBERT of 4 layers. Where sizes are fixed both take the same time.
    """
    for norm in [node for node in graph.graph.nodes if op(node) == "layer_norm"]:
        while len(norm.users) == 1 and op(user := next(iter(norm.users))) in IGNORED:
            norm = user  # the embeddings' dropout
        quantizers = [user for user in norm.users if user.target is QUANTIZE]
        others = [user for user in norm.users if user.target is torch.ops.aten.add.Tensor]
        fixed = all(isinstance(size, int) for size in norm.meta["val"].shape[1:])
        if fixed or len(quantizers) != 1 or not others or len(others) + 1 < len(norm.users):
            continue
        (quantize,) = quantizers
        restored = next(user for user in quantize.users if user.target is DEQUANTIZE)
        norm.append(quantize)
        quantize.append(restored)
        for addition in others:
            addition.replace_input_with(norm, restored)
    graph.graph.lint()
    graph.recompile()
