"""The scores are found in whatever a network of a library returns, and what is left out is told."""

from __future__ import annotations

from collections import OrderedDict, UserDict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import onnx
import pytest
import torch
from torch import Tensor, nn
from transformers.modeling_outputs import ImageClassifierOutput, SequenceClassifierOutputWithPast

from edgekd.base.errors import RecipeError
from edgekd.learn import nets, outputs
from edgekd.learn.student import Student, TensorSpec, of_training
from edgekd.learn.teacher import PickedOutput
from edgekd.lower.lower import to_onnx
from edgekd.tasks import Heads
from edgekd.tasks.regression import Regression

X = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
SCORES, OTHER, HIDDEN, LOSS = torch.ones(6, 4), torch.zeros(6, 4), torch.zeros(6, 9), torch.zeros(())
Named = namedtuple("Named", ["first", "second"])


@dataclass
class Answer:
    features: Tensor
    scores: Tensor
    loss: Tensor | None = None


@pytest.mark.parametrize(
    "returned",
    [
        {"logits": SCORES, "aux": OTHER},
        {"aux": OTHER, "logits": SCORES},
        UserDict({"logits": SCORES, "attentions": (HIDDEN, HIDDEN)}),
        (SCORES,),
        [SCORES, OTHER],
        (LOSS, SCORES),
        (None, SCORES, HIDDEN),
        (HIDDEN, SCORES),
        ((SCORES, OTHER), HIDDEN),
        {"logits": [SCORES, OTHER], "hidden": HIDDEN},
        Named(SCORES, OTHER),
        Named(HIDDEN, SCORES),
        Answer(HIDDEN, SCORES),
        {"kind": SCORES, "size": HIDDEN},
        SimpleNamespace(logits=SCORES, loss=LOSS),
        ImageClassifierOutput(logits=SCORES),
        SequenceClassifierOutputWithPast(loss=LOSS, logits=SCORES, hidden_states=(HIDDEN, HIDDEN)),
    ],
)
def test_the_scores_are_found(returned: Any) -> None:
    assert outputs.logits(returned, 4, "student").tensor is SCORES


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ({"a": SCORES, "b": OTHER}, r"several of its outputs.*a \(6, 4\), b \(6, 4\).*one called logits"),
        (Answer(SCORES, OTHER), "several of its outputs"),
        ((HIDDEN, LOSS), r"none of its outputs.*0 \(6, 9\), 1 \(\).*\(N, 4\)"),
        (None, "its forward gives no tensor; found 'NoneType'"),
        ({"text": "abc"}, "its forward gives no tensor"),
    ],
)
def test_what_can_not_be_told_is_an_error_that_lists_the_outputs(returned: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=f"student: {message}"):
        outputs.logits(returned, 4, "student")


def test_scores_of_another_width_stay_to_be_refused_by_their_shape() -> None:
    assert outputs.logits({"logits": HIDDEN, "aux": SCORES}, 4, "student").tensor is HIDDEN
    assert outputs.logits((HIDDEN,), 4, "student").tensor is HIDDEN


