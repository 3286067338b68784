"""Exported graphs in the operators that integer kernels compute, before anything is quantized. Exact, all of it."""

from __future__ import annotations

import math

import torch
from torch.fx import GraphModule, Node

from edgekd.compress._aliases import use_first_names
from edgekd.compress._fold import affine_of, value_of
from edgekd.compress._graph import (
    arguments,
    call_like,
    new_layer,
    of_numbers,
    op,
    origin_of,
    overload_of,
    places,
    read_after,
    sizes_of,
    writes,
)
from edgekd.compress._masks import differs_by_query, holds_infinity

aten = torch.ops.aten
PADDED_BY_NAME = {
    aten.conv1d.padding: aten.conv1d.default,
    aten.conv2d.padding: aten.conv2d.default,
    aten.conv3d.padding: aten.conv3d.default,
}


def rewrite(graph: GraphModule) -> None:
    """Spell, in place, what no integer kernel computes as a whole."""
    use_first_names(graph)
    following = of_numbers(graph)
    for node in list(graph.graph.nodes):
        if op(node) == "silu":
            _swish(graph, node)
        elif op(node) == "rrelu":
            _leaky(graph, node)
        elif op(node) == "batch_norm" and arguments(node)[3] is None and value_of(graph, node) is not None:
            _standardized(graph, node)
        elif node.target in PADDED_BY_NAME:
            _with_sizes(graph, node)
        elif op(node) == "scaled_dot_product_attention":
            _attention(graph, node, following)
        elif op(node) in ("matmul", "mm", "addmm", "einsum"):
            _weighed(graph, node)
        elif op(node) == "cat":
            _without_empty(graph, node)
    graph.graph.eliminate_dead_code()
    graph.recompile()


def fold_into_linear(graph: GraphModule) -> None:
    """Put a BatchNorm into the linear layer that it alone reads, in place; its statistics have to stand still.

    Behind the rounding it would give each output a scale of its own, which a wide layer over one row pays for.
    """
    for number, node in enumerate([node for node in graph.graph.nodes if op(node) == "linear"]):
        norm = next(iter(node.users)) if len(node.users) == 1 else node
        weight, bias = (value_of(graph, arg) for arg in [*arguments(node), None][1:3])
        values = affine_of(graph, norm) if op(norm) == "batch_norm" else None
        if values is None or weight is None or node.meta["val"].ndim != 2:
            continue
        factor, offset = values
        offset = offset if bias is None else bias * factor + offset
        with graph.graph.inserting_before(node):
            parameters = new_layer(graph, node, f"linear_{number}", weight * factor[:, None], offset)
        node.args = (node.args[0], *parameters)
        norm.replace_all_uses_with(node)
        graph.graph.erase_node(norm)
    graph.graph.eliminate_dead_code()
    graph.recompile()


def _swish(graph: GraphModule, node: Node) -> None:
    """``silu(x)`` -> ``x * sigmoid(x)``: ONNX has no operator of it, and both of these have int8 kernels."""
    x = node.args[0]
    # What a SiLU writes into a tensor others may read as it was called before, or through a view of it.
    if writes(node) and read_after(node, places(graph)):
        return
    with graph.graph.inserting_before(node):
        gate = graph.graph.call_function(aten.sigmoid.default, (x,))
        product = graph.graph.call_function(aten.mul.Tensor, (x, gate))
    gate.meta, product.meta = dict(node.meta), dict(node.meta)
    node.replace_all_uses_with(product)
    graph.graph.erase_node(node)


def _leaky(graph: GraphModule, node: Node) -> None:
    """A randomised leaky ReLU has the middle of its slopes in evaluation, and then is one that kernels fuse: with a
    rounding in front of it a small network took 1.04 times as long on OpenVINO."""
    given = arguments(node)[1:4]
    lower, upper, training = given + [1 / 8, 1 / 3, False][len(given) :]
    if training or node.kwargs:
        return
    node.target = aten.leaky_relu_.default if writes(node) else aten.leaky_relu.default
    node.args = (node.args[0], (lower + upper) / 2)


