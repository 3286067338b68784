"""Labels of files in a table beside them: which row is of which file, the splits, several heads."""

from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgekd.base import plugins
from edgekd.base.errors import DataError, RecipeError
from edgekd.learn.data._joined import LabelsByHead
from edgekd.learn.data.audio import Audio
from edgekd.learn.data.imagefolder import Imagefolder
from edgekd.spec import recipe
from edgekd.tasks import CLASSES, Task
from edgekd.tasks.embedding import Embedding
from edgekd.tasks.multi_label import MultiLabel
from edgekd.tasks.regression import Regression
from edgekd.tasks.segmentation import Segmentation

COLUMNS = ("file_name", "kind", "sunny", "windy", "age", "part")
PARTS = ("train", "train", "dev", "test")


def draw(root: Path, names: list[str]) -> None:
    """Pictures of 4 x 5, the i-th all of grey i."""
    for i, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 5, 3), i, np.uint8)).save(root / name)


def row(name: str, i: int) -> list[str]:
    return [name, ("cat", "dog")[i % 2], str(i % 2), str(int(i % 3 == 0)), str(i / 2), PARTS[i % 4]]


def save(path: Path, rows: list[list[str]], header: tuple[str, ...] = COLUMNS) -> None:
    path.write_text("\n".join(",".join(line) for line in [list(header), *rows]) + "\n")


def flat(root: Path, count: int = 16) -> list[list[str]]:
    """So many pictures in folders of no split, whose table is in another order."""
    names = [f"{'ab'[i % 2]}/{i:02}.png" for i in range(count)]
    draw(root, names)
    rows = [row(name, i) for i, name in enumerate(names)][::-1]
    save(root / "metadata.csv", rows)
    return rows


def source(root: Path, **keys: Any) -> Imagefolder:
    return Imagefolder(str(root), **{"metadata": "metadata.csv", "label": "kind", **keys})


def greys(x: Any) -> list[int]:
    return [int(grey) for grey in np.asarray(x)[:, 0, 0, 0]]


def test_a_row_is_of_its_picture_and_a_column_says_the_split(tmp_path: Path) -> None:
    flat(tmp_path)
    data = source(tmp_path, split="part").load()
    assert data.classes == ("cat", "dog") and [len(split) for split in data.splits.values()] == [8, 4, 4]
    for split in data.splits.values():
        assert split.y is not None and split.names is not None
        assert split.y.tolist() == [grey % 2 for grey in greys(split.x)]
        assert [int(name[2:4]) for name in split.names] == greys(split.x)
    assert greys(data.train.x) == [13, 12, 9, 8, 5, 4, 1, 0]  # in the order of the rows
    assert greys(source(tmp_path, split="part", limit=3).load().train.x) == [13, 12, 9]
    later = source(tmp_path, split="part", lazy=True, workers=1).load()
    assert greys(later.train.x) == greys(data.train.x) and later.train.names == data.train.names


def test_folders_say_the_split_by_one_table_or_each_by_its_own(tmp_path: Path) -> None:
    for folder in ("one", "each"):
        draw(tmp_path / folder, [f"{part}/{i}.png" for part in ("Train", "val", "test") for i in range(6)])
    for j, part in enumerate(("Train", "val", "test")):
        save(tmp_path / "each" / part / "metadata.csv", [row(f"{i}.png", 6 * j + i) for i in range(6)])
    every = [row(f"{part}/{i}.png", 6 * j + i) for j, part in enumerate(("Train", "val", "test")) for i in range(6)]
    save(tmp_path / "one" / "metadata.csv", every)
    draw(tmp_path / "each", ["spare/1.png"])
    one, each = (source(tmp_path / folder).load() for folder in ("one", "each"))
    for name, split in one.splits.items():
        other = each.splits[name]
        assert len(split) == 6 and split.y is not None and other.y is not None
        assert greys(split.x) == greys(other.x) and split.y.tolist() == other.y.tolist() and split.names == other.names
    assert any("folder spare" in note for note in each.notes)
    both = source(tmp_path / "each", split="part")
    with pytest.raises(DataError, match="a split twice: by folder, and by column; found 'part'"):
        both.load()


