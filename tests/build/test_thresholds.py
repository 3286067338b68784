"""Thresholds of what ships: found on validation, kept in the manifest, told by ``predict``, the report and programs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import edgekd
from edgekd.base import plugins, preprocess
from edgekd.base.errors import IntegrityError, RecipeError
from edgekd.base.label_thresholds import best
from edgekd.build import thresholds
from edgekd.build.prepare import check_thresholds
from edgekd.build.thresholds import FileScores, Rated, certainty, drawn, rate
from edgekd.decide.abstain import auroc
from edgekd.learn.data import _base as base
from edgekd.learn.feed import Feed
from edgekd.publish import coverage
from edgekd.publish.coverage import covered
from edgekd.runtime import bundle as bundles
from edgekd.spec.recipe import Abstain, Augment, Recipe
from edgekd.tasks import CLASSES, Certainty, Heads
from edgekd.tasks.multi_label import MultiLabel
from edgekd.tasks.regression import Regression
from edgekd.tasks.tagging import Tagging

Split = tuple[np.ndarray, np.ndarray]
CLASSIFIED: dict[str, Any] = {
    "student": {"from_teacher": [], "epochs": 0},
    "losses": [{"kind": "kl", "temperature": 2.0}],
    "data": {"preprocess": []},
    "budget": {"max_drop": 1.0},
}


def net(columns: int) -> nn.Module:
    """A network whose hidden units the int8 file rounds."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, columns)).eval()


def split(module: nn.Module, count: int, seed: int, *, several: bool) -> Split:
    """Samples, and labels that the network's scores decide with some noise."""
    rng = np.random.default_rng(seed)
    x = (2 * rng.standard_normal((count, 6))).astype(np.float32)
    with torch.no_grad():
        scores = 4 * module(torch.from_numpy(x)).numpy()
    noisy = scores + rng.normal(0, 1, scores.shape)
    return x, (noisy > 0.8).astype(np.int64) if several else noisy.argmax(axis=1)


def data(module: nn.Module, *, several: bool) -> tuple[Split, Split, Split]:
    sizes = enumerate((300, 500, 400))
    train, validation, test = (split(module, count, seed, several=several) for seed, count in sizes)
    return train, validation, test


