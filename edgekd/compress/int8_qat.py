"""Quantization-aware training to int8: torchao's PT2E flow with our own annotator, in the target's numerics.

``apply`` exports the network and puts fake quantization where the target's kernels quantize (Jacob et al. 2018,
arXiv:1712.05877); the pipeline then trains it against the teacher; ``finish`` folds BatchNorm and turns fake
quantization into QuantizeLinear / DequantizeLinear.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from edgekd.compress._annotator import Annotator, op
from edgekd.compress._base import Context
from edgekd.compress._fold import fold_batchnorm
from edgekd.compress._grid import snap_biases
from edgekd.compress._structure import SAMPLES
from edgekd.errors import ExportError
from edgekd.learn.quiet import quiet
from edgekd.learn.student import Student, joined
from edgekd.target import Numerics

with quiet():
    from torchao.quantization.pt2e import FakeQuantizeBase
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_qat_pt2e

EPS = 1e-5  # the only BatchNorm epsilon that torchao's conv-bn fusion knows


@dataclass(frozen=True)
class Int8Qat:
    """Train with the target's rounding in the loop.

    Attributes:
        scheme: of the target's numerics; absent: its first quantized one.
        samples: of the training data, 1 or more, that set the ranges before the first step.
        freeze_bn_after: share of the epochs, 0..1, after which BatchNorm uses its running statistics: from then on
            the network trains as it will run. 0: from the start.
        freeze_ranges_after: share of the epochs, 0..1, after which the ranges stand still.
    """

    quantizes: ClassVar[bool] = True
    trains: ClassVar[bool] = True
    suffix: ClassVar[str] = ""
    timed: ClassVar[bool] = False
    scheme: str = ""
    samples: int = SAMPLES
    freeze_bn_after: float = 0.0
    freeze_ranges_after: float = 0.67

    def __post_init__(self) -> None:
        for name in ("freeze_bn_after", "freeze_ranges_after"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: allowed is 0 to 1")
        if self.samples < 1:
            raise ValueError("samples: allowed is at least 1")

    def parts(self) -> tuple[dict[str, Any], ...]:
        """One step."""
        return ()

    def requires(self, student: Student, context: Context) -> None:
        """Raise ExportError where the target has no int8 scheme, or the network can't be exported."""
        if context.numerics is None or not context.numerics.quantized:
            raise ExportError("the target has no int8 numerics", where="int8_qat")
        if isinstance(student.module, QatModule):
            raise ExportError("the network is quantized already", where="int8_qat", allowed="one int8_qat, the last")

    def apply(self, student: Student, context: Context) -> Student:
        """The network with fake quantization in it, its ranges set from the calibration batches."""
        assert context.numerics is not None
        prepared = _prepare(student, context.numerics)
        prepared.observe(context.calibration)
        record = {"kind": "int8_qat", "numerics": context.numerics.model_dump(mode="json")}
        return student.with_module(prepared, record)

    def replay(self, student: Student, record: dict[str, Any]) -> Student:
        """The same graph from the float student; the weights and ranges are the caller's to load."""
        prepared = _prepare(student, Numerics.model_validate(record["numerics"]))
        prepared.observe([tuple(torch.zeros_like(x) for x in student.example())])  # gives the ranges their shapes
        return student.with_module(prepared, record)

    def begin_epoch(self, student: Student, epoch: int, epochs: int) -> None:
        """Freeze BatchNorm's statistics and the ranges, each from its share of the epochs on."""
        assert isinstance(student.module, QatModule)
        student.module.bn_frozen = epoch >= self.freeze_bn_after * epochs
        student.module.ranges_frozen = epoch > 0 and epoch >= self.freeze_ranges_after * epochs

    def finish(self, student: Student) -> Student:
        """The int8 network, ready to be exported; the student stays as it is."""
        assert isinstance(student.module, QatModule)
        with quiet():
            module = copy.deepcopy(student.module).eval()
            fold_batchnorm(module.graph)
            converted = convert_pt2e(module.graph)
        snap_biases(converted)
        return student.with_module(converted)

    def ensures(self, before: Student, after: Student) -> None:
        """Something is quantized, the output keeps its shape, parameters are finite."""
        assert isinstance(after.module, QatModule)
        if not after.module.quantized:
            raise ExportError("nothing in this network can be quantized by the target's ops", where="int8_qat")
        after.module.eval()
        with torch.no_grad():
            got = joined(after.module(*after.example()))
            wanted = joined(before.module.eval()(*before.example()))
        if got.shape != wanted.shape:
            raise ExportError("the output's shape changed", where="int8_qat", found=tuple(got.shape))
        for name, parameter in after.module.named_parameters():
            if not torch.isfinite(parameter).all():
                raise ExportError("a parameter is not finite", where=f"int8_qat: {name}")


