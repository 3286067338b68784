"""The search itself, its training replaced by arithmetic: what is asked, dropped, kept, resumed."""

from __future__ import annotations

import json
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _small
import pytest
from jsonschema import Draft202012Validator

from edgekd import cli, pipeline
from edgekd.base.errors import GateError
from edgekd.build import exports
from edgekd.cli import schema
from edgekd.document.tune import Ships
from edgekd.learn.feed import Feed
from edgekd.spec import recipe as recipes
from edgekd.spec.recipe import Recipe
from edgekd.tune import outcome, search, search_space, trial
from edgekd.tune.verdict import Result, Shape, missed

TUNE = """
[tune]
"student.model.width" = { choices = [16, 32, 48, 64] }
"losses.0.temperature" = { low = 1.0, high = 8.0, log = true }
"""


class Fake:
    """A lab whose students are as fast as they are narrow and as good as they are wide."""

    def __init__(self) -> None:
        self.trained: list[int] = []
        self.shaped: list[int] = []

    def shapes(self, lab: trial.Lab, recipe: Recipe) -> dict[str, dict[str, Shape]]:
        width = self.width(recipe)
        self.shaped.append(width)
        return {"ort-cpu": {"int8": Shape(width / 100, width * 1000)}}

    def full(self, lab: trial.Lab, recipe: Recipe, number: int) -> Result:
        width = self.width(recipe)
        self.trained.append(width)
        value, p50, size = width / 200, width / 100, width * 1000
        beyond = missed(lab.budget, drop=1 - value, latency_ms=p50, size_bytes=size)
        row: Ships = {"candidate": "int8", "value": value, "p50_ms": p50, "size_bytes": size, "reason": "the fastest"}
        return Result(number, value, p50, size, 1 - value, beyond, "", {"ort-cpu": row})

    @staticmethod
    def width(recipe: Recipe) -> int:
        assert recipe.student.model is not None
        return int(recipe.student.model["width"])


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = Fake()
    monkeypatch.setattr(search, "shapes", made.shapes)
    monkeypatch.setattr(search, "full", made.full)
    monkeypatch.setattr(search, "rung", lambda lab, recipe: 0.5)
    monkeypatch.setattr(pipeline, "run", lambda order, objects: {})
    return made


@pytest.fixture
def tuned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """``edgekd tune`` on digits with a small space: exit code and tune.json, of its schema, where there is one."""
    validator = Draft202012Validator(schema.SCHEMAS["tune"]())
    mine = tmp_path / "mine.toml"
    mine.write_text((recipes.builtin_folder() / "digits.toml").read_text() + TUNE)

    def run(*args: str) -> tuple[int, Any]:
        line = ["tune", str(mine), "--target", "ort-cpu", "--out", str(tmp_path / "out"), "--json", *args]
        code = cli.run(line)
        capsys.readouterr()
        file = tmp_path / "out.tune" / "tune.json"
        if not file.is_file():
            return code, None
        document = json.loads(file.read_text())
        validator.validate(document)
        assert not validator.is_valid(
            {**document, "trials": [{**trial, "number": "1"} for trial in document["trials"]]}
        )
        return code, document

    return run


def test_the_budget_is_met_by_what_is_best_inside_it(fake: Fake, tuned: Callable[..., Any], tmp_path: Path) -> None:
    code, found = tuned("--max-latency-ms", "0.5", "--max-drop", "0.8", "--trials", "12")
    assert code == 0 and found["met"]
    trials = {t["number"]: t for t in found["trials"]}
    assert trials[0]["as_is"] and trials[0]["result"]["missed"], "the recipe as it is comes first, though hopeless"
    assert trials[found["chosen"]]["values"]["student.model.width"] == 48, "the widest that is fast enough"
    assert set(fake.trained) <= {16, 32, 48, 128}, "64 is too slow by more than a tenth: it is never trained"
    assert 64 in fake.shaped
    stopped = [t for t in trials.values() if t["state"] == "stopped"]
    assert stopped and all("its shape misses max_latency_ms" in t["why"] for t in stopped)
    written = tmp_path / "out.tune" / "recipe.toml"
    chosen, _ = recipes.load(str(written))
    assert chosen.student.model is not None and chosen.student.model["width"] == 48
    assert chosen.budget.max_latency_ms == 0.5 and chosen.targets == ("ort-cpu",)
    assert search_space.likeness(chosen) == trials[found["chosen"]]["likeness"]
    page = (tmp_path / "out.tune" / "tune.html").read_text()
    assert "<circle" in page and "chosen" in page


