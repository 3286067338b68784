"""Programs written in operators that the exporter translates, without tracing them again where that is all they need.

``torch.onnx.export`` traces every program a second time with a table of decompositions, which is more than half of an
export: 1.1 s of CPU for a MobileNetV2, 0.45 s without; 2.5 s for a small BERT, 1.1 s without. In evaluation most
networks need it for a few things, which are written here as those decompositions do (``torch._decomp``): BatchNorm over
running statistics, the mean of a whole map, operators that work in place on what nobody else reads, and the
conversions, differences and conjunctions of attention masks. A program with anything else is traced again as before.

Then the exporter runs every program once more to see where types are mixed. What a trace has noted of each operator
says the same: a quarter of an export's time.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import cast
from unittest.mock import patch

import torch
from torch._ops import OpOverload
from torch.export import ExportedProgram
from torch.fx import GraphModule, Interpreter, Node
from torch.fx.node import Argument
from torch.onnx._internal.exporter import _fx_passes
from torch.onnx._internal.exporter._registration import ONNXRegistry
from torch.onnx._internal.fx.passes import type_promotion

aten = torch.ops.aten
Decompose = Callable[[ExportedProgram, ONNXRegistry], ExportedProgram]
# What may stand there beside what is translated: the exporter takes these out by itself.
CHECKS = (
    operator.getitem,
    aten.sym_constrain_range_for_size.default,
    aten._assert_scalar.default,
    aten._assert_tensor_metadata.default,
)
# Conversions, which give their input back where nothing changes.
CONVERSIONS = (aten.to.dtype, aten.to.device, aten.to.dtype_layout)
# Spelled otherwise: see ``_rewrite``.
ARITHMETIC = (aten.square.default, aten.rsub.Scalar)
# Other names of operators that are translated.
ALIASES = {aten.__and__.Tensor: aten.bitwise_and.Tensor, aten.__or__.Tensor: aten.bitwise_or.Tensor}
# Translated as they stand, to more than their decompositions are: a size is read from a tensor where the batch's is
# known.
LONGER = (aten.expand_as.default, aten.reshape_as.default, aten.view_as.default)
# Of the operators that are made of others only these surely give a tensor of their own: dropout gives its input back.
NEW = (
    aten.conv1d.default,
    aten.conv2d.default,
    aten.conv3d.default,
    aten.linear.default,
    aten.matmul.default,
    aten.batch_norm.default,
    aten.layer_norm.default,
    aten.group_norm.default,
)


@contextmanager
def traced_once() -> Iterator[None]:
    """``torch.onnx.export`` decomposes what needs it while the block runs, and no more, and runs no program again."""
    decompose = _fx_passes.decompose_with_registry.__name__
    promoting = type_promotion._TypePromotionInterpreter
    with patch.object(_fx_passes, decompose, _decomposed), patch.object(promoting, "run_node", _promoted):
        yield


# Looked up before any block puts ``_decomposed`` in its place.
_traced_again = cast(Decompose, _fx_passes.decompose_with_registry)


def _promoted(self: type_promotion._TypePromotionInterpreter, node: Node) -> object:
    """What a node gives, with its operands in one type where the rules of its operator want that."""
    with self._set_current_node(node):
        if rule := type_promotion.get_type_promotion_rule(node, self.type_promotion_table):
            self._maybe_promote_node(node, rule)
    is_noted = node.op == "call_function" and "val" in node.meta
    return node.meta["val"] if is_noted else Interpreter.run_node(self, node)


def _decomposed(program: ExportedProgram, registry: ONNXRegistry) -> ExportedProgram:
    module = program.graph_module
    nodes = [node for node in module.graph.nodes if node.op == "call_function"]
    translated = {metas[0].fx_target for metas in registry.functions.values()}
    inside = sum(isinstance(part, GraphModule) for part in module.modules()) > 1  # branches and loops
    if inside or not all(_is_simple(node, translated) for node in nodes):
        return _traced_again(program, registry)
    for node in nodes:
        _rewrite(node)
    module.graph.eliminate_dead_code()
    module.recompile()
    return program


def _is_simple(node: Node, translated: Collection[object]) -> bool:
    """Whether a node is translated as it stands, or as ``_rewrite`` leaves it."""
    target = node.target
    if target in CHECKS:
        return True
    if target is aten.batch_norm.default:
        given = _arguments(node)
        return not given["training"] and given["running_mean"] is not None
    if target is aten.adaptive_avg_pool2d.default:
        return list(cast(list[int], node.args[1])) == [1, 1]
    if isinstance(target, OpOverload) and target._schema.is_mutable:
        return _fresh(target) in translated and _is_nobodys(node.args[0])
    if target in CONVERSIONS:
        given = _arguments(node)
        if given["copy"] or given["memory_format"] is not None or given.get("layout") not in (None, torch.strided):
            return False
    if _changes_nothing(node) and any(reader.op == "output" for reader in node.users):
        return False
    return target in (*CONVERSIONS, *ALIASES, *ARITHMETIC) or (target in translated and target not in LONGER)


def _changes_nothing(node: Node) -> bool:
    """Whether it reshapes to the shape or converts to the type that its input has, which gives the input back."""
    before = node.args[0]
    if not isinstance(before, Node):
        return False
    if node.target in CONVERSIONS:
        return bool(before.meta["val"].dtype == node.meta["val"].dtype)
    return node.target is aten.reshape.default and repr(before.meta["val"].shape) == repr(node.meta["val"].shape)


def _rewrite(node: Node) -> None:
    """A node in the operators that its decomposition has; it keeps its name, by which a program knows its outputs."""
    target = node.target
    if target is aten.batch_norm.default:
        given = _arguments(node)
        order = ("input", "weight", "bias", "running_mean", "running_var", "momentum", "eps")
        value = node.meta["val"]
        with node.graph.inserting_before(node):
            norm = aten._native_batch_norm_legit_no_training.default
            outputs = node.graph.call_function(norm, tuple(cast(Argument, given[name]) for name in order))
        outputs.meta = node.meta | {"val": (value, value.new_empty(0), value.new_empty(0))}
        _become(node, operator.getitem, outputs, 0)
    elif target is aten.adaptive_avg_pool2d.default:
        _become(node, aten.mean.dim, node.args[0], [-1, -2], True)
    elif target is aten.square.default:
        _become(node, aten.pow.Tensor_Scalar, node.args[0], 2)
    elif target is aten.rsub.Scalar:
        given = _arguments(node)
        scaled = {} if given["alpha"] == 1 else {"alpha": cast(Argument, given["alpha"])}
        _become(node, aten.sub.Tensor, cast(Argument, given["other"]), node.args[0], **scaled)
    elif _changes_nothing(node):
        node.replace_all_uses_with(cast(Node, node.args[0]))
    elif target in CONVERSIONS:
        _become(node, aten._to_copy.default, node.args[0], dtype=node.meta["val"].dtype)
    elif target in ALIASES:
        node.target = ALIASES[cast(OpOverload, target)]
    elif isinstance(target, OpOverload) and target._schema.is_mutable:
        node.target = cast(OpOverload, _fresh(target))


def _become(node: Node, target: Callable[..., object], *args: Argument, **kwargs: Argument) -> None:
    """Another operator in a node's place."""
    node.target, node.args, node.kwargs = target, args, kwargs