def test_a_table_may_lie_beside_the_folder_and_groups_stay_together(tmp_path: Path) -> None:
    names = [f"p{i // 4}_{i}.png" for i in range(24)]
    draw(tmp_path / "photos", names)
    save(tmp_path / "labels.tsv", [["\t".join(row(name, i))] for i, name in enumerate(names)], ("\t".join(COLUMNS),))
    data = source(tmp_path / "photos", metadata="../labels.tsv", groups="_", validation=4, test=4).load()
    people = [{name.partition("_")[0] for name in split.names or []} for split in data.splits.values()]
    assert [len(one) for one in people] == [4, 1, 1] and not people[0] & people[1] | people[1] & people[2]
    assert "in whole groups of what stands before '_' in a file's name" in " ".join(data.notes)


@pytest.mark.parametrize(
    ("label", "task", "names", "last"),
    [
        ("sunny", CLASSES, ("0", "1"), 1),
        (("sunny", "windy"), MultiLabel(), ("sunny", "windy"), [1, 1]),
        ("age", Regression(), ("age",), [7.5]),
        (("age", "windy"), Regression(), ("age", "windy"), [7.5, 1.0]),
        (("age", "windy"), Regression(points=True), ("age", "windy"), [7.5, 1.0]),
        ("", Regression(), ("p", "q"), None),
    ],
)
def test_labels_of_tasks(tmp_path: Path, label: Any, task: Task, names: tuple[str, ...], last: Any) -> None:
    rows = flat(tmp_path)
    if task.geometry:
        save(tmp_path / "metadata.csv", [[*line[:4], str(float(line[4]) / 2), line[5]] for line in rows])
        last = [3.75, 1.0]
    data = source(tmp_path, label=label, split="part", classes=() if label else names).load(task)
    assert data.classes == names
    index = greys(data.test.x).index(15)
    assert last is None if data.test.y is None else data.test.y[index].tolist() == last


def test_each_head_has_a_column_of_one_table(tmp_path: Path) -> None:
    flat(tmp_path, 24)
    table = {"source": "imagefolder", "path": str(tmp_path), "metadata": "metadata.csv", "validation": 5, "test": 5}
    heads = {
        "kind": {"task": "classification", "label": "kind"},
        "age": {"task": "regression", "label": "age"},
        "sky": {"task": "multi_label", "label": ["sunny", "windy"]},
    }
    model = {"kind": "python", "factory": "a:b"}
    rest: dict[str, Any] = {"teacher": {"model": model}, "student": {"model": model}, "losses": [{"kind": "kl"}]}
    parsed = recipe.parse({"name": "r", "heads": heads, "data": table, **rest}, "r.toml")
    sources = {
        name: plugins.build("data", {**parsed.data.table, **head.data}, "data") for name, head in parsed.heads.items()
    }
    tasks: dict[str, Task] = {"kind": CLASSES, "age": Regression(), "sky": MultiLabel()}
    data = LabelsByHead(sources).load(tasks)
    assert data.classes == ("cat", "dog", "age", "sunny", "windy") and data.train.y is not None
    wanted = [[i % 2, i / 2, i % 2, int(i % 3 == 0)] for i in greys(data.train.x)]
    assert len(wanted) == 14 and data.train.y.tolist() == wanted


def test_the_fingerprint_follows_the_table_and_the_pictures(tmp_path: Path) -> None:
    rows = flat(tmp_path)
    before = source(tmp_path).fingerprint()
    assert before == source(tmp_path).fingerprint() != source(tmp_path, label="sunny").fingerprint()
    save(tmp_path / "metadata.csv", rows[::-1])
    after = source(tmp_path).fingerprint()
    assert after != before
    Image.fromarray(np.full((4, 5, 3), 99, np.uint8)).save(tmp_path / "a" / "00.png")
    assert source(tmp_path).fingerprint() != after


