"""Operators that no integer kernel computes as a whole are spelled in those that some do."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.nn import functional as F

from edgekd.compress._base import Context
from edgekd.compress._graph import op
from edgekd.compress._rewrites import fold_into_linear, rewrite
from edgekd.compress.int8_ptq import Int8Ptq
from edgekd.learn.quiet import quiet
from edgekd.learn.student import Student, TensorSpec
from edgekd.lower.lower import to_onnx
from edgekd.spec import target


def exported(module: nn.Module, x: Tensor) -> GraphModule:
    with quiet():
        return torch.export.export(module.eval(), (x,)).module(check_guards=False)


def operators(graph: GraphModule) -> list[str]:
    return [op(node) for node in graph.graph.nodes if op(node)]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-60, 60, width=32), min_size=1, max_size=40), st.booleans())
def test_silu_is_its_input_times_its_sigmoid(numbers: list[float], inplace: bool) -> None:
    class Swish(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.silu(x + 0, inplace=inplace)

    x = torch.tensor([numbers])
    graph = exported(Swish(), x)
    rewrite(graph)
    assert operators(graph) == ["add", "sigmoid", "mul"]
    assert torch.allclose(graph(x), nn.functional.silu(x), rtol=1e-6, atol=1e-7)


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 0.5), st.floats(0, 0.5), st.booleans())
def test_a_randomised_leaky_relu_has_the_middle_of_its_slopes(lower: float, more: float, inplace: bool) -> None:
    class Randomised(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            written = x + 0
            activated = nn.functional.rrelu(written, lower, lower + more, inplace=inplace)
            return activated + written

    x = torch.linspace(-3, 3, 13).reshape(1, 13)
    graph = exported(Randomised(), x)
    rewrite(graph)
    assert operators(graph) == ["add", "leaky_relu", "add"]
    assert torch.allclose(graph(x), Randomised()(x), rtol=1e-6, atol=1e-7)


def test_one_that_draws_its_slopes_stays() -> None:
    graph = exported(nn.RReLU(), torch.randn(2, 3))
    (node,) = (node for node in graph.graph.nodes if op(node) == "rrelu")
    node.args = (node.args[0], 0.1, 0.3, True)
    rewrite(graph)
    assert operators(graph) == ["rrelu"]


def test_what_is_written_has_the_shape_and_the_place_of_the_silu() -> None:
    """The annotator and the report read both."""
    graph = exported(nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU()), torch.randn(2, 3, 6, 6))
    (silu,) = (node for node in graph.graph.nodes if op(node) == "silu")
    shape, stack = silu.meta["val"].shape, silu.meta["nn_module_stack"]
    rewrite(graph)
    for node in graph.graph.nodes:
        if op(node) in ("sigmoid", "mul"):
            assert node.meta["val"].shape == shape and node.meta["nn_module_stack"] == stack


@pytest.mark.parametrize(("more", "left"), [(0, []), (1, ["cat"])])
def test_empty_tensors_are_not_put_together(more: int, left: list[str]) -> None:
    """As of GPT-2, whose products with parameters make keys that are put behind a cache that is empty."""

    class Cached(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(6, 6))

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([torch.tensor([]), x @ self.weight, *[x] * more], dim=-2)

    x = torch.randn(2, 5, 6)
    graph = exported(module := Cached(), x)
    rewrite(graph)
    assert [name for name in operators(graph) if name == "cat"] == left
    assert torch.allclose(graph(x), module(x), atol=1e-6)
    student = Student(module, (TensorSpec("input", (None, 5, 6)),), (TensorSpec("y", (None, 5 * (1 + more), 6)),), ())
    after = Int8Ptq().apply(student, Context(target.load("ort-cpu").quantized, 4, [student.example(4)]))
    assert after.module(x).shape == module(x).shape


@pytest.mark.parametrize("written", [False, True])
def test_one_tensor_alone_is_put_together_where_something_is_written_into_it(written: bool) -> None:
    class Written(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x = x + 0
            both = torch.cat([torch.tensor([]), x], dim=-1)
            return (F.relu(x, inplace=True) if written else F.relu(x)) + both

    x = torch.randn(2, 5)
    graph = exported(Written(), x)
    rewrite(graph)
    assert ("cat" in operators(graph)) == written and torch.equal(graph(x), Written()(x))


def test_everything_else_stays() -> None:
    layers = (nn.Sigmoid(), nn.GELU(), nn.Hardswish(), nn.ELU(), nn.Tanh(), nn.ReLU())
    graph = exported(nn.Sequential(*layers), torch.randn(2, 3))
    rewrite(graph)
    assert operators(graph) == ["sigmoid", "gelu", "hardswish", "elu", "tanh", "relu"]


ATTENTIONS: dict[str, tuple[Callable[[Tensor, Tensor, Tensor], Tensor], bool]] = {
    "plain": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v), True),
    "with a scale": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v, scale=0.3), True),
    "with a mask of summands": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=q @ k.transpose(2, 3)), True
    ),
    "with a mask of places": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=torch.ones(5, 5).tril().bool()), True
    ),
    "causal": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), False),
    "of shared heads": (lambda q, k, v: F.scaled_dot_product_attention(q, k[:, :1], v[:, :1], enable_gqa=True), False),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTENTIONS)
def test_attention_is_two_products_and_a_softmax(name: str) -> None:
    attend, spelled = ATTENTIONS[name]

    class Attention(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            q, k, v = x.unbind(1)
            return attend(q, k, v)

    x = torch.randn(3, 3, 2, 5, 4)
    with quiet():
        free = {0: torch.export.Dim.AUTO}
        graph = torch.export.export(Attention(), (x,), dynamic_shapes=(free,)).module(check_guards=False)
    rewrite(graph)
    assert ("softmax" in operators(graph)) == spelled != ("scaled_dot_product_attention" in operators(graph))
    for batch in (x, torch.randn(2, 3, 2, 5, 4)):
        assert torch.allclose(graph(batch), Attention()(batch), atol=1e-6)
    for node in graph.graph.nodes:
        assert node.op != "call_function" or "val" in node.meta, node


@pytest.mark.parametrize("bias", [True, False])
def test_a_batchnorm_goes_into_the_linear_layer_that_it_alone_reads(bias: bool) -> None:
    norm = nn.BatchNorm1d(6)
    nn.init.uniform_(norm.weight, -1.5, 1.5)
    assert norm.running_mean is not None and norm.running_var is not None
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    module, x = nn.Sequential(nn.Linear(4, 6, bias=bias), norm, nn.ReLU()).eval(), torch.randn(7, 4)
    graph = exported(module, x)
    fold_into_linear(graph)
    assert operators(graph) == ["linear", "relu"]
    assert torch.allclose(graph(x), module(x), atol=1e-5)


def test_a_batchnorm_that_reads_what_others_read_stays() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.norm, self.tokens = nn.Linear(4, 6), nn.BatchNorm1d(6), nn.BatchNorm1d(5)

        def forward(self, x: Tensor) -> Tensor:
            y = self.linear(x[:, 0])
            return self.norm(y) + y + self.tokens(self.linear(x)).sum(1)

    x = torch.randn(7, 5, 4)
    graph = exported(Net(), x)
    before = operators(graph)
    fold_into_linear(graph)
    assert operators(graph) == before and before.count("batch_norm") == 2


class Standardized(nn.Module):
    """A convolution whose weight a BatchNorm without statistics makes, as those of BiT are."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.factor, self.offset = nn.Parameter(torch.rand(4) + 0.5), nn.Parameter(torch.rand(4))

    def forward(self, x: Tensor) -> Tensor:
        rows = self.conv.weight.reshape(1, 4, -1)
        weight = F.batch_norm(rows, None, None, self.factor, self.offset, training=True, eps=1e-6)
        return F.conv2d(x, weight.reshape_as(self.conv.weight), self.conv.bias)


