"""Checkpoints as people have them: averaged beside plain, tied, in shards, under any name, with a NaN."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file, save_model
from torch import nn

from edgekd.base.errors import RecipeError
from edgekd.build import step_keys
from edgekd.learn import weights

WHERE = "teacher.checkpoint: c"


class Net(nn.Module):
    """Two layers and a BatchNorm; ``tied``: the second layer's weight is the first's."""

    def __init__(self, tied: bool = False) -> None:
        super().__init__()
        self.first, self.norm, self.second = nn.Linear(5, 5), nn.BatchNorm1d(5), nn.Linear(5, 5)
        self.register_buffer("mask", torch.zeros(2, 2).masked_fill(torch.eye(2) == 0, float("-inf")))
        if tied:
            self.second.weight = self.first.weight


def state(seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return Net().state_dict()


def under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"{prefix}{name}": value for name, value in tensors.items()}


def loaded(tensors: dict[str, torch.Tensor], prefix: str | None, net: nn.Module | None = None) -> nn.Module:
    net = net or Net()
    weights.load(net, weights.chosen(tensors, prefix, net.state_dict(), WHERE), WHERE)
    return net


PLAIN, AVERAGED = state(1), state(2)
PARAMETERS = {name: value for name, value in AVERAGED.items() if "running" not in name and name != "mask"}


@pytest.mark.parametrize(
    ("tensors", "prefix", "right"),
    [
        (PLAIN | under("averaged.", AVERAGED), "averaged.", AVERAGED),
        (PLAIN | under("averaged.", AVERAGED), "", PLAIN),
        (under("net.", PLAIN) | under("net_ema.", AVERAGED), "net_ema.", AVERAGED),
        (under("module.", AVERAGED) | {"n_averaged": torch.tensor(3)}, "module.", AVERAGED),
        (under("module.", PLAIN) | under("module.ema.", AVERAGED), "module.", PLAIN),
        (under("module.", PLAIN) | under("module.ema.", AVERAGED), "module.ema.", AVERAGED),
        (PLAIN, None, PLAIN),
    ],
)
def test_one_set_of_weights_is_loaded(tensors: Any, prefix: str | None, right: dict[str, torch.Tensor]) -> None:
    got = loaded(tensors, prefix).state_dict()
    assert all(torch.equal(got[name], right[name]) for name in right)


def test_what_no_number_of_the_network_can_hold_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"'first\.weight' is not finite.*25 Inf of 25"):
        loaded(PLAIN | {"first.weight": torch.full((5, 5), 1e5)}, None, Net().half())


@pytest.mark.parametrize(
    ("tensors", "prefix", "said"),
    [
        (PLAIN | under("averaged.", AVERAGED), None, r'more than once.*strip_prefix = ""'),
        (under("a.", PLAIN) | under("b.", AVERAGED), None, 'strip_prefix = "b."'),
        (PLAIN | under("ema.", PARAMETERS), None, "more than once"),
        (PLAIN | under("ema.", PARAMETERS), "ema.", "lacks 'mask'"),
        (under("module.", PLAIN), None, 'try strip_prefix = "module."'),
        (PLAIN, "module.", "no tensor of the checkpoint begins so"),
        (PLAIN | {"third.weight": torch.ones(1)}, None, "no such tensor"),
    ],
)
def test_what_could_be_mixed_is_asked(tensors: Any, prefix: str | None, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        loaded(tensors, prefix)


def test_a_tied_weight_may_stand_there_once_or_twice_alike(tmp_path: Path) -> None:
    net = Net(tied=True)
    save_model(net, str(tmp_path / "c.safetensors"))
    kept = weights.read(tmp_path / "c.safetensors", None)
    assert ("first.weight" in kept) != ("second.weight" in kept)
    assert torch.equal(loaded(kept, None, Net(tied=True)).first.weight, net.first.weight)  # type: ignore[union-attr,arg-type]
    loaded(net.state_dict(), None, Net(tied=True))
    with pytest.raises(RecipeError, match="one tensor of the model"):
        loaded(PLAIN, None, Net(tied=True))


def test_the_counter_of_a_batch_norm_may_be_missing_or_too_much() -> None:
    without = {name: value for name, value in PLAIN.items() if not name.endswith("num_batches_tracked")}
    assert torch.equal(loaded(without, None).first.weight, PLAIN["first.weight"])  # type: ignore[union-attr,arg-type]
    bare = nn.Sequential(nn.Linear(5, 5))
    more = under("0.", {"weight": torch.ones(5, 5), "bias": torch.ones(5)}) | {"1.num_batches_tracked": torch.ones(1)}
    assert loaded(more, None, bare).state_dict()["0.bias"].sum() == 5
    with pytest.raises(RecipeError, match="running_var"):
        loaded({name: value for name, value in PLAIN.items() if "running_var" not in name}, None)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("second.bias", float("nan"), "'second.bias' is not finite.*1 NaN of 5"),
        ("first.weight", float("inf"), "'first.weight'.*1 Inf of 25"),
        ("norm.running_var", float("inf"), "'norm.running_var'"),
        ("mask", float("nan"), "'mask'.*1 NaN of 4"),
        ("mask", float("-inf"), "'mask'.*1 Inf of 4"),
    ],
)
def test_what_is_no_number_is_named(name: str, value: float, said: str) -> None:
    spoilt = {key: tensor.clone() for key, tensor in PLAIN.items()}
    spoilt[name].view(-1)[0] = value
    with pytest.raises(RecipeError, match=said):
        loaded(spoilt, None)
    loaded({key: tensor.half() if tensor.is_floating_point() else tensor for key, tensor in PLAIN.items()}, None)


@pytest.mark.parametrize("file", ["weights", "last.ckpt", "model.bin", "odd.pt", "odd.safetensors"])
@pytest.mark.parametrize("pickled", [True, False])
def test_a_file_is_known_by_its_content(tmp_path: Path, file: str, pickled: bool) -> None:
    if pickled:
        torch.save(PLAIN, tmp_path / file)
    else:
        save_file(PLAIN, tmp_path / file)
    assert torch.equal(weights.read(tmp_path / file, None)["first.weight"], PLAIN["first.weight"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "Git LFS"),
        (b"<!DOCTYPE html><html>", "neither a safetensors file"),
        (b"", "can't be read"),
        (b"\xff\0\0\0\0\0\0\0{}", "not a safetensors file"),
    ],
)
def test_what_is_no_checkpoint_is_told(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "c.bin").write_bytes(content)
    with pytest.raises(RecipeError, match=said):
        weights.read(tmp_path / "c.bin", None)


def shard(folder: Path, index: str = "model.safetensors.index.json") -> Path:
    parts = {"a.safetensors": ["first.weight", "first.bias", "mask"]}
    parts["b.safetensors"] = [name for name in PLAIN if name not in parts["a.safetensors"]]
    for file, names in parts.items():
        save_file({name: PLAIN[name] for name in names}, folder / file)
    table = {"metadata": {}, "weight_map": {name: file for file, names in parts.items() for name in names}}
    (folder / index).write_text(json.dumps(table))
    return folder / index


def test_shards_are_read_by_their_index_or_folder_and_are_in_the_key(tmp_path: Path) -> None:
    index = shard(tmp_path)
    for path in (index, tmp_path):
        assert all(torch.equal(value, PLAIN[name]) for name, value in weights.read(path, None).items())
    before = step_keys.input_hash(index)
    save_file({name: PLAIN[name] + 1 for name in ("first.weight", "first.bias", "mask")}, tmp_path / "a.safetensors")
    assert step_keys.input_hash(index) != before
    (tmp_path / "b.safetensors").unlink()
    with pytest.raises(RecipeError, match=r"a shard is missing.*b\.safetensors"):
        weights.read(index, None)
    index.write_text('{"weight_map": {"first.weight": "../a.safetensors"}}')
    with pytest.raises(RecipeError, match="not an index"):
        weights.read(index, None)
    with pytest.raises(RecipeError, match="no checkpoint in this folder"):
        weights.read(tmp_path.parent, None)


@pytest.mark.parametrize(
    ("inside", "key"),
    [
        ({"model.averaged": PLAIN}, "model.averaged"),
        ({"run": {"model.averaged": PLAIN}, "epoch": 3}, "run.model.averaged"),
        ({"run.1": {"state": {"a.b": PLAIN}}}, "run.1.state.a.b"),
    ],
)
def test_a_key_with_dots(tmp_path: Path, inside: Any, key: str) -> None:
    torch.save(inside, tmp_path / "c.pt")
    assert weights.read(tmp_path / "c.pt", key).keys() == PLAIN.keys()
    with pytest.raises(RecipeError, match=f"name the key.*{key}"):
        weights.read(tmp_path / "c.pt", None)


def test_a_key_of_a_flat_file_is_a_prefix(tmp_path: Path) -> None:
    save_file(under("model.", PLAIN), tmp_path / "c.safetensors")
    with pytest.raises(RecipeError, match=r'strip_prefix = "model\."'):
        weights.read(tmp_path / "c.safetensors", "model")


class Chain(nn.Module):
    """A layer, and after it another network like itself."""

    def __init__(self, depth: int, width: int = 3) -> None:
        super().__init__()
        self.fc = nn.Linear(width, 3)
        self.next = Chain(depth - 1) if depth > 1 else nn.Identity()


@pytest.mark.parametrize(("before", "prefix"), [("", None), ("", ""), ("module.", None), ("module.", "module.")])
@pytest.mark.parametrize("net", [Chain(3), Chain(2), Chain(2, 4)])
def test_a_network_that_holds_others_like_itself(net: Chain, before: str, prefix: str | None) -> None:
    wanted = {name: torch.randn_like(value) for name, value in net.state_dict().items()}
    if before and prefix is None:
        with pytest.raises(RecipeError, match=r'lacks .*strip_prefix = "module\."'):
            loaded(under(before, wanted), prefix, net)
        return
    got = loaded(under(before, wanted), prefix, net).state_dict()
    assert all(torch.equal(got[name], value) for name, value in wanted.items())


def test_what_stands_beside_the_tensors_of_a_flat_file(tmp_path: Path) -> None:
    torch.save(PLAIN | {"epoch": 3, "lr": 0.1, "by": "me", "best": None}, tmp_path / "c.pt")
    assert weights.read(tmp_path / "c.pt", None).keys() == PLAIN.keys()
    torch.save({"run": PLAIN | {"epoch": 3}}, tmp_path / "c.pt")
    assert weights.read(tmp_path / "c.pt", "run").keys() == PLAIN.keys()
    torch.save(PLAIN | {"losses": [1.0, 0.5], "table": {"a": 1}}, tmp_path / "c.pt")
    with pytest.raises(RecipeError, match=r"more than tensors; found 'losses', 'table'; save the tensors alone"):
        weights.read(tmp_path / "c.pt", None)
    torch.save({"epoch": 3, "loss": torch.tensor(0.5), "model": PLAIN}, tmp_path / "c.pt")
    with pytest.raises(RecipeError, match=r"name the key that holds it; allowed: model$"):
        weights.read(tmp_path / "c.pt", None)


def test_a_lazy_layer_takes_the_shapes_of_what_is_loaded() -> None:
    bare = nn.Sequential(nn.Linear(5, 5), nn.BatchNorm1d(5), nn.Linear(5, 2))
    net = nn.Sequential(nn.LazyLinear(5), nn.LazyBatchNorm1d(), nn.LazyLinear(2))
    loaded(under("module.", bare.state_dict()), "module.", net)
    x = torch.randn(3, 5)
    assert torch.equal(net.eval()(x), bare.eval()(x))
    with pytest.raises(RecipeError, match=r"lacks '0\.weight'.*strip_prefix"):
        loaded(under("module.", bare.state_dict()), None, nn.Sequential(*list(bare)[:2], nn.LazyLinear(2)))
