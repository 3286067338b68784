"""Columns of a user's tables by their names and by what they hold: texts or a table, splits, and names of files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pyarrow import csv, parquet

from edgekd.base import plugins
from edgekd.base.errors import DataError
from edgekd.cli.starting.data import table
from edgekd.learn.data import Dataset, loaded
from edgekd.tasks.embedding import Embedding

PARTS = ("train", "train", "train", "val", "test")
TEXTS = [f'"a {"fine" if i % 2 else "dull"} film, number {i}"' for i in range(40)]


def write(path: Path, header: str, rows: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def read(path: Path, *given: str) -> tuple[dict[str, Any], Dataset | None]:
    """The table without its path; and what it reads, where nothing is left to the user."""
    of = table(str(path), frozenset(given))
    kind = {key: value for key, value in of.items() if key != "source"}
    data = None if given else loaded(plugins.build("data", {"kind": of["source"], **kind}, "data"))
    return {key: value for key, value in of.items() if key != "path"}, data


def draw(root: Path, *names: str) -> None:
    for i, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), 3 * i, np.uint8)).save(root / name)


def test_a_column_of_splits_is_read_as_such(tmp_path: Path) -> None:
    rows = [f"{i},{i % 7},{PARTS[i % 5]},{i % 2}" for i in range(40)]
    of, data = read(write(tmp_path / "bike.csv", "hour,wind,Split,label", rows))
    assert of == {"source": "table", "label": "label", "split": "Split"}
    assert data is not None and [len(split) for split in data.splits.values()] == [24, 8, 8]
    of, data = read(write(tmp_path / "one.csv", "hour,wind,split,label", [row.replace("val", "train") for row in rows]))
    assert of["split"] == "split" and data is not None and len(data.test) == 8
    of, _ = read(
        write(tmp_path / "bike.tsv", "hour\tset\tcnt", ["1\ttrain\t3", "1\ttest\t3"]), "data.source", "data.label"
    )
    assert of == {"source": "table", "split": "set"}
    of, _ = read(write(tmp_path / "no.csv", "hour,split,label", [f"{i},{i % 2},{i % 2}" for i in range(40)]))
    assert "split" not in of
    with pytest.raises(DataError, match=r"line 42: split: no split; found 'rest'"):
        read(write(tmp_path / "odd.csv", "hour,wind,split,label", [*rows, "1,2,rest,0"]))


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("anchor,positive,negative", {"sentence": "anchor", "pair": "positive", "negative": "negative", "label": ""}),
        ("Positive,query,score", {"sentence": "query", "pair": "Positive", "label": "score"}),
        (
            "sentence1,sentence2,negative_1,negative_2,label",
            {"sentence": "sentence1", "pair": "sentence2", "negative": ["negative_1", "negative_2"], "label": ""},
        ),
    ],
)
def test_pairs_and_triplets_of_texts_by_their_names(tmp_path: Path, header: str, wanted: dict[str, Any]) -> None:
    names, task = header.split(","), Embedding(size=4)
    rows = [",".join("0.5" if name in ("score", "label") else f"{name} {i}" for name in names) for i in range(40)]
    of = table(str(write(tmp_path / "t.csv", header, rows)), frozenset(), task)
    assert {key: value for key, value in of.items() if key != "path"} == {"source": "text", **wanted}
    data = loaded(plugins.build("data", {"kind": of.pop("source"), **of}, "data"), task)
    assert sum(map(len, data.splits.values())) == 40 * len([name for name in names if name not in ("score", "label")])
    parquet.write_table(csv.read_csv(tmp_path / "t.csv"), tmp_path / "t.parquet")
    of = table(str(tmp_path / "t.parquet"), frozenset(), task)
    wanted = {"x" if key == "sentence" else key: value for key, value in wanted.items()}
    assert {key: value for key, value in of.items() if key != "path"} == {"source": "arrow", **wanted}
    assert "pair" not in table(str(tmp_path / "t.csv"), frozenset({"data.sentence"})), "of another task"


@pytest.mark.parametrize(
    ("header", "cells", "wanted"),
    [
        ("text,label", "{text},{label}", {"source": "text", "sentence": "text"}),
        ("about,kind,label", "{text},,{label}", {"source": "table", "label": "label"}),
        ("comment,label", "{text},{label}", {"source": "text", "sentence": "comment"}),
        (
            "review,stars,split,y", "{text},{i},{part},{label}",
            {"source": "text", "sentence": "review", "label": "y", "split": "split"},
        ),
        ("text,hour,label", "few,{i},{label}", {"source": "table", "label": "label"}),
        ("question,label", "{i},{label}", {"source": "table", "label": "label"}),
    ],
)  # fmt: skip
def test_a_csv_is_of_texts_or_a_table(tmp_path: Path, header: str, cells: str, wanted: dict[str, Any]) -> None:
    rows = [cells.format(text=TEXTS[i], label=i % 2, i=i, part=PARTS[i % 5]) for i in range(40)]
    path = write(tmp_path / "reviews.csv", header, rows)
    of = table(str(path))
    assert {key: value for key, value in of.items() if key != "path"} == wanted
    assert table(str(path), frozenset({"data.source", "data.label"}))["source"] == "table"
    if wanted["source"] == "text":
        _, data = read(path)
        assert data is not None and str(data.train.x[0]).startswith("a ")
    folder = write(tmp_path / "f" / "my_train.csv", header, rows).parent
    read_by = table(str(folder))
    assert read_by["source"] == wanted["source"] and read_by["prefix"] == "my_" and "split" not in read_by


def test_tables_beside_pictures(tmp_path: Path) -> None:
    classes = tmp_path / "classes"
    draw(classes, *(f"{kind}/{i}.png" for kind in ("cat", "dog") for i in range(10)))
    write(classes / "classes.csv", "id;name", ["0;cat", "1;dog"])
    of, data = read(classes)
    assert of == {"source": "imagefolder"} and data is not None and data.classes == ("cat", "dog")
    kaggle = tmp_path / "photos"
    draw(kaggle, *(f"img/a{i:02}.png" for i in range(20)))
    write(kaggle / "train.csv", "id,label", [f"a{i:02},{i % 2}" for i in range(20)])
    with pytest.raises(
        DataError, match=r"train\.csv: id: files by another name.*data\.metadata=train\.csv.*data\.file=id"
    ):
        read(kaggle)
    write(kaggle / "train.csv", "id,label", [f"img/a{i:02}.png,{i % 2}" for i in range(20)])
    of, data = read(kaggle)
    assert of == {"source": "imagefolder", "metadata": "train.csv", "file": "id", "label": "label"}
    assert data is not None and sum(map(len, data.splits.values())) == 20
    write(kaggle / "train.csv", "number,label", [f"{i},{i % 2}" for i in range(200, 220)])
    with pytest.raises(DataError, match=r"files in no folders of classes, and tables; found .*metadata=train\.csv"):
        read(kaggle)
    assert read(kaggle, "data.metadata")[0] == {"source": "imagefolder"}


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_each_split_has_a_table_of_its_own(tmp_path: Path, kind: str) -> None:
    for part in ("train", "val", "test"):
        draw(tmp_path, *(f"{part}/{i}.png" for i in range(8)))
        rows = [
            f'{{"file_name": "{i}.png", "Class": {i % 2}}}' if kind == "jsonl" else f"{i}.png,{i % 2}" for i in range(8)
        ]
        header = "" if kind == "jsonl" else "file_name,Class"
        write(tmp_path / part / f"metadata.{kind}", header, rows)
    of, data = read(tmp_path)
    assert of == {"source": "imagefolder", "metadata": f"metadata.{kind}", "label": "Class"}
    assert data is not None and [len(split) for split in data.splits.values()] == [8, 8, 8]
