"""An exported graph with fake quantization in it, that trains and evaluates like any module."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from edgekd.base import plugins
from edgekd.base.errors import ExportError
from edgekd.compress._annotator import Annotator
from edgekd.compress._branches import merge_branches
from edgekd.compress._conv_bn import few_patterns
from edgekd.compress._equalize import equalize
from edgekd.compress._fold import attribute, freeze_batchnorm
from edgekd.compress._graph import IGNORED, LAYERS, RECURRENT, arguments, behind, op, weight_of
from edgekd.compress._observers import Rounding
from edgekd.compress._parameters import own_parameters, own_parts
from edgekd.compress._rewrites import fold_into_linear, rewrite
from edgekd.compress._specs import Ranging
from edgekd.compress._upsampling import rewrite_upsampling
from edgekd.learn import nets
from edgekd.learn.quiet import quiet
from edgekd.learn.student import COUNT_SO, NUMPY_SO, Student, evaluated
from edgekd.spec.target import Numerics

with quiet():
    from torchao.quantization.pt2e import FakeQuantizeBase
    from torchao.quantization.pt2e.quantize_pt2e import prepare_qat_pt2e

EPS = 1e-5  # the only BatchNorm epsilon that torchao's conv-bn fusion knows


class QatModule(nn.Module):
    """An exported graph that ``train()`` and ``eval()`` work on: BatchNorm, dropout and the observers follow.

    torchao's own switches rewrite the graph by pattern, change dropout's p and know one momentum only; here the
    nodes' own flags are set.

    Args:
        frozen: whether BatchNorm's statistics never move again.

    Attributes:
        quantized: the nodes that were marked.
        weights: of the name of each quantized layer's weight in the graph, the layer's path.
        layers: of the path of each quantized layer, what rounds its weight and its input.
    """

    def __init__(self, graph: GraphModule, momenta: list[float], annotator: Annotator, frozen: bool) -> None:
        super().__init__()
        self.graph = graph
        self.quantized = annotator.quantized
        self.weights = annotator.layers
        self.layers = self._layers(annotator.layers)
        self.bn_frozen = frozen
        self.ranges_frozen = False
        for node, momentum in zip(self._nodes("batch_norm"), momenta, strict=True):
            node.update_arg(6, momentum)
        if frozen:
            freeze_batchnorm(graph)
        self.train(False)

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.graph(*inputs)

    def train(self, mode: bool = True) -> QatModule:
        """Training mode moves BatchNorm's statistics and the ranges, where they are not frozen; evaluation neither."""
        self.training = mode
        changed = self._set("batch_norm", 5, mode and not self.bn_frozen)
        for name in IGNORED:
            changed |= self._set(name, 2, mode)
        if changed:
            self.graph.recompile()
        observing = mode and not self.ranges_frozen
        for fake in self._fakes():
            fake.enable_observer(observing)
        return self

    def observe(self, batches: Any) -> None:
        """Set the ranges from batches of inputs, with everything else in evaluation mode."""
        self.eval()
        for fake in self._fakes():
            fake.enable_observer(True)
        self.round_only(())
        with torch.no_grad():
            for batch in batches:
                self.graph(*batch)
            for fake in self._fakes():
                if isinstance(fake, Rounding):
                    fake.settle()
        self.round_only(None)
        self.eval()

    def round_only(self, layers: Collection[str] | None) -> None:
        """Round what these layers read and nothing else; None: round everything."""
        some = None if layers is None else {id(fake) for path in layers for fake in self.layers[path]}
        for fake in self._fakes():
            fake.enable_fake_quant(some is None or id(fake) in some)

    def _apply(self, fn: object, recurse: bool = True) -> QatModule:
        """Where a module moves, its graph makes its tensors too: an export writes down the device it was made on."""
        super()._apply(fn, recurse)
        place = next((tensor.device for tensor in (*self.parameters(), *self.buffers())), None)
        if place is not None:
            _move(self.graph, place)
        return self

    def _fakes(self) -> list[FakeQuantizeBase]:
        return [module for module in self.graph.modules() if isinstance(module, FakeQuantizeBase)]

    def _layers(self, paths: dict[str, str]) -> dict[str, list[FakeQuantizeBase]]:
        quantizers: dict[str, list[FakeQuantizeBase]] = {}
        for node in self.graph.graph.nodes:
            if op(node) not in LAYERS | RECURRENT:
                continue
            if (path := paths.get(str(weight_of(node).target))) is not None:
                factors = node.all_input_nodes if op(node) in RECURRENT else node.args[:2]
                read = [behind(arg, IGNORED) for arg in factors if isinstance(arg, Node)]
                names = [str(arg.target) for arg in read if arg.op == "call_module"]
                quantizers.setdefault(path, []).extend(self.graph.get_submodule(name) for name in names)
        return quantizers

    def _nodes(self, name: str) -> list[Node]:
        return [node for node in self.graph.graph.nodes if op(node) == name]

    def _set(self, name: str, index: int, value: bool) -> bool:
        changed = False
        for node in self._nodes(name):
            if node.args[index] != value:
                node.update_arg(index, value)
                changed = True
        return changed


