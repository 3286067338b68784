"""Pruning goes through what people write: cut, held against the network whose channels are zero, trained, replayed.

Each network here is small and does one thing to its channels.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch_pruning
from torch import Tensor, nn
from torch.nn import functional

from edgekd.base import plugins
from edgekd.compress import Context
from edgekd.compress._channels import pruning, trials
from edgekd.compress._channels.network import read
from edgekd.learn.quiet import quiet
from edgekd.learn.student import Student, TensorSpec, joined

IMAGE, STEPS, VOLUME = (3, 8, 8), (6, 12), (2, 4, 6, 6)
NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {}


def net(name: str, shape: tuple[int, ...] = IMAGE) -> Callable[[type[nn.Module]], type[nn.Module]]:
    """List a network by what it does."""

    def add(kind: type[nn.Module]) -> type[nn.Module]:
        NETS[name] = kind, shape
        return kind

    return add


def conv(inputs: int, outputs: int, kernel: int = 3, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class Body(nn.Module):
    """A layer before, the thing itself (``mix``, of ``wide`` channels out), and a layer and the head behind."""

    def __init__(self, wide: int = 16, first: int = 16) -> None:
        super().__init__()
        self.before, self.behind, self.head = conv(3, first), conv(wide, 16), nn.Linear(16, 4)

    def mix(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.head(self.behind(self.mix(self.before(x))).mean((2, 3))))


@net("chunk")
class Chunk(Body):
    def __init__(self) -> None:
        super().__init__(16, 32)

    def mix(self, x: Tensor) -> Tensor:
        one, other = x.chunk(2, dim=1)
        return one * other.sigmoid()


@net("split by a number")
class Split(Body):
    def __init__(self) -> None:
        super().__init__(32, 32)

    def mix(self, x: Tensor) -> Tensor:
        return torch.cat([part * 2 for part in x.split(16, 1)], 1)


@net("split by unequal sizes")
class Unequal(Body):
    def __init__(self) -> None:
        super().__init__(24, 32)

    def mix(self, x: Tensor) -> Tensor:
        one, other = torch.split(x, [8, 24], dim=1)
        return torch.cat([other[:, :16], one], 1)


@net("slices")
class Slices(Body):
    def __init__(self) -> None:
        super().__init__(16, 32)

    def mix(self, x: Tensor) -> Tensor:
        return x[:, :16] + x[:, 16:].relu()


@net("narrow and a padded shortcut")
class Padded(Body):
    def __init__(self) -> None:
        super().__init__(24)
        self.wider = conv(16, 24)

    def mix(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.wider(x) + functional.pad(x.narrow(1, 0, 16), (0, 0, 0, 0, 0, 8)))


@net("pixel shuffle")
class Shuffled(Body):
    def __init__(self) -> None:
        super().__init__(8, 32)

    def mix(self, x: Tensor) -> Tensor:
        return functional.pixel_shuffle(x, 2)


@net("pixel shuffle by views")
class ShuffledByViews(Body):
    def __init__(self) -> None:
        super().__init__(8, 32)

    def mix(self, x: Tensor) -> Tensor:
        n, _, h, w = x.shape
        return x.view(n, 8, 2, 2, h, w).permute(0, 1, 4, 2, 5, 3).reshape(n, 8, 2 * h, 2 * w)


@net("focus")
class Focus(Body):
    def __init__(self) -> None:
        super().__init__(64)

    def mix(self, x: Tensor) -> Tensor:
        return torch.cat([x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]], 1)


@net("windows laid over each other")
class Overlaid(Body):
    """As in outlook attention (arXiv:2106.13112): the places of each window are weighed, and all are added up."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.randn(9, 1))

    def mix(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        windows = functional.unfold(x, 3, padding=1).view(n, c, 9, h * w)
        weighed = (windows * self.weights.softmax(0)).reshape(n, c * 9, h * w)
        return functional.fold(weighed, (h, w), 3, padding=1)


@net("space to depth by views")
class Unshuffled(Body):
    def __init__(self) -> None:
        super().__init__(64)

    def mix(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        return x.view(n, c, h // 2, 2, w // 2, 2).permute(0, 3, 5, 1, 2, 4).reshape(n, 4 * c, h // 2, w // 2)


@net("channel shuffle and groups")
class Grouped(Body):
    def __init__(self) -> None:
        super().__init__(32, 32)
        self.grouped = conv(32, 32, groups=4)

    def mix(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        return torch.as_tensor(self.grouped(x.view(n, 4, c // 4, h, w).transpose(1, 2).reshape(n, c, h, w)))


@net("depthwise with a multiplier")
class Depthwise(Body):
    def __init__(self) -> None:
        super().__init__(32)
        self.deep = conv(16, 32, groups=16)

    def mix(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.deep(x))


@net("weights of its own in functions")
class Functions(Body):
    def __init__(self) -> None:
        super().__init__()
        self.weight, self.scale = nn.Parameter(torch.randn(16, 16, 3, 3) / 12), nn.Parameter(torch.rand(1, 16, 1, 1))
        self.register_buffer("blur", torch.full((16, 1, 3, 3), 1 / 9))

    def mix(self, x: Tensor) -> Tensor:
        x = functional.conv2d(x, self.weight, padding=1) * self.scale
        assert isinstance(self.blur, Tensor)
        return functional.conv2d(functional.pad(x, (1, 1, 1, 1), mode="circular"), self.blur, groups=16)


@net("weight norm and spectral norm")
class Parametrized(Body):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.utils.parametrizations.weight_norm(nn.Conv2d(16, 24, 3, padding=1))
        self.other = nn.utils.parametrizations.spectral_norm(nn.Conv2d(24, 16, 3, padding=1))

    def mix(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.other(self.one(x).relu()))


@net("standardised weights")
class Standardised(Body):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(16, 16, 3, padding=1)

    def mix(self, x: Tensor) -> Tensor:
        weight = self.one.weight
        weight = (weight - weight.mean((1, 2, 3), keepdim=True)) / (weight.std((1, 2, 3), keepdim=True) + 1e-5)
        return functional.conv2d(x, weight, self.one.bias, padding=1).relu()


@net("one layer twice")
class Shared(Body):
    def __init__(self) -> None:
        super().__init__()
        self.twice = conv(16, 16)

    def mix(self, x: Tensor) -> Tensor:
        return x + torch.as_tensor(self.twice(self.twice(x)))


@net("squeeze and excite, layer scale, group norm")
class Excited(Body):
    def __init__(self) -> None:
        super().__init__()
        self.down, self.up, self.norm = nn.Linear(16, 8), nn.Linear(8, 16), nn.GroupNorm(4, 16)
        self.gamma = nn.Parameter(torch.rand(16))

    def mix(self, x: Tensor) -> Tensor:
        gate = self.up(self.down(x.mean((2, 3))).relu()).sigmoid()
        return torch.as_tensor(x + self.norm(x) * gate[:, :, None, None] * self.gamma[:, None, None])


@net("written into a tensor")
class Written(Body):
    def __init__(self) -> None:
        super().__init__(32)
        self.more = conv(16, 16)

    def mix(self, x: Tensor) -> Tensor:
        room = x.new_zeros(len(x), x.shape[1] * 2, *x.shape[2:])
        room[:, : x.shape[1]] = x
        room[:, x.shape[1] :] = self.more(x)
        return room


@net("flatten and a fixed number")
class Flat(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.one, self.head = conv(3, 16), nn.Linear(16 * 64, 32), nn.Linear(32, 4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.head(self.one(self.body(x).view(-1, 1024)).relu()))


@net("volumes", VOLUME)
class Volumes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Conv3d(2, 16, 3, padding=1), nn.ConvTranspose3d(16, 16, 2, stride=2)
        self.norm, self.head = nn.InstanceNorm3d(16, affine=True), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.head(self.norm(self.other(self.one(x).relu())).relu().amax((2, 3, 4))))


@net("dilated steps", (12, 16))
class Temporal(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Conv1d(12, 16, 3, padding=2), nn.Conv1d(16, 16, 3, padding=4, dilation=2)
        self.same, self.head = nn.Conv1d(12, 16, 1), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.other(self.one(x)[..., :-2].relu())[..., :-4]
        return torch.as_tensor(self.head((y + self.same(x)).relu().mean(-1)))


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.LSTM | nn.GRU | nn.RNN], **more: Any) -> None:
        super().__init__()
        self.cell = kind(12, more.pop("hidden_size", 16), batch_first=True, **more)
        self.head = nn.Linear(32 if more.get("bidirectional") else 16, 4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.head(self.cell(x)[0].mean(1)))


NETS["lstm, two layers, both ways"] = lambda: Recurrent(nn.LSTM, num_layers=2, bidirectional=True), STEPS
NETS["gru"] = lambda: Recurrent(nn.GRU), STEPS
NETS["rnn"] = lambda: Recurrent(nn.RNN), STEPS


NETS["lstm with projections"] = lambda: Recurrent(nn.LSTM, num_layers=2, proj_size=16, hidden_size=24), STEPS


@net("states of sizes that are written down", STEPS)
class States(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.units = nn.LSTM(12, 16, 2, batch_first=True, bidirectional=True), 16
        self.one, self.other, self.head = nn.LSTMCell(32, 16), nn.GRUCell(16, 16), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        weight = next(self.parameters()).data
        first = (weight.new(4, x.size(0), self.units).zero_(), x.new_zeros((4, x.size(0), self.units)))
        y, last = self.cell(x, first)[0], None
        state = (torch.zeros(x.shape[0], self.units), torch.full((x.shape[0], self.units), 0.5))
        for step in y.unbind(1):
            state = self.one(step, state)
            last = self.other(state[0], last)
        return torch.as_tensor(self.head(last))


@net("samples and channels in one axis", STEPS)
class Folded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.other, self.head = nn.Conv1d(6, 16, 1), nn.Conv1d(16, 16, 1), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.one(x).relu()
        n, c, t = y.shape
        y = y.reshape(n * c, t).cumsum(1).view(n, c, t)
        y = self.other(y).view(n, 4, 4, t).softmax(-1)
        return torch.as_tensor(self.head(y.reshape(n, 16, t).amax(-1)))


@net("norms over neighbouring channels")
class Responses(Body):
    def mix(self, x: Tensor) -> Tensor:
        return torch.as_tensor(functional.local_response_norm(x, 5, alpha=1.0))


@net("statistics of each channel")
class Own(Body):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(16, 16)

    def mix(self, x: Tensor) -> Tensor:
        return torch.as_tensor(functional.logsigmoid(self.norm(x)))


class Attention(nn.Module):
    """A residual stream of 32, four heads: ``kind`` says how its code makes them."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.heads, self.width = kind, 4, 8
        self.into, self.qkv, self.out = nn.Linear(12, 32), nn.Linear(32, 96), nn.Linear(32, 32)
        self.norm, self.gated, self.down = nn.LayerNorm(32), nn.Linear(32, 64), nn.Linear(32, 32)
        self.whole = nn.MultiheadAttention(32, 4, batch_first=kind != "steps first")
        self.table = nn.Parameter(torch.randn(4, 6, 6))
        self.head = nn.Linear(32, 4)

    def attend(self, x: Tensor) -> Tensor:
        n, t, _ = x.shape
        if self.kind == "multihead":
            mask = torch.zeros(n, t, dtype=torch.bool)
            return torch.as_tensor(self.whole(x, x, x, key_padding_mask=mask)[0])
        if self.kind == "steps first":
            causal = torch.triu(torch.ones(t, t, dtype=torch.bool), 1)
            x = x.transpose(0, 1)
            return torch.as_tensor(self.whole(x, x, x, attn_mask=causal)[0]).transpose(0, 1)
        if self.kind == "chunked":
            q, k, v = (part.view(n, t, self.heads, self.width).transpose(1, 2) for part in self.qkv(x).chunk(3, -1))
        elif self.kind == "einsum":
            q, k, v = self.qkv(x).view(n, t, 3, self.heads, self.width).permute(2, 0, 3, 1, 4)
            shares = (torch.einsum("nhid,nhjd->nhij", q, k) * self.width**-0.5 + self.table).softmax(-1)
            return torch.as_tensor(self.out(torch.einsum("nhij,nhjd->nihd", shares, v).flatten(2)))
        else:
            q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        if self.kind == "chunked":
            shares = (q @ k.transpose(-2, -1) / math.sqrt(self.width)).softmax(-1)
            return torch.as_tensor(self.out((shares @ v).transpose(1, 2).reshape(n, t, self.heads * self.width)))
        if self.kind == "fused by keyword":
            y = functional.scaled_dot_product_attention(query=q, key=k, value=v)
        else:
            y = functional.scaled_dot_product_attention(q, k, v)
        return torch.as_tensor(self.out(y.transpose(1, 2).reshape(n, t, -1)))

    def forward(self, x: Tensor) -> Tensor:
        x = self.into(x)
        x = x + self.attend(self.norm(x))
        x = x + self.down(functional.glu(self.gated(self.norm(x))))
        return torch.as_tensor(self.head(x.mean(1)))


for _kind in ("chunked", "einsum", "fused", "fused by keyword", "multihead", "steps first"):
    NETS[f"attention: {_kind}"] = (lambda kind=_kind: Attention(kind)), STEPS  # type: ignore[misc]


@net("arguments by keyword")
class Keywords(Body):
    def __init__(self) -> None:
        super().__init__(12, 32)
        self.kernels = nn.Parameter(torch.randn(32, 1, 3, 3))

    def mix(self, x: Tensor) -> Tensor:
        x = functional.conv2d(input=x, weight=self.kernels, padding=1, groups=32)
        one, other = torch.split(tensor=x, split_size_or_sections=[16, 16], dim=1)
        x = torch.narrow(input=one, dim=1, start=-12, length=12) * other.narrow(dim=1, start=0, length=12)
        return torch.reshape(input=x, shape=(-1, 12, 64)).unflatten(dim=2, sizes=(8, 8))


@net("complex numbers")
class Rotated(Body):
    """Rotary positions: each pair of channels is a complex number (Su et al. 2021, arXiv:2104.09864)."""

    def __init__(self) -> None:
        super().__init__()
        self.angles = nn.Buffer(torch.rand(64, 8))

    def mix(self, x: Tensor) -> Tensor:
        pairs = torch.view_as_complex(x.flatten(2).transpose(1, 2).unflatten(2, (8, 2)).contiguous())
        turned = pairs * torch.polar(torch.ones_like(self.angles), self.angles)
        return torch.view_as_real(turned).flatten(2).transpose(1, 2).unflatten(2, (8, 8))


@net("sums at places that are computed")
class Scattered(Body):
    def mix(self, x: Tensor) -> Tensor:
        rows = torch.zeros_like(x).index_add(2, torch.arange(8) // 2, x)
        return rows + torch.zeros_like(x).scatter_add(3, (torch.arange(8) // 2).expand_as(x), x)


@net("maps of several pictures")
class Pictures(Body):
    def mix(self, x: Tensor) -> Tensor:
        y = functional.pad(torch.stack([x, x * 2], 2), (1, 1, 1, 1, 1, 1), mode="reflect")
        places = torch.zeros(len(x), 1, 8, 8, 3)
        return functional.grid_sample(y, places, align_corners=False)[:, :, 0] + x


@net("distances from one another")
class Distances(Body):
    def mix(self, x: Tensor) -> Tensor:
        steps = x.flatten(2).transpose(1, 2)
        near = (-torch.cdist(steps, steps, compute_mode="use_mm_for_euclid_dist")).softmax(-1)
        return (near @ steps).transpose(1, 2).unflatten(2, (8, 8))


@net("a head that only trains")
class Auxiliary(Body):
    def __init__(self) -> None:
        super().__init__()
        self.aux = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.before(x)
        y = torch.as_tensor(self.head(self.behind(x).mean((2, 3))))
        return y + 0 * self.aux(x.mean((2, 3))) if self.training else y


@net("windows that are rolled")
class Windows(Body):
    def mix(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        y = torch.roll(x, (-2, -2), (2, 3)).view(n, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 3, 5, 1)
        y = (y.reshape(-1, 16, 16) * torch.arange(16.0)[:, None]).view(n, h // 4, w // 4, 4, 4, c)
        return y.permute(0, 5, 1, 3, 2, 4).reshape(n, c, h, w)


@net("numbers put where the largest were")
class Unpooled(Body):
    def __init__(self) -> None:
        super().__init__()
        self.inner = conv(16, 16)

    def mix(self, x: Tensor) -> Tensor:
        y, places = functional.max_pool2d(x, 2, return_indices=True)
        return functional.max_unpool2d(torch.as_tensor(self.inner(y)), places, [2, 2])


@net("products of two tensors")
class Products(Body):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.other, self.product = conv(16, 16), conv(16, 24), nn.Bilinear(16, 24, 16)

    def mix(self, x: Tensor) -> Tensor:
        one, other = (layer(x).permute(0, 2, 3, 1) for layer in (self.one, self.other))
        return torch.as_tensor(self.product(one, other).permute(0, 3, 1, 2))


@net("a module that compares its own number")
class Compared(Body):
    def __init__(self) -> None:
        super().__init__()
        self.strict = Strict(16)

    def mix(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.strict(x))


class Strict(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.num_channels = channels

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] != self.num_channels:
            raise ValueError(f"{x.shape[1]} channels, not {self.num_channels}")
        return x.relu()


def student_of(name: str) -> Student:
    torch.manual_seed(0)
    make, shape = NETS[name]
    module = make()
    with torch.no_grad():
        module.train()(torch.randn(32, *shape))  # statistics of its own
    outputs = (TensorSpec("logits", (None, 4)),)
    return Student(module.eval(), (TensorSpec("input", (None, *shape)),), outputs, ({"kind": "student"},))


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("name", NETS)
def test_a_network_is_cut_and_answers_as_if_its_channels_were_zero(name: str) -> None:
    student = student_of(name)
    change = plugins.build("compress", {"kind": "channel_prune", "ratio": 0.5, "multiple": 4, "keep": 4}, "compress[0]")
    after = change.apply(student, Context(None, 4, [student.example(4)]))
    change.ensures(student, after)
    record = json.loads(json.dumps(after.lineage[-1]))
    assert record["whole"] == {} and after.params <= 0.65 * student.params, record

    x = student.example(3, seed=1)
    again = change.replay(student, record)
    again.module.load_state_dict(after.module.state_dict())
    for module in (after.module, again.module, copy.deepcopy(after.module)):
        assert torch.equal(module.eval()(*x), after.module(*x))
    after.module.train()(*x).square().mean().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in after.module.parameters())
    with quiet():
        exported = torch.export.export(after.module.eval(), x, strict=False).module()
    assert torch.allclose(exported(*x), after.module(*x), atol=1e-5)


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("name", NETS)
def test_each_group_alone_answers_as_if_its_channels_were_zero(name: str) -> None:
    """Here half of every group, and to rounding; the whole network's weights are zero where the plan takes them.

    Means and norms over channels are those of the channels that are left.
    """
    student = student_of(name)
    network = read(student)
    for path, family in network.families.items():
        gone = {path: sorted(family.positions[: len(family.positions) // 2].ravel().tolist())}
        if pruning.refused(student, gone, network):  # its own code asks for as many channels of another group
            continue
        module, plan = pruning.cut(student, gone, network)
        zeroed = trials.zeroed(student, plan, network, network.left(gone))
        x = student.example(3, seed=1)
        with torch.no_grad():
            assert torch.allclose(module(*x), joined(zeroed(*x)), atol=1e-5), path


def test_a_wrong_plan_is_seen() -> None:
    """A group whose reader loses other channels than were made runs, and answers otherwise."""
    student = student_of("slices")
    network = read(student)
    path = next(iter(network.families))
    trial = trials.Trial(student, {path: [0, 1, 16, 17]}, network)
    plan = network.plan({path: [0, 1, 16, 17]}, calls=True)
    assert trial._wrong(plan, [path]) is None
    plan["parameters"]["behind.0.weight"]["1"] = [5, 6]
    assert trial._wrong(plan, [path]) == trials.MIXED


@pytest.mark.parametrize("kind", ["convnet", "resnet", "mobilenet"])
def test_another_pruner_finds_the_same_channels_together(kind: str) -> None:
    """Torch-Pruning follows modules where ours follows operators; what both can follow has the same groups."""
    module = plugins.build("models", {"kind": kind}, "model").build((3, 16, 16), 4).eval()
    outputs = (TensorSpec("logits", (None, 4)),)
    student = Student(module, (TensorSpec("input", (None, 3, 16, 16)),), outputs, ({"kind": "student"},))
    network = read(student)
    with quiet():
        graph = torch_pruning.DependencyGraph().build_dependency(module, student.example(1))
    paths = {layer: path for path, layer in module.named_modules()}
    assert len(network.families) > 2
    for path, family in network.families.items():
        layer = module.get_submodule(path)
        units = list(range(len(family.positions) // 2))
        group = graph.get_pruning_group(layer, graph.get_pruner_of_module(layer).prune_out_channels, units)
        theirs = {
            (paths[dep.target.module], "in" in dep.handler.__name__.split("_"), tuple(sorted(indices)))
            for dep, indices in group
            if isinstance(dep.target.module, nn.Conv2d | nn.Linear) and dep.target.module.weight.shape[1] > 1
        }
        ours = {
            (name.removesuffix(".weight"), (name, at) in family.reads, tuple(family.rows((name, at), np.array(units))))
            for name, at in family.places
            if len(axes := network.trace.parameters[name]) > 1 and axes[1] is not None
        }
        assert {row for row in ours if isinstance(module.get_submodule(row[0]), nn.Conv2d | nn.Linear)} == theirs, path
