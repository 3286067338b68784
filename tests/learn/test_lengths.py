"""Which lengths of sequences a network reads is found by trying, used, or told."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import pytest
import torch
from torch import Tensor, nn

from edgekd.base.errors import FactoryError, RecipeError
from edgekd.base.preprocess import Spec
from edgekd.learn import lengths
from edgekd.learn.student import Student
from edgekd.lower.lower import to_onnx


def specs(longest: int) -> tuple[Spec, ...]:
    return tuple(Spec(name, (None, None), "int64", 20, longest) for name in ("input_ids", "attention_mask"))


class Net(nn.Module):
    """A bag of words, behind what wants its lengths to be so or so."""

    def __init__(self, front: Callable[[Net, Tensor], Tensor]) -> None:
        super().__init__()
        self.words, self.positions = nn.Embedding(20, 4), nn.Embedding(100, 4)
        self.conv, self.patch = nn.Conv1d(4, 4, 3), nn.Conv1d(4, 4, 4, stride=4)
        self.head, self.front = nn.Linear(4, 2), front

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.head(self.front(self, self.words(ids) * mask[..., None]).mean(1))


def placed(net: Net, x: Tensor) -> Tensor:
    return x + net.positions(torch.arange(x.shape[1]))


def folded(net: Net, x: Tensor) -> Tensor:
    return net.patch(x.transpose(1, 2)).transpose(1, 2)


def patched(net: Net, x: Tensor) -> Tensor:
    return x.reshape(len(x), -1, 4, 4).mean(2)


def unpadded(net: Net, x: Tensor) -> Tensor:
    return net.conv(x.transpose(1, 2)).transpose(1, 2)


def test_the_range_is_found_and_used_by_the_export() -> None:
    net = Net(unpadded).eval()
    assert lengths.shortest(Net(placed), specs(100), "student") == 2
    assert lengths.shortest(net, specs(30), "student") == 3
    inputs = tuple(Spec(s.name, s.shape, s.dtype, s.high, s.longest, 3) for s in specs(30))
    file = to_onnx(Student(net, inputs, (Spec("logits", (None, 2)),)), opset=20, metadata={})
    assert onnx.load_from_string(file).graph.input[0].type.tensor_type.shape.dim[1].dim_param
    assert lengths.shortest(nn.Linear(3, 2), (Spec("input", (None, 3)),), "student") == 2, "no sequence"


@pytest.mark.parametrize(
    ("front", "longest", "message"),
    [
        (placed, 512, r"student: reads texts of 2 to 100 tokens alone; found 'texts of 3 to 512 .*data.length to 100"),
        (placed, 101, r"2 to 100 tokens alone"),
        (patched, 64, r"lengths that are multiples of 4 alone.*-ids.shape\[1\] % 4"),
        (folded, 40, r"reads texts of 4 to 40 tokens alone.*pad what is shorter than 4"),
    ],
)
def test_lengths_that_are_not_read_are_told(front: Callable[[Net, Tensor], Tensor], longest: int, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        lengths.shortest(Net(front), specs(longest), "student")


def test_a_network_that_reads_nothing_says_why_itself() -> None:
    def raises(net: Net, x: Tensor) -> Tensor:
        raise KeyError("inside")

    with pytest.raises(FactoryError, match=r"raises raised KeyError at test_lengths.py"):
        lengths.shortest(Net(raises), specs(20), "student")


def test_sequences_of_one_length_that_is_too_long() -> None:
    ids = torch.ones(2, 120, dtype=torch.int64)
    assert "reads sequences of 2 to 100 tokens alone; found 120" in str(lengths.too_long(Net(placed), (ids, ids), "s"))
    assert lengths.too_long(nn.Linear(3, 2), (torch.ones(2, 5),), "student") is None
    assert lengths.too_long(nn.Conv2d(1, 1, 3), (torch.ones(2, 2, 5, 5),), "student") is None
