"""What a runtime computes in float is not rounded in its file, nor in what that is held against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node
from torch.nn import functional as F

from edgekd.compress._base import Context
from edgekd.compress._graph import behind, op, source_of
from edgekd.compress._unrounded import DEQUANTIZE, QUANTIZE
from edgekd.compress.int8_ptq import Int8Ptq
from edgekd.learn.student import Student, TensorSpec
from edgekd.spec import target

SHAPE = (3, 8, 8)
OPENVINO = target.load("openvino").quantized
assert OPENVINO is not None


class Net(nn.Module):
    """A first convolution with a ReLU, what is tried behind it, and a linear layer."""

    def __init__(self, compute: Callable[[Net, Tensor], Tensor]) -> None:
        super().__init__()
        self.compute = compute
        self.first, self.a, self.b = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 3, padding=1)
        self.norm, self.down, self.up = nn.BatchNorm2d(8), nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.attention, self.head = nn.ModuleList(nn.Linear(8, 8) for _ in range(3)), nn.Linear(8, 4)
        for name in ("0.bias", "1.bias", "2.bias"):
            nn.init.constant_(self.attention.get_parameter(name), 1.0)  # ranges that are wider on one side of zero

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.compute(self, F.relu(self.first(x))).mean((2, 3)))


def finished(compute: Callable[[Net, Tensor], Tensor], **numerics: str) -> tuple[GraphModule, Tensor, Tensor]:
    """The converted graph, an input, and what the graph answers that rounds everywhere."""
    torch.manual_seed(0)
    assert OPENVINO is not None
    specs = TensorSpec("input", (None, *SHAPE)), TensorSpec("logits", (None, 4))
    student = Student(Net(compute).eval(), specs[:1], specs[1:], ({"kind": "student"},))
    x, change = torch.randn(16, *SHAPE), Int8Ptq()
    prepared = change.apply(student, Context(OPENVINO, 1, [(x,)]))
    usual = OPENVINO.model_copy(update={"residual": "quantized", "chains": "quantized"})
    graph = change.finish(prepared, usual.model_copy(update=numerics)).module
    assert isinstance(graph, GraphModule)
    with torch.no_grad():
        return graph, x, change.finish(prepared, usual).module(x)


def rounded(graph: GraphModule, name: str) -> list[bool]:
    """Of each operator of a name, whether somebody reads its result rounded."""
    return [any(user.target is QUANTIZE for user in node.users) for node in graph.graph.nodes if op(node) == name]


def reads(graph: GraphModule, name: str) -> list[list[bool]]:
    """Of each operator of a name, which of its inputs are restored from 8 bits."""
    inputs = [[arg for arg in node.args if isinstance(arg, Node)] for node in graph.graph.nodes if op(node) == name]
    return [[arg.target is DEQUANTIZE for arg in args] for args in inputs]


CHAINS: dict[str, Callable[[Net, Tensor], Tensor]] = {
    "elu": lambda net, x: F.elu(net.b(x)),
    "gelu": lambda net, x: F.gelu(net.b(x)),
    "hardswish": lambda net, x: F.hardswish(net.b(x)),
    "sigmoid": lambda net, x: torch.sigmoid(net.b(x)),
    "hardshrink": lambda net, x: F.hardshrink(net.b(x), 0.1),
    "threshold": lambda net, x: F.threshold(net.b(x), 0.1, 0.0),
    "log_sigmoid": lambda net, x: F.logsigmoid(net.b(x)),
    "sin": lambda net, x: torch.sin(net.b(x)),
}


@pytest.mark.parametrize("name", CHAINS)
def test_what_an_activation_alone_reads_is_not_rounded(name: str) -> None:
    graph, x, usual = finished(CHAINS[name], chains="fused")
    assert rounded(graph, "conv2d") == [False, False], "relu reads the first, the activation the second"
    assert [read[0] for read in reads(graph, name)] == [False]
    with torch.no_grad():
        assert 0 < (graph(x) - usual).abs().max() <= 0.05 * usual.max().sub(usual.min())


def test_silu_is_computed_of_one_unrounded_tensor() -> None:
    graph, _, _ = finished(lambda net, x: F.silu(net.b(x)), chains="fused")
    assert reads(graph, "sigmoid") == [[False]] and reads(graph, "mul") == [[False, False]]


def test_an_activation_of_comparisons_is_computed_of_one_unrounded_tensor() -> None:
    graph, _, _ = finished(lambda net, x: torch.where((y := net.b(x)) > 0, y, 0.1 * y), chains="fused")
    assert rounded(graph, "conv2d") == [False, False]
    assert reads(graph, "gt") == [[False]] and not any(reads(graph, "where")[0])


def test_what_a_layer_reads_stays_rounded() -> None:
    def compute(net: Net, x: Tensor) -> Tensor:
        y = net.b(x)
        return F.elu(y) + net.a(y)

    graph, _, _ = finished(compute, chains="fused")
    assert [read[0] for read in reads(graph, "conv2d")] == [True] * 3
    assert rounded(graph, "conv2d") == [False, True, True] and [read[0] for read in reads(graph, "elu")] == [True]


def test_what_was_rounded_alike_and_only_moved_is_not_rounded_again() -> None:
    """As of GhostNet: what is put together has other readers, whose kernels would write floats."""

    def compute(net: Net, x: Tensor) -> Tensor:
        y = F.relu(net.down(x))
        return net.b(torch.cat([y, y.flip(3)], 1)) + net.up(y)

    def again(graph: GraphModule) -> int:
        moved = [node for node in graph.graph.nodes if op(node) in ("cat", "flip")]
        return sum(user.target is QUANTIZE for node in moved for user in node.users)

    graph, x, usual = finished(compute, chains="fused")
    everywhere, _, _ = finished(compute)
    assert again(graph) == 0 < again(everywhere)
    with torch.no_grad():
        assert torch.equal(graph(x), usual), "what lies on the steps is rounded to itself"


SUMS: dict[str, tuple[Callable[[Net, Tensor], Tensor], list[bool]]] = {
    "a convolution and its input": (lambda net, x: net.b(x) + x, [False, True]),
    "its input first": (lambda net, x: x + net.b(x), [True, False]),
    "two convolutions: the first": (lambda net, x: net.b(x) + net.up(F.relu(net.down(x))), [False, True]),
    "one number a channel": (lambda net, x: net.b(x) + net.a(x.mean((2, 3), keepdim=True)), [True, True]),
    "a parameter": (lambda net, x: net.b(x) + net.norm.weight.view(8, 1, 1).expand(8, 8, 8), [True, True]),
    "what an activation computed": (lambda net, x: F.relu(net.b(x)) + x, [True, True]),
}


@pytest.mark.parametrize("name", SUMS)
def test_one_convolution_before_a_sum_is_not_rounded(name: str) -> None:
    compute, restored = SUMS[name]
    graph, x, usual = finished(lambda net, x: F.relu(compute(net, x)), residual="fused")
    assert reads(graph, "add") == [restored]
    with torch.no_grad():
        assert torch.equal(graph(x), usual) == all(restored)


def test_what_is_not_rounded_before_a_sum_is_clipped_as_ever() -> None:
    """Numbers beyond the range that was seen: OpenVINO clips them, whether it rounds or not."""
    fused, _, _ = finished(lambda net, x: F.relu(net.b(x) + x), residual="fused")
    usual, _, _ = finished(lambda net, x: F.relu(net.b(x) + x))
    (clip,) = (node for node in fused.graph.nodes if op(node) == "clamp")
    (summed,) = (node for node in usual.graph.nodes if op(node) == "add")
    _, scale, zero, low, high, _ = summed.args[0].args
    assert clip.args[1:] == ((low - zero) * scale, (high - zero) * scale)
    assert op(clip.args[0]) == "conv2d" and [op(user) for user in clip.users] == ["add"]


def test_a_convolution_that_somebody_else_reads_stays_rounded_before_a_sum() -> None:
    def compute(net: Net, x: Tensor) -> Tensor:
        y = net.b(x)
        return F.relu(y + x) + net.a(y)

    graph, _, _ = finished(compute, residual="fused")
    assert reads(graph, "add") == [[True, True], [True, False]]


def attended(net: Net, x: Tensor) -> Tensor:
    tokens = x.flatten(2).transpose(1, 2)
    q, k, v = (layer(tokens) for layer in net.attention)
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).unflatten(2, (8, 8))


def test_products_of_activations_are_left_in_float_where_the_target_says_so() -> None:
    for attention, restored in (("float", False), ("quantized", True)):
        graph, _, _ = finished(attended, attention=attention)
        scores, result = reads(graph, "matmul")
        assert len(scores) == len(result) == 2 and result[0] is restored
        assert [read[0] for read in reads(graph, "linear")] == [True] * 4, "what layers read stays"


HEADS: dict[str, Callable[[Tensor], Tensor]] = {
    "transposed": lambda y: y.unflatten(2, (2, 4)).transpose(1, 2),
    "viewed": lambda y: y.view(-1, 64, 2, 4).permute(0, 2, 1, 3),
    "joined": lambda y: y.unflatten(2, (2, 4)).transpose(1, 2).flatten(0, 1),
}


@pytest.mark.parametrize("name", HEADS)
def test_what_products_of_activations_read_is_rounded_once_however_it_is_moved(name: str) -> None:
    """Their format has its zero in the middle; moved on in another one, it would be rounded and converted twice."""

    def compute(net: Net, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        q, k, v = (HEADS[name](layer(tokens)) for layer in net.attention)
        scores = (q @ k.transpose(-2, -1)).softmax(-1) @ v
        return scores.reshape(-1, 8, 8, 8)

    graph, _, _ = finished(compute, attention="quantized")
    moved = frozenset({"view", "transpose", "permute", "reshape", "flatten", "unflatten"})
    for node in graph.graph.nodes:
        if node.target is QUANTIZE and (source := behind(node.args[0], moved)).target is DEQUANTIZE:
            assert source.args[1:] == node.args[1:], "what lies on the steps is rounded to itself"


def test_a_norm_that_several_layers_read_each_moved_in_its_own_way_is_rounded_once() -> None:
    """As attention whose keys a convolution makes fewer reads it; moved as a whole it is rounded behind the move."""

    def apart(net: Net, x: Tensor) -> Tensor:
        y = F.layer_norm(x.flatten(2).transpose(1, 2), (8,))
        grid = y.transpose(1, 2).unflatten(2, (8, 8))
        return net.b(grid) + net.attention[0](y).transpose(1, 2).unflatten(2, (8, 8))

    def together(net: Net, x: Tensor) -> Tensor:
        y = F.layer_norm(x.flatten(2).transpose(1, 2), (8,)).roll(1, 1)
        q, k, _ = (layer(y) for layer in net.attention)
        return (q + k).transpose(1, 2).unflatten(2, (8, 8))

    def between(node: Node) -> list[str]:
        return [op(user) for user in node.users if user.target is not QUANTIZE]

    for compute, moved in ((apart, []), (together, ["roll"])):
        graph, _, _ = finished(compute)
        (norm,) = (node for node in graph.graph.nodes if op(node) == "layer_norm")
        assert between(norm) == moved


def test_a_rounding_that_views_moved_is_left_out_from_where_it_was_made() -> None:
    """As of heads: the second rounding, behind the view, is left out first, and hides no reader of the first."""

    def compute(net: Net, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        q, k, v = (layer(tokens).unflatten(2, (2, 4)).transpose(1, 2) for layer in net.attention)
        heads = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return heads.transpose(1, 2).unflatten(2, (8, 8))

    graph, _, _ = finished(compute, attention="float")
    assert rounded(graph, "linear") == [False] * 4 and rounded(graph, "unflatten")[:3] == [False] * 3
    trained, _, _ = finished(compute, attention="quantized")
    assert rounded(trained, "linear") == [True, True, True, False]


def test_without_either_everything_is_rounded_that_was_trained_so() -> None:
    def compute(net: Net, x: Tensor) -> Tensor:
        return F.elu(net.b(x)) + net.a(x)

    written, _, _ = finished(compute, residual="quantized", chains="quantized")
    fused, _, _ = finished(compute, residual="fused", chains="fused")
    counts = [Counter(node.target is QUANTIZE for node in graph.graph.nodes)[True] for graph in (written, fused)]
    assert counts[0] > counts[1]
    for node in fused.graph.nodes:
        if node.target is DEQUANTIZE and (source := source_of(node)) is not None:
            assert source.op == "get_attr" or source.target is QUANTIZE
