"""One teacher's answers: kept as they come, given anew, or whichever costs less; the student learns the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import edgekd
from edgekd.base.errors import RecipeError
from edgekd.build import run
from edgekd.build.outputs import cached, policy, shards
from edgekd.build.outputs.cached import CachedOutputs
from edgekd.build.outputs.forms import Top
from edgekd.build.outputs.policy import Readings
from edgekd.build.store import Store
from edgekd.learn.answers import Answers, Logits, have_answer, whole
from edgekd.learn.data._batches import from_splits
from edgekd.learn.feed import Feed
from edgekd.learn.teaching import NetworkOutputs, Span
from edgekd.spec.recipe import Augment
from edgekd.spec.teacher_outputs import TeacherOutputs

SAMPLES, CLASSES = 1_100, 6
VIEWS: dict[str, Any] = {"flip": True, "crop": 1, "views": 3}
SMALLEST = 1e-3  # shards of 256 samples: 5 of them


def feed(**augment: Any) -> Feed:
    x = np.random.default_rng(0).integers(0, 255, (SAMPLES, 6, 6, 1)).astype(np.uint8)
    part = (x, np.arange(SAMPLES) % CLASSES)
    data = from_splits([part, (x[:40], part[1][:40]), (x[:30], part[1][:30])], "d")
    return Feed(data, ({"op": "scale", "divide": 255.0}, {"op": "layout"}), Augment(**(augment or VIEWS)), 0)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 9, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, CLASSES)).eval()


class Counted(NetworkOutputs):
    """Counts the samples that it is asked, and may die on the way."""

    asked = 0
    left: int | None = None

    def parts(self, split: str, view: int | None, spans: Sequence[Span]) -> Iterator[Logits]:
        for span, logits in zip(spans, super().parts(split, view, spans), strict=True):
            if Counted.left == 0:
                raise KeyboardInterrupt
            Counted.left = None if Counted.left is None else Counted.left - 1
            Counted.asked += span[1] - span[0]
            yield logits


@pytest.fixture(autouse=True)
def _anew() -> None:
    Counted.asked, Counted.left = 0, None


def outputs(
    root: Path,
    lines: list[str] | None = None,
    read: Readings | None = None,
    augment: dict[str, Any] | None = None,
    **table: Any,
) -> CachedOutputs:
    shown = feed(**(augment or {}))
    source = Counted(network(), shown)
    tell = (lines if lines is not None else []).append
    wish = TeacherOutputs.model_validate({"shard_mb": SMALLEST, **table})
    read = read or Readings(3, 9)
    return CachedOutputs(Store(root), "key", source, shown, (CLASSES,), 0, "teacher", wish, read, tell)


def with_free(count: float) -> SimpleNamespace:
    """``shutil`` on a disk with so many bytes left."""
    return SimpleNamespace(disk_usage=lambda path: SimpleNamespace(free=count))


def rows(answers: Answers) -> bytes:
    return whole(answers).tobytes()


@pytest.mark.parametrize("kept_as", ["keep", "recompute", "auto"])
def test_answers_are_those_of_the_network_bit_by_bit(tmp_path: Path, kept_as: str) -> None:
    direct, kept = NetworkOutputs(network(), feed()), outputs(tmp_path, policy=kept_as)
    for view in (0, 2):
        answers, expected = kept.view(view), direct.view(view)
        assert rows(answers) == expected.tobytes() and len(answers) == SAMPLES
        assert kept_as == "auto" or isinstance(answers, np.ndarray) is (kept_as == "recompute")
        index = np.random.default_rng(view).permutation(SAMPLES)[:70]
        np.testing.assert_array_equal(answers[index], expected[index])
    assert rows(kept.split("train")) == direct.split("train").tobytes()
    for split in ("validation", "test"):
        assert isinstance(kept.split(split), np.ndarray) and rows(kept.split(split)) == direct.split(split).tobytes()


def test_what_was_answered_before_a_kill_is_not_asked_again(tmp_path: Path) -> None:
    Counted.left = 3
    with pytest.raises(KeyboardInterrupt):
        outputs(tmp_path).view(1)
    assert Counted.asked == 768
    Counted.left = None
    answers = rows(outputs(tmp_path).view(1))
    assert Counted.asked == SAMPLES and answers == NetworkOutputs(network(), feed()).view(1).tobytes()
    outputs(tmp_path).view(1)
    assert Counted.asked == SAMPLES


@pytest.mark.parametrize("kept_as", ["keep", "recompute"])
def test_samples_that_nothing_augments_are_asked_once(tmp_path: Path, kept_as: str) -> None:
    answers = outputs(tmp_path, augment={"views": 1}, policy=kept_as)
    assert (
        rows(answers.view(0))
        == rows(answers.split("train"))
        == NetworkOutputs(network(), feed()).split("train").tobytes()
    )
    assert Counted.asked == SAMPLES
    augmented = outputs(tmp_path / "augmented", policy=kept_as)
    assert rows(augmented.view(0)) != rows(augmented.split("train")) and Counted.asked == 3 * SAMPLES


def test_a_view_that_is_given_anew_is_in_no_folder_and_asked_once_while_it_is_used(tmp_path: Path) -> None:
    kept = outputs(tmp_path, policy="recompute")
    first = kept.view(0)
    assert kept.view(0) is first and Counted.asked == SAMPLES
    kept.view(1)
    kept.view(0)
    assert Counted.asked == 3 * SAMPLES and not (tmp_path / "artifacts").exists() and not list(tmp_path.iterdir())
    assert np.isfinite(whole(first)).all()  # whoever holds a view can read it
    outputs(tmp_path).view(2)
    again = outputs(tmp_path, policy="recompute")
    asked = Counted.asked
    again.view(2)
    assert Counted.asked == asked  # it was kept by another build


@pytest.mark.parametrize(
    ("answer_s", "free", "read", "keeps", "why"),
    [
        (5.0, 1e9, Readings(3, 9), True, "s to answer again (3 readings)"),
        (5.0, 1e9, Readings(3, 3), False, "0 s to answer again (1 readings)"),
        (0.0, 1e9, Readings(3, 9), False, "to write and read"),
        (5.0, 1e5, Readings(3, 9), False, "more than half of the 100.0 kB that are free"),
    ],
)
def test_auto_measures_one_shard(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer_s: float,
    free: float,
    read: Readings,
    keeps: bool,
    why: str,
) -> None:
    seconds = iter([0.0, answer_s, answer_s + 1, answer_s + 1.5])
    monkeypatch.setattr(cached, "time", SimpleNamespace(perf_counter=lambda: next(seconds)))
    monkeypatch.setattr(cached, "shutil", with_free(free))
    lines: list[str] = []
    kept = outputs(tmp_path, lines, read, policy="auto")
    for view in (0, 1):
        assert rows(kept.view(view)) == NetworkOutputs(network(), feed()).view(view).tobytes()
    (line,) = lines
    assert why in line and ("are kept" in line) == keeps
    assert len(list((tmp_path / "artifacts").glob("*/*"))) == (10 if keeps else 0)


def test_no_more_than_a_piece_of_a_shard_is_there_as_logits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, direct = outputs(tmp_path, form="top", top=3, shard_mb=1), NetworkOutputs(network(), feed())
    monkeypatch.setattr(shards, "MOST_NUMBERS", 2 * 256 * CLASSES)
    assert shards.pieces((256, SAMPLES), CLASSES) == [(256, 768), (768, SAMPLES)]
    assert len(kept.layout().spans) == 1
    np.testing.assert_array_equal(kept.view(1)[:], kept.form.decode(kept.form.encode(direct.view(1))))


@pytest.mark.parametrize("form", ["float16", "top"])
def test_forms_are_of_training_samples_alone(tmp_path: Path, form: str) -> None:
    direct, kept = NetworkOutputs(network(), feed()), outputs(tmp_path, form=form, top=3)
    np.testing.assert_array_equal(kept.view(0)[:], kept.form.decode(kept.form.encode(direct.view(0))))
    assert rows(kept.split("validation")) == direct.split("validation").tobytes()
    assert kept.form.record.itemsize == (3 * 3 + 2 if isinstance(kept.form, Top) else 2 * CLASSES)


def test_an_answer_that_float16_cannot_hold_is_named(tmp_path: Path) -> None:
    kept = outputs(tmp_path, form="float16")
    kept.source.module[3].bias.data[2] = 1e5  # type: ignore[attr-defined]
    message = r"teacher: too large for float16; found '\d+ for sample 0 of train, view 0'.*form = \"float32\""
    with pytest.raises(RecipeError, match=message):
        kept.view(0)


def test_the_size_is_told_where_it_matters_or_is_asked_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = outputs(tmp_path, form="top", top=3)
    sentence = "the answers of the teacher take 36.3 kB in 15 shards: 1,100 samples x 3 views at 11 bytes (top 3 of 6)"
    assert kept.size() == SAMPLES * 3 * 11 and cached.size_notes([kept]) == [sentence]
    default = CachedOutputs(Store(tmp_path), "key", kept.source, kept.feed, (CLASSES,), 0)
    assert cached.size_notes([default]) == []
    monkeypatch.setattr(cached, "shutil", with_free(1000))
    assert "36.3 kB, and 1.0 kB of the disk are free" in cached.size_notes([kept])[1]
    assert len(cached.size_notes([outputs(tmp_path, policy="recompute")])) == 1


RECIPE: dict[str, Any] = {
    "name": "small",
    "data": {"source": "made", "shape": [8, 8, 1], "classes": 10, "train": 600, "validation": 48, "test": 48},
    "augment": {"flip": True, "views": 2},
    "teacher": {"model": {"kind": "convnet", "width": 16, "depth": 2}, "epochs": 2},
    "teachers": [{"model": {"kind": "convnet", "width": 8, "depth": 2}, "epochs": 1}],
    "student": {"model": {"kind": "convnet", "width": 8, "depth": 2}, "epochs": 4},
    "losses": [{"kind": "kl", "weight": 0.7}, {"kind": "cross_entropy", "weight": 0.3}],
    "targets": ["ort-cpu"],
    "budget": {"max_drop": 1.0},
}


def student(folder: Path, **table: Any) -> bytes:
    edgekd.build({**RECIPE, "teacher_outputs": table}, out=folder / "out", cache=folder / "cache", overwrite=True)
    return next((folder / "out").rglob("*.onnx")).read_bytes()


def test_whether_answers_are_kept_changes_no_student_and_their_form_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two teachers, whose answers are combined as they are fetched; how long files take says nothing here."""
    monkeypatch.setattr(run, "SECONDS", run.QUICK_SECONDS)
    folders = {name: tmp_path / name for name in ("default", "recompute", "form")}
    default = student(folders["default"])
    assert student(folders["recompute"], policy="recompute", shard_mb=0.001) == default
    top = student(folders["form"], form="top", top=2, shard_mb=0.001)
    assert top != default
    assert student(folders["form"], form="top", top=2, policy="auto") == top  # of the cache: a no-op
    assert student(folders["form"], form="float16") not in (top,)


