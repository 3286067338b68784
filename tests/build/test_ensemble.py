"""Several teachers as one, generations of students, several heads, few labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import edgekd
from edgekd import pipeline
from edgekd.base.errors import RecipeError
from edgekd.base.scores import softmax
from edgekd.build import distil, ensemble, parsed_recipe, plan, teach
from edgekd.build import request as requests
from edgekd.build import run as running
from edgekd.build.outputs.cached import CachedOutputs
from edgekd.build.plan import DistilStep, TeachStep
from edgekd.build.prepare import Objects, prepare
from edgekd.build.store import Store
from edgekd.build.torch_reference import TorchReference
from edgekd.learn import answers, predictions
from edgekd.learn.data._batches import from_splits
from edgekd.learn.data._heads import grouped
from edgekd.learn.data.made import Made
from edgekd.learn.feed import Feed
from edgekd.learn.teaching import NetworkOutputs
from edgekd.spec import recipe as recipes
from edgekd.spec.recipe import Augment
from edgekd.tasks import Heads
from edgekd.tasks.multi_label import MultiLabel

SMALL: dict[str, Any] = {
    "name": "small",
    "data": {"source": "made", "shape": [8, 8, 1], "classes": 4, "train": 96, "validation": 48, "test": 48},
    "teacher": {"model": {"kind": "convnet", "width": 16, "depth": 2}, "epochs": 3},
    "student": {"model": {"kind": "convnet", "width": 8, "depth": 2}, "epochs": 2},
    "losses": [{"kind": "kl", "weight": 0.7}, {"kind": "cross_entropy", "weight": 0.3}],
    "targets": ["ort-cpu"],
}
TWO = Heads({"a": 3, "b": 2})
HINT = {"kind": "hint", "student_layers": ["features.0"], "teacher_layers": ["features.0"]}


class Fixed:
    """Says always the same."""

    def __init__(self, logits: np.ndarray) -> None:
        self.logits = logits

    def view(self, view: int) -> np.ndarray:
        return self.logits + view

    def split(self, split: str) -> np.ndarray:
        return self.logits


def table(**changed: Any) -> dict[str, Any]:
    return {**SMALL, **changed}


def laid_out(**changed: Any) -> plan.Plan:
    order = requests.make(table(**changed))
    return prepare(order, Objects()).plan


def noise(seed: int, columns: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((7, columns)).astype(np.float32)


def test_one_teacher_alone_is_heard_as_it_is() -> None:
    one = Fixed(noise(0, 3))
    assert ensemble.make({"teacher": (one, None, 1.0)}, Heads({"logits": 3}), "average") is one


class Undone(nn.Module):
    """Answers with no number where a sample's first value is 5."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / (x[:, :1] != 5)


def test_an_answer_that_is_no_number_is_named_and_not_kept(tmp_path: Path) -> None:
    x = np.tile(np.arange(8, dtype=np.float32)[:, None] + 1, 3)
    feed = Feed(from_splits([(x, np.arange(8) % 3)] * 3, "d"), (), Augment(views=1), 0)
    source = NetworkOutputs(Undone(), feed)
    cached_outputs = CachedOutputs(Store(tmp_path), "key", source, feed, (3,), 0, "teacher2")
    for ask, place in (
        (lambda: cached_outputs.split("test"), "test"),
        (lambda: cached_outputs.view(0), "train, view 0"),
    ):
        for _ in range(2):
            with pytest.raises(RecipeError, match=f"teacher2: .*not finite; found 'Inf for sample 4 of {place}'"):
                ask()