def prepare(
    student: Student,
    numerics: Numerics,
    ranging: Ranging,
    float_layers: Sequence[str] = (),
    frozen: bool = False,
    *,
    equalized: bool = False,
) -> QatModule:
    """The student with fake quantization where the annotator says, its ranges not yet known.

    Args:
        frozen: BatchNorm uses its running statistics, from the start.
        equalized: channels between layers are given ranges alike first.

    Raises:
        ExportError: it can't be exported, or has no such layer.
    """
    module = evaluated(nets.twin(student.module))
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_var is not None:
            # The fusion would put its own epsilon in place of this one, in silence.
            part.running_var.add_(part.eps - EPS)
            part.eps = EPS
    with quiet():
        try:
            exported = student.with_module(module).exported()
        except (RuntimeError, ValueError, TypeError, AttributeError, torch._dynamo.exc.TorchDynamoException) as err:
            raise _refused(err) from err
        graph = exported.module(check_guards=False)
        rewrite(graph)
        _whole_batchnorm(graph)
        own_parts(graph)
        own_parameters(graph)
        rewrite_upsampling(graph, frozen)
        if frozen:
            merge_branches(graph)
            fold_into_linear(graph)
        if equalized:
            equalize(graph)
        momenta = [float(node.args[6]) for node in graph.graph.nodes if op(node) == "batch_norm"]
        annotator = Annotator(numerics, ranging, float_layers)
        with few_patterns():
            prepared = prepare_qat_pt2e(graph, annotator)
    return QatModule(prepared, momenta, annotator, frozen)


def _refused(err: Exception) -> ExportError:
    """What torch's export raised, in words; its own speak of sizes that are fixed as of constraints and logs."""
    text = str(err).strip()
    if fixed := re.match(r"Constraints violated \(([\w, ]+)\)", text):
        reason = f"can't be exported: the export fixes the {fixed[1]}"
        return ExportError(reason, where="int8_qat", allowed="any", hint=COUNT_SO)
    hint = NUMPY_SO if "numpy" in text else COUNT_SO if "data-dependent" in text else None
    reason, at = [*text.splitlines(), ""][0], plugins.users_line(err)
    where = f"int8_qat: {at}" if at else "int8_qat"
    return ExportError(f"can't be exported: {reason}", where=where, hint=hint)


def _move(graph: GraphModule, place: torch.device) -> None:
    """Let a graph make its tensors on a device, and expect them there."""
    for part in graph.modules():
        if not isinstance(part, GraphModule):
            continue
        for node in part.graph.nodes:
            if node.kwargs.get("device") is not None:
                node.update_kwarg("device", place)
            elif node.target is torch.ops.aten.to.device:
                node.update_arg(1, place)
        part.recompile()


def _whole_batchnorm(graph: GraphModule) -> None:
    """Give each BatchNorm without factors and offsets ones and zeros, which don't train: what folds it needs them.

    Raises:
        ExportError: one has no running statistics: what it computes is no product and sum.
    """
    for number, node in enumerate([node for node in graph.graph.nodes if op(node) == "batch_norm"]):
        gamma, beta, mean, var = arguments(node)[1:5]
        if mean is None or var is None:
            where = f"int8_qat: {_path_of_norm(node)}"
            allowed = "track_running_stats = True"
            raise ExportError("a BatchNorm without running statistics can't be quantized", where=where, allowed=allowed)
        like = attribute(graph, mean) if isinstance(mean, Node) and mean.op == "get_attr" else None
        for index, (given, make) in enumerate(((gamma, torch.ones_like), (beta, torch.zeros_like)), 1):
            if given is None and isinstance(like, Tensor):
                name = f"batch_norm_{number}_{('factor', 'offset')[index - 1]}"
                graph.register_parameter(name, nn.Parameter(make(like), requires_grad=False))
                with graph.graph.inserting_before(node):
                    parameter = graph.graph.get_attr(name)
                parameter.meta = dict(mean.meta)
                node.update_arg(index, parameter)
    graph.recompile()


def _path_of_norm(node: Node) -> str:
    """The path of a BatchNorm's module; of a functional one that of the module that calls it."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return str(stack[-1][0]) if stack and stack[-1][0] else "the network"
