"""What passes ask of an exported graph: what a node computes, where its tensor comes from, who reads it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from torch._dispatch.python import enable_python_dispatcher
from torch._ops import OpOverload
from torch.fx import GraphModule, Node
from torch.fx.node import Argument, map_arg

Named = dict[str, Argument]

CONVS = frozenset({"conv1d", "conv2d", "conv3d"})
LAYERS = CONVS | {"linear", "embedding"}
RECURRENT = frozenset({"lstm"})
# Ops that move numbers and compute none: int8 in, the same int8 out.
PASSING = frozenset(
    {
        *("flatten", "view", "reshape", "unflatten", "permute", "transpose", "t", "movedim", "squeeze", "unsqueeze"),
        *("contiguous", "clone", "alias", "slice", "select", "narrow", "expand", "expand_as", "repeat", "tile", "flip"),
        *("roll", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "pad", "constant_pad_nd"),
        *("max_pool1d", "max_pool2d", "max_pool3d", "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d"),
    }
)
PRODUCTS = frozenset({"matmul", "bmm"})  # of activations, as of an attention
# What is made in the shape of a tensor, whatever that holds.
SHAPED = frozenset(
    {
        *("zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like"),
        *("new_zeros", "new_ones", "new_full", "new_empty"),
    }
)
# What moves numbers into several tensors.
PARTING = frozenset({"split", "split_with_sizes", "chunk", "unbind", "tensor_split"})
IGNORED = frozenset({"dropout", "feature_dropout"})  # the student that ships has none


def arguments(node: Node) -> list[Any]:
    """A node's positional arguments; torch.fx types them as a union of everything."""
    return list(node.args)


def op(node: Node) -> str:
    """``aten.conv2d.default`` -> ``conv2d``; ``aten.relu_.default`` -> ``relu``; anything else -> an empty string."""
    if node.op != "call_function" or not isinstance(node.target, OpOverload):
        return ""
    return str(node.target._schema.name).removeprefix("aten::").rstrip("_")


def passes_on(node: Node) -> bool:
    """Whether an op only moves numbers; a padding with something else than zero does not."""
    if _adds_a_constant(node):
        value = (node.args[2:3] if op(node) == "constant_pad_nd" else node.args[3:4]) or (node.kwargs.get("value"),)
        return not value[0]
    return op(node) in PASSING


def _adds_a_constant(node: Node) -> bool:
    """Whether an op puts one number around a tensor, and not what it mirrors or repeats."""
    name = op(node)
    return name == "constant_pad_nd" or (name == "pad" and (len(node.args) < 3 or node.args[2] == "constant"))


def is_padded(node: Node) -> bool:
    """Whether zeros are put around a tensor that no convolution reads, which would add them itself.

    OpenVINO pads in int8 where zero is in the middle of a range; else in float, as all that follows (7 % of a BiT).
    """
    pads = [user for user in node.users if _adds_a_constant(user) and passes_on(user)]
    return any(op(reader) not in CONVS for pad in pads for reader in pad.users)


def is_written(node: Node) -> bool:
    """Whether an op writes into a tensor, not only adds it to another: what rounds it would stand between the two."""
    return any(writes(user) and source_of(user) is node for user in node.users)


def writes(node: Node) -> bool:
    """Whether an op writes into a tensor that it is given."""
    return isinstance(node.target, OpOverload) and bool(node.target._schema.is_mutable)


def overload_of(node: Node) -> OpOverload:
    """The operator that a node calls."""
    if not isinstance(node.target, OpOverload):
        raise TypeError(f"no operator: {node.target}")
    return node.target


def call_like(
    graph: GraphModule, like: Node, target: OpOverload, args: tuple[Argument, ...], more: Named | None = None
) -> Node:
    """A call in the module of another node, with the shape of what it gives: nothing rounds a tensor without one."""
    new = graph.graph.call_function(target, args, more or {})
    # Without the dispatcher a padding would fix the batch to that of the example.
    with like.meta["val"].fake_mode, enable_python_dispatcher():
        value = target(*map_arg(args, lambda arg: arg.meta["val"]), **map_arg(more or {}, lambda arg: arg.meta["val"]))
    new.meta = {"val": value, "nn_module_stack": like.meta.get("nn_module_stack")}
    return new


def new_layer(graph: GraphModule, like: Node, name: str, weight: Tensor, bias: Tensor) -> list[Node]:
    """Weight and bias of a layer that is written in the place of others, to be trained like theirs."""
    parameters = []
    for part, value in (("weight", weight), ("bias", bias)):
        graph.register_parameter(f"{name}_{part}", nn.Parameter(value.clone()))
        parameters.append(graph.graph.get_attr(f"{name}_{part}"))
        parameters[-1].meta = {"val": like.meta["val"].fake_mode.from_tensor(value, static_shapes=True)}
    return parameters


