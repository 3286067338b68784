"""Residual nets by depth, or by the blocks of each stage."""

from __future__ import annotations

import pytest
import torch

from edgekd.base import plugins
from edgekd.base.errors import RecipeError
from edgekd.learn.models.resnet import Block, Resnet


def test_blocks_say_what_depth_says_for_every_stage() -> None:
    by_depth, by_blocks = (
        Resnet(width=4, **how).build((3, 16, 16), 5) for how in ({"depth": 14}, {"blocks": (2, 2, 2)})
    )
    shapes = [[(name, value.shape) for name, value in net.state_dict().items()] for net in (by_depth, by_blocks)]
    assert shapes[0] == shapes[1]


def test_stages_have_blocks_of_their_own() -> None:
    net = Resnet(width=4, blocks=(1, 3, 2)).build((3, 16, 16), 5)
    widths = [part.conv1[0].out_channels for part in net.modules() if isinstance(part, Block)]
    assert widths == [4, 8, 8, 8, 16, 16]
    assert net(torch.zeros(2, 3, 16, 16)).shape == (2, 5)


@pytest.mark.parametrize("blocks", [[1, 2], [1, 0, 1], [1, 1, 201], [1, 1, 1, 1]])
def test_other_blocks_are_refused(blocks: list[int]) -> None:
    with pytest.raises(RecipeError, match="blocks: allowed are three counts of 1 to 200"):
        plugins.build("models", {"kind": "resnet", "blocks": blocks}, "student.model")
