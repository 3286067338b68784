"""Networks that do what few do: none ends in an error of Python's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import prune
from torch.utils import checkpoint

from edgekd.base import plugins
from edgekd.base.errors import ExportError
from edgekd.compress._base import Context
from edgekd.compress._channels import pruning
from edgekd.compress._importance import Criterion
from edgekd.learn.student import Student, TensorSpec
from edgekd.lower.lower import to_onnx
from edgekd.runtime import backend as backends
from edgekd.spec import target


class Odd(nn.Module):
    """Two convolutions, what is odd about the first one's answer, and a third."""

    def __init__(self, odd: Callable[[Tensor, nn.Module], Tensor], normed: bool = False) -> None:
        super().__init__()
        self.odd = odd
        self.a, self.b, self.c = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 24, 1), nn.Conv2d(24, 16, 1)
        self.norm = nn.LayerNorm((16, 6, 6)) if normed else nn.Identity()
        self.fc = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.c(functional.relu(self.odd(self.norm(self.a(x)), self.b))).mean((2, 3)))


def padded(x: Tensor, b: nn.Module) -> Tensor:
    return torch.as_tensor(b(x) + functional.pad(x, (0, 0, 0, 0, 0, 8)))


def recomputed(x: Tensor, b: nn.Module) -> Tensor:
    found = checkpoint.checkpoint(b, x, use_reentrant=False)
    assert isinstance(found, Tensor)
    return found


def blanked(x: Tensor, b: nn.Module) -> Tensor:
    x = x.clone()
    x[:, :8] = 2.0
    return torch.as_tensor(b(x))


def activated(x: Tensor, b: nn.Module) -> Tensor:
    functional.silu(x[:, :8], inplace=True)
    return torch.as_tensor(b(x))


def seen_before(x: Tensor, b: nn.Module) -> Tensor:
    view = x.flatten(2)
    functional.silu(x, inplace=True)
    return torch.as_tensor(b(view.view_as(x)))


def plain(x: Tensor, b: nn.Module) -> Tensor:
    return torch.as_tensor(b(x))


def of(module: nn.Module) -> Student:
    outputs = (TensorSpec("logits", (None, 4)),)
    return Student(module.eval(), (TensorSpec("input", (None, 3, 6, 6)),), outputs, ({"kind": "student"},))


@pytest.mark.parametrize("criterion", ["magnitude", "taylor"])
@pytest.mark.parametrize(("odd", "normed"), [(padded, False), (plain, True)])
def test_groups_of_padded_shortcuts_and_norms_over_maps_are_cut(
    odd: Callable[[Tensor, nn.Module], Tensor], normed: bool, criterion: str
) -> None:
    torch.manual_seed(0)
    student = of(Odd(odd, normed))
    table = {"kind": "channel_prune", "ratio": 0.5, "multiple": 4, "keep": 4, "criterion": criterion}
    change = plugins.build("compress", table, "compress[0]")
    after = change.apply(student, Context(None, 4, [student.example(4)]))
    change.ensures(student, after)
    record = after.lineage[-1]
    assert not record["whole"] and record["taken"] == 0.5, record


def test_what_channels_are_worth_is_the_same_where_layers_run_again_for_their_gradients() -> None:
    found = []
    for odd in (plain, recomputed):
        torch.manual_seed(0)
        student = of(Odd(odd))
        found.append(pruning.find(student, Context(None, 4, [student.example(4)]), "taylor").groups)
    for one, again in zip(*found, strict=True):
        assert one.path == again.path and torch.allclose(one.scores, again.scores, rtol=1e-3, atol=1e-12), one.path


