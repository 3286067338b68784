"""What each sample is called: answers that were recorded elsewhere find it by that, whatever was carved off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from edgekd.learn.data import Dataset, from_splits
from edgekd.learn.data.digits import Digits
from edgekd.learn.data.imagefolder import Imagefolder
from edgekd.learn.data.npz import Npz
from edgekd.learn.data.text import Text
from edgekd.learn.feed import Feed
from edgekd.spec.recipe import Augment


def names(dataset: Dataset) -> dict[str, list[str]]:
    return {name: split.names or [] for name, split in dataset.splits.items()}


def test_rows_keep_their_number_where_splits_are_carved_off() -> None:
    called = names(Digits().load())
    assert sorted(int(name) for split in called.values() for name in split) == list(range(1797))
    moved = names(Digits(split_seed=1).load())
    first, other = Digits().load(), Digits(split_seed=1).load()
    row = called["test"][0]
    split = next(split for split, all_names in moved.items() if row in all_names)
    assert np.array_equal(other.splits[split].x[moved[split].index(row)], first.test.x[0])


def test_arrays_and_files_of_several_splits_number_each(tmp_path: Path) -> None:
    x = np.arange(8 * 20, dtype=np.uint8).reshape(20, 2, 4)
    y = np.arange(20) % 2
    np.savez(tmp_path / "d.npz", x_train=x[:14], y_train=y[:14], x_test=x[14:], y_test=y[14:])
    dataset = Npz(str(tmp_path / "d.npz"), validation=4).load()
    called = names(dataset)
    assert called["test"] == [f"test/{i}" for i in range(6)]
    for split in ("train", "validation"):
        for name, sample in zip(called[split], np.asarray(dataset.splits[split].x), strict=True):
            assert np.array_equal(sample[..., 0], x[int(name.removeprefix("train/"))])
    given = names(from_splits([(x, y)] * 3, "data"))
    assert given["validation"][:2] == ["validation/0", "validation/1"]


def test_batches_have_no_order_that_anybody_knows() -> None:
    x, y = np.eye(6, 3, dtype=np.float32), np.arange(6) % 2
    dataset = from_splits([[(x[:3], y[:3]), (x[3:], y[3:])], (x, y), (x, y)], "data")
    assert dataset.train.names is None and dataset.test.names == [f"test/{i}" for i in range(6)]


def test_pictures_are_called_as_their_files(tmp_path: Path) -> None:
    for folder in ("train/ant", "train/bee", "test/ant", "test/bee"):
        (tmp_path / folder).mkdir(parents=True)
        for i in range(4):
            Image.new("L", (4, 4), i * 9 + len(folder)).save(tmp_path / folder / f"{i}.png")
    called = names(Imagefolder(str(tmp_path), grey=True, validation=2).load())
    assert called["test"] == [f"test/{c}/{i}.png" for c in ("ant", "bee") for i in range(4)]
    rest = sorted(called["train"] + called["validation"])
    assert rest == [f"train/{c}/{i}.png" for c in ("ant", "bee") for i in range(4)]


def test_texts_are_called_as_a_column_says_or_numbered(tmp_path: Path) -> None:
    lines = [f"text number {i}\t{'ab'[i % 2]}\tid-{i}" for i in range(30)]
    (tmp_path / "d.tsv").write_text("\n".join(["sentence\tlabel\tkey", *lines]))
    for source, before in ((Text(str(tmp_path / "d.tsv"), id="key"), "id-"), (Text(str(tmp_path / "d.tsv")), "")):
        dataset = source.load()
        for split in dataset.splits.values():
            numbers = [text.rsplit(" ", 1)[1] for text in np.asarray(split.x)]
            assert split.names == [before + number for number in numbers]


def test_a_part_of_the_samples_keeps_its_names() -> None:
    dataset = Digits().load()
    feed = Feed(dataset, dataset.preprocess, Augment(views=1), 0, limit=5)
    whole, some = dataset.train.names or [], feed.names("train") or []
    assert [whole[feed.number("train", i)] for i in range(5)] == some
