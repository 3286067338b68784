"""Inverted residuals with other activations and weighed channels."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from edgekd.base import plugins
from edgekd.base.errors import RecipeError
from edgekd.learn.models.mobilenet import Mobilenet, Squeeze


def count(net: nn.Module, kind: type[nn.Module]) -> int:
    return sum(isinstance(part, kind) for part in net.modules())


def test_one_activation_everywhere_and_a_weighing_in_each_block() -> None:
    net = Mobilenet(width=0.5, activation="swish", squeeze=True).build((3, 16, 16), 5)
    blocks = len(list(net.get_submodule("blocks").children()))
    assert (count(net, nn.SiLU), count(net, nn.ReLU6), count(net, Squeeze)) == (2 * blocks + 2, 0, blocks)
    assert net(torch.zeros(2, 3, 16, 16)).shape == (2, 5)


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(RecipeError, match="activation: found 'gelu'; allowed: relu6, swish, hardswish"):
        plugins.build("models", {"kind": "mobilenet", "activation": "gelu"}, "student.model")


def test_stages_of_ones_own_without_a_last_convolution() -> None:
    table = {"kind": "mobilenet", "stem": 8, "stages": [[16, 3, 2], [32, 1, 1]], "tail": 0, "expansion": 2}
    net = plugins.build("models", table, "m").build((3, 16, 16), 5)
    assert [part.residual for part in net.get_submodule("blocks").children()] == [False, True, True, False]
    assert net.get_submodule("head").in_features == 32
    assert net.get_submodule("blocks")(torch.zeros(1, 8, 16, 16)).shape == (1, 32, 8, 8)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"stages": []}, "stages: allowed"),
        ({"stages": [[16, 0, 1]]}, "stages: allowed"),
        ({"stages": [[16, 1]]}, "stages"),
        ({"stem": 0}, "stem, tail: allowed"),
        ({"tail": -1}, "stem, tail: allowed"),
    ],
)
def test_stages_that_can_not_be_are_refused(table: dict[str, Any], says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        plugins.build("models", {"kind": "mobilenet", **table}, "student.model")