def _without_empty(graph: GraphModule, node: Node) -> None:
    """What is put together, without tensors that hold nothing, as caches of keys do before the first token: they have
    no range, and the others would share it."""
    tensors = arguments(node)[0]
    filled = [tensor for tensor in tensors if 0 not in [n for n in tensor.meta["val"].shape if isinstance(n, int)]]
    if len(filled) == 1 < len(tensors) and not _is_written_later(graph, node, filled[0]):
        node.replace_all_uses_with(filled[0])
        graph.graph.erase_node(node)
    elif filled:
        node.args = (filled, *node.args[1:])


def _is_written_later(graph: GraphModule, copy: Node, of: Node) -> bool:
    """Whether something is written into a copy, or into what it is a copy of, once both are there."""
    order, origins = places(graph), (copy, origin_of(of))
    return any(order[node] > order[copy] and writes(node) and origin_of(node) in origins for node in graph.graph.nodes)


def _weighed(graph: GraphModule, node: Node) -> None:
    """A product with a parameter, ``x @ w + b``, is a linear layer: by another name its weight is not looked for."""
    bias, x, weight, turned = _factors(node)
    if isinstance(weight, Node) and _is_turned(weight):
        weight, turned = weight.args[0], not turned
    if not isinstance(x, Node) or not isinstance(weight, Node) or weight.op != "get_attr" or node.kwargs:
        return
    if weight.meta["val"].ndim != 2 or x.meta["val"].ndim < 2:
        return
    if isinstance(bias, Node) and (bias.op != "get_attr" or bias.meta["val"].ndim != 1):
        return
    with graph.graph.inserting_before(node):
        rows = weight if turned else call_like(graph, node, aten.transpose.int, (weight, 0, 1))
        layer = graph.graph.call_function(aten.linear.default, (x, rows, *(() if bias is None else (bias,))))
    layer.meta = dict(node.meta)
    node.replace_all_uses_with(layer)
    graph.graph.erase_node(node)


def _is_turned(matrix: Node) -> bool:
    """Whether a matrix is another one with rows for columns."""
    if matrix.meta["val"].ndim != 2:
        return False
    return op(matrix) == "t" or (op(matrix) == "transpose" and {axis % 2 for axis in arguments(matrix)[1:]} == {0, 1})


def _factors(node: Node) -> tuple[object, object, object, bool]:
    """(bias, input, weight, whether the weight is (outputs, inputs)) of a product; no input where it is another one."""
    if op(node) == "addmm":
        bias, x, weight = arguments(node)
        return bias, x, weight, False
    if op(node) != "einsum":
        x, weight = arguments(node)
        return None, x, weight, False
    terms, arrow, result = str(node.args[0]).replace(" ", "").partition("->")
    of_x, _, of_weight = terms.partition(",")
    inputs = of_x[-1:]
    outputs = of_weight.replace(inputs, "") if inputs else ""
    letters = of_x.replace(".", "") + outputs
    plain = len(outputs) == 1 and len(of_weight) == 2 and len({*letters}) == len(letters)
    if not arrow or not plain or result != of_x[:-1] + outputs:
        return None, None, None, False
    x, weight = arguments(node)[1]
    return None, x, weight, of_weight == outputs + inputs


