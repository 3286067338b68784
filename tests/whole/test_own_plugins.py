"""A user's own package: its data source, model family, loss and metric work in a recipe like the built-in ones."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import onnx
import pytest
import tomli_w
import torch

import edgekd
from edgekd import cli
from edgekd.base import plugins
from edgekd.base.errors import FactoryError, RecipeError
from edgekd.build import planner
from edgekd.learn.objective import make_terms
from edgekd.metrics._base import PerSample
from edgekd.metrics._evaluator import Evaluator
from edgekd.metrics._make import make_metric
from edgekd.spec import recipe, target
from edgekd.tasks import Heads

OWN = '''
import hashlib
import json
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import nn

from edgekd.learn.data._base import Dataset, Split


@dataclass(frozen=True)
class Points:
    count: int = 96

    def fingerprint(self):
        return hashlib.sha256(repr(self).encode()).hexdigest()

    def load(self):
        x = np.random.default_rng(0).standard_normal((self.count, 4)).astype(np.float32)
        y = (x[:, 0] > 0).astype(np.int64)
        return Dataset(*(Split(x[i::3], y[i::3]) for i in range(3)), ("below", "above"), ())


@dataclass(frozen=True)
class Net:
    width: int

    def build(self, input_shape, classes):
        return nn.Sequential(nn.Linear(input_shape[0], self.width), nn.ReLU(), nn.Linear(self.width, classes))


@dataclass(frozen=True)
class Absolute:
    """mean |s - t|"""

    needs: ClassVar[frozenset] = frozenset({"teacher"})
    power: float = 1.0

    def __post_init__(self):
        if self.power <= 0:
            raise ValueError("power: allowed is above 0")

    def __call__(self, student, teacher, labels):
        return (student - teacher).abs().pow(self.power).mean()


@dataclass(frozen=True)
class Worst:
    """minus the largest difference from the teacher"""

    share: ClassVar[bool] = False
    against: ClassVar[str] = "teacher"

    def __call__(self, scores, wanted, raw):
        return -float(np.abs(scores - wanted).max())


@dataclass(frozen=True)
class Within:
    """share of samples whose values are near the teacher's"""

    share: ClassVar[bool] = True
    against: ClassVar[str] = "teacher"
    classifies: ClassVar[bool] = False

    def __call__(self, scores, wanted, raw):
        return float((np.abs(scores - wanted).max(axis=1) < 10).mean())


@dataclass(frozen=True)
class Signed:
    """Writes a name into the file."""

    order: ClassVar[int] = 90
    always: ClassVar[bool] = False

    def __call__(self, model):
        model.producer_name = "parts of mine"


@dataclass(frozen=True)
class Shaken:
    """A little noise on every number."""

    reads: ClassVar[frozenset] = frozenset({"vectors"})
    most: float = 0.1

    def __call__(self, x, draws):
        noise = np.stack([draws.uniform(i) for i in range(x.shape[1])], axis=1)
        return (x + self.most * (2 * noise - 1)).astype(x.dtype)


@dataclass(frozen=True)
class Lines:
    """What a build says, line by line."""

    file: str

    def open(self, name, settings):
        with open(self.file, "w") as lines:
            lines.write(json.dumps({"name": name, **settings}) + "\\n")
        return self

    def write(self, values, epoch):
        with open(self.file, "a") as lines:
            lines.write(json.dumps({"epoch": epoch, **values}) + "\\n")

    def close(self, values, finished):
        with open(self.file, "a") as lines:
            lines.write(json.dumps({"finished": finished, **values}) + "\\n")


@dataclass(frozen=True)
class Mute:
    def __call__(self, scores, wanted, raw):
        return 0.0
