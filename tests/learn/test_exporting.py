"""What ``torch.export`` refuses, of networks as people write them, is written down all the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekd.learn.exporting import bags_looked_up, distances_of_any_batch, program_of
from edgekd.learn.quiet import quiet

WIDTH = 8


class Net(nn.Module):
    """Parts, and a function that computes with them."""

    def __init__(self, compute: Callable[[Net, Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        layer = nn.TransformerEncoderLayer(WIDTH, 2, 2 * WIDTH, batch_first=True)
        self.first, self.linear = nn.Parameter(torch.randn(1, 1, WIDTH)), nn.Linear(WIDTH, 3)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.compute = compute

    def forward(self, x: Tensor) -> Tensor:
        return self.compute(self, x)


def token_of_all(net: Net, x: Tensor) -> Tensor:
    return net.linear(torch.cat([net.first.expand(len(x), -1, -1), x], dim=1)[:, 0] + x.mean(1))


def causal(net: Net, x: Tensor) -> Tensor:
    size = x.shape[1]
    mask = torch.triu(torch.full((size, size), float("-inf")), diagonal=1)
    return net.linear(net.encoder(x, mask=mask)[:, -1])


def token_left_out(net: Net, x: Tensor) -> Tensor:
    return net.linear(x[:, 1:].mean(1))


def prototypes(net: Net, x: Tensor) -> Tensor:
    return torch.cdist(x.mean(1), net.linear.weight)


def exported(compute: Callable[[Net, Tensor], Tensor], length: bool) -> tuple[Net, nn.Module]:
    net = Net(compute).eval()
    free = {0: torch.export.Dim("batch", min=1, max=64)}
    if length:
        free |= {1: torch.export.Dim("length", min=2, max=64)}
    with quiet():
        return net, program_of(net, (torch.randn(2, 2 if length else 4, WIDTH),), (free,)).module(check_guards=False)


@pytest.mark.parametrize(
    ("compute", "length"),
    [(token_of_all, False), (causal, False), (token_left_out, True), (prototypes, False)],
    ids=["len", "mask", "slice", "distances"],
)
def test_it_answers_as_the_network_does_at_every_size(compute: Callable[[Net, Tensor], Tensor], length: bool) -> None:
    net, module = exported(compute, length)
    for batch in (1, 3, 5):
        x = torch.randn(batch, 7 if length else 4, WIDTH)
        torch.testing.assert_close(module(x), net(x))


def test_what_counts_with_python_all_the_same_is_refused() -> None:
    """With the error of the first attempt."""
    with pytest.raises(torch._dynamo.exc.UserError, match="Constraints violated"):
        exported(lambda net, x: net.linear(x.mean(1)) * sum(1 for _ in range(len(x))), length=False)


def test_torch_and_python_are_left_as_they_were() -> None:
    before = (nn.modules.transformer._detect_is_causal_mask, len)
    exported(causal, length=False)
    exported(token_of_all, length=False)
    assert (nn.modules.transformer._detect_is_causal_mask, len) == before


BAGS: dict[str, dict[str, Any]] = {
    "means": {},
    "sums": {"mode": "sum"},
    "means of words": {"padding_idx": 0},
    "sums of words": {"mode": "sum", "padding_idx": 0},
    "maxima, as torch has them": {"mode": "max"},
}


@pytest.mark.parametrize("name", BAGS)
def test_bags_of_rows_are_looked_up(name: str) -> None:
    torch.manual_seed(0)
    bag, ids = nn.EmbeddingBag(9, 4, **BAGS[name]).eval(), torch.randint(0, 9, (3, 5))
    ids[1] = 0
    program = program_of(bag, (ids,), ({0: torch.export.Dim.AUTO},))
    looked_up = not any("embedding_bag" in str(node.target) for node in program.graph.nodes)
    assert looked_up == (BAGS[name].get("mode") != "max")
    assert torch.allclose(program.module()(ids[:2]), bag(ids[:2]), atol=1e-6)


def test_bags_of_weighted_rows_are_looked_up() -> None:
    torch.manual_seed(0)
    table, ids, weights = torch.randn(9, 4), torch.randint(0, 9, (3, 5)), torch.rand(3, 5)
    wanted = functional.embedding_bag(ids, table, mode="sum", per_sample_weights=weights)
    with bags_looked_up():
        found = functional.embedding_bag(ids, table, mode="sum", per_sample_weights=weights)
        flat = functional.embedding_bag(ids.flatten(), table, torch.tensor([0, 5, 10]), mode="mean")
    assert torch.allclose(found, wanted, atol=1e-6)
    assert torch.allclose(flat, functional.embedding_bag(ids, table, mode="mean"), atol=1e-6)


@pytest.mark.parametrize("p", [0.0, 1.0, 2.0, 3.0, float("inf")])
@pytest.mark.parametrize("rows", [5, 40])
@pytest.mark.parametrize("mode", ["use_mm_for_euclid_dist_if_necessary", "donot_use_mm_for_euclid_dist"])
def test_distances_are_those_of_cdist(p: float, rows: int, mode: str) -> None:
    torch.manual_seed(0)
    x, y = torch.randn(3, 4, 6, requires_grad=True), torch.randn(3, rows, 6)
    right = torch.cdist(x, y, p, mode)
    with distances_of_any_batch():
        found = torch.cdist(x, y, p, mode)
    torch.testing.assert_close(found, right, rtol=1e-4, atol=1e-5)


def test_the_distance_to_itself_has_no_slope() -> None:
    x = torch.randn(4, 6, requires_grad=True)
    with distances_of_any_batch():
        torch.cdist(x, x).sum().backward()
    assert x.grad is not None and torch.isfinite(x.grad).all()