def test_a_recipe_that_was_edited_and_other_files_stay(fake: Fake, tuned: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "out.tune"
    tuned("--max-latency-ms", "0.5", "--max-drop", "0.8", "--trials", "2")
    first = (folder / "recipe.toml").read_text()
    (folder / "notes.txt").write_text("mine")
    tuned("--max-latency-ms", "0.5", "--max-drop", "0.8", "--trials", "3")
    assert not (folder / "recipe-1.toml").exists(), "it is as it was written"
    (folder / "recipe.toml").write_text(first + "# mine\n")
    tuned("--max-latency-ms", "0.5", "--max-drop", "0.8", "--trials", "4")
    assert (folder / "recipe-1.toml").read_text() == first + "# mine\n"
    assert "# mine" not in (folder / "recipe.toml").read_text() and (folder / "notes.txt").read_text() == "mine"


def test_finished_trials_stay_and_count(fake: Fake, tuned: Callable[..., Any]) -> None:
    wishes = ("--max-latency-ms", "9", "--max-drop", "0.9")
    _, first = tuned(*wishes, "--trials", "4")
    before = len(fake.trained)
    code, second = tuned(*wishes, "--trials", "6")
    assert code == 0
    assert second["trials"][: len(first["trials"])] == first["trials"], "nothing is lost, nothing is run again"
    assert len(fake.trained) == before + 2
    tuned(*wishes, "--trials", "6")
    assert len(fake.trained) == before + 2, "all are done: the same command again only tells"


def test_a_worker_with_too_little_time_begins_nothing(
    fake: Fake, tuned: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(lab: trial.Lab, recipe: Recipe, number: int) -> Result:
        time.sleep(0.5)
        return fake.full(lab, recipe, number)

    wishes = ("--max-latency-ms", "9", "--max-drop", "0.95")
    monkeypatch.setattr(search, "full", slowly)
    tuned(*wishes, "--trials", "3")
    before = len(fake.trained)
    tuned(*wishes, "--seconds", "0.4")
    assert len(fake.trained) == before, "it knows from earlier workers how long a trial takes"
    tuned(*wishes, "--seconds", "1.2")
    assert len(fake.trained) > before


def test_no_recipe_is_evaluated_twice(
    fake: Fake, tuned: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "TIRED", 25)
    mine = tmp_path / "mine.toml"
    mine.write_text(mine.read_text().replace('"losses.0.temperature"', '# "losses.0.temperature"'))
    _, found = tuned("--max-latency-ms", "9", "--max-drop", "0.95", "--trials", "50")
    assert sorted(fake.trained) == [16, 32, 48, 64, 128], "the whole space, then it ends by itself"
    dropped = [t for t in found["trials"] if t["state"] == "dropped"]
    assert dropped and all("the same recipe as trial" in t["why"] for t in dropped)


def test_it_may_end_with_the_first_that_meets_it(fake: Fake, tuned: Callable[..., Any]) -> None:
    code, found = tuned("--max-latency-ms", "0.5", "--max-drop", "0.99", "--trials", "40", "--stop-when-met")
    ended = [t["number"] for t in found["trials"] if t["state"] == "complete"]
    assert code == 0 and found["chosen"] == ended[-1] == found["trials"][-1]["number"]


def test_nothing_meets_it(fake: Fake, tuned: Callable[..., Any], tmp_path: Path) -> None:
    code, found = tuned("--max-latency-ms", "0.2", "--max-drop", "0.01", "--trials", "6")
    assert code == 3
    assert not found["met"] and found["bundle"] is None and found["nearest"] is not None
    assert "does not meet it" in (tmp_path / "out.tune" / "recipe.toml").read_text()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("wishes", "why"),
    [
        (("--max-latency-ms", "0.5", "--trials", "4"), "4 of 4 trials were finished (--trials)"),
        (
            ("--max-latency-ms", "0.5", "--max-drop", "0.9", "--stop-when-met"),
            "a trial met the budget (--stop-when-met)",
        ),
        (("--max-latency-ms", "0.5", "--seconds", "0"), "0 of 0 s were left (--seconds)"),
    ],
)
def test_it_says_why_it_ended(
    wishes: tuple[str, ...], why: str, fake: Fake, tuned: Callable[..., Any], tmp_path: Path
) -> None:
    found = tuned(*wishes)[1]
    assert found["ended"].endswith(why)
    assert why in (tmp_path / "out.tune" / "tune.html").read_text()


def test_after_ctrl_c_its_page_is_whole(
    fake: Fake, tuned: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(lab: trial.Lab, recipe: Recipe, number: int) -> Result:
        if len(fake.trained) == 3:
            raise KeyboardInterrupt
        return fake.full(lab, recipe, number)

    monkeypatch.setattr(search, "full", interrupted)
    wishes = ("--max-latency-ms", "0.5", "--max-drop", "0.9", "--trials", "12")
    code, found = tuned(*wishes)
    assert code == 130 and found["ended"] == "it was interrupted" and found["bundle"] is None
    assert len([t for t in found["trials"] if t["result"]]) == 3
    assert [t["why"] for t in found["trials"] if not t["result"] and t["state"] == "dropped"] == ["interrupted"]
    page = (tmp_path / "out.tune" / "tune.html").read_text()
    assert page.rstrip().endswith("</html>") and page.count("<circle") == 3
    assert recipes.load(str(tmp_path / "out.tune" / "recipe.toml"))
    monkeypatch.setattr(search, "full", fake.full)
    code, found = tuned(*wishes)
    assert code == 0 and found["bundle"], "the same command goes on"


def test_the_share_of_the_teachers_file_is_a_wish(
    fake: Fake, tuned: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "teacher_size", lambda *_: 480_000)
    mine = tmp_path / "mine.toml"
    mine.write_text(mine.read_text().replace("[budget]", "[budget]\nmax_size_share = 0.1"))
    _, found = tuned("--max-drop", "0.9", "--trials", "6")
    stopped = [t["why"] for t in found["trials"] if t["state"] == "stopped"]
    assert stopped and all("its shape misses max_size_kb" in why for why in stopped), "64 has 64 kB of 48"
    page = (tmp_path / "out.tune" / "tune.html").read_text()
    assert "size in shares of the teacher" in page


def test_a_failed_gate_lets_the_next_one_ship(
    fake: Fake, tuned: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[int] = []

    def gate(order: Any, objects: Any) -> dict[str, Any]:
        built.append(Fake.width(order.recipe))
        if len(built) == 1:
            raise GateError("parity")
        return {}

    monkeypatch.setattr(pipeline, "run", gate)
    code, found = tuned("--max-latency-ms", "0.5", "--max-drop", "0.9", "--trials", "10", "--prefer", "latency")
    assert code == 0 and len(built) == 2
    values = next(t for t in found["trials"] if t["number"] == found["chosen"])["values"]
    assert values["student.model.width"] == built[1]


def test_mistakes(tuned: Callable[..., Any], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.run(["tune", "digits", "--target", "ort-cpu"]) == 2
    assert "--max-latency-ms" in capsys.readouterr().err
    (tmp_path / "broken").write_text("not a journal\n")
    assert cli.run(["tune", "digits", "--max-drop", "0.1", "--storage", str(tmp_path / "broken")]) == 2
    assert "--storage" in capsys.readouterr().err
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    assert tuned("--max-drop", "0.5")[0] == 2, "told before the search, not after it"


@pytest.mark.parametrize("name", ["optuna", "tomli_w"])
def test_what_is_not_installed(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for module in ("search", "study", "outcome"):
        monkeypatch.delitem(sys.modules, f"edgekd.tune.{module}")
        monkeypatch.delattr(f"edgekd.tune.{module}")
    monkeypatch.setitem(sys.modules, name, None)
    assert cli.run(["tune", "digits", "--max-drop", "0.1"]) == 4
    assert "pip install 'edgekd[tune]'" in capsys.readouterr().err


def test_the_recipe_that_was_found_reads_well() -> None:
    digits, _ = recipes.load("digits")
    text = outcome.toml(search_space.table_of(digits), "about it")
    assert text.startswith("# about it\n") and "[[compress]]" in text
    assert tomllib.loads(text)["losses"] == [dict(loss) for loss in digits.losses]


ONE_TRIAL = ["--target", "ort-cpu", "--quick", "--max-size-kb", "500", "--max-drop", "1", "--trials", "1"]


@pytest.mark.parametrize(
    "recipe", ["bike-table", "scene-labels", "street-segments", "sentence-vectors", "slots-intent", "tile-anomaly"]
)
def test_data_are_read_as_the_recipes_task_says(recipe: str, fake: Fake, tmp_path: Path) -> None:
    """Values, several labels, masks, pairs, and heads that each have labels of their own."""
    assert cli.run(["tune", recipe, *ONE_TRIAL, "--out", str(tmp_path / "out")]) == 0
    assert len(fake.trained) == 1 and (tmp_path / "out.tune" / "tune.json").is_file()


def test_a_student_of_values_is_searched_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["tune", "bike-table", *ONE_TRIAL, "--out", str(tmp_path / "out")]) == 0, capsys.readouterr().err
    assert cli.run(["verify", str(tmp_path / "out")]) == 0


def test_a_real_search_never_looks_at_the_test_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looked: set[str] = set()
    ahead, build = Feed.ahead, pipeline.run

    def spy(feed: Feed, split: str, *more: Any) -> Any:
        looked.add(split)
        return ahead(feed, split, *more)

    def at_the_end(order: Any, objects: Any) -> Any:
        assert "validation" in looked and "test" not in looked
        return build(order, objects)

    monkeypatch.setattr(Feed, "ahead", spy)
    monkeypatch.setattr(pipeline, "run", at_the_end)
    mine = tmp_path / "mine.toml"
    plain = (recipes.builtin_folder() / "digits.toml").read_text()
    mine.write_text(plain + '\n[tune]\n"student.model.width" = { choices = [4, 5] }\n')
    line = ["tune", str(mine), "--target", "ort-cpu", "--quick", "--trials", "2", "--max-drop", "0.99"]
    cuts = ["teacher.model.width=8", "student.model.width=6", "compress=[]"]
    out = tmp_path / "out"
    code = cli.run([*line, "--out", str(out), *_small.line_of(cuts)])
    assert code == 0, capsys.readouterr().err
    printed = capsys.readouterr()
    assert printed.err.count("trial ") == 2 and "next:" in printed.out
    document = json.loads((tmp_path / "out.tune" / "tune.json").read_text())
    assert all(trial["result"]["targets"]["ort-cpu"]["p50_ms"] > 0 for trial in document["trials"])
    assert document["trials"][1]["shapes"]["ort-cpu"]["fp32"]["size_bytes"] > 0
    assert cli.run(["verify", str(out)]) == 0
    again = ["build", str(tmp_path / "out.tune" / "recipe.toml"), "--quick", "--out", str(out)]
    assert cli.run(again) == 0
    assert "nothing to do" in capsys.readouterr().out, "the recipe that was written is the one that was built"
