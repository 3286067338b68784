"""Networks that can't learn, or answer with no scores, are refused before anything trains, each in its own words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from edgekd.api import building as api
from edgekd.base.errors import ExportError, RecipeError, UsageError
from edgekd.build import network_key, prepare, rehearsal, set_up
from edgekd.build import request as requests
from edgekd.learn import nets, predictions
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.data._batches import fingerprint, from_splits
from edgekd.learn.data.made_points import MadePoints
from edgekd.learn.feed import Feed
from edgekd.learn.student import Student, TensorSpec
from edgekd.lower.lower import to_onnx
from edgekd.spec import recipe as recipes
from edgekd.spec.recipe import Augment
from edgekd.tasks.regression import Regression

SAMPLES = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
DATA = from_splits([(SAMPLES, np.arange(40) % 3)] * 3, "data")


class Net(nn.Module):
    """Two layers, and what a test does with them."""

    def __init__(self, forward: Callable[[Net, Tensor], Any] = lambda net, x: net.said(x)) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last, self.does = nn.Linear(6, 5), nn.Linear(5, 3), forward

    def said(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(torch.relu(self.first(x)))
        return found

    def forward(self, x: Tensor) -> Any:
        return self.does(self, x)


def rehearsed(folder: Path, student: nn.Module, taught_by: nn.Module | None = None, **keys: Any) -> list[str]:
    """The notes of a rehearsal without its runtimes."""
    given = prepare.Objects(DATA, taught_by or Net(), student)
    table = api._table({"student": {"epochs": 1}, "compress": [], **keys}, given, None)
    order = requests.make(table, ["ort-cpu"], data=fingerprint(DATA), objects="x", cache=folder, quick=True)
    workspace = prepare.prepare(order, given)
    rehearsal._structures(workspace)
    return workspace.found


def without_gradient(net: Net, x: Tensor) -> Tensor:
    with torch.no_grad():
        return net.said(x)


def inferred(net: Net, x: Tensor) -> Tensor:
    with torch.inference_mode():
        return net.said(x)


def spoilt(net: Net, x: Tensor) -> Tensor:
    """What the way back needs is written over."""
    seen = torch.exp(net.first(x))
    found: Tensor = net.last(seen)
    seen.add_(1)
    return found


def one_hot(net: Net, x: Tensor) -> Tensor:
    return nn.functional.one_hot(net.said(x).argmax(1), 3)


def votes(net: Net, x: Tensor) -> Tensor:
    return (100 * net.said(x)).long()


@pytest.mark.parametrize(
    ("forward", "told"),
    [
        (without_gradient, "no gradient reaches a parameter; .*no_grad"),
        (inferred, "no gradient reaches a parameter"),
        (lambda net, x: net.said(x).detach(), "no gradient reaches a parameter; .*detach"),
        (lambda net, x: net.said(x).detach().requires_grad_(), "no gradient reaches a parameter"),
        (lambda net, x: net.said(x).detach() if net.training else net.said(x), "no gradient reaches a parameter"),
        (lambda net, x: x.new_zeros(x.shape[0], 3), "no gradient reaches a parameter"),
        (lambda net, x: one_hot(net, x).float(), "no gradient reaches a parameter"),
        (one_hot, "no gradient reaches a parameter"),
        (votes, r"no score; found 'torch\.int64'; .*argmax"),
        (lambda net, x: net.said(x) > 0, r"no score; found 'torch\.bool'"),
        (lambda net, x: net.said(x).to(torch.complex64), r"no score; found 'torch\.complex64'"),
        (spoilt, "RuntimeError.*modified by an inplace operation"),
        (
            lambda net, x: net.said(x).squeeze(),
            r"for one sample alone; found '\(3,\)'; allowed: \(1, 3\); .*squeeze\(1\)",
        ),
        (
            lambda net, x: net.said(x) / 0,
            "its answers are not finite; found '(NaN|Inf) for sample 0 of train and 63 more",
        ),
    ],
)
def test_a_student_that_cannot_learn_is_told_why(tmp_path: Path, forward: Any, told: str) -> None:
    with pytest.raises(UsageError, match=f"student: .*{told}"):
        rehearsed(tmp_path, Net(forward))


@pytest.mark.parametrize(
    ("forward", "told"),
    [
        (lambda net, x: net.said(x).log_softmax(1) * float("nan"), "not finite; found 'NaN"),
        (lambda net, x: net.said(x).squeeze(), "for one sample alone"),
    ],
)
def test_a_teacher_that_says_nothing_is_named(tmp_path: Path, forward: Any, told: str) -> None:
    with pytest.raises(UsageError, match=f"teacher: .*{told}"):
        rehearsed(tmp_path, Net(), Net(forward))


def test_a_teacher_may_answer_without_a_gradient_and_in_votes(tmp_path: Path) -> None:
    assert rehearsed(tmp_path, Net(), Net(inferred)) == rehearsed(tmp_path, Net(), Net(votes)) == []


def test_classes_that_a_teacher_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"teacher\.classes: .*no such class; found 7; allowed: 0\.\.2"):
        rehearsed(tmp_path, Net(), teacher={"classes": [0, 7, 1]})


class Silent(Net):
    """Its modes are set, and nothing is given back: what many keep a BatchNorm still with."""

    def train(self, mode: bool = True) -> None:  # type: ignore[override]
        super().train(mode)


@pytest.mark.parametrize("passes", [[], [{"kind": "int8_qat"}], [{"kind": "low_rank", "ratio": 0.3}]])
def test_modes_that_give_nothing_back(tmp_path: Path, passes: list[Any]) -> None:
    student = Silent(lambda net, x: net.get_submodule("deep")(x))
    student.deep = nn.Sequential(nn.Linear(6, 64), nn.Linear(64, 64), Silent(lambda net, x: x), nn.Linear(64, 3))
    assert rehearsed(tmp_path, student, Silent(), compress=passes) == []


def test_a_batch_that_the_export_of_int8_fixes(tmp_path: Path) -> None:
    counts = Net(lambda net, x: net.said(torch.stack(list(x))))
    with pytest.raises(ExportError, match=r"int8_qat: .*the export fixes the batch; .*not int\(\.\.\.\)"):
        rehearsed(tmp_path, counts, compress=[{"kind": "int8_qat"}])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (nn.Linear(7, 3), r"torch\.nn\.modules\.linear\.Linear raised RuntimeError"),
        (nn.Linear(6, 3, device="meta"), r"without numbers \(of torch's meta\); found 'weight'"),
    ],
)
def test_what_torchs_own_layers_raise_is_no_bug_of_edgekd(tmp_path: Path, given: nn.Module, told: str) -> None:
    for role, both in (("student", (given, None)), ("teacher", (Net(), given))):
        with pytest.raises(UsageError, match=f"{role}: .*{told}"):
            rehearsed(tmp_path, *both)


class Grows(nn.Module):
    """Makes a parameter when it first runs."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        if not hasattr(self, "scale"):
            self.scale = nn.Parameter(torch.ones(3))
        found: Tensor = self.last(x) * self.scale
        return found