def test_the_teacher_answers_to_the_mixed_views_that_the_student_sees(tmp_path: Path) -> None:
    augment = {"flip": True, "views": 2, "ops": [{"kind": "cutmix", "probability": 1.0}]}
    workspace = prepare(requests.make(table(augment=augment), cache=tmp_path), Objects())
    teacher = workspace.untrained("teacher")
    source = NetworkOutputs(teacher.module, workspace.feed_of("teacher"))
    outputs = CachedOutputs(workspace.store, "key", source, workspace.feed, (4,), 0)
    plain = CachedOutputs(workspace.store, "plain", source, workspace.feed, (4,), 0)
    (seen,) = workspace.feed.train(1, np.array([3, 50])).values()
    with torch.no_grad():
        np.testing.assert_allclose(
            answers.whole(outputs.view(1))[[3, 50]], teacher.module(torch.tensor(seen)), atol=1e-5
        )
    assert np.abs(answers.whole(outputs.view(1)) - answers.whole(plain.split("train"))).max() > 1e-3


@dataclass(frozen=True)
class OverPairs:
    """A user's loss that compares labels, and has no value of a sample alone."""

    needs: ClassVar[frozenset[str]] = frozenset({"labels"})

    def __call__(self, student: torch.Tensor, teacher: object, labels: torch.Tensor) -> torch.Tensor:
        return (student @ student.T).mean()


def test_a_loss_that_cannot_mix_labels_is_told_before_anything_is_read() -> None:
    mixed = {"ops": [{"kind": "mixup"}]}
    own = [{"kind": f"{__name__}:OverPairs"}]
    parsed_recipe.parse(recipes.parse(table(losses=own), "r"))
    for changed, place in (
        ({"losses": own}, r"losses\[0\].kind"),
        ({"compress": [{"kind": "int8_qat", "losses": own}]}, r"compress\[0\].losses\[0\].kind"),
    ):
        with pytest.raises(RecipeError, match=rf"{place}: can't weigh labels, and views are mixed.*per_sample"):
            parsed_recipe.parse(recipes.parse(table(augment=mixed, **changed), "r"))


def test_weights_average_the_logits() -> None:
    a, b = noise(0, 3), noise(1, 3)
    both = ensemble.make({"1": (Fixed(a), None, 1.0), "2": (Fixed(b), None, 3.0)}, Heads({"logits": 3}), "average")
    np.testing.assert_allclose(answers.whole(both.split("test")), (a + 3 * b) / 4, rtol=1e-6)
    np.testing.assert_allclose(answers.whole(both.view(2)), (a + 3 * b) / 4 + 2, rtol=1e-6)


@pytest.mark.parametrize("combine", ["average", "confidence"])
def test_a_label_counts_by_its_weight_beside_a_network(combine: str) -> None:
    """A label's logits are 0 and -87.3, whose mean with a network's is the label whatever it weighs."""
    network, label = np.array([[2, 1, 0]] * 2, np.float32), np.array([[-87.3, 0, -87.3], [np.nan] * 3], np.float32)
    members = {"1": (Fixed(network), None, 0.9), "2": (Fixed(label), None, 0.1)}
    heads = Heads({"logits": 3})
    shares = softmax(answers.whole(ensemble.make(members, heads, combine, ["2"]).split("test")))
    weights = np.array([0.9 * (ensemble.certainty(network)[0] if combine == "confidence" else 1), 0.1])
    wanted = np.average([softmax(network[0]), [0, 1, 0]], axis=0, weights=weights)
    np.testing.assert_allclose(shares, [wanted, softmax(network[1])], rtol=1e-5)
    assert softmax(answers.whole(ensemble.make(members, heads, "average").split("test")))[0, 1] > 0.99


def test_labels_of_which_several_apply_count_by_their_weight() -> None:
    heads = Heads({"labels": 2}, {"labels": MultiLabel()})
    members = {"1": (Fixed(np.zeros((1, 2))), None, 3.0), "2": (Fixed(np.array([[87.3, -87.3]])), None, 1.0)}
    scores = answers.whole(ensemble.make(members, heads, "average", ["2"]).split("test"))
    np.testing.assert_allclose(1 / (1 + np.exp(-scores)), [[0.625, 0.375]], rtol=1e-5)


