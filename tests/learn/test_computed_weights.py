"""Weights that are computed from others become parameters of the same values, and nothing else is left of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from edgekd.learn import nets
from edgekd.learn.computed_weights import has_computed, plain

WAYS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "spectral_norm by hooks": nn.utils.spectral_norm,
    "spectral_norm": parametrizations.spectral_norm,
    "weight_norm": parametrizations.weight_norm,
    "orthogonal": parametrizations.orthogonal,
    "masks": lambda layer: prune.l1_unstructured(layer, "weight", 0.5),
}


def network(way: Callable[[nn.Module], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(way(nn.Linear(6, 4)), nn.ReLU(), nn.Linear(4, 2)).eval()


@pytest.mark.parametrize("way", WAYS)
def test_a_plain_network_answers_alike_and_its_weights_can_be_stored_and_loaded(way: str) -> None:
    x, whole = torch.randn(5, 6), network(WAYS[way])
    wanted = whole(x)
    one, other = plain(nets.twin(whole)), plain(nets.twin(whole))
    torch.testing.assert_close(one(x), wanted, rtol=0, atol=0)
    assert sorted(one.state_dict()) == ["0.bias", "0.weight", "2.bias", "2.weight"]
    with torch.no_grad():
        one.get_parameter("0.weight").mul_(2.0)
    assert nets.fault(other, one.state_dict()) is None
    torch.testing.assert_close(other(x), one(x), rtol=0, atol=0)
    torch.testing.assert_close(whole(x), wanted, rtol=0, atol=0)
    assert not has_computed(one)
