"""The worst window of a picture, wherever it lies, and the graph that finds it."""

from __future__ import annotations

import pytest
import torch

from edgekd.learn.models.auto_encoder import LEAST, AutoEncoder, PicturesModule


@pytest.mark.parametrize(("size", "window"), [((9, 11), 4), ((7, 7), 3), ((10, 7), 6), ((8, 8), 8)])
def test_a_defect_in_any_corner_is_in_some_window(size: tuple[int, int], window: int) -> None:
    module = AutoEncoder(width=4, depth=1, window=window).build((1, *size), 1)
    assert isinstance(module, PicturesModule)
    for row in (0, size[0] - 1):
        for column in (0, size[1] - 1):
            error = torch.zeros(1, 1, *size)
            error[0, 0, row, column] = 1.0
            wanted = torch.log(torch.tensor([[1 / window**2 + LEAST]]))
            torch.testing.assert_close(module._score(error), wanted)


def test_where_windows_reach_every_edge_the_graph_is_one_pooling() -> None:
    operators = {}
    for size in (8, 9):
        module = AutoEncoder(width=4, depth=1, window=4).build((1, size, size), 1).eval()
        nodes = torch.export.export(module, (torch.zeros(2, 1, size, size),)).graph.nodes
        operators[size] = [str(node.target) for node in nodes]
    assert operators[8].count("aten.avg_pool2d.default") == 1 and "aten.cat.default" not in operators[8]
    assert operators[9].count("aten.avg_pool2d.default") == 4