def first(change: list[str]) -> Any:
    return lambda rows: [change, *rows[1:]]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            first(row("a/99.png", 1)),
            r"metadata.csv, line 2: file_name: no such file; found 'a/99.png'; .*such as a/00.png",
        ),
        (first(row("../out.png", 1)), r"line 2: file_name: no such file; found '\.\./out.png'"),
        (first(row("", 1)), r"line 2: file_name: a row without a file"),
        (lambda rows: [*rows, row("a/../b/01.png", 1)], "line 18: file_name: a file of two rows; .*line 16 is it"),
        (lambda rows: rows[1:], "data.metadata: files without a row; found 'b/15.png'; allowed: a row for each"),
        (lambda rows: rows[3:], "files without a row; found 'a/14.png and 2 more'"),
        (first(["b/15.png", "", "1", "0", "1", "dev"]), "line 2: kind: a row without a label"),
        (first(["b/15.png", "cat"]), "line 2: another number of columns than the header; found 2"),
        (first(["b/15.png", "cat", "1", "0", "1", "hall"]), "line 2: part: no split; found 'hall'"),
        (lambda _: [], "files without a row; found 'a/00.png and 15 more'"),
        (lambda rows: [[*line[:5], "test"] for line in rows], r"data.metadata \(train\): a split without rows"),
    ],
)
def test_rows_that_do_not_fit_the_pictures(tmp_path: Path, change: Any, why: str) -> None:
    save(tmp_path / "metadata.csv", change(flat(tmp_path)))
    with pytest.raises(DataError, match=why):
        source(tmp_path, split="part").load()


@pytest.mark.parametrize(
    ("keys", "task", "why"),
    [
        (
            {"metadata": "labels.csv"},
            CLASSES,
            r"data.metadata: no such table; found 'labels.csv'; allowed: metadata.csv",
        ),
        ({"metadata": "a/00.png"}, CLASSES, "no file of a table; found '00.png'"),
        ({"label": "knd"}, CLASSES, "line 1, data.label: no such column; found 'knd'.*did you mean 'kind'"),
        ({"file": "name"}, CLASSES, "line 1, data.file: no such column; found 'name'"),
        ({"split": "prt"}, CLASSES, "line 1, data.split: no such column; found 'prt'.*did you mean 'part'"),
        ({"label": ("sunny", "windy")}, CLASSES, "labels that the task does not take"),
        ({}, Embedding(size=3), "labels that the task does not take; found .*one column of a label for each row"),
        ({}, Segmentation(), "labels that the task does not take"),
        ({"label": ("age", "windy"), "size": (8, 8)}, Regression(points=True), "data.size: labels of places move"),
        ({"label": ("age", "kind")}, Regression(), "kind: a label that is no number; found 'dog'"),
        ({"metadata": "", "label": "label"}, MultiLabel(), "data.path: the folders are of classes.*data.metadata"),
    ],
)
def test_keys_that_do_not_fit(tmp_path: Path, keys: dict[str, Any], task: Task, why: str) -> None:
    flat(tmp_path)
    with pytest.raises(DataError, match=why):
        source(tmp_path, **keys).load(task)


def test_pictures_in_the_folder_of_no_split_and_splits_without_a_table(tmp_path: Path) -> None:
    names = [f"{part}/{i}.png" for part in ("train", "test", "more") for i in range(4)]
    draw(tmp_path, names)
    save(tmp_path / "metadata.csv", [row(name, i) for i, name in enumerate(names)])
    with pytest.raises(
        DataError, match=r"line 10: a file in the folder of no split; found 'more/0.png'; allowed: test, tr"
    ):
        source(tmp_path).load()
    assert len(source(tmp_path, split="part").load().train) == 6  # the column says more than the folders
    (tmp_path / "metadata.csv").rename(tmp_path / "test" / "metadata.csv")
    with pytest.raises(DataError, match=r"no such table; found 'metadata\.csv'"):
        source(tmp_path).load()


