"""Layers that read parts of one parameter, as fused projections do, are quantized as layers with their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.nn import functional

from edgekd.base import plugins
from edgekd.compress import Context
from edgekd.compress._parameters import own_parts
from edgekd.compress._prepared import QatModule
from edgekd.learn.student import Student, TensorSpec
from edgekd.lower.lower import to_onnx
from edgekd.spec import target

WIDTH, SHAPE = 32, (6, 16)


class Attending(nn.Module):
    """Attention over what comes in: from one half of the width to the other where it is ``across``."""

    def __init__(self, across: str = "", **table: Any) -> None:
        super().__init__()
        self.first, self.head, self.across = nn.Linear(16, WIDTH), nn.Linear(WIDTH, 4), across
        self.attention = nn.MultiheadAttention(WIDTH, 4, **table)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        y = y if self.attention.batch_first else y.transpose(0, 1)
        key = {"": y, "memory": y.relu(), "all": y.relu()}[self.across]
        value = y.tanh() if self.across == "all" else key
        y = y + self.attention(y, key, value, need_weights=False)[0]
        return torch.as_tensor(self.head(y.mean(1 if self.attention.batch_first else 0)))


class Fused(nn.Module):
    """Layers whose weight and bias ``parts`` gives, of one weight and one bias."""

    def __init__(self, parts: Callable[[Tensor], list[Tensor]], bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3 * WIDTH, WIDTH) / 6)
        self.bias = nn.Parameter(torch.randn(3 * WIDTH)) if bias else None
        self.first, self.head, self.parts = nn.Linear(16, WIDTH), nn.Linear(WIDTH, 4), parts

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        weights = self.parts(self.weight)
        biases = [None] * len(weights) if self.bias is None else self.parts(self.bias)
        parts = [functional.linear(y, *pair).mean(1) for pair in zip(weights, biases, strict=True)]
        return torch.as_tensor(self.head(sum(part.relu() for part in parts)))


def thirds(whole: Tensor) -> list[Tensor]:
    return list(whole.chunk(3))


def sliced(whole: Tensor) -> list[Tensor]:
    return [whole[:WIDTH], whole[WIDTH : 2 * WIDTH]]


def twice(whole: Tensor) -> list[Tensor]:
    return [*whole.split(WIDTH), *whole.split(WIDTH)]


def overlapping(whole: Tensor) -> list[Tensor]:
    return [whole[:WIDTH], whole[WIDTH // 2 : WIDTH // 2 + WIDTH]]


def unbound(whole: Tensor) -> list[Tensor]:
    return list(whole.unflatten(0, (3, WIDTH)).unbind(0))


def computed(whole: Tensor) -> list[Tensor]:
    return list((whole * 2).chunk(3))


def of(module: nn.Module) -> Student:
    return Student(module.eval(), (TensorSpec("x", (None, *SHAPE)),), (TensorSpec("logits", (None, 4)),))


def quantized(student: Student, x: tuple[Tensor, ...], **keys: Any) -> tuple[Any, Student]:
    change = plugins.build("compress", {"kind": "int8_qat", "samples": 64, **keys}, "compress[0]")
    return change, change.apply(student, Context(target.load("ort-cpu").quantized, 1, [x]))


NETS: dict[str, Callable[[], nn.Module]] = {
    "self": lambda: Attending(batch_first=True),
    "memory": lambda: Attending("memory", batch_first=True),
    "all": lambda: Attending("all"),
    "all without bias": lambda: Attending("all", bias=False, batch_first=True),
    "own widths": lambda: Attending("memory", kdim=WIDTH, vdim=WIDTH),
    "thirds": lambda: Fused(thirds),
    "thirds without bias": lambda: Fused(thirds, bias=False),
    "sliced": lambda: Fused(sliced),
    "unbound": lambda: Fused(unbound),
    "twice": lambda: Fused(twice),
    "overlapping": lambda: Fused(overlapping),
    "computed": lambda: Fused(computed),
}


@pytest.mark.parametrize("name", NETS)
def test_fused_projections_are_corrected_and_trained(name: str) -> None:
    torch.manual_seed(0)
    student = of(NETS[name]())
    x = student.example(64)
    (_, before), (change, after) = (quantized(student, x, bias_correction=on) for on in (False, True))
    with torch.no_grad():
        wanted = student.module(*x).mean(0)
        rounded, corrected = ((s.module(*x).mean(0) - wanted).abs().max() for s in (before, after))
    change.ensures(student, after)
    assert corrected < 0.5 * rounded
    after.module.train()(*x).square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in after.module.parameters())
    replayed = change.replay(student, after.lineage[-1])
    replayed.module.load_state_dict(after.module.state_dict())
    with torch.no_grad():
        assert torch.equal(replayed.module.eval()(*x), after.module.eval()(*x))


def exported(module: nn.Module) -> tuple[GraphModule, tuple[Tensor, ...]]:
    student = of(module)
    program = torch.export.export(student.module, student.example(), dynamic_shapes=student.dynamic_shapes())
    return program.module(check_guards=False), student.example()


@pytest.mark.parametrize(
    ("parts", "left"),
    [(thirds, 6), (sliced, 4), (unbound, 6), (twice, 6), (overlapping, 0), (computed, 0)],
)
def test_each_part_that_a_layer_reads_is_a_parameter(parts: Callable[[Tensor], list[Tensor]], left: int) -> None:
    torch.manual_seed(0)
    graph, x = exported(Fused(parts))
    wanted = graph(*x)
    own_parts(graph)
    names = {name for name, _ in graph.named_parameters()}
    assert sum("_part" in name for name in names) == left
    assert names.isdisjoint({"weight", "bias"}) == bool(left)
    assert torch.equal(graph(*x), wanted)


def test_what_another_reads_or_does_not_train_stays_whole() -> None:
    def detached(whole: Tensor) -> list[Tensor]:
        return list(whole.detach().chunk(3))

    class Penalized(Fused):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * self.weight.square().mean()

    for module, part_names in ((Fused(detached), 0), (Penalized(thirds), 3)):
        graph, _ = exported(module)
        own_parts(graph)
        assert sum("_part" in name for name, _ in graph.named_parameters()) == part_names


def test_biases_of_parts_are_on_the_grid_of_the_files_sums() -> None:
    """One that stays a part of another is no constant: nothing would round it as the runtimes do."""
    torch.manual_seed(0)
    student = of(Fused(thirds))
    x = student.example(64)
    change, after = quantized(student, x)
    assert isinstance(after.module, QatModule) and len(after.module.layers) == 3
    finished = change.finish(after)
    layers = [node for node in finished.module.graph.nodes if node.target is torch.ops.aten.linear.default]
    assert len(layers) == 5 and all(node.args[2].op == "get_attr" for node in layers)
    assert to_onnx(finished, opset=20, metadata={})


def test_an_attention_that_lost_channels_is_quantized() -> None:
    """Its projections are one parameter, of which each reads a third."""
    torch.manual_seed(0)
    student = of(Attending(batch_first=True))
    x = student.example(64)
    prune = plugins.build("compress", {"kind": "channel_prune", "ratio": 0.5, "multiple": 4}, "compress[0]")
    pruned = prune.apply(student, Context(None, 4, [x]))
    assert pruned.params < student.params
    (_, before), (change, after) = (quantized(pruned, x, bias_correction=on) for on in (False, True))
    change.ensures(pruned, after)
    with torch.no_grad():
        wanted = pruned.module(*x).mean(0)
        rounded, corrected = ((s.module(*x).mean(0) - wanted).abs().max() for s in (before, after))
    assert corrected < 0.5 * rounded