class Laid(nn.Module):
    """One function of the pixels of a map, whose layers are given them in one of several ways."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.a, self.b, self.fc = nn.Conv2d(3, 16, 1), nn.Linear(16, 16), nn.Linear(16, 4)
        self.layer = nn.TransformerEncoderLayer(16, 2, 24, dropout=0.0, batch_first=how != "steps first")

    def forward(self, x: Tensor) -> Tensor:
        x = (self.a(input=x) if self.how == "by keyword" else self.a(x)).flatten(2).transpose(1, 2)
        n, steps, width = x.shape
        if self.how == "rows":
            x = self.b(x.reshape(-1, width)).view(n, steps, width)
        elif self.how == "windows":
            x = self.b(x.reshape(n * 6, 6, width)).reshape(n, steps, width)
        elif self.how == "steps first":
            return self.fc(self.layer(self.b(x.transpose(0, 1)).relu()).mean(0))
        else:
            x = self.b(input=x) if self.how == "by keyword" else self.b(x)
        return self.fc(self.layer(x.relu()).mean(1))


@pytest.mark.parametrize("criterion", ["taylor", "teacher"])
def test_what_channels_are_worth_does_not_hang_on_where_samples_lie(criterion: Criterion) -> None:
    """Batches of 4 and 6: samples on the second axis of 36 steps are told from windows, of which there are as many."""
    scores = []
    for how in ("samples first", "rows", "windows", "steps first", "by keyword"):
        torch.manual_seed(0)
        student = of(Laid(how))
        groups = pruning.find(student, Context(None, 4, [student.example(4), student.example(6)]), criterion).groups
        scores.append({group.path: group.scores for group in groups})
    assert {"a", "layer.self_attn.in_proj_weight"} < set(scores[0])
    for others in scores[1:]:
        for path, wanted in scores[0].items():
            assert torch.allclose(others[path], wanted, rtol=1e-3, atol=1e-12), path


class Shared(nn.Module):
    """Two groups of channels: one that a layer reads which the network calls, and one whose weight alone is read."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 16, 1), nn.Conv2d(16, 16, 1), nn.Conv2d(16, 16, 1)
        self.fc = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.conv2d(self.a(x).relu(), self.b.weight, self.b.bias)
        return self.fc(self.c(x.relu()).mean((2, 3)))


class Unread(nn.Sequential):
    """All of whose layers but the first are weights alone."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 16, 1), nn.Conv2d(16, 4, 1))

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(self[0](x).relu(), torch.as_tensor(self[1].weight)).mean((2, 3))


def test_a_layer_that_is_never_called_says_nothing_of_what_it_reads() -> None:
    torch.manual_seed(0)
    student = of(Shared())
    found = pruning.find(student, Context(None, 4, [student.example(4)]), "taylor")
    assert [group.path for group in found.groups] == ["b", "c"] and found.whole == {"a": pruning.UNREAD}
    with pytest.raises(ExportError, match=f"no layer can lose channels: 0: {pruning.UNREAD}"):
        pruning.find(of(Unread()), Context(None, 4, [student.example(4)]), "taylor")


class Bilinear(nn.Module):
    """Channels by channels: the views that lead to it and back would multiply their numbers without end."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.fc = nn.Conv2d(3, 16, 1), nn.Conv2d(16, 16, 1), nn.Linear(256, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.b(functional.relu(self.a(x)))).flatten(2)
        return self.fc(torch.einsum("bcl,bdl->bcd", x, x).flatten(1))


def test_channels_that_are_multiplied_with_each_other_stay_whole() -> None:
    torch.manual_seed(0)
    student = of(Bilinear())
    found = pruning.find(student, Context(None, 4, [student.example(4)]), "magnitude")
    assert [group.path for group in found.groups] == ["a"] and list(found.whole) == ["b"]


@pytest.mark.parametrize("odd", [blanked, activated, seen_before])
def test_what_is_written_into_a_tensor_is_read_by_the_int8_network_too(odd: Callable[..., Tensor]) -> None:
    torch.manual_seed(0)
    student = of(Odd(odd))
    change = plugins.build("compress", {"kind": "int8_qat", "samples": 8}, "compress[0]")
    x = student.example(8)
    numerics = target.load("ort-cpu").quantized
    after = change.apply(student, Context(numerics, 1, [x]))
    with torch.no_grad():
        wanted, got = student.module(*x), after.module(*x)
        before = Odd.forward(_as_plain(student.module), *x)
        shipped = change.finish(after, numerics).module(*x)
    for answers in (got, shipped):
        assert (answers - wanted).abs().max() < 0.1 * (before - wanted).abs().max()
    after.module.train()(*x).square().mean().backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in after.module.parameters())


