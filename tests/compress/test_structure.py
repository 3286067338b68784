"""What passes share that make a network smaller: which layers stay, and what must hold afterwards."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import pytest
import torch
from torch import nn

from edgekd.base import plugins
from edgekd.base.errors import ExportError
from edgekd.compress import _structure as structure
from edgekd.compress._base import Context
from edgekd.learn.student import Student, TensorSpec


def student(width: int, classes: int = 3) -> Student:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, classes))
    return Student(net, (TensorSpec("x", (None, 4)),), (TensorSpec("logits", (None, classes)),))


def test_which_layers_stay() -> None:
    assert structure.kept(6, 2, (), "p") == (1, 3, 5) and structure.kept(6, 2, (0, 4), "p") == (0, 4)
    for every, keep in ((7, ()), (2, (0, 6)), (2, tuple(range(6)))):
        with pytest.raises(ExportError, match="p: nothing to leave out"):
            structure.kept(6, every, keep, "p")


@pytest.mark.parametrize(("every", "keep"), [(1, ()), (65, ()), (2, (1, 0)), (2, (1, 1)), (2, (-1,))])
def test_keys_that_are_none(every: int, keep: tuple[int, ...]) -> None:
    structure.check_kept(2, (0, 3))
    with pytest.raises(ValueError, match="allowed"):
        structure.check_kept(every, keep)


def test_what_became_no_smaller_broke_or_answers_otherwise_is_refused() -> None:
    change, whole, slim = structure.Structural(), student(8), student(4)
    change.ensures(whole, slim)
    with pytest.raises(ExportError, match="nothing became smaller"):
        change.ensures(whole, whole)
    with pytest.raises(ExportError, match="the output's shape changed"):
        change.ensures(whole, student(4, classes=2))
    with torch.no_grad():
        slim.module.get_parameter("0.bias")[1] = float("nan")
    with pytest.raises(ExportError, match=r"0\.bias: a parameter is not finite|a parameter is not finite"):
        change.ensures(whole, slim)


def test_what_is_finished_is_a_copy_that_does_not_train() -> None:
    before = student(4)
    before.module.train()
    after = structure.Structural().finish(before)
    assert not after.module.training and after.module is not before.module
    assert all(torch.equal(a, b) for a, b in zip(after.module.parameters(), before.module.parameters(), strict=True))


class Residual(nn.Sequential):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self:
            x = x + layer(x)
        return x


class Turns(nn.ModuleList):
    def in_turn(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self:
            x = layer(x).relu()
        return x


class Stacked(nn.Module):
    def __init__(self, stack: nn.Module) -> None:
        super().__init__()
        self.stack, self.fc = stack, nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.fc(self.stack.in_turn(x) if isinstance(self.stack, Turns) else self.stack(x)))


STACKS: list[Callable[[list[nn.Module]], nn.Module]] = [
    lambda layers: Residual(*layers),
    Turns,
    lambda layers: nn.Sequential(OrderedDict(zip("abcd", layers, strict=True))),
]


@pytest.mark.parametrize("table", [{"kind": "keep_layers", "layers": "stack"}, {"kind": "drop_blocks", "count": 2}])
@pytest.mark.parametrize("make", STACKS)
def test_a_shallower_stack_stays_of_its_class_with_its_names(
    make: Callable[[list[nn.Module]], nn.Module], table: dict[str, object]
) -> None:
    torch.manual_seed(0)
    net = Stacked(make([nn.Sequential(nn.Linear(8, 8), nn.Tanh()) for _ in range(4)]))
    before = Student(net.eval(), (TensorSpec("x", (None, 8)),), (TensorSpec("logits", (None, 4)),), ({"kind": "s"},))
    change = plugins.build("compress", table, "compress[0]")
    after = change.apply(before, Context(None, 8, [before.example(8)]))
    change.ensures(before, after)
    record, layers = after.lineage[-1], dict(net.stack.named_children())
    paths = record.get("blocks", ["stack.0", "stack.2"])
    gone = {path.removeprefix("stack.") for path in paths} if "d" not in layers or "blocks" in record else {"a", "c"}
    left = {name: layer for name, layer in layers.items() if name not in gone}
    stack = after.module.get_submodule("stack")
    assert type(stack) is type(net.stack)
    assert list(stack._modules) == (list(left) if "d" in layers else ["0", "1"])
    for layer, wanted in zip(stack.children(), left.values(), strict=True):
        assert torch.equal(layer.get_parameter("0.weight"), wanted.get_parameter("0.weight"))