def _arguments(node: Node) -> dict[str, object]:
    """What an operator is called with, by the names of its schema."""
    schema = cast(OpOverload, node.target)._schema.arguments
    given = {argument.name: argument.default_value for argument in schema if argument.has_default_value()}
    return given | dict(zip((argument.name for argument in schema), node.args, strict=False)) | node.kwargs


def _fresh(target: OpOverload) -> OpOverload | None:
    """The operator that gives a new tensor where this one changes its first argument and gives that; or None."""
    schema = target._schema
    written = [i for i, a in enumerate(schema.arguments) if a.alias_info is not None and a.alias_info.is_write]
    packet = getattr(getattr(torch.ops, target.namespace), target._opname.removesuffix("_"), None)
    if written != [0] or not target._opname.endswith("_") or packet is None:
        return None
    return cast("OpOverload | None", getattr(packet, target._overloadname, None))


def _is_nobodys(value: object) -> bool:
    """Whether a tensor was made for the one that reads it: no input, weight or view of another, and read only there."""
    if not isinstance(value, Node) or not isinstance(value.target, OpOverload) or len(value.users) != 1:
        return False
    target = value.target
    composite = torch._C._dispatch_has_kernel_for_dispatch_key(target.name(), "CompositeImplicitAutograd")
    if target._schema.is_mutable:  # by itself what ``_is_simple`` asks of it
        return True
    return target in NEW or not (composite or any(output.alias_info for output in target._schema.returns))