def test_top_is_of_classes(tmp_path: Path) -> None:
    recipe = {**RECIPE, "metric": "mse", "losses": [{"kind": "squared_error"}], "teacher_outputs": {"form": "top"}}
    with pytest.raises(RecipeError, match=r"teacher_outputs\.form"):
        edgekd.build(recipe, out=tmp_path / "out", cache=tmp_path / "cache")


def test_a_plan_says_how_often_a_view_is_read() -> None:
    assert Readings(3, 9).of_each == 3
    keeps, why = policy.keeps(policy.Cost(2.0, 1.0, 0.5, 10, 100), Readings(2, 5))
    assert keeps and why.startswith("of a shard 2.25 s to write and read, 3 s to answer again")


class Held(NetworkOutputs):
    """A network's answers without augmentation, as a file of them holds them; counts how often samples are read."""

    sees_views, may_miss = False, True
    read = 0

    def held(self, split: str) -> Answers:
        return Rows(self.split(split))

    def view(self, view: int) -> Logits:
        return self.split("train")

    def split(self, split: str) -> Logits:
        rows = super().split(split).copy()
        rows[3] = np.nan
        return rows

    def parts(self, split: str, view: int | None, spans: Sequence[Span]) -> Iterator[Logits]:
        every = self.split(split)
        for start, stop in spans:
            Held.read += stop - start
            yield every[start:stop]