def test_a_weight_that_its_own_statistics_make_is_made_of_plain_operators() -> None:
    torch.manual_seed(0)
    net, x = Standardized(), torch.randn(2, 3, 6, 6)
    graph = exported(net, x)
    rewrite(graph)
    assert "batch_norm" not in operators(graph)
    torch.testing.assert_close(graph(x), net(x), atol=1e-5, rtol=1e-5)


def test_a_batch_norm_of_samples_is_none_of_those() -> None:
    """Its answers depend on who else is in the batch: it is refused, and by name."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False))
    graph = exported(net, torch.randn(2, 3, 6, 6))
    rewrite(graph)
    assert "batch_norm" in operators(graph)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(1, 4), st.sampled_from([1, 2]), st.sampled_from(["same", "valid"]), st.booleans())
def test_paddings_by_name_become_numbers(height: int, width: int, dilation: int, padding: str, bias: bool) -> None:
    torch.manual_seed(0)
    net = nn.Conv2d(2, 3, (height, width), dilation=dilation, padding=padding, bias=bias)
    x = torch.randn(2, 2, 12, 12)
    graph = exported(net, x)
    rewrite(graph)
    convolutions = [node.target for node in graph.graph.nodes if op(node) == "conv2d"]
    assert convolutions == [torch.ops.aten.conv2d.default]
    torch.testing.assert_close(graph(x), net(x), atol=1e-5, rtol=1e-5)


PRODUCTS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "matmul": lambda x, w, b: x @ w + b,
    "addmm": lambda x, w, b: torch.addmm(b, x.flatten(0, 1), w).unflatten(0, (2, -1)),
    "einsum": lambda x, w, b: torch.einsum("bti, ih -> bth", x, w),
    "einsum with dots": lambda x, w, b: torch.einsum("...i,ih->...h", x, w),
    "rows": lambda x, w, b: x @ w.T + b,
    "rows by another name": lambda x, w, b: torch.matmul(x, w.transpose(0, 1)) + b,
    "einsum with rows": lambda x, w, b: torch.einsum("bti,hi->bth", x, w),
}
OTHERS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "along steps": lambda x, w, b: torch.einsum("bti,tk->bki", x, w),
    "turned": lambda x, w, b: torch.einsum("bti,ih->bht", x, w),
    "of itself": lambda x, w, b: x @ x.transpose(1, 2),
    "from the left": lambda x, w, b: w @ x,
    "weighed": lambda x, w, b: torch.addmm(b, x.flatten(0, 1), w, alpha=2.0),
}


class Product(nn.Module):
    """A parameter of the network's own, and what is made of it."""

    def __init__(self, compute: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.compute = compute
        self.weight, self.bias = nn.Parameter(torch.randn(6, 6)), nn.Parameter(torch.randn(6))

    def forward(self, x: Tensor) -> Tensor:
        return self.compute(x, self.weight, self.bias)


@pytest.mark.parametrize("name", [*PRODUCTS, *OTHERS])
def test_a_product_with_a_parameter_is_a_linear_layer_and_no_other_is(name: str) -> None:
    torch.manual_seed(0)
    module, x = Product((PRODUCTS | OTHERS)[name]), torch.randn(2, 6, 6)
    graph = exported(module, x)
    rewrite(graph)
    assert ("linear" in operators(graph)) == (name in PRODUCTS)
    assert not {"matmul", "addmm", "einsum"} & {*operators(graph)} or name in OTHERS
    assert torch.allclose(graph(x), module(x), atol=1e-5)


def test_weights_of_such_products_are_int8() -> None:
    torch.manual_seed(0)
    module = Product(lambda x, w, b: torch.relu(x @ w + b).mean(1))
    inputs, outputs = TensorSpec("input", (None, 6, 6)), TensorSpec("y", (None, 6))
    student = Student(module.eval(), (inputs,), (outputs,), ({"kind": "student"},))
    scheme, change = target.load("ort-cpu").quantized, Int8Ptq()
    assert scheme is not None
    after = change.apply(student, Context(scheme, 1, [student.example(16)]))
    graph = onnx.load_from_string(to_onnx(change.finish(after, scheme.written), opset=20, metadata={})).graph
    kinds = {tuple(tensor.dims): tensor.data_type for tensor in graph.initializer}
    assert kinds[6, 6] == onnx.TensorProto.INT8
