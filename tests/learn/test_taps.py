"""What named layers give; the hooks come off again, whatever happens."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from edgekd.base.errors import RecipeError
from edgekd.learn import taps
from edgekd.learn.student import SplitHeads


class Two(nn.Module):
    """Gives two tensors."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x + 1, x + 2


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True), nn.Sequential(nn.Linear(4, 2)))


def test_a_layers_output_is_kept_as_it_was() -> None:
    module, x = net(), torch.randn(5, 3)
    with taps.tapped(module, ["0", "2.0", ""]) as seen:
        y = module(x)
    assert torch.equal(seen["0"], module[0](x)), "a ReLU in place does not reach it"
    assert torch.equal(seen["2.0"], y) and torch.equal(seen[""], y)


def test_hooks_come_off_after_an_error_too() -> None:
    module = net()
    with pytest.raises(ZeroDivisionError), taps.tapped(module, ["0"]) as seen:
        raise ZeroDivisionError
    module(torch.zeros(1, 3))
    assert not seen and not any(layer._forward_hooks for layer in module.modules())


def test_one_of_several_tensors_has_a_number() -> None:
    module = nn.Sequential(Two())
    with taps.tapped(module, ["0", "0:1"]) as seen:
        module(torch.zeros(1))
    assert (seen["0"].item(), seen["0:1"].item()) == (1.0, 2.0)
    with pytest.raises(RecipeError, match="no tensor of number 2"), taps.tapped(module, ["0:2"]):
        module(torch.zeros(1))


def test_a_missing_layer_lists_those_that_there_are() -> None:
    taps.check(net(), ["0", "2.0:1"], "losses[0]")
    with pytest.raises(RecipeError, match=r"losses\[0\]: no such layer; found '2.1'; allowed: 0, 1, 2, 2.0"):
        taps.check(net(), ["0", "2.1"], "losses[0]")


def test_the_wrapper_of_several_heads_makes_no_path_longer() -> None:
    assert taps.missing(SplitHeads(net(), (1, 1)), ["2.0", "module.2.0"]) == ["module.2.0"]


def test_blocks_stand_front_to_back_and_hold_all_weights() -> None:
    layers = [nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.ReLU()) for _ in range(6)]
    module = nn.Sequential(nn.Sequential(*layers[:3]), nn.ModuleDict({"a": nn.Sequential(*layers[3:])}))
    paths = taps.blocks(module)
    assert paths == ["0.0", "0.1", "0.2", "1.a.0", "1.a.1", "1.a.2"]