@pytest.mark.parametrize("combine", ["average", "confidence"])
def test_of_a_sample_those_are_averaged_that_answer_it(combine: str) -> None:
    a, b = noise(0, 3), noise(1, 3)
    members = {"1": (Fixed(a), None, 1.0), "2": (Fixed(b), None, 3.0)}
    whole = answers.whole(ensemble.make(members, Heads({"logits": 3}), combine).split("test"))
    some, other = a.copy(), b.copy()
    some[[0, 1]] = other[[1, 2]] = np.nan
    members = {"1": (Fixed(some), None, 1.0), "2": (Fixed(other), None, 3.0)}
    both = answers.whole(ensemble.make(members, Heads({"logits": 3}), combine).split("test"))
    assert both.dtype == np.float32 and np.isnan(both[1]).all() and np.isfinite(np.delete(both, 1, 0)).all()
    np.testing.assert_allclose(both[[0, 2]], [b[0], a[2]], rtol=1e-6)
    np.testing.assert_allclose(both[3:], whole[3:], rtol=1e-6)


def test_what_has_no_answer_is_kept_as_such_and_once_for_all_views(tmp_path: Path) -> None:
    logits = noise(0, 3)
    logits[2] = np.nan
    asked: list[str] = []

    class Recorded(Fixed):
        sees_views, may_miss = False, True

        def split(self, split: str) -> np.ndarray:
            asked.append(split)
            return self.logits

    split = (np.zeros((7, 3), np.float32), np.arange(7) % 3)
    feed = Feed(from_splits([split] * 3, "d"), (), Augment(views=1), 0)
    cached = CachedOutputs(Store(tmp_path), "key", Recorded(logits), feed, (3,), 0)
    for _ in range(2):
        np.testing.assert_array_equal(cached.view(3), logits)
        np.testing.assert_array_equal(cached.split("train"), logits)
    assert asked == ["train"]
    logits[1, 0] = np.nan
    with pytest.raises(RecipeError, match="NaN for sample 1 of test"):
        cached.split("test")


def test_the_certain_one_counts_more() -> None:
    a, b = noise(0, 3), noise(1, 3)
    found = ensemble.make({"1": (Fixed(a), None, 1.0), "2": (Fixed(b), None, 1.0)}, Heads({"logits": 3}), "confidence")
    wanted = []
    for x, y in zip(a.astype(float), b.astype(float), strict=True):
        w = []
        for z in (x, y):
            p = np.exp(z) / np.exp(z).sum()
            w.append(np.exp(sum(p_i * np.log(p_i) for p_i in p)))
        wanted.append((w[0] * x + w[1] * y) / sum(w))
    np.testing.assert_allclose(answers.whole(found.split("test")), wanted, rtol=1e-5)
    assert ensemble.certainty(np.zeros((1, 4), np.float32))[0] == pytest.approx(0.25)
    assert ensemble.certainty(np.array([[90.0, 0, 0, 0]], np.float32))[0] == pytest.approx(1.0)


def test_each_head_hears_its_own_teachers() -> None:
    a, b, whole = noise(0, 3), noise(1, 2), noise(2, 5)
    two = ensemble.make({"1": (Fixed(a), "a", 1.0), "2": (Fixed(b), "b", 1.0)}, TWO, "average")
    np.testing.assert_array_equal(answers.whole(two.split("test")), np.concatenate([a, b], axis=1))
    three = ensemble.make({"1": (Fixed(a), "a", 1.0), "2": (Fixed(whole), None, 1.0)}, TWO, "average")
    np.testing.assert_allclose(answers.whole(three.split("test"))[:, :3], (a + whole[:, :3]) / 2, rtol=1e-6)
    np.testing.assert_array_equal(answers.whole(three.split("test"))[:, 3:], whole[:, 3:])


