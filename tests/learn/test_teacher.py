"""A user's own teacher: any checkpoint, any output, other classes, its own preprocessing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from edgekd import cli
from edgekd.base import plugins
from edgekd.base.errors import RecipeError
from edgekd.learn.data.digits import Digits
from edgekd.learn.flat import Form
from edgekd.learn.teacher import check_classes, load_student, load_teacher, wrap
from edgekd.spec.recipe import StudentTable, Teacher
from edgekd.tasks import Heads, Task
from edgekd.tasks.segmentation import Segmentation
from edgekd.tasks.tagging import Tagging

MODEL = {"kind": "convnet", "width": 8, "depth": 1}
SHAPE = (1, 8, 8)


def trained(classes: int = 10) -> nn.Module:
    torch.manual_seed(7)
    module: nn.Module = plugins.build("models", MODEL, "m").build(SHAPE, classes)
    return module.eval()


def teacher(path: Path, **keys: Any) -> Teacher:
    return Teacher(model=MODEL, checkpoint=str(path), **keys)


@pytest.mark.parametrize("form", ["safetensors", "plain", "nested"])
def test_checkpoints_of_every_form(tmp_path: Path, form: str) -> None:
    module, x = trained(), torch.randn(3, *SHAPE)
    state = {f"module.{name}": value for name, value in module.state_dict().items()}
    path = tmp_path / ("t.safetensors" if form == "safetensors" else "t.pt")
    keys: dict[str, Any] = {"strip_prefix": "module."}
    if form == "safetensors":
        save_file(state, path)
    elif form == "plain":
        torch.save(state, path)
    else:
        torch.save({"ema": {"model": state}, "epoch": 3}, path)
        keys["state_key"] = "ema.model"
    loaded = load_teacher(teacher(path, **keys), SHAPE, 10).eval()
    assert torch.equal(loaded(x), module(x))


def test_a_student_begins_with_its_own_checkpoint_by_the_same_rules(tmp_path: Path) -> None:
    path, module, x = tmp_path / "s.pt", trained(), torch.randn(3, *SHAPE)
    torch.save({"model": {f"module.{name}": value for name, value in module.state_dict().items()}}, path)
    keys: dict[str, Any] = {"checkpoint": str(path), "state_key": "model", "strip_prefix": "module."}
    loaded = load_student(StudentTable(model=MODEL, **keys), SHAPE, 10).eval()
    assert torch.equal(loaded(x), module(x))
    with pytest.raises(RecipeError, match=r"student\.checkpoint: s\.pt: 'head.* has another shape"):
        load_student(StudentTable(model=MODEL, **keys), SHAPE, 7)
    with pytest.raises(RecipeError, match=r"student\.state_key.*did you mean 'model'"):
        load_student(StudentTable(model=MODEL, **{**keys, "state_key": "modle"}), SHAPE, 10)


def test_another_shape_is_named(tmp_path: Path) -> None:
    save_file(trained(7).state_dict(), tmp_path / "t.safetensors")
    with pytest.raises(RecipeError, match=r"t\.safetensors.*head"):
        load_teacher(teacher(tmp_path / "t.safetensors"), SHAPE, 10)


def test_classes_are_mapped(tmp_path: Path) -> None:
    module, x = trained(12), torch.randn(2, *SHAPE)
    save_file(module.state_dict(), tmp_path / "t.safetensors")
    loaded = load_teacher(teacher(tmp_path / "t.safetensors", classes=(3, 0, 11)), SHAPE, 3).eval()
    assert torch.equal(loaded(x), module(x)[:, [3, 0, 11]])


def test_a_checkpoint_of_more_classes_than_are_mapped(tmp_path: Path) -> None:
    module, x = trained(12), torch.randn(2, *SHAPE)
    save_file(module.state_dict(), tmp_path / "t.safetensors")
    loaded = load_teacher(teacher(tmp_path / "t.safetensors", classes=(3, 5)), SHAPE, 2).eval()
    assert torch.equal(loaded(x), module(x)[:, [3, 5]])


class Talkative(nn.Module):
    """Returns more than logits."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form, self.body = form, trained()

    def forward(self, x: torch.Tensor) -> Any:
        logits, other = self.body(x), torch.zeros(1)
        if self.form == "dict":
            return {"features": other, "logits": logits}
        return (other, logits)


@pytest.mark.parametrize(("form", "output"), [("dict", "logits"), ("dict", None), ("tuple", 1)])
def test_the_logits_are_picked(form: str, output: str | int | None) -> None:
    x = torch.randn(2, *SHAPE)
    module = Talkative(form).eval()
    assert torch.equal(wrap(module, Teacher(model=MODEL, output=output))(x), module.body(x))


