"""Networks as people have them are run, trained and copied as what they are, or refused in words."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from edgekd.base import plugins
from edgekd.base.errors import FactoryError, RecipeError
from edgekd.build import network_key
from edgekd.learn import nets, predictions, taps, train
from edgekd.learn.checkpoint import EpochRecord
from edgekd.learn.data._batches import from_splits
from edgekd.learn.feed import Feed
from edgekd.learn.objective import make_terms
from edgekd.learn.quiet import quiet
from edgekd.learn.student import SplitHeads, are_probabilities, joined, of_training
from edgekd.learn.teacher import PickedOutput
from edgekd.spec.recipe import Augment, Schedule

X = (torch.randn(12, 6, generator=torch.Generator().manual_seed(0)),)


def ready(module: nn.Module, sizes: tuple[int, ...] = (4,)) -> tuple[nn.Module, list[str]]:
    told: list[str] = []
    return nets.ready(module, X, sizes, "student", told.append, "softmax"), told


class Net(nn.Module):
    """One layer, and what a test does after it."""

    scale: Tensor
    order: Tensor
    kept: Any

    def __init__(self, after: Callable[[Net, Tensor], Any] = lambda net, y: y, classes: int = 4) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.fc, self.after = nn.Linear(6, classes), after

    def forward(self, x: Tensor) -> Any:
        return self.after(self, self.fc(x))


def softmax_when_used(net: Net, y: Tensor) -> Tensor:
    return y if net.training else y.softmax(1)


@pytest.mark.parametrize("after", [lambda net, y: y.softmax(1), softmax_when_used])
def test_a_softmax_is_taken_once(after: Any) -> None:
    plain, (made, told) = Net(), ready(Net(after))
    assert len(told) == 1 and "softmax" in told[0]
    for mode in (True, False):
        assert torch.allclose(made.train(mode)(*X).softmax(1), plain(*X).softmax(1), atol=1e-6)
    assert {*dict(made.named_parameters())} == {"module.fc.weight", "module.fc.bias"}
    assert not taps.missing(made, ["fc"])


def test_a_softmax_is_seen_before_classes_are_picked_and_head_by_head() -> None:
    made, told = ready(PickedOutput(Net(lambda net, y: y.softmax(1)), classes=(2, 0)), (2,))
    plain = Net()(*X)[:, [2, 0]]
    assert told and torch.allclose(made(*X).softmax(1), plain.softmax(1), atol=1e-6)
    two, told = ready(SplitHeads(Net(lambda net, y: (y[:, :3].softmax(1), y[:, 3:].softmax(1)), 5), [3, 2]), (3, 2))
    assert told and torch.allclose(two(*X)[1].softmax(1), Net(classes=5)(*X)[:, 3:].softmax(1), atol=1e-6)


@pytest.mark.parametrize(
    "after",
    [
        lambda net, y: y,
        lambda net, y: y.sigmoid(),
        lambda net, y: y.log_softmax(1),
        lambda net, y: y.relu(),
        lambda net, y: y.softmax(1)[:, :1],
    ],
)
def test_what_is_no_softmax_stays(after: Any) -> None:
    net = Net(after)
    made, told = ready(net)
    assert made is net and not told


def test_a_row_that_happens_to_sum_to_one_is_no_softmax() -> None:
    assert not are_probabilities(torch.tensor([[0.5, 0.5], [0.5, 0.6]]), (2,))
    assert not are_probabilities(torch.ones(3, 1), (1,))
    assert are_probabilities(torch.tensor([[0.5004, 0.5], [1.0, 0.0]]), (2,))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_network_runs_in_float32(dtype: torch.dtype) -> None:
    made, told = ready(Net().to(dtype))
    assert made(*X).dtype == torch.float32 and bool(told) == (dtype != torch.float64)
    own, _ = ready(Net(lambda net, y: y).half())
    assert next(own.parameters()).dtype == torch.float32


class Casts(Net):
    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.fc(x.half())
        return found


def test_a_network_that_casts_by_itself_keeps_its_own_numbers() -> None:
    made, _ = ready(Casts().half())
    assert {p.dtype for p in made.parameters()} == {torch.float16} and made(*X).dtype == torch.float32


def test_constants_move_with_the_network_and_what_is_kept_does_not() -> None:
    def after(net: Net, y: Tensor) -> Tensor:
        net.kept = y
        return y * net.scale

    net = Net(after)
    net.scale, net.kept = torch.full((4,), 2.0), torch.zeros(1)
    net.wanted = torch.ones(2, requires_grad=True)
    before = net.fc(*X) * 2
    made, told = ready(net)
    assert {*dict(made.named_buffers())} == {"scale", "wanted"} and "scale" not in made.state_dict()
    assert len(told) == 1 and "wanted" in told[0] and torch.equal(made(*X), before)


def test_a_network_that_has_run_is_copied() -> None:
    def after(net: Net, y: Tensor) -> Tensor:
        net.kept = {"features": [y, y * 2]}
        return y

    net = Net(after)
    net(*X)
    with pytest.raises(RuntimeError):
        copy.deepcopy(net)
    made = nets.copied(net, "teacher")
    assert torch.equal(made(*X), net(*X)) and made.fc.weight is not net.fc.weight  # type: ignore[union-attr]
    nets.settle(net)
    copy.deepcopy(net)


def test_what_cannot_be_copied_is_named() -> None:
    net = Net()
    net.fc.lock = threading.Lock()  # type: ignore[assignment]  # torch says that modules hold tensors and modules alone
    with pytest.raises(FactoryError, match=r"'fc\.lock' can't be copied"):
        nets.copied(net, "teacher")


def test_a_lazy_layer_is_made_for_its_input_and_what_is_no_number_is_named() -> None:
    made, _ = ready(nn.Sequential(nn.LazyLinear(4)))
    assert sum(p.numel() for p in made.parameters()) == 28
    lazy = nets.copied(nn.Sequential(nn.LazyLinear(4), nn.LazyBatchNorm1d()), "teacher")  # buffers without a size, too
    assert lazy(*X).shape == (12, 4)
    net = Net()
    net.fc.bias.data[2] = float("nan")
    with pytest.raises(RecipeError, match=r"student: tensor 'fc\.bias' is not finite.*1 NaN of 4"):
        ready(net)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_data_of_any_float_and_sparse_ones(dtype: torch.dtype) -> None:
    x, y = torch.eye(4).repeat(3, 1), np.arange(12) % 4
    for given in (x.to(dtype), x.to(dtype).to_sparse(), scipy.sparse.csr_matrix(x.numpy())):
        found = from_splits([(given, y)] * 3, "d").train.x
        assert found.dtype == np.float32 and bool(np.all(np.asarray(found) == x.numpy()))


def feed() -> Feed:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(33, 6)).astype(np.float32)
    data = from_splits([(x, np.arange(33) % 4)] * 3, "d")
    return Feed(data, (), Augment(views=1), 0)


def trained(net: nn.Module, batch: int = 8, lr: float = 1e-9, kind: str = "cross_entropy") -> EpochRecord:
    schedule = Schedule(epochs=1, batch_size=batch, lr=lr)
    return train.fit(net, train.TrainingJob(make_terms(({"kind": kind},)), feed(), schedule, 0, where="student"))[0]


def pair(net: Net, y: Tensor) -> Any:
    return (y, y * 0 + 50.0) if net.training else y


def table(net: Net, y: Tensor) -> Any:
    return {"side": y * 0 + 50.0, "logits": y} if net.training else y


@pytest.mark.parametrize("after", [pair, table])
def test_auxiliary_outputs_do_not_enter_the_loss(after: Any) -> None:
    assert trained(Net(after))["loss"] == pytest.approx(trained(Net())["loss"], abs=1e-6)


def test_scores_of_training_by_name_and_by_place() -> None:
    a, b, c = torch.ones(2, 3), torch.ones(2, 2) * 2, torch.ones(2, 5) * 3
    for found in ((a, b, c), {"y": b, "side": c, "x": a}, [a, b]):
        assert torch.equal(of_training(found, ["x", "y"]), joined([a, b]))


def test_what_does_not_train_is_told() -> None:
    told: list[str] = []
    net = Net()
    net.fc.weight.requires_grad_(False)
    nets.check_trains(net, "student", told.append)
    assert "1 are frozen" in told[0] and trained(net)["loss"] > 0
    with pytest.raises(RecipeError, match="student: no parameter trains"):
        trained(Net().requires_grad_(False))
    with pytest.raises(RecipeError, match="no parameters"):
        nets.check_trains(nn.Flatten(), "student")
    with pytest.raises(RecipeError, match="the loss reaches no parameter"):
        trained(Net(lambda net, y: y.detach()))


def test_a_batch_of_one_with_batch_norm_is_told() -> None:
    net = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4))
    assert trained(net)["loss"] > 0  # 33 = 4 x 8 + 1: the one that is left over joins the last eight
    with pytest.raises(
        FactoryError, match=r"student: training, a batch of 1: .*Expected more than 1 value per channel"
    ):
        trained(net, batch=1)


def test_taps_see_what_a_layer_gave_and_not_what_was_made_of_it() -> None:
    net = nn.Sequential(nn.Linear(6, 4), nn.ReLU(inplace=True))
    with taps.tapped(net, ["0"]) as seen:
        net(*X)
    assert bool((seen["0"] < 0).any())


def test_torchscript_is_run_and_has_no_layers_to_tap() -> None:
    with quiet():
        net = torch.jit.trace(Net().eval(), X)
    made, _ = ready(PickedOutput(nets.copied(net, "teacher")))
    assert torch.equal(made(*X), Net()(*X)) and taps.missing(made, ["fc"]) == ["fc"]


def test_frozen_torchscript_has_no_mode() -> None:
    with quiet():
        net = torch.jit.freeze(torch.jit.trace(Net().eval(), X))
    made, _ = ready(nets.copied(net, "teacher"))
    assert torch.equal(made(*X), Net()(*X)) and network_key.fingerprint(net, X)


class Versioned(Net):
    def get_extra_state(self) -> str:
        return "1.2"


def test_a_state_of_more_than_tensors_is_named() -> None:
    with pytest.raises(RecipeError, match=r"'_extra_state' in Versioned"):
        ready(PickedOutput(Versioned()))


def test_a_rebuilt_network_is_compared_with_the_one_that_was_trained() -> None:
    net = Net(lambda net, y: y[:, net.order])
    net.order = torch.tensor([1, 0, 2, 3])
    said, state = nets.answers(net, X, "student"), load(save(net.state_dict()))
    other = Net(lambda net, y: y[:, net.order])
    other.order = torch.tensor([0, 1, 2, 3])
    assert nets.fault(other, state) is None and "differ by up to" in str(nets.difference(other, X, said, "student"))
    assert nets.difference(net, X, said + 1e-6, "student") is None
    assert "fc" in str(nets.fault(Net(classes=5), state))


class Raises(Net):
    def forward(self, x: Tensor) -> Tensor:
        raise KeyError("inside")


class Loses(nn.Module):
    needs = frozenset({"labels"})

    def __call__(self, *given: Any) -> Any:
        return given[0][:, 99].sum()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: predictions.predict(Raises(), feed(), "test"),
            r"test_nets\.Raises\.forward raised KeyError at test_nets.py:\d+",
        ),
        (lambda: trained(Raises()), r"student: training, a batch of 8: .*Raises\.forward raised"),
        (lambda: plugins.call_user(Loses(), "losses[0]", X[0], None, None), r"losses\[0\]: .*Loses\.__call__ raised"),
        (lambda: plugins.call_user(nn.Linear(3, 3), "student", *X), r"student: torch.*Linear raised RuntimeError"),
        (lambda: plugins.call_user(PickedOutput(nn.Linear(3, 3)), "teacher", *X), r"teacher: torch.*Linear raised"),
    ],
)
def test_an_error_of_users_code_names_module_call_and_line(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(FactoryError, match=said):
        call()


def test_an_error_of_edgekds_own_is_a_bug() -> None:
    term = make_terms(({"kind": "cross_entropy"},))[0]
    with pytest.raises(TypeError, match="target") as raised:  # torch's own, and no FactoryError
        plugins.call_user(term.loss, "losses[0]", X[0], None, None)
    assert raised.value.__notes__ == ["in losses[0]"]