def test_answers_by_head() -> None:
    scores = np.array([[0, 5, 1, 2, 1.0]])
    assert TWO.answers(scores).tolist() == [[1, 0]]
    assert Heads({"logits": 5}).answers(scores).tolist() == [1]
    assert {name: part.tolist() for name, part in TWO.split(scores).items()} == {"a": [[0, 5, 1]], "b": [[2, 1]]}


def test_groups_make_labels() -> None:
    data = Made((8, 8, 1), classes=4, train=40, validation=8, test=8).load()
    dataset = grouped(data, {"all": {}, "odd": {"even": [0, 2], "odd": [1, 3]}})
    assert dataset.heads == {"all": 4, "odd": 2} and dataset.classes == (*data.classes, "even", "odd")
    assert data.train.y is not None and dataset.train.y is not None
    np.testing.assert_array_equal(dataset.train.y, np.stack([data.train.y, data.train.y % 2], axis=1))
    one = grouped(data, {"odd": {"even": [0, 2], "odd": [1, 3]}})
    assert one.train.y is not None and one.train.y.shape == (40,) and one.heads == {"odd": 2}


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ({"odd": [1, 3]}, "one group only"),
        ({"odd": [1, 3], "even": [0]}, "a class in no group"),
        ({"odd": [1, 3], "even": [0, 2, 3]}, "a class in two groups"),
        ({"odd": [1, 3], "even": [0, 2, 4]}, "no such class"),
    ],
)
def test_groups_hold_each_class_once(groups: dict[str, list[int]], said: str) -> None:
    data = Made((8, 8, 1), classes=4, train=40, validation=8, test=8).load()
    with pytest.raises(RecipeError, match=said):
        grouped(data, {"odd": groups})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"teacher": {**SMALL["teacher"], "head": "tone"}}, "no such head"),
        ({"losses": [{"kind": "kl", "head": "tone"}]}, "no such head"),
        ({"losses": [{"kind": "kl", "head": ["tone"]}]}, "no such head"),
        (
            {
                "losses": [
                    {"kind": "hint", "student_layers": ["features.0"], "teacher_layers": ["features.0"], "head": "x"}
                ]
            },
            "layers",
        ),
    ],
)
def test_heads_that_are_not_there(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        laid_out(**changed)


def test_two_teachers_are_not_one_and_the_same() -> None:
    with pytest.raises(RecipeError, match="the very same as teacher"):
        laid_out(teacher={**SMALL["teacher"], "seed": 1}, teachers=[SMALL["teacher"]])


def test_a_mistake_in_the_second_teacher_names_it() -> None:
    order = requests.make(table(teachers=[{**SMALL["teacher"], "checkpoint": "none.safetensors"}]))
    with pytest.raises(RecipeError, match=r"teacher 2\.checkpoint: no such file"):
        prepare(order, Objects()).untrained("teacher 2")


@pytest.mark.parametrize("name", ["", "input"])
def test_a_head_can_be_called_as_an_output(name: str) -> None:
    with pytest.raises(RecipeError, match="can't be an output's name"):
        laid_out(data={**SMALL["data"], "heads": {name: {}, "half": {"low": [0, 1], "high": [2, 3]}}})


def test_several_heads_are_balanced_each_by_itself_and_have_no_one_list_of_weights() -> None:
    data = {**SMALL["data"], "heads": {"tone": {}, "half": {"low": [0, 1], "high": [2, 3]}}}
    laid_out(data=data, student={**SMALL["student"], "class_weights": "balanced", "sampler": "balanced"})
    with pytest.raises(RecipeError, match=r"student.class_weights: not one weight a class.*allowed: balanced"):
        laid_out(data=data, student={**SMALL["student"], "class_weights": [1.0] * 4})
    one = {**SMALL["teacher"], "head": "half"}
    laid_out(data=data, teachers=[{**one, "class_weights": [1.0, 2.0]}])
    with pytest.raises(RecipeError, match=r"teacher 2.class_weights: .*allowed: 2 numbers"):
        laid_out(data=data, teachers=[{**one, "class_weights": [1.0] * 4}])


def test_weights_that_nothing_reads_are_told_in_a_note() -> None:
    idle = {**SMALL["student"], "class_weights": "balanced"}
    notes = [prepare(requests.make(table(student=idle, losses=losses)), Objects()).notes
             for losses in (SMALL["losses"], [{"kind": "kl"}])]  # fmt: skip
    assert "student.class_weights change nothing: no loss compares labels" not in notes[0]
    assert "student.class_weights change nothing: no loss compares labels" in notes[1]


def test_the_plan_shows_what_is_trained_to_explain_beside_the_student() -> None:
    student = {**SMALL["student"], "generations": 2}
    order = requests.make(table(teachers=[SMALL["teacher"]], student=student), explain=True)
    rows = [(row["depth"], row["name"]) for row in pipeline.describe(order)["steps"] if "student" in row["name"]]
    assert rows[0] == (1, "student 1 of 2")
    assert set(rows[1:]) == {(2, "student without kl"), (2, "student without cross_entropy"), (2, "student")}


def test_a_head_needs_a_teacher() -> None:
    both = {"tone": {}, "half": {"low": [0, 1], "high": [2, 3]}}
    data = {**SMALL["data"], "heads": both}
    with pytest.raises(RecipeError, match="a head without a teacher"):
        laid_out(data=data, teacher={**SMALL["teacher"], "head": "tone"})


def test_what_is_said_together_changes_the_student_and_not_the_teachers() -> None:
    more = [{**SMALL["teacher"], "weight": 1.0}]
    keys = [
        {name: step.key for name, step in laid_out(teachers=teachers, combine=how).steps.items()}
        for teachers, how in ((more, "average"), (more, "confidence"), ([{**more[0], "weight": 2.0}], "average"))
    ]
    for name in ("teacher", "teacher 2"):
        assert len({found[name] for found in keys}) == 1
    assert len({found["student"] for found in keys}) == 3
    assert keys[0]["teacher"] != keys[0]["teacher 2"], "each is trained from a seed of its own"


def test_generations_teach_one_another() -> None:
    steps = laid_out(student={**SMALL["student"], "generations": 3}).steps
    assert [s.name for s in steps.values() if s.kind == "student"] == ["student 1 of 3", "student 2 of 3", "student"]
    parents = {name: step.parent for name, step in steps.items() if isinstance(step, DistilStep)}
    assert parents["student"] == "student 2 of 3" and parents["student 1 of 3"] == "teacher"
    alone = laid_out().steps["student"].key
    assert steps["student 1 of 3"].key == alone, "the first generation is the student of a recipe without more"


def test_a_student_with_its_own_checkpoint_ships_as_it_stands_or_is_trained_on(tmp_path: Path) -> None:
    file = tmp_path / "s.safetensors"
    workspace = prepare(requests.make(table(), cache=tmp_path / "cache"), Objects())
    weights = workspace.untrained("student").module.state_dict()

    def written(factor: float) -> None:
        save_file({name: (value * factor).to(value.dtype).contiguous() for name, value in weights.items()}, file)

    written(1.5)
    own = {**SMALL["student"], "checkpoint": str(file)}

    def prepared(**keys: Any) -> Any:
        return prepare(requests.make(table(student={**own, **keys}), cache=tmp_path / "cache"), Objects())

    for subject in (prepared(), prepared(epochs=0)):
        begun = subject.untrained("student").module.state_dict()
        assert all(torch.equal(value, load_file(file)[name]) for name, value in begun.items())
    step = prepared(epochs=0).plan.get("student", DistilStep)
    assert step.schedule is None and step.passes is None
    copied = tmp_path / "elsewhere" / "t.safetensors"
    copied.parent.mkdir()
    copied.write_bytes(file.read_bytes())
    keys = {prepared().plan.steps["student"].key, prepared(checkpoint=str(copied)).plan.steps["student"].key}
    assert len(keys) == 1, "what is in the file counts, not where it lies"
    written(0.5)
    assert prepared().plan.steps["student"].key not in keys
    assert prepared().plan.steps["teacher"].key == workspace.plan.steps["teacher"].key
    report = edgekd.build(
        table(student={**own, "epochs": 0}, budget={"max_drop": 1.0}), out=tmp_path / "out", cache=tmp_path / "cache"
    )
    history = report["details"]["history"]
    assert history is not None and not history.get("student")
    subject = prepared(epochs=0)
    scores = predictions.predict(subject.untrained("student").module, subject.feed, "test")
    assert report["stages"][1]["value_test"] == pytest.approx((scores.argmax(1) == subject.feed.labels("test")).mean())


def test_two_teachers_and_two_generations_build(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    report = edgekd.build(
        table(
            teachers=[{**SMALL["teacher"], "preprocess": [{"op": "scale", "divide": 2.0}, {"op": "layout"}]}],
            combine="confidence",
            student={**SMALL["student"], "generations": 2, "labels": 20},
            budget={"max_drop": 1.0},
        ),
        out=tmp_path / "out",
        cache=tmp_path / "cache",
        progress=seen.append,
        explain=True,
    )
    names = [stage["name"] for stage in report["stages"]]
    assert names == ["teacher", "teacher 1", "teacher 2", "student 1 of 2", "student"]
    stages = {stage["name"]: stage for stage in report["stages"]}
    assert stages["teacher"]["params"] == stages["teacher 1"]["params"] + stages["teacher 2"]["params"]
    assert {e["step"] for e in seen if "loss" in e} >= {"teacher", "teacher 2", "student 1 of 2", "student"}
    without = {
        name: [e for e in seen if e["step"] == f"student without {name}" and "loss" in e]
        for name in ("kl", "cross_entropy")
    }
    learned = report["details"]["learned"]
    assert learned is not None and learned["losses"] is not None
    rows = learned["losses"]["rows"]
    assert [row["loss"] for row in rows] == list(without) and all(without.values()), "the last generation alone"
    edgekd.verify(tmp_path / "out")


def test_the_order_of_heads_and_of_groups_is_in_the_keys() -> None:
    """It numbers outputs and classes; a TOML table knows an order, and the students are others."""
    groups = {"low": [0], "high": [1, 2, 3]}
    heads = {"tone": {}, "half": groups}
    turned = [
        {"half": groups, "tone": {}},
        {"tone": {}, "half": dict(reversed(groups.items()))},
    ]
    whole = laid_out(data={**SMALL["data"], "heads": heads})
    for other in (laid_out(data={**SMALL["data"], "heads": table}) for table in turned):
        assert other.identity != whole.identity
        assert all(other.steps[name].key != whole.steps[name].key for name in ("teacher", "student"))


def test_a_teacher_of_one_head_knows_nothing_of_the_others() -> None:
    heads = {"tone": {}, "half": {"low": [0, 1], "high": [2, 3]}}
    alone, first, second = (
        laid_out(
            data={**SMALL["data"], "heads": {name: heads[name] for name in names}},
            teacher={**SMALL["teacher"], "head": "tone"},
            teachers=[{**SMALL["teacher"], "head": "half", "seed": 1}] if len(names) > 1 else [],
        ).steps
        for names in (["tone"], ["tone", "half"], ["half", "tone"])
    )
    assert alone["teacher"].key == first["teacher"].key == second["teacher"].key
    assert first["student"].key != second["student"].key, "its outputs stand in another order"


def test_a_kept_teacher_may_stand_in_another_place(tmp_path: Path) -> None:
    """Its key does not say which of the teachers it was when it was trained, so neither may the artifact."""
    slim = {**SMALL["teacher"], "epochs": 1, "seed": 0}
    wide = {**slim, "model": {"kind": "convnet", "width": 24, "depth": 2}, "seed": 1}

    def trained(**teachers: Any) -> list[str]:
        seen: list[dict[str, Any]] = []
        once = table(student={**SMALL["student"], "epochs": 1}, **teachers)
        order = requests.make(once, cache=tmp_path, progress=seen.append)
        running.train_all(prepare(order, Objects()))
        return [event["step"] for event in seen if "loss" in event and event["step"].startswith("teacher")]

    assert trained(teacher=slim, teachers=[wide]) == ["teacher", "teacher 2"]
    assert trained(teacher=wide) == []
    assert trained(teacher={**wide, "seed": 2}, teachers=[slim]) == ["teacher"]


def test_a_student_made_of_the_teacher_answers_under_the_name_of_its_head() -> None:
    """An app looks for the output that the bundle's head is called."""
    data = {**SMALL["data"], "heads": {"half": {"low": [0, 1], "high": [2, 3]}}}
    made = {"from_teacher": [{"kind": "channel_prune", "keep": 1}]}
    teacher = {**SMALL["teacher"], "model": {"kind": "convnet", "width": 32, "depth": 2}}
    workspace = prepare(requests.make(table(data=data, teacher=teacher, student=made)), Objects())
    student = distil.begin(workspace, workspace.plan.get("student", DistilStep), workspace.untrained("teacher"))
    assert [spec.name for spec in student.outputs] == list(workspace.heads) == ["half"]


def test_a_loss_that_needs_labels_is_told_also_where_there_are_several_heads() -> None:
    data = from_splits(tuple(np.zeros((n, 8, 8, 1), np.uint8) for n in (16, 8, 8)), "data", ["a", "b", "c", "d"])
    heads = {"tone": {}, "half": {"low": [0, 1], "high": [2, 3]}}
    order = requests.make(table(data={**SMALL["data"], "heads": heads}))
    with pytest.raises(RecipeError, match=r"losses\[1\]\.kind: this loss needs labels"):
        prepare(order, Objects(dataset=data))


def test_every_generation_is_held_against_the_teachers(tmp_path: Path) -> None:
    """A later one learns from the student before it; what its patience and its curve look at is the report's metric."""
    student = {**SMALL["student"], "generations": 2}
    order = requests.make(table(student=student, metric="agreement"), cache=tmp_path)
    workspace = prepare(order, Objects())
    trained, teacher_outputs = running.train_all(workspace)
    scores = TorchReference(workspace, trained)("student", "validation")
    agree = (scores.argmax(1) == answers.whole(teacher_outputs.split("validation")).argmax(1)).mean()
    before = TorchReference(workspace, trained)("student 1 of 2", "validation")
    assert agree != (scores.argmax(1) == before.argmax(1)).mean(), "or this test tells nothing"
    assert trained["student"].history[-1]["validation"] == pytest.approx(agree)


def test_a_teacher_may_learn_of_samples_as_they_are_and_answer_their_views(tmp_path: Path) -> None:
    """The same weights as without augmentation, at other steps: what it answers differs."""
    views, model = {"flip": True, "views": 2}, SMALL["teacher"]
    found, keys = [], []
    for augment, teacher in (({"views": 1}, {}), (views, {"augment": False}), (views, {})):
        order = requests.make(table(augment=augment, teacher={**model, **teacher}), cache=tmp_path / "cache")
        workspace = prepare(order, Objects())
        step = workspace.plan.get("teacher", TeachStep)
        found.append(teach.teacher(workspace, step).student.module.state_dict())
        keys.append(step.key)
    plain, asked, augmented = found
    assert all(torch.equal(plain[name], asked[name]) for name in plain) and len(set(keys)) == 3
    assert not all(torch.equal(plain[name], augmented[name]) for name in plain)
    assert workspace.feed_of("teacher").views == 2