def test_folders_that_may_be_splits_are_not_trained_on(tmp_path: Path) -> None:
    names = [f"my_{part}/{i:02}.png" for i in range(8) for part in ("train", "test")]
    draw(tmp_path, names)
    save(tmp_path / "metadata.csv", [row(name, i) for i, name in enumerate(names)])
    with pytest.raises(DataError, match=r"may be a split, and would be trained on; found '?my_test'?; allowed: test"):
        source(tmp_path).load()
    assert len(source(tmp_path, split="part").load().test) == 4


def test_the_table_may_be_of_json_lines(tmp_path: Path) -> None:
    rows, header = flat(tmp_path), COLUMNS
    lines = [json.dumps({key: cell for key, cell in zip(header, of, strict=True) if cell != "0"}) for of in rows]
    (tmp_path / "metadata.jsonl").write_text("\n".join([*lines, ""]))
    read, other = (source(tmp_path, metadata=f"metadata.{kind}", split="part").load() for kind in ("csv", "jsonl"))
    for mine, theirs in zip(read.splits.values(), other.splits.values(), strict=True):
        assert mine.names == theirs.names and mine.y is not None and theirs.y is not None
        assert mine.y.tolist() == theirs.y.tolist()
    for line in ("[1]", '{"file_name": ', '"a"'):
        (tmp_path / "metadata.jsonl").write_text("\n".join([*lines, line]))
        with pytest.raises(DataError, match=r"metadata\.jsonl, line 17: no object of JSON"):
            source(tmp_path, metadata="metadata.jsonl").load()


def test_keys_of_a_table_without_one() -> None:
    for key in ("file", "label", "split"):
        with pytest.raises(RecipeError, match=f"{key}: allowed is none without metadata"):
            plugins.build("data", {"kind": "imagefolder", "path": "p", key: "a"}, "data")
    with pytest.raises(RecipeError, match="classes: allowed is none without metadata"):
        plugins.build("data", {"kind": "imagefolder", "path": "p", "classes": ["a", "b"]}, "data")


def test_clips_have_labels_in_a_table_too(tmp_path: Path) -> None:
    names = [f"{i}.wav" for i in range(12)]
    for i, name in enumerate(names):
        with wave.open(str(tmp_path / name), "wb") as sound:
            sound.setparams((1, 2, 8000, 40, "NONE", ""))
            sound.writeframes(np.full(40, i, "<i2").tobytes())
    save(
        tmp_path / "clips.csv",
        [[name, str(i / 4), PARTS[i % 4]] for i, name in enumerate(names)],
        ("clip", "pitch", "part"),
    )
    keys: dict[str, Any] = {"rate": 8000, "length": 40, "metadata": "clips.csv", "file": "clip", "labels": "pitch"}
    clips = Audio(str(tmp_path), split="part", **keys)
    data = clips.load(Regression())
    assert data.classes == ("pitch",) and [len(split) for split in data.splits.values()] == [6, 3, 3]
    for split in data.splits.values():
        assert split.y is not None and split.y[:, 0].tolist() == [x / 4 for x in np.asarray(split.x)[:, 0]]
    before = clips.fingerprint()
    (tmp_path / "clips.csv").write_text((tmp_path / "clips.csv").read_text().replace("0.25", "9"))
    assert clips.fingerprint() != before
    np.savez(tmp_path / "a.npz", samples=np.zeros(9, np.int16), offsets=[0, 9], labels=[0])
    with pytest.raises(DataError, match=r"data.metadata: an \.npz holds its labels; found 'clips.csv'"):
        Audio(str(tmp_path / "a.npz"), **keys).load()
    with pytest.raises(DataError, match=r"folders are of classes.*data\.metadata"):
        Audio(str(tmp_path)).load(Regression())