class Rows:
    """Rows that are copied when they are fetched."""

    def __init__(self, values: Logits) -> None:
        self.values, self.shape = values, (len(values), values.shape[1])

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: Any) -> Logits:
        return self.values[index].copy()

    def answered(self) -> np.ndarray:
        return np.asarray(~np.isnan(self.values).any(1))


def held(root: Path, lines: list[str] | None = None, **table: Any) -> CachedOutputs:
    shown, wish = feed(), TeacherOutputs.model_validate({"shard_mb": SMALLEST, **table})
    tell = (lines if lines is not None else []).append
    source = Held(network(), shown)
    return CachedOutputs(Store(root), "key", source, shown, (CLASSES,), 0, "teacher", wish, Readings(3, 9), tell)


@pytest.mark.parametrize("form", ["float32", "float16", "top"])
def test_what_a_source_holds_is_read_there_bit_by_bit_and_kept_nowhere(tmp_path: Path, form: str) -> None:
    kept, read = held(tmp_path / "one", form=form, top=3), held(tmp_path / "two", form=form, top=3, policy="recompute")
    index = np.random.default_rng(0).permutation(SAMPLES)[:70]
    for view in (0, 2):
        assert rows(read.view(view)) == rows(kept.view(view))
        np.testing.assert_array_equal(read.view(view)[index], kept.view(view)[index])
        assert have_answer(read.view(view)).tolist() == have_answer(kept.view(view)).tolist()
    for split in ("train", "validation", "test"):
        assert rows(read.split(split)) == rows(kept.split(split))
    assert list((tmp_path / "one").rglob("rows")) and not [path for path in tmp_path.glob("two/**/*") if path.is_file()]


