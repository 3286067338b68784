"""A program is traced once where that is all it needs, and its file is the same."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.onnx._internal.exporter import _fx_passes

from edgekd.learn.student import Student, TensorSpec
from edgekd.lower import _decomposed, export
from edgekd.lower.lower import to_onnx
from edgekd.runtime.backends.ort.backend import Ort

IMAGE, VECTOR = (None, 3, 8, 8), (None, 8)


class Net(nn.Module):
    """A function of a tensor, with the layers that it names."""

    def __init__(self, answer: Callable[..., Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.answer, self.layers = answer, nn.ModuleDict(layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.answer(x, **self.layers)


def conv(out: int = 4) -> nn.Module:
    return nn.Conv2d(3, out, 3, padding=1)


def _kept_aside(x: Tensor, a: nn.Module) -> Tensor:
    """What is changed in place is read again: both see the change."""
    y = a(x)
    z = F.relu_(y)
    return (y + z).mean((2, 3))


def _of_a_view(x: Tensor, a: nn.Module) -> Tensor:
    y = a(x)
    y.flatten(1)[:, :2].add_(1)
    return y.mean((2, 3))


def _masked(x: Tensor, a: nn.Module) -> Tensor:
    """What attention masks are made of, in the types that they come in."""
    here, there = (x > 0).to(torch.int64), x < 1
    mask = (here.to(torch.bool) & there)[:, None, :].to(dtype=x.dtype, device=x.device)
    return a(x.to(torch.float32)) + ((1.0 - mask) * -10.0)[:, 0]


# What is traced once, and what again; a name says what is in it.
ONCE = {
    "mixed_types": (
        VECTOR,
        Net(lambda x, a: a((x > 0) * 2.5 + (x > 1).long() * x - (x.argmax(1, keepdim=True) / 3)), a=nn.Linear(8, 3)),
    ),
    "norms": (
        IMAGE,
        nn.Sequential(conv(), nn.BatchNorm2d(4), nn.ReLU(True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)),
    ),
    "norm_without_weights": (IMAGE, nn.Sequential(conv(), nn.BatchNorm2d(4, affine=False), nn.Flatten())),
    "in_place": (IMAGE, Net(lambda x, a, b: a(x).add_(b(x)).relu_().mean((2, 3)), a=conv(), b=conv())),
    "kept_aside": (IMAGE, Net(_kept_aside, a=conv())),
    "a_view_that_changes_nothing": (
        VECTOR,
        Net(lambda x, a: a(x).reshape(-1, 5).view(-1, 5).tanh(), a=nn.Linear(8, 5)),
    ),
    "clamped": (VECTOR, nn.Sequential(nn.Linear(8, 8), nn.Hardtanh(inplace=True), nn.LayerNorm(8), nn.SiLU(True))),
    "norm_as_the_answer": (VECTOR, nn.BatchNorm1d(8)),
    "mean_as_the_answer": (IMAGE, nn.AdaptiveAvgPool2d(1)),
    "square_as_the_answer": (VECTOR, Net(lambda x: x.square())),
    "half_floats": (VECTOR, Net(lambda x, a: a(x.half()).float(), a=nn.Linear(8, 5).half())),
    "mask": (VECTOR, Net(_masked, a=nn.Linear(8, 8))),
    "arithmetic": (VECTOR, Net(lambda x, a: 2 - a(x).square() + torch.rsub(x, 3, alpha=2), a=nn.Linear(8, 8))),
    "recurrent": ((None, 6, 8), Net(lambda x, a: a(x)[0][:, -1], a=nn.GRU(8, 8, batch_first=True))),
}
AGAIN = {
    "a_copy": (VECTOR, Net(lambda x, a: a(x.to(torch.float32, copy=True)), a=nn.Linear(8, 5))),
    "a_conversion_as_the_answer": (VECTOR, Net(lambda x, a: a(x).to(torch.float32), a=nn.Linear(8, 5))),
    "norm_over_the_batch": (IMAGE, nn.Sequential(conv(), nn.BatchNorm2d(4, track_running_stats=False), nn.Flatten())),
    "maps": (IMAGE, nn.Sequential(conv(), nn.AdaptiveAvgPool2d(3), nn.Flatten())),
    "such_a_shape_as_the_answer": (VECTOR, Net(lambda x, a: a(x).reshape(-1, 5), a=nn.Linear(8, 5))),
    "of_a_view": (IMAGE, Net(_of_a_view, a=conv())),
    "expanded": (VECTOR, Net(lambda x: x / x.norm(dim=1, keepdim=True).expand_as(x))),
}


def student(shape: tuple[int | None, ...], module: nn.Module) -> Student:
    torch.manual_seed(0)
    return Student(module.eval(), (TensorSpec("x", shape),), (TensorSpec("logits", (None, 3)),))


@pytest.mark.parametrize("name", [*ONCE, *AGAIN])
def test_the_file_is_the_same_and_right(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = student(*(ONCE | AGAIN)[name])
    traced = Mock(wraps=_decomposed._traced_again)
    monkeypatch.setattr(_decomposed, "_traced_again", traced)
    file = to_onnx(subject, opset=20, metadata={})
    assert traced.called is (name in AGAIN)
    monkeypatch.setattr(export, "traced_once", contextlib.nullcontext)
    assert file == to_onnx(subject, opset=20, metadata={})
    x = torch.randn(3, *(int(size or 0) for size in subject.inputs[0].shape[1:]))
    with torch.no_grad():
        expected = subject.module(x.clone())
    session = Ort().open({"model.onnx": file}, batch=3)
    got = torch.tensor(session.run({"x": x.numpy()})["logits"])
    rounded = 1e-3 if name == "half_floats" else 1e-5
    torch.testing.assert_close(got, expected, rtol=10 * rounded, atol=rounded)


def test_a_pooling_behind_turned_maps_stays_one() -> None:
    """Traced again it becomes a gather of numbers: in the layout that the tensor has in memory."""
    turned = Net(
        lambda x, a, norm: F.adaptive_avg_pool2d(norm(a(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2), 1).flatten(1),
        a=conv(),
        norm=nn.LayerNorm(4),
    )
    model = export.export(student(IMAGE, turned), 20)
    assert not {"Gather", "Range"} & {node.op_type for node in model.graph}


def test_it_is_in_place_only_while_the_block_runs() -> None:
    before = _fx_passes.decompose_with_registry
    with _decomposed.traced_once():
        assert _fx_passes.decompose_with_registry is not before
    assert _fx_passes.decompose_with_registry is before