def _with_sizes(graph: GraphModule, node: Node) -> None:
    """A convolution whose padding is "same" or "valid", with numbers: by another name no pattern finds it."""
    x, weight, *rest = arguments(node)
    defaults = (None, 1, "valid", 1, 1)
    bias, stride, padding, dilation, groups = (rest[i] if i < len(rest) else defaults[i] for i in range(5))
    kernel = weight.meta["val"].shape[2:]
    steps = sizes_of(dilation, len(kernel), 1)
    around = [step * (int(size) - 1) if padding == "same" else 0 for step, size in zip(steps, kernel, strict=True)]
    with graph.graph.inserting_before(node):
        if any(total % 2 for total in around):
            ends = [end for total in reversed(around) for end in (total // 2, total - total // 2)]
            x, around = call_like(graph, node, aten.constant_pad_nd.default, (x, ends)), [0] * len(around)
        sizes = (list(sizes_of(stride, len(kernel), 1)), [total // 2 for total in around], list(steps), groups)
        plain = call_like(graph, node, PADDED_BY_NAME[overload_of(node)], (x, weight, bias, *sizes))
    plain.meta = dict(node.meta)
    node.replace_all_uses_with(plain)
    graph.graph.erase_node(node)


def _standardized(graph: GraphModule, node: Node) -> None:
    """A BatchNorm by the statistics of a weight, as standardised weights are written: plain operators."""
    x, gamma, beta = arguments(node)[:3]
    rank = x.meta["val"].ndim
    axes, shape = [axis for axis in range(rank) if axis != 1], [-1, *[1] * (rank - 2)]
    with graph.graph.inserting_before(node):
        mean = call_like(graph, node, aten.mean.dim, (x, axes, True))
        spread = call_like(graph, node, aten.var.correction, (x, axes), {"correction": 0, "keepdim": True})
        root = call_like(graph, node, aten.add.Tensor, (spread, arguments(node)[7]))
        root = call_like(graph, node, aten.rsqrt.default, (root,))
        result = call_like(graph, node, aten.sub.Tensor, (x, mean))
        result = call_like(graph, node, aten.mul.Tensor, (result, root))
        for target, factor in ((aten.mul.Tensor, gamma), (aten.add.Tensor, beta)):
            if factor is not None:
                wide = call_like(graph, node, aten.reshape.default, (factor, shape))
                result = call_like(graph, node, target, (result, wide))
    node.replace_all_uses_with(result)
    graph.graph.erase_node(node)


def _attention(graph: GraphModule, node: Node, following: set[Node]) -> None:
    """``softmax(q k^T scale + mask) v``, where no mask is made on the way and heads are not shared.

    Where a mask of the inputs may leave a query nothing to attend to, torch answers zeros; a softmax of infinities
    alone would be no number, and of numbers that are the least there are is a mean.

    Args:
        following: the nodes that follow from the inputs' numbers, as they were before anything was rewritten.
    """
    query, key, value, *rest = arguments(node)
    mask = rest[0] if rest else None
    if any(rest[1:]) or node.kwargs.get("enable_gqa"):
        return
    given = node.kwargs.get("scale")
    scale = given if isinstance(given, float) else 1 / math.sqrt(int(query.meta["val"].shape[-1]))
    hides = mask is not None and mask in following and holds_infinity(mask)
    leaves_nothing = hides and mask is not None and differs_by_query(mask, following)
    least = torch.finfo(query.meta["val"].dtype).min if hides else -math.inf
    with graph.graph.inserting_before(node):
        turned = call_like(graph, node, aten.transpose.int, (key, -2, -1))
        scores = call_like(graph, node, aten.matmul.default, (query, turned))
        scores = call_like(graph, node, aten.mul.Tensor, (scores, scale))
        if mask is not None and mask.meta["val"].dtype is torch.bool:
            seen = mask
            scores = call_like(graph, node, aten.where.ScalarOther, (mask, scores, least))
        elif mask is not None:
            if hides:
                seen = call_like(graph, node, aten.gt.Scalar, (mask, -math.inf)) if leaves_nothing else mask
                mask = call_like(graph, node, aten.clamp_min.default, (mask, least))
            scores = call_like(graph, node, aten.add.Tensor, (scores, mask))
        shares = call_like(graph, node, aten.softmax.int, (scores, -1))
        result = call_like(graph, node, aten.matmul.default, (shares, value))
        if leaves_nothing:
            some = call_like(graph, node, aten.any.dim, (seen, -1, True))
            result = call_like(graph, node, aten.where.ScalarOther, (some, result, 0.0))
    result.meta = {**node.meta, "val": result.meta["val"]}
    node.replace_all_uses_with(result)
    graph.graph.erase_node(node)