class Net(nn.Module):
    """A layer, and what a test makes of its scores."""

    def __init__(self, form: Callable[[Tensor], Any]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.form = nn.Linear(5, 4), form

    def forward(self, x: Tensor) -> Any:
        return self.form(self.fc(x))


def test_a_student_of_any_form_is_exported_with_its_scores_alone() -> None:
    notes: list[str] = []
    form = lambda y: OrderedDict(hidden=(y * 2, y.exp()[:, :3]), logits=y)  # noqa: E731
    module = nets.ready(Net(form), (X,), (4,), "student", notes.append, "softmax")
    assert notes == ["of what the student returns logits is taken, and left out: hidden.0 (6, 4), hidden.1 (6, 3)"]
    specs = TensorSpec("input", (None, 5)), TensorSpec("logits", (None, 4))
    file = to_onnx(Student(module.eval(), specs[:1], specs[1:]), opset=18, metadata={})
    assert b"Exp" not in file, "what nobody reads is not computed"
    assert [value.name for value in onnx.load_from_string(file).graph.output] == ["logits"]
    assert torch.equal(module(X), Net(lambda y: y)(X))


def test_probabilities_in_a_dict_become_logits() -> None:
    notes: list[str] = []
    module = nets.ready(Net(lambda y: {"scores": y.softmax(1)}), (X,), (4,), "student", notes.append, "softmax")
    assert len(notes) == 1 and "softmax" in notes[0]
    assert torch.allclose(module(X).softmax(1), Net(lambda y: y)(X).softmax(1), atol=1e-6)


def test_a_teacher_whose_classes_are_picked_may_know_more() -> None:
    module = nets.ready(PickedOutput(Net(lambda y: (LOSS, y)), classes=(2, 0)), (X,), (2,), "teacher", lambda _: None)
    assert torch.equal(module(X), Net(lambda y: y)(X)[:, [2, 0]])


def test_training_may_give_other_containers_than_evaluation() -> None:
    assert torch.equal(of_training(Answer(SCORES, HIDDEN), ["logits"]), SCORES)
    assert torch.equal(of_training(((SCORES, OTHER), HIDDEN), ["logits"]), SCORES)
    with pytest.raises(RecipeError, match="in training forward gives no tensor"):
        of_training(None, ["logits"])


@pytest.mark.parametrize(
    ("shape", "columns", "points", "wanted"),
    [
        ((6,), 1, False, (6, 1)),
        ((6,), 2, False, (6,)),
        ((), 1, False, ()),
        ((6, 1, 1, 4), 4, False, (6, 4)),
        ((6, 4, 1, 1), 4, False, (6, 4)),
        ((6, 1, 1), 1, False, (6, 1)),
        ((6, 4, 1), None, False, (6, 4)),
        ((6, 2, 2), 4, True, (6, 4)),
        ((6, 2, 2), 4, False, (6, 2, 2)),
        ((6, 4, 2), 4, True, (6, 4, 2)),
        ((6, 1, 3), 4, False, (6, 1, 3)),
        ((4,), 4, False, (4,)),
    ],
)
def test_other_forms_of_a_row_are_one(shape: Any, columns: Any, points: bool, wanted: Any) -> None:
    assert outputs.row(torch.zeros(shape), columns, points).shape == wanted


@pytest.mark.parametrize("form", [lambda y: y[:, None, None], lambda y: {"scores": y[..., None, None], "loss": LOSS}])
def test_a_student_that_answers_in_another_form_is_exported_in_rows(form: Any) -> None:
    module = nets.ready(Net(form), (X,), (4,), "student", lambda _: None, "softmax")
    assert torch.equal(module(X), Net(lambda y: y)(X))
    specs = TensorSpec("input", (None, 5)), TensorSpec("logits", (None, 4))
    file = onnx.load_from_string(to_onnx(Student(module.eval(), specs[:1], specs[1:]), opset=18, metadata={}))
    assert len(file.graph.output[0].type.tensor_type.shape.dim) == 2


def test_one_value_a_sample_and_points_are_rows_of_students_and_teachers() -> None:
    for given in (Net(lambda y: y[:, 0]), PickedOutput(Net(lambda y: y[:, 0]))):
        assert nets.ready(given, (X,), (1,), "teacher", lambda _: None)(X).shape == (6, 1)
    heads = Heads({"logits": 4}, {"logits": Regression(points=True)})
    pairs = nets.ready(Net(lambda y: y.reshape(-1, 2, 2)), (X,), (4,), "student", lambda _: None, "", heads)
    assert torch.equal(pairs(X), Net(lambda y: y)(X))


def test_outputs_called_auxiliary_come_behind() -> None:
    for returned in ({"out": SCORES, "aux": OTHER}, {"aux_0": OTHER, "pred": SCORES}, {"aux": SCORES, "h": HIDDEN}):
        assert outputs.logits(returned, 4, "student").tensor is SCORES
    assert torch.equal(of_training({"aux": OTHER, "out": SCORES}, ["logits"]), SCORES)


def test_several_outputs_are_asked_for_by_name_and_shape() -> None:
    heads = Heads({"kind": 3, "size": 1}, {"size": Regression()})
    picked = PickedOutput(Net(lambda y: (y[:, 3:], y[:, :3])))
    with pytest.raises(RecipeError, match=r"allowed: kind \(N, 3\), size \(N, 1\), in this order, or a dict by these"):
        nets.ready(picked, (X,), (4,), "teacher", lambda _: None, "", heads)
