"""A parameter of its own for each layer of an exported graph: what rounds it, folds into it or corrects it looks there.

Networks share parameters in two ways: layers that are one read the same, and fused projections are parts of one, as
``nn.MultiheadAttention`` reads ``in_proj_bias.chunk(3)`` where queries and keys are not one tensor.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.fx import GraphModule, Node

from edgekd.compress._fold import attribute
from edgekd.compress._graph import CONVS, arguments, op

MULTIPLYING = CONVS | {"linear"}

Place = tuple[int, tuple[int, ...], tuple[int, ...]]  # of a view in its parameter: the first number, sizes and strides


class Part(NamedTuple):
    """A view of a parameter that a layer reads."""

    layer: Node
    read: Node
    value: Tensor

    @property
    def place(self) -> Place:
        """Where it lies; layers that are one read the same place."""
        return int(self.value.storage_offset()), tuple(self.value.shape), self.value.stride()


def own_parts(graph: GraphModule) -> None:
    """Give layers that read views of a parameter one for each view, in place.

    A parameter that anything else reads, too, or whose views overlap stays whole.
    """
    sources: dict[int, list[Node]] = {}  # tied ones have several names
    for node in graph.graph.nodes:
        if node.op == "get_attr" and isinstance(parameter := attribute(graph, node), nn.Parameter):
            sources.setdefault(id(parameter), []).append(node)
    unread: set[str] = set()
    for nodes in sources.values():
        whole = attribute(graph, nodes[0]).detach()
        parts = _parts(nodes, whole)
        if not parts or all(part.read in nodes for part in parts) or _overlap(parts, whole):
            continue
        taken: dict[Place, Node] = {}
        for part in parts:
            if part.place not in taken:
                taken[part.place] = _copied(graph, nodes[0], part.value, f"part{len(taken)}")
                taken[part.place].meta = dict(part.read.meta)
            part.layer.replace_input_with(part.read, taken[part.place])
        unread |= {str(node.target) for node in nodes}
    graph.graph.eliminate_dead_code()
    for owner, _, name in (path.rpartition(".") for path in unread):
        delattr(graph.get_submodule(owner), name)
    graph.graph.lint()
    graph.recompile()


def own_parameters(graph: GraphModule) -> None:
    """Give each use of a shared convolution, linear layer or BatchNorm its own parameters, in place.

    A convolution used twice has one weight and two BatchNorms behind it: folding both into the one weight is wrong,
    and nothing would say so.
    """
    seen: set[str] = set()
    for node in list(graph.graph.nodes):
        if op(node) not in MULTIPLYING | {"batch_norm"}:
            continue
        mine: set[str] = set()
        for index, arg in enumerate(node.args):
            if not isinstance(arg, Node) or arg.op != "get_attr":
                continue
            name = str(arg.target)
            mine.add(name)
            if name in seen and not _stays_shared(node, index):
                node.update_arg(index, _copied(graph, arg, attribute(graph, arg), f"copy{len(seen)}"))
        seen |= mine
    graph.graph.lint()
    graph.recompile()


def _parts(nodes: list[Node], whole: Tensor) -> list[Part]:
    """What layers read of a parameter; nothing where it has other readers, or is not read by views alone."""
    parts = []
    for node in nodes:
        for reader, read, value in _readers(node, whole):
            multiplies = op(reader) in MULTIPLYING and read in arguments(reader)[1:3]
            if not multiplies or not isinstance(value, Tensor) or not _lies_in(value, whole):
                return []
            parts.append(Part(reader, read, value))
    return parts


def _readers(node: Node, value: object) -> Iterator[tuple[Node, Node, object]]:
    """Who reads a parameter through views, which view, and its numbers."""
    for user in node.users:
        if (_is_view(user) or user.target is operator.getitem) and user.all_input_nodes == [node]:
            yield from _readers(user, user.target(value, *user.args[1:], **user.kwargs))  # type: ignore[operator]
        else:
            yield user, node, value


def _is_view(node: Node) -> bool:
    if not isinstance(node.target, OpOverload) or op(node) == "detach":  # what is detached does not train
        return False
    schema = node.target._schema
    return not schema.is_mutable and any(result.alias_info is not None for result in schema.returns)


def _lies_in(value: Tensor, whole: Tensor) -> bool:
    """Whether it is a view, and no number stands for several."""
    same = value.untyped_storage().data_ptr() == whole.untyped_storage().data_ptr()
    return same and all(step or size == 1 for size, step in zip(value.shape, value.stride(), strict=True))


def _overlap(parts: list[Part], whole: Tensor) -> bool:
    """Whether a number of a parameter belongs to two of its views."""
    reads = torch.zeros(whole.untyped_storage().size() // whole.element_size(), dtype=torch.uint8)
    for offset, sizes, steps in {part.place for part in parts}:
        reads.as_strided(sizes, steps, offset).add_(1)
    return bool((reads > 1).any())


def _stays_shared(node: Node, index: int) -> bool:
    """Whether it is the matrix of a linear layer with no BatchNorm behind: nothing is folded into it, and what rounds
    it looks at it alone, so that its uses, as in layers that are one, have the same numbers in int8, too."""
    return op(node) == "linear" and index == 1 and not any(op(user) == "batch_norm" for user in node.users)


def _copied(graph: GraphModule, source: Node, value: Tensor, suffix: str) -> Node:
    """A new parameter (or buffer) of the graph with these numbers, read behind the node of the one it comes from."""
    name = f"{str(source.target).replace('.', '_')}_{suffix}"
    clone = value.detach().clone(memory_format=torch.contiguous_format)
    trained = attribute(graph, source)
    if isinstance(trained, nn.Parameter):
        graph.register_parameter(name, nn.Parameter(clone, requires_grad=trained.requires_grad))
    else:
        graph.register_buffer(name, clone)
    with graph.graph.inserting_after(source):
        node = graph.graph.get_attr(name)
    node.meta = dict(source.meta)
    return node