def test_a_users_network_is_read_and_nothing_stays_in_it(tmp_path: Path) -> None:
    given = Grows()
    network_key.fingerprint(given, (torch.randn(2, 6),))
    assert {*dict(given.named_parameters())} == {"last.weight", "last.bias"}
    assert rehearsed(tmp_path, Grows(), given) == []
    assert rehearsed(tmp_path, nn.DataParallel(Net()), nn.DataParallel(Net())) == []
    assert isinstance(nets.copied(nn.DataParallel(Net()), "student"), Net)


@pytest.mark.parametrize("kind", [torch.float64, torch.float16])
def test_answers_of_other_floats_are_float32_in_the_file(kind: torch.dtype) -> None:
    told: list[str] = []
    net, x = Net(lambda net, x: net.said(x).to(kind)), (torch.tensor(SAMPLES),)
    made = nets.ready(net, x, [3], "student", told.append, "softmax")
    student = Student(made.eval(), (TensorSpec("input", (None, 6)),), (TensorSpec("logits", (None, 3)),), ())
    graph = onnx.load_from_string(to_onnx(student, opset=20, metadata={})).graph
    assert graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert torch.allclose(made(*x), Net()(*x), atol=1e-2) and "made float32" in told[0]


def test_who_is_shown_no_views_answers_of_no_places_that_these_move() -> None:
    task = Regression(points=True)
    data = MadePoints(size=16, train=16, validation=8, test=8).load(task)
    table = {
        "name": "t",
        "data": {"source": "made_points"},
        "student": {"model": {"kind": "convnet"}},
        "teacher": {"model": {"kind": "convnet"}},
        "losses": [{"kind": "squared_error"}],
        "task": {"kind": "regression", "points": True},
    }

    def check(augment: dict[str, Any], sees_views: bool) -> None:
        recipe = recipes.parse({**table, "augment": augment}, "r")
        source: Any = SimpleNamespace(sees_views=sees_views)
        prepare.check_mixing(recipe, set_up.views(recipe, data, task=task, quick=False), {"teacher": source})

    check({"crop": 2}, True)
    check({"ops": [{"kind": "colour"}]}, False)
    with pytest.raises(RecipeError, match=r"augment: nobody answers to moved places; found 'teacher'"):
        check({"crop": 2}, False)


class ReadsBackwards(nn.Module):
    """Scores of texts by a layer that reads them from both ends; ``masked``: what it reads is 0 in padding."""

    def __init__(self, masked: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words, self.last, self.masked = nn.Embedding(20, 4), nn.Linear(8, 3), masked
        self.layer = nn.GRU(4, 4, batch_first=True, bidirectional=True, bias=not masked)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        read = self.words(input_ids)
        read = read * attention_mask[..., None].float() if self.masked else read
        scores: Tensor = self.last(self.layer(read)[0][:, 0])
        return scores


def test_a_student_that_reads_padding_is_told_what_tells_it() -> None:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghijklmnop"]
    rows = [" ".join("abcdefgh"[: 1 + i % 7]) for i in range(40)]
    split = Split(np.array(rows, dtype=object), np.arange(40) % 3)
    ops = ({"op": "wordpiece", "vocabulary": words, "length": 16, "lower": True},)
    feed = Feed(Dataset(split, split, split, ("a", "b", "c"), ops), ops, Augment(views=1), 0)
    x = predictions.tensors(feed.plain("train", np.arange(2)))
    workspace: Any = SimpleNamespace(feed_of=lambda name: feed, probe=lambda name: x)
    step: Any = SimpleNamespace(name="student")

    def check(net: nn.Module) -> None:
        rehearsal._check_independence(Student(net.eval(), feed.specs, ()), workspace, step)

    check(ReadsBackwards(masked=True))
    with pytest.raises(ExportError, match=r"Or does it read the padding.*attention_mask is 0 where.*bias=False"):
        check(ReadsBackwards(masked=False))