def test_what_a_source_holds_is_looked_at_once_and_what_is_wrong_is_named(tmp_path: Path) -> None:
    read = held(tmp_path, policy="recompute")
    Held.read = 0
    assert read.view(0) is read.view(1) and Held.read == SAMPLES
    wrong = held(tmp_path, policy="recompute", form="float16")
    wrong.source.module[3].bias.data[2] = 1e5  # type: ignore[attr-defined]
    with pytest.raises(RecipeError, match=r"teacher: too large for float16; found '\d+ for sample 0 of train'"):
        wrong.view(0)


@pytest.mark.parametrize(("answer_s", "keeps"), [(5.0, True), (0.0, False)])
def test_auto_measures_whether_what_a_source_holds_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer_s: float, keeps: bool
) -> None:
    seconds = iter([0.0, answer_s, answer_s + 1, answer_s + 1.5])
    monkeypatch.setattr(cached, "time", SimpleNamespace(perf_counter=lambda: next(seconds)))
    lines: list[str] = []
    kept = held(tmp_path, lines, policy="auto")
    assert rows(kept.view(0)) == rows(kept.view(1)) == kept.source.split("train").tobytes()
    (line,) = lines
    assert ("are kept: " in line) == keeps and ("read where they are recorded: " in line) != keeps
    assert "(9 readings)" in line  # of one view, whatever is shown
    assert len(list((tmp_path / "artifacts").glob("*/*"))) == (5 if keeps else 0)
    assert kept.split("validation").tobytes() == kept.source.split("validation").tobytes()  # type: ignore[union-attr]
    assert len(list((tmp_path / "artifacts").glob("*/*"))) == (6 if keeps else 1)


def test_what_is_read_where_it_is_held_takes_nothing(tmp_path: Path) -> None:
    assert cached.size_notes([held(tmp_path, policy="recompute")]) == []
    assert len(cached.size_notes([held(tmp_path, policy="auto")])) == 1