def build(folder: Path, task: object, wish: dict[str, Any] | None, *, several: bool) -> Path:
    module = net(3)
    table = {**CLASSIFIED, "task": task, **({} if wish is None else {"abstain": wish})}
    if task == "regression":
        table["losses"] = [{"kind": "squared_error"}]
    keys: dict[str, Any] = {"out": folder / "out", "cache": folder / "cache", "quick": True}
    edgekd.build(table, teacher=module, data=data(module, several=several), targets=["ort-cpu", "openvino"], **keys)
    return folder / "out"


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of int8 files that are sure of some answers."""
    return build(tmp_path_factory.mktemp("classes"), "classification", {"agreement": 0.95}, several=False)


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that knows three of four classes: samples of the fourth lie far from all others."""
    folder, module = tmp_path_factory.mktemp("outside"), net(3)
    parts = []
    for x, y in data(module, several=False):
        far = (6 + np.random.default_rng(len(x)).standard_normal((len(x) // 5, 6))).astype(np.float32)
        parts.append((np.concatenate([far, x]), np.concatenate([np.full(len(far), 1), np.array([0, 2, 3])[y]])))
    wish = {"agreement": 0.95, "by": "distance", "outside": "other"}
    keys: dict[str, Any] = {"out": folder / "out", "cache": folder / "cache", "quick": True}
    names = ["a", "other", "b", "c"]
    table = {**CLASSIFIED, "abstain": wish}
    edgekd.build(table, teacher=module, data=tuple(parts), classes=names, targets=["ort-cpu"], **keys)
    return folder / "out"


@pytest.fixture(scope="module")
def labels(quick: Callable[[str], Any]) -> Path:
    """A bundle whose labels have thresholds."""
    return Path(quick("scene-labels").out)


def about(bundle: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((bundle / "manifest.json").read_text())["additional_metadata"]["edgekd"]
    return found


def report(bundle: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((bundle / "report.json").read_text())
    return found


@pytest.mark.parametrize("target", ["ort-cpu", "openvino"])
def test_predict_is_sure_as_the_report_says(classes: Path, target: str) -> None:
    module, told = net(3), report(classes)
    x, _ = split(module, 400, 2, several=False)
    predictions = edgekd.load(classes, target=target).predict(x)
    sure = np.array([one.sure for one in predictions])
    with torch.no_grad():
        agree = np.array([one.index for one in predictions]) == module(torch.from_numpy(x)).numpy().argmax(axis=1)
    row = told["targets"][target]["sure"][target]["logits"]
    assert row["test"]["samples"] == 400 and row["test"]["coverage"] == sure.mean() > 0.3
    assert row["test"]["agreement"] == agree[sure].mean()
    assert row["validation"]["samples"] == 500 - 500 // 3
    assert row["validation"]["at_least"] >= 0.95 and row["validation"]["agreement"] > 0.95
    assert told["abstain"] == {"agreement": 0.95, "confidence": 0.95, "against": "teacher"}
    assert any("agree with the teacher" in note for note in told["details"]["notes"])


def test_the_manifest_holds_it_and_scores_are_at_the_temperature(classes: Path) -> None:
    thresholds = about(classes)["thresholds"]["logits"]["sure"]
    assert thresholds == report(classes)["thresholds"]["logits"]["sure"]
    model, x = edgekd.load(classes, target="ort-cpu"), split(net(3), 3, 5, several=False)[0]
    logits = model.run({"input": x})["logits"].astype(np.float64) / thresholds["temperature"]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose([one.scores for one in model.predict(x)], shares, atol=1e-6)
    assert thresholds["by"] in CLASSES.certainties and thresholds["temperature"] < 1  # the labels' noise is small


def test_verify_replays_it(classes: Path, tmp_path: Path) -> None:
    assert sum("same decisions" in check["check"] for check in edgekd.verify(classes)) == 2
    kept = json.loads((classes / "decisions.json").read_text())["decisions"]["ort-cpu"]
    assert any("sure" in one["logits"] for one in kept)
    folder = Path(shutil.copytree(classes, tmp_path / "b"))
    table = json.loads((folder / "manifest.json").read_text())
    sure = table["additional_metadata"]["edgekd"]["thresholds"]["logits"]["sure"]
    sure["least"] = -1e9 if any(one["logits"].get("sure") is False for one in kept) else 1e9
    changed = bundles.canonical(table)
    (folder / "manifest.json").write_bytes(changed)
    (folder / "manifest.sha256").write_bytes(bundles.digest_file(changed))
    with pytest.raises(IntegrityError, match="not as sure as when it was built"):
        edgekd.verify(folder)


def test_what_is_of_no_class_is_not_learned_and_told_from_the_others(outside: Path) -> None:
    told = report(outside)
    assert told["abstain"]["outside"] == ["other"]
    validation, row = (told["targets"]["ort-cpu"]["sure"]["ort-cpu"]["logits"][part] for part in ("validation", "test"))
    x, _ = data(net(3), several=False)[2]
    far = (6 + np.random.default_rng(len(x)).standard_normal((len(x) // 5, 6))).astype(np.float32)
    model = edgekd.load(outside)
    said = [model.predict(part) for part in (x, far)]
    assert {one.label for part in said for one in part} <= {"a", "b", "c"} == {*bundles.read(outside).labels}
    sure = [np.array([one.sure for one in part]) for part in said]
    by = bundles.read(outside).heads.certainties["logits"]
    assert by.by == "distance" and by.distance is not None
    nearness = [by.distance.nearness(model.run({"input": part})["logits"]) for part in (x, far)]
    assert row["samples"] == 400 and row["coverage"] == sure[0].mean() > 0.2
    assert row["outside"]["samples"] == 80 and row["outside"]["coverage"] == sure[1].mean() < sure[0].mean()
    assert row["outside"]["auroc"] == auroc(*nearness) and validation["outside"]["samples"] == 100
    card = (outside / "README.md").read_text()
    assert "80 test samples of other" in card and "agree with the teacher" in card and "240 samples of other" in card


@pytest.mark.parametrize("name", ["classes", "labels", "outside"])
def test_a_program_says_what_predict_does(name: str, request: pytest.FixtureRequest) -> None:
    bundle = request.getfixturevalue(name)
    line = [sys.executable, str(bundle / "examples" / "python" / "predict.py")]
    answer = json.loads(subprocess.run(line, capture_output=True, check=True, text=True).stdout)["logits"]
    sample = np.frombuffer((bundle / "examples" / "sample.bin").read_bytes(), np.float32)
    decided = edgekd.load(bundle, target="ort-cpu").predict(sample)
    assert answer.get("sure") is decided.sure and (decided.sure is None) == (name == "labels")
    assert answer.get("labels", answer.get("label")) == (list(decided.labels) if name == "labels" else decided.label)


def test_each_label_has_a_threshold_that_metrics_answers_and_apps_share(labels: Path) -> None:
    told, thresholds = report(labels), about(labels)["thresholds"]["logits"]
    assert about(labels)["task"]["threshold"] is None and thresholds == told["thresholds"]["logits"]
    assert "abstain" not in told and "sure" not in told["targets"]["ort-cpu"]
    table = {**told["details"]["recipe"]["data"]["made"], "kind": told["details"]["recipe"]["data"]["made"]["source"]}
    table.pop("source")
    dataset = plugins.build("data", table, "data").load(task := MultiLabel())
    task, said = task.decided_at(thresholds["labels"]), {}
    for target in ("ort-cpu", "openvino"):
        model = edgekd.load(labels, target=target)
        x, y = dataset.test.x, dataset.test.y
        applies = task.answers(model.run(preprocess.apply(bundles.read(labels).preprocess, x))["logits"])
        assert [one.indices for one in model.predict(x)] == [tuple(np.flatnonzero(row)) for row in applies]
        f1 = 2 * (applies & y).sum(axis=0) / np.maximum(applies.sum(axis=0) + y.sum(axis=0), 1)
        assert told["targets"][target]["at_thresholds"]["value_test"] == pytest.approx(f1.mean())
        validation = preprocess.apply(bundles.read(labels).preprocess, dataset.validation.x)
        said[target] = model.run(validation)["logits"].astype(np.float64)
        cuts = [best(column, hits) for column, hits in zip(said[target].T, dataset.validation.y.T, strict=True)]
        applies = model.run(preprocess.apply(bundles.read(labels).preprocess, x))["logits"] >= np.array(cuts)
        f1 = 2 * (applies & (y == 1)).sum(axis=0) / np.maximum(applies.sum(axis=0) + y.sum(axis=0), 1)
        shipped = told["targets"][target]["shipped"]
        value = next(c["value_test"] for c in told["targets"][target]["candidates"] if c["name"] == shipped)
        assert value == pytest.approx(f1.mean()), "before thresholds are shared it is judged at its own"
    both, twice = np.concatenate([*said.values()]), np.tile(dataset.validation.y, (2, 1))
    cuts = [best(column, hits) for column, hits in zip(both.T, twice.T, strict=True)]
    np.testing.assert_allclose(thresholds["labels"], 1 / (1 + np.exp(-np.array(cuts))))


def files(scores: np.ndarray, labels: np.ndarray | None, teacher: np.ndarray) -> FileScores:
    evaluation: Any = SimpleNamespace(labels={"validation": labels}, teacher=lambda split: teacher)
    return FileScores("t", "t", evaluation, scores.astype(np.float32), *drawn(len(scores), 0))


def test_one_label_in_all_of_validation_is_no_error() -> None:
    """It tells nothing of the others: they keep 0.5, and so does that one, which is always there."""
    scores = np.random.default_rng(0).normal(size=(30, 3))
    alone, heads = files(scores, np.tile([1, 0, 0], (30, 1)), scores), Heads({"a": 3}, {"a": MultiLabel()})
    assert thresholds.label_thresholds_of(heads, "a", [alone], all_of_it=True) == [0.5, 0.5, 0.5]


def test_without_labels_the_teachers_answers_count_and_of_some_samples_where_the_others_test() -> None:
    heads, rng = Heads({"a": 2}, {"a": MultiLabel()}), np.random.default_rng(0)
    teacher = rng.normal(size=(90, 2))
    one = files(teacher + 1.0, None, teacher)  # it says 1 more of everything
    chosen = thresholds.label_thresholds_of(heads, "a", [one], all_of_it=True)
    assert (heads.decided({"a": chosen}, {}).tasks["a"].answers(one.scores) == (teacher >= 0)).all()
    some = thresholds.label_thresholds_of(heads, "a", [one], all_of_it=False)
    part = files(one.scores[one.tuning], None, teacher[one.tuning])
    assert some == thresholds.label_thresholds_of(heads, "a", [part], all_of_it=True) != chosen


def test_labels_that_nobody_knows_are_no_disagreement() -> None:
    heads, scores = Heads({"a": 2}, {"a": MultiLabel()}), np.array([[1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    one = files(scores, np.array([[1, -1], [1, 0], [-1, -1]]), -scores)
    of_labels, of_teacher = (Abstain(agreement=0.9, against=whom) for whom in ("labels", "teacher"))
    agrees = [rate(heads, "a", heads.tasks["a"], one, "validation", wish).agrees for wish in (of_labels, of_teacher)]
    assert [part.tolist() for part in agrees] == [[True, False], [False, False, False]]


WRONG: list[tuple[object, dict[str, Any] | None, str]] = [
    ("classification", {"agreement": 1.0}, r"abstain\.agreement"),
    ("classification", {"agreement": 0.9, "confidence": 0.2}, r"abstain\.confidence"),
    ("classification", {}, r"abstain\.agreement: missing"),
    ("classification", {"agreement": 0.9, "agrement": 1}, "unknown key.*agrement"),
    ("classification", {"agreement": 0.9, "by": "magin"}, r"abstain\.by: no score.*did you mean 'margin'"),
    ("multi_label", {"agreement": 0.9, "by": "energy"}, r"abstain\.by: no score of this task's"),
    ("multi_label", {"agreement": 0.9, "by": "distance"}, r"abstain\.by: no score of this task's"),
    ("multi_label", {"agreement": 0.9, "outside": "0"}, r"abstain\.outside: no classes to leave out"),
    ("classification", {"agreement": 0.9, "outside": ["7"]}, r"abstain\.outside: no such class; found '7'"),
    ("regression", {"agreement": 0.9}, "abstain: no answers to be sure of; found 'regression'"),
    (
        {"kind": "multi_label", "threshold": [0.5, 0.5]},
        None,
        r"task\.threshold: a threshold for each label",
    ),
    ({"kind": "multi_label", "threshold": [0.5, 1.5, 0.5]}, None, r"task\.threshold: allowed is a prob"),
    ({"kind": "multi_label", "threshold": "chosen"}, None, r"task\.threshold: wrong type"),
]


@pytest.mark.parametrize(("task", "wish", "message"), WRONG)
def test_what_fits_nothing_is_refused(tmp_path: Path, task: object, wish: dict[str, Any] | None, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        build(tmp_path, task, wish, several=task != "classification")


OTHERS: list[tuple[Heads, Abstain | None, str]] = [
    (
        Heads({"tags": (4, 3)}, {"tags": Tagging()}),
        Abstain(agreement=0.9),
        r"abstain: no answers.*found 'tagging'.*are right or wrong together",
    ),
    (
        Heads({"y": 3}, {"y": Regression(mean=(0.5, 0.5), std=(1.0, 1.0))}),
        None,
        r"task\.mean: a mean and a std of each value; found '2 numbers'; allowed: 3",
    ),
]


@pytest.mark.parametrize(("heads", "wish", "message"), OTHERS)
def test_what_fits_no_head_is_refused(heads: Heads, wish: Abstain | None, message: str) -> None:
    part = base.Split(np.zeros((2, 4), np.float32), None)
    feed = Feed(base.Dataset(part, part, part, ("a", "b", "c"), ()), (), Augment(), 0)
    with pytest.raises(RecipeError, match=message):
        check_thresholds(Recipe.model_construct(abstain=wish, heads={}), heads, feed)


def test_labels_that_nobody_has_are_no_reference(tmp_path: Path) -> None:
    module = net(3)
    bare = tuple([[x]] for x, _ in data(module, several=False))
    table = {**CLASSIFIED, "abstain": {"agreement": 0.9, "against": "labels"}}
    keys: dict[str, Any] = {"out": tmp_path / "out", "cache": tmp_path / "cache", "quick": True}
    with pytest.raises(RecipeError, match=r"abstain\.against: the data has no labels; found 'labels'.*teacher"):
        edgekd.build(table, teacher=module, data=bare, classes=["a", "b", "c"], targets=["ort-cpu"], **keys)


def rated(scores: np.ndarray, reference: np.ndarray) -> Rated:
    return Rated(scores.astype(np.float32), reference, scores.argmax(axis=1) == reference, *drawn(len(scores), 0))


def test_of_samples_that_are_alike_one_tests() -> None:
    """Of 200 data sets of 300 videos 3.5 % are answered otherwise, in all of their ten frames, and no score tells."""
    wish, found, video = Abstain(agreement=0.97), {True: 0, False: 0}, np.repeat(np.arange(300), 10)
    tuning, tested = drawn(len(video), 0, video)
    assert len(set(video[tuning])) == tuning.sum() / 10 == 100 and tested.sum() == len(set(video[tested])) == 200
    assert not set(video[tuning]) & set(video[tested])
    for seed in range(200):
        rng = np.random.default_rng(seed)
        right = np.repeat(rng.random(300) >= 0.035, 10)
        scores = np.stack([np.zeros(len(video)), rng.uniform(1, 2, len(video))], axis=1).astype(np.float32)
        for by_video in found:
            parts = drawn(len(video), seed, video if by_video else None)
            one = Rated(scores, right.astype(np.int64), right, *parts)
            found[by_video] += certainty(CLASSES, [one], wish)["least"] is not None
    assert found[True] <= 16 < 25 < found[False]  # 5 % and what 200 draws may add


def test_the_score_that_tells_best_is_taken_unless_the_recipe_names_one() -> None:
    """Right answers and wrong ones of one margin and one share, that lie apart by how large all scores are."""
    rng, wish = np.random.default_rng(0), Abstain(agreement=0.9)
    large = rng.random(3_000) < 0.9
    scores = np.stack([np.zeros(3_000), rng.uniform(1, 2, 3_000)], axis=1) + 10 * large[:, None]
    found = certainty(CLASSES, [rated(scores, large.astype(np.int64))], wish)
    assert found["by"] == "energy" and found["least"] is not None and found["least"] < 13
    named = certainty(CLASSES, [rated(scores, large.astype(np.int64))], wish.model_copy(update={"by": "margin"}))
    assert named["by"] == "margin"


def test_samples_of_no_class_have_a_say_in_the_score() -> None:
    """Answers that are told apart by each score alike; of the others, that are small, the energy alone knows."""
    rng, wish = np.random.default_rng(0), Abstain(agreement=0.9)
    lead, right = rng.uniform(1, 2, 900), np.ones(900, np.int64)
    one = rated(np.stack([np.full(900, 9.0), 9 + lead], axis=1), np.where(lead > 1.1, right, 0))
    assert certainty(CLASSES, [one], wish)["by"] == "probability"
    strangers = np.stack([np.zeros(300), rng.uniform(1, 2, 300)], axis=1).astype(np.float32)
    assert certainty(CLASSES, [one._replace(outside=strangers)], wish)["by"] == "energy"


def test_samples_of_no_class_that_would_be_sure_count() -> None:
    """Probability tells wrong answers best and has the larger mean of areas, but is as sure of most that are no class;
    where no threshold passes, the areas decide.
    """
    rng = np.random.default_rng(0)
    base, lead, right = rng.normal(20, 3, 1_800), rng.uniform(1, 2, 1_800), np.ones(1_800, np.int64)
    one = rated(np.stack([base, base + lead], axis=1), np.where(lead > 1.1, right, 0))
    strangers = np.stack([np.zeros(300), rng.uniform(0.8, 1.8, 300)], axis=1).astype(np.float32)
    found = certainty(CLASSES, [one._replace(outside=strangers)], Abstain(agreement=0.8, by=None))
    assert found["by"] == "energy" and found["least"] is not None
    assert certainty(CLASSES, [one._replace(outside=strangers)], Abstain(agreement=0.9999))["by"] == "probability"


def test_a_distance_of_too_few_samples_is_sure_of_nothing() -> None:
    one = rated(np.array([[1.0, 0.0], [2.0, 1.0]]), np.array([0, 0]))
    found = certainty(CLASSES, [one], Abstain(agreement=0.9, by="distance"))
    assert found == {"by": "distance", "least": None, "temperature": found["temperature"]}
    told = coverage.of_outside(Certainty("distance", 1.0), CLASSES, one.scores, 2 * one.scores)
    assert told == {"samples": 2, "coverage": 0.0, "auroc": 0.5}


def test_one_sample_is_enough_to_say_that_nothing_is_sure() -> None:
    one = rated(np.array([[1.0, 0.0]]), np.array([0]))
    found = certainty(CLASSES, [one], Abstain(agreement=0.9))
    assert found == {"by": "probability", "least": None, "temperature": 1.0}
    none = covered(np.zeros(3, bool), np.ones(3, bool), 0.95)
    assert none == {"samples": 3, "coverage": 0.0, "agreement": None, "at_least": 0.0}
