"""Samples in tar files: read where they lie, and whatever is wrong with a shard is told with its place."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekd.base.errors import DataError
from edgekd.learn.data._lazy import Lazy
from edgekd.learn.data.webdataset import Webdataset
from edgekd.tasks.multi_label import MultiLabel
from edgekd.tasks.regression import Regression
from edgekd.tasks.segmentation import Segmentation

RNG = np.random.default_rng(4)
Files = list[tuple[str, bytes]]


def picture(size: tuple[int, int] = (6, 5), kind: str = "png") -> bytes:
    file = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (*size, 3), dtype=np.uint8)).save(file, kind)
    return file.getvalue()


def shard(path: Path, files: Files) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def samples(count: int, label: Callable[[int], bytes] = lambda i: str(i % 2).encode(), ending: str = "cls") -> Files:
    return [file for i in range(count) for file in ((f"s/{i:03}.png", picture()), (f"s/{i:03}.{ending}", label(i)))]


def shards(root: Path, *names: str, count: int = 12) -> Path:
    for name in names or ("train-0.tar", "train-1.tar", "test-0.tar"):
        shard(root / name, samples(count))
    return root


@pytest.mark.parametrize(
    ("names", "sizes"),
    [
        (("train-0.tar", "train-1.tar", "test-0.tar"), [22, 2, 12]),
        (("a/0.tar", "a/1.tar"), [20, 2, 2]),
        (("train/0.tar", "val/0.tar", "test/0.tar"), [12, 12, 12]),
        (("imagenet1k-train-0000.tar", "imagenet1k-validation-00.tar", "in_Test2017.tar"), [12, 12, 12]),
        (("my.train/0.tar", "my-val/val_0.tar", "0/test-data/a.tar"), [12, 12, 12]),
    ],
)
def test_shards_of_splits(tmp_path: Path, names: tuple[str, ...], sizes: list[int]) -> None:
    data = Webdataset(str(shards(tmp_path, *names)), classes=("cat", "dog")).load()
    assert [len(split) for split in data.splits.values()] == sizes and data.classes == ("cat", "dog")
    assert data.train.names is not None and data.train.names[0].startswith("s/0")


def test_a_name_that_says_two_splits_is_refused_and_sets_that_are_one_split_are_told(tmp_path: Path) -> None:
    for name in ("train/val-0.tar", "test-train.tar"):
        with pytest.raises(DataError, match=rf"data\.path: {name}: a shard of two splits; found '(train, v|test, tr)"):
            Webdataset(str(shards(tmp_path / name[:3], name))).load()
    names = ("mnli-train-0.tar", "mnli-val_matched-0.tar", "mnli-val_matched-1-a.tar", "val_other/0.tar")
    data = Webdataset(str(shards(tmp_path / "several", *names, count=6))).load()
    assert data.notes[0] == "validation is read from files of several names as one split: mnli-val_matched, val_other"
    assert len(data.validation) == 18 and not any("several names" in note for note in data.notes[1:])


@pytest.mark.parametrize("workers", [0, 2])
def test_later_is_the_same_as_now(tmp_path: Path, workers: int) -> None:
    root = shards(tmp_path)
    here, there = Webdataset(str(root)).load(), Webdataset(str(root), lazy=True, workers=workers).load()
    assert here.notes == there.notes and here.classes == there.classes == ("0", "1")
    for mine, theirs in zip(here.splits.values(), there.splits.values(), strict=True):
        assert isinstance(theirs.x, Lazy) and np.array_equal(mine.x, theirs.x) and mine.names == theirs.names
    assert Webdataset(str(root)).fingerprint() == Webdataset(str(root), lazy=True).fingerprint()
    shard(root / "train-1.tar", samples(12))
    assert Webdataset(str(root)).fingerprint() != Webdataset(str(shards(tmp_path / "other"))).fingerprint()
    with pytest.raises(DataError, match=r"train-1\.tar: s/0\d\d: the file has changed since the build began"):
        np.asarray(there.train.x)


def test_labels_in_json_and_pictures_by_their_ending(tmp_path: Path) -> None:
    rows = samples(20, lambda i: json.dumps({"kind": ["ant", "bee"][i % 2], "n": i}).encode(), "json")
    rows += [(f"t/{i}.seg.png", picture()) for i in range(2)]
    root = tmp_path / "data"
    shard(root / "a.tar", [file for i in range(0, 40, 2) for file in (*rows[i : i + 2], (f"s/{i // 2:03}.txt", b"x"))])
    data = Webdataset(str(root), label="json.kind", image="PNG", limit=15).load()
    assert data.classes == ("ant", "bee") and sum(map(len, data.splits.values())) == 15
    assert "left out of the shards, as neither picture nor label: 15 .txt" in " ".join(data.notes)
    shard(root / "a.tar", rows)
    with pytest.raises(DataError, match=r"a\.tar: t/0: a sample without a label; found \['seg\.png'\]"):
        Webdataset(str(root), label="json.kind").load()
    with pytest.raises(DataError, match=r"s/000\.json: no such key; found 'json\.kin'; allowed: kind, n"):
        Webdataset(str(root), label="json.kin").load()
    with pytest.raises(DataError, match=r"a\.tar: s/000: a sample without a picture; found \['json', 'png'\]"):
        Webdataset(str(root), image="jpg").load()


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: cut(p, p.stat().st_size // 2), r"train-1\.tar: cut off, or damaged in the middle"),
        (lambda p: cut(p, 3 * 1024), r"train-1\.tar: cut off, or damaged in the middle"),  # between two samples
        (lambda p: cut(p, 700), r"train-1\.tar: not a tar file, or a damaged one \(unexpected end of data\)"),
        (lambda p: p.write_bytes(b""), r"train-1\.tar: not a tar file, or a damaged one"),
        (lambda p: p.write_bytes(b"no tar file" * 500), r"train-1\.tar: not a tar file, or a damaged one"),
        (lambda p: p.write_bytes(gzip.compress(p.read_bytes())), r"packed: .*unpack it: gzip -d train-1\.tar"),
        (lambda p: shard(p, []), r"no picture|train"),
        (lambda p: shard(p, [*samples(3), ("s/009.png", b"none"), ("s/009.cls", b"1")]), r"s/009: can't be decoded"),
        (
            lambda p: shard(p, [*samples(3), ("s/9.png", picture((9, 9))), ("s/9.cls", b"1")]),
            r"s/9: an image of another",
        ),
        (lambda p: shard(p, [*samples(3), ("s/9.png", picture())]), r"train-1\.tar: s/9: a sample without a label"),
        (lambda p: shard(p, [*samples(3), ("s/9.cls", b"1")]), r"train-1\.tar: s/9: a sample without a picture"),
        (
            lambda p: shard(p, [*samples(3), ("s/9.cls", b"\xff"), ("s/9.png", picture())]),
            r"s/9\.cls: a label that can't",
        ),
        (lambda p: shard(p, [*samples(3), ("s/9.cls", b" "), ("s/9.png", picture())]), r"s/9\.cls: no label"),
        (lambda p: shard(p, samples(2) * 2), r"a sample that stands there twice; found 's/000'"),
        (lambda p: shard(p, samples(2)[:1] * 2), r"a file of a sample that stands there twice; found 's/000\.png'"),
        (lambda p: shard(p, samples(3, lambda i: b"7")), r"train-1\.tar: s/000: a label that is no class; found '7'"),
        (lambda p: p.rename(p.with_name("more.tar")), r"a shard of no split; found 'more\.tar'"),
    ],
)
def test_shards_that_are_damaged(tmp_path: Path, change: Callable[[Path], object], message: str) -> None:
    root = shards(tmp_path)
    change(root / "train-1.tar")
    if message == "no picture|train":
        assert len(Webdataset(str(root), classes=("a", "b")).load().train) == 11
        return
    for lazy in (False, True):
        with pytest.raises(DataError, match=message):
            Webdataset(str(root), classes=("a", "b"), lazy=lazy, workers=0).load()


def test_folders_without_shards(tmp_path: Path) -> None:
    (tmp_path / "list.txt").touch()
    with pytest.raises(DataError, match=r"no shards; found \['list\.txt'\]; allowed: \*\.tar"):
        Webdataset(str(tmp_path)).load()
    with pytest.raises(DataError, match="no such folder"):
        Webdataset(str(tmp_path / "none")).fingerprint()
    shards(tmp_path, "test-0.tar")
    with pytest.raises(DataError, match=r"no shards for training; found \['test'\]"):
        Webdataset(str(tmp_path)).load()
    with pytest.raises(DataError, match="without labels the class names are needed"):
        Webdataset(str(shards(tmp_path / "a")), label="").load()


def test_labels_of_other_tasks(tmp_path: Path) -> None:
    """Values and lists in JSON; masks that are pictures, made one size with theirs."""
    table = [
        {"score": i / 4, "kinds": [["a"], ["a", "b"], []][i % 3], "at": [[i, 1.5], [2.0, i % 5]]} for i in range(20)
    ]
    root = shard(tmp_path / "j" / "a.tar", samples(20, lambda i: json.dumps(table[i]).encode(), "json")).parent
    data = Webdataset(str(root), label="json.score").load(Regression())
    assert data.train.y is not None and data.train.y.dtype == np.float32 and data.train.y.max() > 3
    data = Webdataset(str(root), label="json.kinds").load(MultiLabel())
    assert data.classes == ("a", "b") and data.train.y is not None and {*map(tuple, data.train.y.tolist())} == {
        (1, 0), (1, 1), (0, 0),
    }  # fmt: skip
    wrong = samples(20, lambda i: json.dumps({"at": [0.5] * (1 + i % 2)}).encode(), "json")
    with pytest.raises(DataError, match=r"a\.tar: s/001: labels of several lengths"):
        Webdataset(str(shard(tmp_path / "w" / "a.tar", wrong).parent), label="json.at").load(Regression())

    masks = [np.asarray((np.arange(30).reshape(6, 5) + i) % 3, np.uint8) for i in range(12)]
    files: Files = []
    for i, mask in enumerate(masks):
        for name, pixels in ((f"{i}.jpg", np.repeat(mask[..., None], 3, axis=2)), (f"{i}.mask.png", mask)):
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "png")
            files.append((name, file.getvalue()))
    root = shard(tmp_path / "m" / "a.tar", files).parent
    for keys in ({}, {"size": (4, 8), "fit": "crop", "interpolation": "nearest"}):
        data = Webdataset(str(root), label="mask.png", validation=2, test=2, **keys).load(Segmentation())  # type: ignore[arg-type]
        for split in data.splits.values():
            assert split.y is not None and np.array_equal(np.asarray(split.x)[..., 0], split.y)
    with pytest.raises(DataError, match=r"labels of places move"):
        Webdataset(str(root), label="mask.png", size=(4, 8)).load(Regression(points=True))