class Mixed(nn.Module):
    """A kernel for each sample, mixed of several by what the sample says (dynamic convolution)."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.share, self.fc = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 3), nn.Linear(8, 4)
        self.kernels = nn.Parameter(torch.randn(3, 8, 8, 3, 3) * 0.1)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.a(x))
        n, c, h, w = x.shape
        kernels = (self.share(x.mean((2, 3))).softmax(1) @ self.kernels.flatten(1)).view(n * 8, c, 3, 3)
        y = functional.conv2d(x.reshape(1, n * c, h, w), kernels, padding=1, groups=n).view(n, 8, h, w)
        return self.fc(functional.relu(y).mean((2, 3)))


def test_a_layer_whose_weight_follows_from_the_inputs_stays_in_float_for_any_number_of_samples() -> None:
    torch.manual_seed(0)
    student = of(Mixed())
    change = plugins.build("compress", {"kind": "int8_qat", "samples": 8}, "compress[0]")
    after = change.apply(student, Context(target.load("ort-cpu").quantized, 1, [student.example(8)]))
    assert set(after.module.layers) == {"a", "share", "fc"}
    for samples in (1, 3):
        x = student.example(samples, seed=1)
        with torch.no_grad():
            wanted, got = student.module(*x), after.module.eval()(*x)
        assert (got - wanted).abs().max() < 0.05 * wanted.abs().max()


class Queried(nn.Module):
    """Learned queries that attend to themselves and to the map (DETR); a layer over distances (Transformer-XL)."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.queries = nn.Conv2d(3, 16, 3), nn.Parameter(torch.randn(5, 16))
        self.decoder, self.fc = nn.TransformerDecoderLayer(16, 2, 32, dropout=0.0, batch_first=True), nn.Linear(16, 4)
        self.distances, self.far = nn.Parameter(torch.randn(5, 16)), nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        places = functional.relu(self.a(x)).flatten(2).transpose(1, 2)
        found = self.decoder(self.queries.unsqueeze(0).repeat(len(x), 1, 1), places)
        shares = torch.softmax(found @ self.far(self.distances).T, -1)
        return self.fc(torch.cat([found, shares @ found], 1).mean(1))


def test_what_is_the_same_for_every_sample_stays_in_float() -> None:
    """OpenVINO could not compile such int8 layers, or answered wrongly."""
    torch.manual_seed(0)
    student = of(Queried())
    change = plugins.build("compress", {"kind": "int8_qat", "samples": 8}, "compress[0]")
    place, x = target.load("openvino"), student.example(8)
    after = change.apply(student, Context(place.quantized, 1, [x]))
    same, own = {"far", "decoder.self_attn"}, {"a", "fc", "decoder.multihead_attn", "decoder.linear1"}
    assert own <= set(after.module.layers) and not same & set(after.module.layers)
    exported = change.finish(after, place.quantized.written if place.quantized else None)
    backend = backends.make("openvino", {}, "t")
    data = to_onnx(exported, opset=place.opset, metadata={}, asked=place.passes)
    answers = next(iter(backend.open(backend.lower(data), batch=8).run({"input": x[0].numpy()}).values()))
    with torch.no_grad():
        wanted = change.finish(after, place.quantized).module(*x).numpy()
    assert np.abs(np.asarray(answers, np.float32) - wanted).max() < 0.02 * np.ptp(wanted)


class Spanned(nn.Module):
    """A layer over so many rows of a table as a tensor says, as DeBERTa's over its relative positions."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.layer, self.fc = nn.Parameter(torch.randn(1, 9, 32)), nn.Linear(32, 64), nn.Linear(64, 4)

    def forward(self, x: Tensor) -> Tensor:
        span = torch.clamp(torch.tensor(x.shape[1]), max=5)
        rows = self.layer(self.table[:, :span]).mean(1)
        return torch.as_tensor(self.fc(rows + x.mean((1, 2)).unsqueeze(1)))


def test_a_layer_over_as_many_rows_as_a_tensor_says_is_quantized() -> None:
    torch.manual_seed(0)
    outputs = (TensorSpec("logits", (None, 4)),)
    student = Student(Spanned().eval(), (TensorSpec("input", (None, None, 3)),), outputs, ({"kind": "student"},))
    change = plugins.build("compress", {"kind": "int8_ptq"}, "compress[0]")
    (x,) = student.example(8)
    prepared = change.apply(student, Context(target.load("ort-cpu").quantized, 8, [(x,)]))
    with torch.no_grad():
        wanted, found = student.module(x), change.finish(prepared).module(x)
    assert (wanted - found).abs().max() <= 0.05 * (wanted.max() - wanted.min())


def _as_plain(module: nn.Module) -> Odd:
    twin = Odd(plain)
    twin.load_state_dict(module.state_dict())
    return twin


@pytest.mark.parametrize("kind", ["channel_prune", "low_rank"])
def test_weights_that_each_call_computes_anew_are_copied(kind: str) -> None:
    """``nn.utils.prune`` leaves masked weights in the network, which hang on a graph."""
    torch.manual_seed(0)
    student = of(Odd(plain))
    prune.l1_unstructured(student.module.get_submodule("a"), "weight", 0.5)
    student.module(*student.example(4))  # as a training does
    change = plugins.build("compress", {"kind": kind, "ratio": 0.5, "multiple": 4}, "compress[0]")
    after = change.apply(student, Context(None, 4, [student.example(4)]))
    change.ensures(student, after)
    after.module(*student.example(4))
    made = change.finish(change.replay(student, after.lineage[-1]))
    assert made.module(*student.example(4)).shape == (4, 4)
