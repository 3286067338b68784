"""Inverted residuals with other activations and weighed channels."""

from __future__ import annotations

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