def is_scaled(node: Node) -> bool:
    """Whether a node multiplies a tensor by one number, or divides it by one."""
    return op(node) in ("mul", "div") and isinstance(node.args[1], int | float)


def is_multiplied(node: Node) -> bool:
    """Whether a product of activations reads a tensor here, perhaps scaled by one number first."""
    return op(node) in PRODUCTS or (is_scaled(node) and any(op(reader) in PRODUCTS for reader in readers_of(node)))


def is_part(node: Node) -> bool:
    """Whether a node is one of the tensors that an op of ``PARTING`` gives."""
    return node.target is operator.getitem and (source := source_of(node)) is not None and op(source) in PARTING


def source_of(node: Node) -> Node | None:
    """The tensor that an op takes first."""
    first = arguments(node)[0] if node.args else None
    return first if isinstance(first, Node) else None


def sizes_of(value: object, rank: int, default: int) -> tuple[int, ...]:
    """A size an axis: one that is given for all is repeated."""
    given = list(value) if isinstance(value, list | tuple) else [default if value is None else value]
    return tuple(size for size in (given if len(given) == rank else given * rank) if isinstance(size, int))


def behind(node: Node, names: frozenset[str]) -> Node:
    """Where a tensor comes from, seen through ops of these names."""
    while op(node) in names and (source := source_of(node)) is not None:
        node = source
    return node


def weight_of(node: Node) -> Node:
    """Where a layer's weight, or table, comes from, seen through what a prepared graph does to it."""
    at: Node = arguments(node)[2][0] if op(node) in RECURRENT else arguments(node)[0 if op(node) == "embedding" else 1]
    while at.op != "get_attr" and (source := source_of(at)) is not None:
        at = source
    return at


def path_of(node: Node) -> str:
    """The path of the module that a layer of an exported graph was, as ``named_modules`` says it."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return str(stack[-1][0] if stack else "") or str(weight_of(node).target).rpartition(".")[0]


def readers_of(node: Node) -> list[Node]:
    """Who reads a tensor, seen through ops that only move it."""
    readers = []
    for user in node.users:
        moves = passes_on(user) or op(user) in IGNORED | PARTING or is_part(user)
        readers += readers_of(user) if moves else [user]
    return readers


def answers(node: Node) -> bool:
    """Whether a tensor is the model's output, or is cut into several: nothing is computed between."""
    return any(reader.op == "output" for reader in readers_of(node))


def of_inputs(model: GraphModule) -> set[Node]:
    """Nodes that follow from what the network is given: all but parameters, and what is computed of these alone."""
    return _following(model, lambda node: True)


def of_numbers(model: GraphModule) -> set[Node]:
    """Nodes that follow from the numbers that the network is given, not from their shapes alone."""

    def holds(node: Node) -> bool:
        return isinstance(node.meta.get("val", node), Tensor | Node | list | tuple) and op(node) not in SHAPED

    return _following(model, holds)


def _following(model: GraphModule, holds: Callable[[Node], bool]) -> set[Node]:
    """The inputs, and what reads them or another that follows; only nodes that ``holds`` is true of."""
    following: set[Node] = set()
    for node in model.graph.nodes:
        if (node.op == "placeholder" or not following.isdisjoint(node.all_input_nodes)) and holds(node):
            following.add(node)
    return following


def written_over(model: GraphModule) -> set[Node]:
    """Tensors that an op writes into (``x[:, :4] = 0``) before others read them by their first name; and their views.

    What rounds a tensor stands where it is made, once for each reader: it would not see what is written.
    """
    overwritten: set[Node] = set()
    order = places(model)
    for node in model.graph.nodes:
        if writes(node):
            overwritten |= read_after(node, order)
    return overwritten


def places(model: GraphModule) -> dict[Node, int]:
    """The place of each node in the order in which they run."""
    return {node: number for number, node in enumerate(model.graph.nodes)}


def read_after(write: Node, order: Mapping[Node, int]) -> set[Node]:
    """What an op writes into, and all views of it, where one of these is read behind it: by another name than its own.

    Args:
        order: see ``places``.
    """
    names = [origin_of(write)]
    for name in names:
        names += [user for user in name.users if user is not write and source_of(user) is name and _shares(user)]
    return set(names) if any(order[user] > order[write] for name in names for user in name.users) else set()


def origin_of(node: Node) -> Node:
    """The tensor that a node is a view of, or writes into; else itself."""
    while _shares(node) and (source := source_of(node)) is not None:
        node = source
    return node


def _shares(node: Node) -> bool:
    """Whether a node is a view of what it takes first, or that itself."""
    returns = node.target._schema.returns if isinstance(node.target, OpOverload) else ()
    return op(node) in PARTING or is_part(node) or any(result.alias_info is not None for result in returns)
