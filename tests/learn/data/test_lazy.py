"""Samples that are decoded when they are asked for: the same ones, in the same order, whoever decodes them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from _pictures import fill
from PIL import Image

from edgekd.base import host
from edgekd.base.errors import DataError, RecipeError
from edgekd.base.plugins import build
from edgekd.build import step_keys
from edgekd.learn import predictions, train
from edgekd.learn.data import _files, _hashes, _lazy
from edgekd.learn.data._lazy import Lazy
from edgekd.learn.data._pictures import Pictures
from edgekd.learn.data.imagefolder import Imagefolder
from edgekd.learn.feed import Feed
from edgekd.learn.objective import make_terms
from edgekd.spec import recipe
from edgekd.spec.recipe import Augment, Schedule


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 pictures of 12 x 10 in three classes, old enough that their hashes are remembered."""
    return fill(tmp_path_factory.mktemp("pictures"))


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_what_is_decoded_later_is_what_is_held_in_memory(folder: Path, workers: int) -> None:
    here = Imagefolder(str(folder)).load()
    there = Imagefolder(str(folder), lazy=True, workers=workers).load()
    assert here.classes == there.classes and here.notes == there.notes
    for mine, theirs in zip(here.splits.values(), there.splits.values(), strict=True):
        assert isinstance(theirs.x, Lazy) and isinstance(mine.x, np.ndarray)
        assert (theirs.x.shape, theirs.x.dtype, theirs.x.ndim, theirs.x.size) == (
            (mine.x.shape, mine.x.dtype, mine.x.ndim, mine.x.size)
        )
        assert np.array_equal(np.asarray(theirs.x), mine.x) and theirs.names == mine.names
        assert theirs.y is not None and theirs.y.tolist() == list(mine.y if mine.y is not None else ())


def test_an_index_decodes_one_and_a_slice_none(folder: Path) -> None:
    x = Imagefolder(str(folder), lazy=True, workers=0).load().train.x
    whole = np.asarray(x)
    assert np.array_equal(x[3], whole[3]) and np.array_equal(x[-1], whole[-1])
    for index in (slice(2, 40, 3), np.array([5, 1, 5]), np.arange(len(x)) % 3 == 0):
        part = x[index]
        assert isinstance(part, Lazy) and np.array_equal(np.asarray(part), whole[index])
    assert np.array_equal(np.stack(list(x[4:9])), whole[4:9])


def fitted(folder: Path, augment: Augment, lazy: bool, workers: int = 0) -> dict[str, torch.Tensor]:
    """The weights of a small network after two epochs."""
    data = Imagefolder(str(folder), lazy=lazy, workers=workers).load()
    feed = Feed(data, data.preprocess, augment, 0)
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(320, 3))
    train.fit(
        net, train.TrainingJob(make_terms([{"kind": "cross_entropy"}]), feed, Schedule(epochs=2, batch_size=7), 0)
    )
    assert np.array_equal(predictions.predict(net, feed, "test"), predictions.predict(net, feed, "test"))
    return {**net.state_dict(), "view": torch.tensor(predictions.predict_view(net, feed, 1))}


@pytest.mark.parametrize("ops", [(), ({"kind": "mixup"}, {"kind": "erase"})], ids=["plain", "mixed"])
def test_the_same_weights_byte_for_byte(folder: Path, ops: tuple[dict[str, object], ...]) -> None:
    augment = Augment(flip=True, crop=1, views=2, ops=ops)
    here = fitted(folder, augment, lazy=False)
    for workers in (0, 1, 8):
        there = fitted(folder, augment, lazy=True, workers=workers)
        assert all(torch.equal(here[name], there[name]) for name in here), f"{workers} workers"


def test_keys_know_nothing_of_how_samples_are_read() -> None:
    table = {"name": "a", "task": "classification", "data": {"source": "imagefolder", "path": "p", "grey": True}}
    rest = {
        "teacher": {"model": {"kind": "convnet"}},
        "student": {"model": {"kind": "convnet"}},
        "losses": [{"kind": "kl"}],
    }
    plain = recipe.parse({**table, **rest}, "r")
    lazy = recipe.parse({**table, **rest, "data": {**table["data"], "lazy": True, "workers": 7}}, "r")  # type: ignore[dict-item]
    users = recipe.parse({**table, **rest, "data": {**table["data"], "source": "a.b:C", "lazy": True}}, "r")  # type: ignore[dict-item]
    assert step_keys.content(plain) == step_keys.content(lazy)
    assert step_keys.content(users)["data"]["lazy"] is True
    assert Imagefolder("a", lazy=True, workers=9) != Imagefolder("a") and repr(Imagefolder("a", lazy=True)) == repr(
        Imagefolder("a")
    )