class QatModule(nn.Module):
    """An exported graph that ``train()`` and ``eval()`` work on: BatchNorm, dropout and the observers follow.

    torchao's own switches rewrite the graph by pattern, change dropout's p and know one momentum only; here the
    nodes' own flags are set.
    """

    def __init__(self, graph: GraphModule, momenta: list[float], quantized: list[str]) -> None:
        super().__init__()
        self.graph = graph
        self.quantized = quantized
        self.bn_frozen = False
        self.ranges_frozen = False
        for node, momentum in zip(self._nodes("batch_norm"), momenta, strict=True):
            node.update_arg(6, momentum)
        self.train(False)

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.graph(*inputs)

    def train(self, mode: bool = True) -> QatModule:
        """Training mode moves BatchNorm's statistics and the ranges, where they are not frozen; evaluation neither."""
        self.training = mode
        changed = self._set("batch_norm", 5, mode and not self.bn_frozen)
        changed |= self._set("dropout", 2, mode)
        if changed:
            self.graph.recompile()
        observing = mode and not self.ranges_frozen
        for module in self.graph.modules():
            if isinstance(module, FakeQuantizeBase):
                module.enable_observer(observing)
        return self

    def observe(self, batches: Any) -> None:
        """Set the ranges from batches of inputs, with everything else in evaluation mode."""
        self.eval()
        fakes = [m for m in self.graph.modules() if isinstance(m, FakeQuantizeBase)]
        for fake in fakes:
            fake.enable_observer(True)
            fake.enable_fake_quant(False)
        with torch.no_grad():
            for batch in batches:
                self.graph(*batch)
        for fake in fakes:
            fake.enable_fake_quant(True)
        self.eval()

    def _nodes(self, name: str) -> list[Node]:
        return [node for node in self.graph.graph.nodes if op(node) == name]

    def _set(self, name: str, index: int, value: bool) -> bool:
        changed = False
        for node in self._nodes(name):
            if node.args[index] != value:
                node.update_arg(index, value)
                changed = True
        return changed


def _prepare(student: Student, numerics: Numerics) -> QatModule:
    module = copy.deepcopy(student.module).eval()
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_var is not None:
            # The fusion would put its own epsilon in place of this one, in silence.
            part.running_var.add_(part.eps - EPS)
            part.eps = EPS
    with quiet():
        try:
            exported = torch.export.export(module, student.example(), dynamic_shapes=student.dynamic_shapes())
        except (RuntimeError, ValueError, TypeError, AttributeError, torch._dynamo.exc.TorchDynamoException) as err:
            raise ExportError(f"can't be exported: {str(err).strip().splitlines()[0]}", where="int8_qat") from err
        graph = exported.module(check_guards=False)
        _own_parameters(graph)
        momenta = [float(node.args[6]) for node in graph.graph.nodes if op(node) == "batch_norm"]
        annotator = Annotator(numerics)
        prepared = prepare_qat_pt2e(graph, annotator)
    return QatModule(prepared, momenta, annotator.quantized)


def _own_parameters(graph: GraphModule) -> None:
    """Give each use of a shared convolution, linear layer or BatchNorm its own parameters.

    A convolution used twice has one weight and two BatchNorms behind it: folding both into the one weight is wrong,
    and nothing would say so.
    """
    seen: set[str] = set()
    for node in list(graph.graph.nodes):
        if op(node) not in ("conv1d", "conv2d", "conv3d", "linear", "batch_norm"):
            continue
        mine: set[str] = set()
        for index, arg in enumerate(node.args):
            if not isinstance(arg, Node) or arg.op != "get_attr":
                continue
            name = str(arg.target)
            mine.add(name)
            if name in seen:
                node.update_arg(index, _copied(graph, arg, len(seen)))
        seen |= mine
    graph.graph.lint()
    graph.recompile()


def _copied(graph: GraphModule, source: Node, number: int) -> Node:
    value: Any = graph
    for part in str(source.target).split("."):
        value = getattr(value, part)
    name = f"{str(source.target).replace('.', '_')}_copy{number}"
    own = value.detach().clone()
    if isinstance(value, nn.Parameter):
        graph.register_parameter(name, nn.Parameter(own))
    else:
        graph.register_buffer(name, own)
    with graph.graph.inserting_after(source):
        node = graph.graph.get_attr(name)
    node.meta = dict(source.meta)
    return node
