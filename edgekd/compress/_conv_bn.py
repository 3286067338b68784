"""torchao's patterns of a convolution with its BatchNorm: those that a graph needs, each traced once a process.

torchao looks for four kinds of convolutions, by three patterns each, which it traces anew for every network: of the 24
traces of a small build, which took a sixth of its time, 21 were of convolutions that it has not, or made before.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType

from torch import Tensor
from torch.fx import GraphModule

from edgekd.compress._graph import op
from edgekd.learn.quiet import quiet

with quiet():
    from torchao.quantization.pt2e import qat_utils

FUSE, TRACE = "_fuse_conv_bn_qat_helper", "_get_aten_graph_module_for_pattern"
_traced: dict[tuple[object, ...], GraphModule] = {}


@contextmanager
def few_patterns() -> Iterator[None]:
    """Patterns as needed while the block runs; as torchao has them where another version knows no such functions."""
    before = {name: getattr(qat_utils, name) for name in (FUSE, TRACE) if hasattr(qat_utils, name)}
    if len(before) == 2:
        setattr(qat_utils, FUSE, _where_needed(before[FUSE]))
        setattr(qat_utils, TRACE, _once(before[TRACE]))
    try:
        yield
    finally:
        for name, function in before.items():
            setattr(qat_utils, name, function)


def _where_needed(fuse: Callable[..., GraphModule]) -> Callable[..., GraphModule]:
    def fused(graph: GraphModule, convolution: Callable[..., object], *inputs: object, **about: object) -> GraphModule:
        operators = {str(node.target).split(".")[1] for node in graph.graph.nodes if str(node.target).count(".") == 2}
        if convolution.__name__ in operators and not _is_grouped(graph, convolution.__name__):
            return fuse(graph, convolution, *inputs, **about)
        graph.graph.eliminate_dead_code()  # which each of the four begins with
        graph.recompile()
        return graph

    return fused


def _is_grouped(graph: GraphModule, name: str) -> bool:
    """Whether transposed convolutions are of several groups, whose outputs torchao looks for along the wrong axis.

    They stay in float, so that nothing is lost by a BatchNorm that stays behind them.
    """
    convolutions = [node for node in graph.graph.nodes if "transpose" in name and op(node) == name]
    return any(int(group) != 1 for node in convolutions for group in node.args[6:7] if isinstance(group, int))


def _once(trace: Callable[..., GraphModule]) -> Callable[..., GraphModule]:
    def traced(pattern: object, inputs: tuple[Tensor, ...], is_cuda: bool = False, **about: object) -> GraphModule:
        function = getattr(pattern, "fn", None)
        if about or not isinstance(function, FunctionType):  # of another kind than those of a fusion
            return trace(pattern, inputs, is_cuda, **about)
        around = tuple(cell.cell_contents for cell in function.__closure__ or ())  # which convolution
        key = (function.__qualname__, around, tuple(x.shape for x in inputs), is_cuda)
        if key not in _traced:
            _traced[key] = trace(pattern, inputs, is_cuda)
        return copy.deepcopy(_traced[key])

    return traced