def test_a_wrong_output_lists_the_right_ones() -> None:
    with pytest.raises(RecipeError, match="logits"):
        wrap(Talkative("dict").eval(), Teacher(model=MODEL, output="logit"))(torch.randn(2, *SHAPE))


@pytest.mark.parametrize(
    ("gives", "found"),
    [(lambda x: x.detach().numpy(), "numpy.ndarray"), (lambda x: None, "NoneType"), (lambda x: 1.0, "float")],
)
def test_what_holds_no_tensor_is_named_by_its_type(gives: Any, found: str) -> None:
    module = nn.Identity()
    module.forward = gives  # type: ignore[method-assign]
    with pytest.raises(RecipeError, match=f"gives no tensor; found '{found}'; allowed: a tensor"):
        wrap(module, Teacher(model=MODEL))(torch.randn(2, *SHAPE))


def test_unlabelled_data_and_a_teacher_with_its_own_preprocessing(tmp_path: Path) -> None:
    save_file(trained().state_dict(), tmp_path / "t.safetensors")
    data = Digits().load()
    names = np.array([str(i) for i in range(10)])
    np.savez(tmp_path / "d.npz", x_train=data.train.x[:120], x_test=data.test.x[:60], class_names=names)
    (tmp_path / "r.toml").write_text(
        """
name = "unlabelled"
[data]
source = "npz"
path = "d.npz"
y_train = ""
y_test = ""
preprocess = [{ op = "scale", divide = 16.0 }, { op = "layout" }]
[teacher]
model = { kind = "convnet", width = 8, depth = 1 }
checkpoint = "t.safetensors"
preprocess = [{ op = "scale", divide = 8.0 }, { op = "normalise", mean = [1.0], std = [1.0] }, { op = "layout" }]
[student]
model = { kind = "convnet", width = 16 }
epochs = 1
[[losses]]
kind = "kl"
[budget]
max_drop = 1.0
"""
    )
    args = ["build", str(tmp_path / "r.toml"), "--target", "ort-cpu", "--cache", str(tmp_path / "cache")]
    assert cli.run([*args, "--out", str(tmp_path / "out")]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["metric"] == "agreement"
    assert report["stages"][0]["value_test"] == 1.0
    assert report["stages"][0]["seconds"] < 5


class Versioned(nn.Linear):
    def get_extra_state(self) -> str:
        return "1.2"


@dataclass(frozen=True)
class Odd:
    """A family of a user's own."""

    lazy: bool

    def build(self, input_shape: tuple[int, ...], classes: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.LazyLinear(classes) if self.lazy else Versioned(64, classes))


def test_lazy_layers_and_states_of_more_than_tensors(tmp_path: Path) -> None:
    given = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    save_file(given.state_dict(), tmp_path / "t.safetensors")
    keys: dict[str, Any] = {
        "model": {"kind": f"{__name__}:Odd", "lazy": True},
        "checkpoint": str(tmp_path / "t.safetensors"),
    }
    x = torch.randn(2, *SHAPE)
    assert torch.equal(load_teacher(Teacher(**keys), SHAPE, 3)(x), given(x))
    keys["model"]["lazy"] = False
    with pytest.raises(RecipeError, match=r"teacher2: its state holds what is no tensor.*_extra_state"):
        load_teacher(Teacher(**keys), SHAPE, 3, "teacher2")


@pytest.mark.parametrize(("task", "shape"), [(Segmentation(), (3, 2, 4)), (Tagging(), (5, 3))])
def test_classes_of_places_are_mapped_at_every_place(task: Task, shape: tuple[int, ...]) -> None:
    heads = Heads({"logits": shape}, {"logits": task})
    scores = torch.randn(2, *shape)
    net = Form(heads).flat(nn.Identity())
    table = Teacher(model=MODEL, classes=(2, 0, 1))
    check_classes(table, heads.width, "teacher", heads)
    moved = wrap(net, table, heads.width, heads=heads)(scores)
    assert torch.equal(moved, scores.index_select(1 + task.axis, torch.tensor([2, 0, 1])).flatten(1))
    with pytest.raises(RecipeError, match=r"no such class; found 3; allowed: 0\.\.2"):
        wrap(net, Teacher(model=MODEL, classes=(0, 3, 1)), heads.width, heads=heads)(scores)
    with pytest.raises(RecipeError, match=r"one teacher class for each of ours.*found 2; allowed: 3"):
        check_classes(Teacher(model=MODEL, classes=(0, 1)), heads.width, "teacher", heads)
    odd = torch.randn(2, *shape[:-1], 7)
    assert wrap(net, table, heads.width, heads=heads)(odd).shape == odd.shape, "which is refused by its shape"
