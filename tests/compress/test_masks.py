"""Masks: queries with nothing to attend to are answered as torch does, and what hides is not rounded with the rest."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekd.base import plugins
from edgekd.compress._base import Context
from edgekd.compress._graph import op
from edgekd.compress._rewrites import rewrite
from edgekd.learn.quiet import quiet
from edgekd.learn.student import Student, TensorSpec
from edgekd.spec import target

STEPS, WIDTH = 6, 8
Masking = Callable[[Tensor], Tensor]  # (N, L) whether a step counts -> what an attention, or a layer, is given


def pairs(seen: Tensor) -> Tensor:
    return seen[:, None, :, None] & seen[:, None, None, :]


HIDING: dict[str, Masking] = {
    "pairs": pairs,
    "-inf by masked_fill": lambda seen: torch.zeros(len(seen), 1, STEPS, STEPS).masked_fill(~pairs(seen), -math.inf),
    "-inf by where": lambda seen: torch.where(pairs(seen), 0.0, -math.inf),
    "a logarithm": lambda seen: pairs(seen).float().log(),
}
KEYS: dict[str, Masking] = {
    "keys": lambda seen: seen[:, None, None, :],
    "keys, as wide as all": lambda seen: seen[:, None, None, :].expand(seen.shape[0], 1, STEPS, STEPS),
    "keys so far": lambda seen: seen[:, None, None, :] & torch.ones(STEPS, STEPS, dtype=torch.bool).tril(),
    "-inf at keys": lambda seen: torch.zeros(seen.shape[0], 1, 1, STEPS).masked_fill(
        ~seen[:, None, None, :], -math.inf
    ),
}
NEVER: dict[str, Masking] = {
    "finite": lambda seen: torch.where(pairs(seen), 0.0, torch.finfo(torch.float32).min),
    "of no input": lambda seen: torch.ones(STEPS, STEPS, dtype=torch.bool).tril(),
}


class Attending(nn.Module):
    def __init__(self, mask: Masking) -> None:
        super().__init__()
        self.mask = mask
        self.into, self.out, self.fc = nn.Linear(WIDTH, 32), nn.Linear(32, 32), nn.Linear(32, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = self.into(x)
        heads = h.unflatten(2, (4, 8)).transpose(1, 2)
        y = functional.scaled_dot_product_attention(heads, heads, heads, attn_mask=self.mask(x[:, :, 0] > 0))
        return torch.as_tensor(self.fc((h + self.out(y.transpose(1, 2).flatten(2))).mean(1)))


def student_of(net: nn.Module) -> Student:
    inputs, outputs = TensorSpec("input", (None, STEPS, WIDTH)), TensorSpec("logits", (None, 4))
    return Student(net.eval(), (inputs,), (outputs,), ({"kind": "student"},))


@pytest.mark.parametrize("name", [*HIDING, *NEVER])
def test_a_query_with_nothing_to_attend_to_is_answered_with_zeros(name: str) -> None:
    torch.manual_seed(0)
    net = Attending((HIDING | NEVER)[name])
    (x,) = student_of(net).example(4)
    x[0, :, 0] = -1.0
    with quiet():
        graph = torch.export.export(net, (x,)).module(check_guards=False)
    rewrite(graph)
    names = [op(node) for node in graph.graph.nodes]
    assert "softmax" in names and ("any" in names) == (name in HIDING), "others cost nothing"
    torch.testing.assert_close(graph(x), net(x), atol=1e-5, rtol=1e-5)
    x.requires_grad_(True)
    assert torch.isfinite(torch.autograd.grad(graph(x).square().sum(), x)[0]).all()


@pytest.mark.parametrize("name", KEYS)
def test_where_the_keys_alone_are_hidden_nothing_is_paid_and_nothing_is_infinite(name: str) -> None:
    torch.manual_seed(0)
    net = Attending(KEYS[name])
    (x,) = student_of(net).example(4)
    x[:, :, 0] = 1.0
    x[0, :, 0], x[1, 4:, 0] = -1.0, -1.0  # a sample without a step that counts, and one of four
    with quiet():
        sizes = ({0: torch.export.Dim("batch", min=2)},)  # which an expansion is told, as a number of the graph
        graph = torch.export.export(net, (x,), dynamic_shapes=sizes).module(check_guards=False)
    rewrite(graph)
    assert "any" not in [op(node) for node in graph.graph.nodes]
    assert torch.isfinite(graph(x)).all()
    torch.testing.assert_close(graph(x)[1:], net(x)[1:], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", HIDING)
def test_such_queries_leave_an_int8_network_its_numbers(name: str) -> None:
    torch.manual_seed(0)
    student = student_of(Attending(HIDING[name]))
    change = plugins.build("compress", {"kind": "int8_ptq"}, "compress[0]")
    (x,) = student.example(32)
    x[0, :, 0] = -1.0
    after = change.apply(student, Context(target.load("ort-cpu").quantized, 1, [(x,)]))
    change.ensures(student, after)
    with torch.no_grad():
        wanted, answers = student.module(x), change.finish(after).module(x)
    assert (wanted - answers).abs().max() < 0.02 * (wanted.max() - wanted.min())


class Largest(nn.Module):
    """The largest of each channel over the steps that count."""

    def __init__(self, mask: Masking, clipped: bool = False) -> None:
        super().__init__()
        self.mask, self.clipped = mask, clipped
        self.conv, self.fc = nn.Conv1d(WIDTH, 32, 3, padding=1), nn.Linear(32, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv(x.transpose(1, 2)) + self.mask(x[:, :, 0] > -0.5)[:, None]
        return torch.as_tensor(self.fc((h.relu() if self.clipped else h).amax(2)))


ADDED: dict[str, Masking] = {
    "a multiple": lambda seen: (1.0 - seen.float()) * -1e4,
    "a quotient": lambda seen: (seen.float() - 1.0) / 1e-4,
    "masked_fill": lambda seen: torch.zeros(seen.shape).masked_fill(~seen, -1e4),
    "where": lambda seen: torch.where(seen, 0.0, -1e4),
    "a logarithm": lambda seen: (seen.float() + 1e-30).log(),
}


@pytest.mark.parametrize("place", ["ort-cpu", "openvino"])
@pytest.mark.parametrize("name", ADDED)
def test_what_is_added_to_hide_does_not_take_the_whole_range(name: str, place: str) -> None:
    torch.manual_seed(0)
    student = student_of(Largest(ADDED[name]))
    change = plugins.build("compress", {"kind": "int8_ptq"}, "compress[0]")
    x = student.example(32)
    after = change.apply(student, Context(target.load(place).quantized, 1, [x]))
    with torch.no_grad():
        wanted, answers = student.module(*x), change.finish(after).module(*x)
    assert (wanted - answers).abs().max() < 0.03 * (wanted.max() - wanted.min())


def test_a_sum_that_a_clip_ends_is_int8_whatever_hides_there() -> None:
    for mask, clipped, rounded in (
        (ADDED["a multiple"], False, False),
        (ADDED["a multiple"], True, True),
        (lambda seen: seen.float() * 0.5, False, True),
    ):
        student = student_of(Largest(mask, clipped))
        change = plugins.build("compress", {"kind": "int8_ptq"}, "compress[0]")
        after = change.apply(student, Context(target.load("ort-cpu").quantized, 1, [student.example(32)]))
        sums = [name for name in after.module.quantized if name.startswith("add")]
        assert bool(sums) == rounded, (clipped, sums)