def test_what_takes_much_of_the_memory_stays_in_its_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(Imagefolder(str(folder)).load().train.x, np.ndarray)
    size = 48 * 12 * 10 * 3
    monkeypatch.setattr(host, "memory", lambda: 4 * size - 4)
    data = Imagefolder(str(folder)).load()
    assert (
        isinstance(data.train.x, Lazy)
        and "train would take more than a quarter" in data.notes[2]
        and "(data.lazy)" in data.notes[2]
    )
    assert isinstance(Imagefolder(str(folder), lazy=False).load().train.x, np.ndarray)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"lazy": "yes"}, r"data\.lazy: .*wrong type|not one of"),
        ({"workers": -1}, r"data\.workers: allowed is 0 to 64"),
        ({"workers": 65}, r"data\.workers: allowed is 0 to 64"),
        ({"worker": 2}, r"unknown key of 'imagefolder'; found 'worker'"),
    ],
)
def test_keys_that_are_mistaken(table: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        build("data", {"kind": "imagefolder", "path": "p", **table}, "data")


# Mistakes.


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no picture", r"data\.path \(train\): bee/9\.png: can't be decoded"),
        (b"", r"bee/9\.png: can't be decoded"),
        ("half", r"bee/9\.png: can't be decoded"),
        ("large", r"bee/9\.png: an image of another size; found \(24, 20\)"),
    ],
)
def test_a_picture_in_the_middle_that_is_none(tmp_path: Path, workers: int, content: bytes | str, message: str) -> None:
    place = fill(tmp_path) / "bee" / "9.png"
    if content == "half":
        content = place.read_bytes()[:100]
    elif content == "large":
        Image.fromarray(np.zeros((24, 20, 3), np.uint8)).save(place)
    if isinstance(content, bytes):
        place.write_bytes(content)
    for lazy in (False, True):
        with pytest.raises(DataError, match=message):
            Imagefolder(str(tmp_path), lazy=lazy, workers=workers).load()


@pytest.mark.parametrize("change", ["written", "replaced", "gone", "no file"])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_picture_that_changes_while_it_is_learned_from(tmp_path: Path, change: str, workers: int) -> None:
    x = Imagefolder(str(fill(tmp_path)), lazy=True, workers=workers).load().train.x
    place = tmp_path / "cow" / "11.png"
    content = place.read_bytes()
    place.unlink()
    if change == "written":
        place.write_bytes(content)
    elif change == "replaced":
        (tmp_path / "cow" / "12.jpg").rename(place)
    elif change == "no file":
        os.mkfifo(place)
    message = {"gone": "can't be read any more", "no file": "not a regular file"}.get(
        change, "has changed since the build"
    )
    with pytest.raises(DataError, match=rf"data\.path \(train\): cow/11\.png: .*{message}"):
        np.asarray(x)


def test_few_samples_are_ahead_of_who_asks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded by the batches that workers are given, and not by the split."""
    x = Imagefolder(str(folder), lazy=True, workers=2).load().train.x
    assert isinstance(x, Lazy) and x.pool is not None
    asked, submit = [], x.pool.submit
    monkeypatch.setattr(x.pool, "submit", lambda *what: asked.append(len(what[1])) or submit(*what))  # type: ignore[func-returns-value]
    blocks = x.ahead([np.array([i, i + 1]) for i in range(40)])
    next(blocks)
    assert asked == [2] * 5
    blocks.close()  # type: ignore[attr-defined]


def test_one_pass_is_kept_for_the_very_same_data(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    scan = Lazy._scan
    monkeypatch.setattr(Lazy, "_scan", lambda x: passes.append(len(x)) or scan(x))  # type: ignore[func-returns-value]
    source = Imagefolder(str(folder), lazy=True, workers=0)

    def loaded(data: str) -> list[int]:
        passes.clear()
        with _hashes.remembered_in(tmp_path, data):
            source.load()
        return sorted(passes)

    assert loaded("one") == [5, 6, 49] and loaded("one") == []
    assert loaded("other") == [5, 6, 49] and loaded("") == [5, 6, 49]
    for file in (tmp_path / "hashes").iterdir():
        file.write_bytes(b"damaged")
    assert loaded("one") == [5, 6, 49]
    known = _lazy.Scan(0.5, 2.0, None, np.arange(3, dtype=np.uint64), {"peak": 1.0})
    again = _lazy.Scan.read(known.written())
    assert again[:3] == known[:3] and again.facts == known.facts and np.array_equal(again.hashes, known.hashes)


def test_a_pass_over_other_samples_of_the_same_data_is_not_what_is_kept(folder: Path, tmp_path: Path) -> None:
    """Heads carve off the same data, one by class and another at random."""
    with _hashes.remembered_in(tmp_path, "one"):
        for seed in (0, 1, 0):
            x = Imagefolder(str(folder), lazy=True, workers=0, split_seed=seed).load().train.x
            assert isinstance(x, Lazy) and np.array_equal(x.scan.hashes, _lazy.hashed(np.asarray(x)))


def test_a_decoder_says_what_it_reads(folder: Path) -> None:
    decoder = Pictures(str(folder), "train: {name}", None, False, (12, 10, 3))
    about = os.stat(folder / "ant" / "0.jpg")
    item = ("ant/0.jpg", _files.stamp_of(about), 0, about.st_size)
    x, facts = decoder.decoded([item])
    assert x.shape == (1, 12, 10, 3) and facts["pictures"] == 1
    with pytest.raises(DataError, match=r"train: ant/0\.jpg: an image of another size"):
        replace(decoder, shape=(1, 1, 3)).decoded([item])