'''
RECIPE: dict[str, Any] = {
    "name": "own",
    "data": {"source": "parts_of_mine.zoo:Points", "count": 120},
    "augment": {"ops": [{"kind": "parts_of_mine.zoo:Shaken", "most": 0.2}], "views": 2},
    "teacher": {"model": {"kind": "parts_of_mine.zoo:Net", "width": 16}, "epochs": 2},
    "student": {"model": {"kind": "parts_of_mine.zoo:Net", "width": 8}, "epochs": 2},
    "metric": "parts_of_mine.zoo:Worst",
    "losses": [{"kind": "parts_of_mine.zoo:Absolute", "power": 2.0}],
    "budget": {"max_drop": 100.0},
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    file = tmp_path / "parts_of_mine" / "zoo.py"
    file.parent.mkdir()
    file.write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield file
    for name in [name for name in sys.modules if name.startswith("parts_of_mine")]:
        del sys.modules[name]


def test_a_recipe_of_a_users_own_parts_builds(package: Path, tmp_path: Path) -> None:
    keys: dict[str, Any] = {"targets": ["ort-cpu"], "out": tmp_path / "out", "cache": tmp_path / "cache"}
    lines = tmp_path / "lines.jsonl"
    report = edgekd.build({**RECIPE, "log": {"kind": "parts_of_mine.zoo:Lines", "file": str(lines)}}, **keys)
    logged = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [row.get("epoch") for row in logged] == [None, 0, 1, 0, 1, None] and logged[0]["student.model.width"] == 8
    history = report["details"]["history"]
    assert history is not None
    assert logged[2]["teacher/validation"] == pytest.approx(history["teacher"][1]["validation"])
    assert logged[-1]["finished"] and logged[-1]["results/ort-cpu/fp32/p50_ms"] > 0
    assert edgekd.build(RECIPE, **keys) == report, "a log is in no key"
    assert report["metric"] == "parts_of_mine.zoo:Worst" and report["split_sizes"]["train"] == 40
    teacher, student = report["stages"]
    assert teacher["value_validation"] == 0.0 and student["value_validation"] < 0
    last, watched = history["student"][-1], history["teacher"][-1]["validation"]
    assert watched is not None and 0 <= watched <= 1, "labels, as no teacher watches"
    page = (tmp_path / "out" / "report.html").read_text()
    assert "validation accuracy" in page and "validation parts_of_mine.zoo:Worst" in page
    assert last["validation"] == pytest.approx(student["value_validation"], rel=1e-4)
    assert last["losses"] is not None and list(last["losses"]) == ["parts_of_mine.zoo:Absolute"]
    with pytest.raises(edgekd.EdgekdError, match="holds another bundle"):
        edgekd.build({**RECIPE, "losses": [{"kind": "parts_of_mine.zoo:Absolute"}]}, **keys)


def test_a_users_own_share_is_shown_in_percent_whatever_the_student_answers(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the page, the model card and the console. What it answers the task says, and not the metric."""
    (tmp_path / "r.toml").write_text(tomli_w.dumps({**RECIPE, "metric": "parts_of_mine.zoo:Within"}))
    line = ["build", str(tmp_path / "r.toml"), "--target", "ort-cpu", "--out", str(tmp_path / "out")]
    assert cli.run([*line, "--cache", str(tmp_path / "cache")]) == 0
    printed = capsys.readouterr().out.replace("\N{NO-BREAK SPACE}", " ")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["metric_is_share"], report["classifies"], report["task"]) == (True, True, "classification")
    shown = f"{100 * report['stages'][1]['value_test']:.1f} %"
    for text in (printed, *((tmp_path / "out" / name).read_text() for name in ("report.html", "README.md"))):
        assert shown in text.replace("\N{NO-BREAK SPACE}", " ").replace("&nbsp;", " ")
    assert report["details"]["agreement"] is not None and report["details"]["learned"]["unit"] == "bit"
    answer = json.loads((tmp_path / "out" / "examples/answer.json").read_text())
    assert [list(head) for head in answer.values()] == [["label", "scores"]]


@pytest.mark.parametrize(
    ("family", "table", "said"),
    [
        ("losses", {"kind": "parts_of_mine.zoo:Absolute", "powr": 1.0}, "did you mean 'power'"),
        ("losses", {"kind": "parts_of_mine.zoo:Absolute", "power": -1.0}, "here.power: allowed is above 0"),
        ("views", {"kind": "parts_of_mine.zoo:Shaken", "mst": 0.1}, "did you mean 'most'"),
        ("models", {"kind": "parts_of_mine.zoo:Net"}, "needs 'width'"),
        ("data", {"kind": "parts_of_mine.zoo:Points", "count": "many"}, "here.count: wrong type"),
        ("metrics", {"kind": "parts_of_mine.zoo:Wurst"}, "did you mean 'Worst'"),
    ],
)
def test_their_mistakes_are_told_like_ours(package: Path, family: str, table: dict[str, Any], said: str) -> None:
    with pytest.raises(edgekd.EdgekdError, match=said) as caught:
        plugins.build(family, table, "here")
    assert caught.value.exit_code == 2


def test_a_target_asks_for_a_users_own_graph_pass(package: Path, tmp_path: Path) -> None:
    usual = (target.folder() / "ort-cpu.toml").read_text()
    (tmp_path / "mine.toml").write_text(usual.replace("passes = [", 'passes = ["parts_of_mine.zoo:Signed", '))
    chosen = ["ort-cpu", str(tmp_path / "mine.toml")]
    plan = planner.of_recipe(recipe.parse(RECIPE, "r"), [target.load(name) for name in chosen], "data", 100)
    exports = [step for step in plan.steps.values() if step.kind == "export"]
    assert len({step.key for step in exports}) == len(exports) == 2, "the one file for both"
    edgekd.build(RECIPE, targets=chosen, out=tmp_path / "out", cache=tmp_path / "cache")
    said = [onnx.load(next((tmp_path / "out" / name).glob("*.onnx"))).producer_name for name in ("ort-cpu", "mine")]
    assert said == ["edgekd", "parts of mine"]


def test_a_loss_that_does_not_say_what_it_needs_is_told(package: Path) -> None:
    with pytest.raises(RecipeError, match=r"losses\[0\].kind: a loss says what it 'needs'"):
        make_terms([{"kind": "parts_of_mine.zoo:Mute"}])


def test_a_metric_that_does_not_say_its_unit_is_told(package: Path) -> None:
    with pytest.raises(RecipeError, match=r"a metric says its 'share'.*allowed: False, True"):
        make_metric({"kind": "parts_of_mine.zoo:Mute"})


class Says(PerSample):
    """Says of a split, and of each sample, what it is told to."""

    against: ClassVar[Literal["labels", "teacher"]] = "labels"
    share: ClassVar[bool] = False

    def __init__(self, said: Any) -> None:
        self.said = said

    def per_sample(self, scores: Any, wanted: Any, raw: Any) -> Any:
        return self.said

    def __call__(self, scores: Any, wanted: Any, raw: Any) -> Any:
        return self.said


WRONG = [math.nan, -math.inf, None, "0.5", 1j, torch.ones(1, requires_grad=True)]


@pytest.mark.parametrize("said", [*WRONG, [0.5], [[0.5], [0.5, 1.0]]], ids=repr)
def test_a_metric_that_says_no_number_is_told(said: Any) -> None:
    evaluator, scores, labels = (
        Evaluator(Says(said), Heads({"logits": 2})),
        np.zeros((3, 2), np.float32),
        np.zeros(3, np.int64),
    )
    with pytest.raises(FactoryError, match=r"metric: .*Says says no finite number.*allowed: a number, of the whole"):
        evaluator(scores, labels, None, scores)


@pytest.mark.parametrize("said", [*WRONG, 0.5, [0.5, 0.5], [0.5, math.nan, 0.5], [[0.5]] * 3], ids=repr)
def test_a_metric_that_says_no_number_of_each_sample_is_told(said: Any) -> None:
    evaluator, scores, labels = (
        Evaluator(Says(said), Heads({"logits": 2})),
        np.zeros((3, 2), np.float32),
        np.zeros(3, np.int64),
    )
    with pytest.raises(FactoryError, match=r"metric: .*Says says no finite number.*allowed: 3 numbers, one a sample"):
        evaluator.per_sample(scores, labels, None, scores)


@pytest.mark.parametrize("said", [1, True, np.float16(0.5), torch.tensor(0.25), np.array(-2.0)], ids=repr)
def test_any_number_of_a_metric_counts(said: Any) -> None:
    scores, labels = np.zeros((3, 2), np.float32), np.zeros(3, np.int64)
    assert Evaluator(Says(said), Heads({"logits": 2}))(scores, labels, None, scores) == float(said)


def test_a_metric_is_not_to_blame_for_scores_that_are_no_numbers() -> None:
    scores, labels = np.full((3, 2), np.nan, np.float32), np.zeros(3, np.int64)
    assert math.isnan(Evaluator(Says(math.nan), Heads({"logits": 2}))(scores, labels, None, scores))
