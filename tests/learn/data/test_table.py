"""The source of tables: splits, columns, labels of every task, and what it refuses."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from edgekd.base import plugins, preprocess
from edgekd.base.errors import DataError, RecipeError
from edgekd.build import set_up
from edgekd.learn.data._base import Dataset
from edgekd.learn.data._joined import LabelsByHead
from edgekd.learn.data.table import Table
from edgekd.learn.feed import Feed
from edgekd.spec import recipe
from edgekd.spec.recipe import Augment
from edgekd.tasks import CLASSES, Task
from edgekd.tasks.anomaly import Anomaly
from edgekd.tasks.multi_label import MultiLabel
from edgekd.tasks.regression import Regression
from edgekd.tasks.tagging import Tagging

HEADER = ("id", "temp", "month", "wind", "kind", "split", "count")
KINDS = ("sun", "rain", "snow")


def rows(count: int = 40) -> list[list[str]]:
    """Rows of which temp has gaps, month is a number that stands for something, and kind a name."""
    role = ["train", "train", "val", "TEST"]
    return [
        [
            f"row{i}",
            "NA" if i % 4 == 1 else str(i / 10),
            str(i % 12 + 1),
            str(-i),
            KINDS[i % 3] if i % 8 else "",
            role[i % 4],
            str(10 * i),
        ]
        for i in range(count)
    ]


def save(path: Path, lines: list[list[str]], header: tuple[str, ...] = HEADER) -> str:
    path.write_text("\n".join(",".join(line) for line in [list(header), *lines]) + "\n")
    return str(path)


def table(path: str, **keys: Any) -> Table:
    return Table(path, **{"label": "count", "split": "split", "id": "id", **keys})


def load(path: str, task: Task | None = None, **keys: Any) -> Dataset:
    return table(path, **keys).load(Regression() if task is None else task)


def columns(dataset: Dataset) -> dict[str, Any]:
    return {column["name"]: column for column in dataset.preprocess[0]["columns"]}


def test_a_split_column_and_what_is_learned_of_the_training_rows(tmp_path: Path) -> None:
    dataset = load(save(tmp_path / "t.csv", rows()), categories=("month", "kind"))
    assert [len(split) for split in dataset.splits.values()] == [20, 10, 10] and dataset.classes == ("count",)
    about = columns(dataset)
    assert list(about) == ["temp", "month", "wind", "kind"] and dataset.train.names is not None
    assert dataset.train.names[:3] == ["row0", "row1", "row4"] and dataset.test.names is not None
    training = [row for row in rows() if row[5] == "train"]
    known = np.array([float(row[1]) for row in training if row[1] != "NA"], np.float32)
    assert about["temp"] == {
        "name": "temp",
        "mean": float(np.float32(known.astype(float).mean())),
        "std": float(np.float32(known.astype(float).std())),
        "missing": True,
    }
    assert about["wind"]["missing"] is False
    assert about["month"]["values"] == ["1", "2", "10", "5", "6", "9"]  # the frequent first
    assert sorted(about["kind"]["values"]) == sorted(KINDS) and not about["kind"]["other"]
    assert np.isnan(np.asarray(dataset.train.x)[1, 0]) and np.isnan(np.asarray(dataset.train.x)[0, 3])
    assert dataset.validation.x[0, 1] == 6  # a month that no training row has
    inputs = preprocess.apply(dataset.preprocess, np.asarray(dataset.train.x))["input"]
    assert abs(inputs[:, 0].mean()) < 1e-6 and inputs[:, 1].sum() == 10  # temp, and that it is missing
    assert dataset.train.y is not None and dataset.train.y[:3, 0].tolist() == [0, 10, 40]


def test_files_by_name_made_splits_and_parquet_are_read_alike(tmp_path: Path) -> None:
    whole = load(save(tmp_path / "whole.csv", rows()))
    (tmp_path / "d").mkdir()
    for name, role in (("train.csv", "train"), ("dev.csv", "val"), ("test.csv", "TEST")):
        save(tmp_path / "d" / f"w_{name}", [row for row in rows() if row[5] == role])
    apart = load(str(tmp_path / "d"), prefix="w_", split="", columns=("temp", "month", "wind", "kind"))
    parquet.write_table(arrow_csv.read_csv(tmp_path / "whole.csv"), tmp_path / "whole.parquet")
    for other in (apart, load(str(tmp_path / "whole.parquet"))):
        assert other.preprocess == whole.preprocess
        for name, split in other.splits.items():
            assert np.array_equal(np.asarray(split.x), np.asarray(whole.splits[name].x), equal_nan=True)
            assert (labels := whole.splits[name].y) is not None
            assert (
                split.y is not None and split.y.tolist() == labels.tolist() and split.names == whole.splits[name].names
            )
    carved = load(str(tmp_path / "whole.csv"), split="", columns=("temp",), validation=5, test=0.25, groups="month")
    sizes = [len(split) for split in carved.splits.values()]
    assert sum(sizes) == 40 and sizes[1] <= 5 and sizes[2] <= 10
    months = [{(int(name.removeprefix("row")) % 12) for name in split.names or []} for split in carved.splits.values()]
    assert not months[0] & months[1] and not months[0] & months[2] and "in whole groups of month" in carved.notes[0]


def test_what_is_carved_off_teaches_nothing(tmp_path: Path) -> None:
    """The values of categories and the means are those of the rows that stay."""
    lines = [[str(i), f"k{i}", str(i % 2)] for i in range(20)]
    dataset = Table(save(tmp_path / "t.csv", lines, ("n", "k", "label")), validation=5, test=5).load()
    about, kept = columns(dataset), np.asarray(dataset.train.x)[:, 0]
    assert {int(text[1:]) for text in about["k"]["values"]} == {*kept.tolist()} and len(kept) == 10
    assert about["n"]["mean"] == np.float32(kept.astype(float).mean())
    assert (np.asarray(dataset.test.x)[:, 1] == 10).all()


def test_the_fingerprint_follows_the_file_and_not_the_place(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        save(tmp_path / name / "t.csv", rows())
    one, two = (table(str(tmp_path / name / "t.csv")) for name in ("a", "b"))
    assert one.fingerprint() == two.fingerprint() != table(one.path, values=3).fingerprint()
    save(tmp_path / "b" / "t.csv", rows(44))
    assert one.fingerprint() != two.fingerprint()


def test_rare_values_and_constants_are_told(tmp_path: Path) -> None:
    lines = [[f"k{i // 3 if i < 9 else i}", "7", str(i % 2)] for i in range(30)]
    dataset = Table(save(tmp_path / "t.csv", lines, ("k", "c", "label")), values=3).load()
    about = columns(dataset)
    assert about["k"]["values"][0] in ("k0", "k1", "k2") and about["k"]["other"] and len(about["k"]["values"]) == 3
    assert about["c"] == {"name": "c", "mean": 7.0, "std": 1.0, "missing": False}
    told = " ".join(dataset.notes)
    assert "column 'k' has more than 3 values" in told and "column 'c' is the same in every training row" in told


LABELS = ("x", "cut", "a", "b", "names")
LABELLED = [
    [str(i), ("good", "bad")[i % 2], str(i % 2), str(int(i % 3 == 0)), ("a b", "NA", "b")[i % 3]] for i in range(30)
]


@pytest.mark.parametrize(
    ("label", "task", "names", "first"),
    [
        ("cut", CLASSES, ("bad", "good"), [1, 0, 1]),
        ("a", CLASSES, ("0", "1"), [0, 1, 0]),
        ("a", Regression(), ("a",), [[0.0], [1.0], [0.0]]),
        (("b", "a"), Regression(), ("b", "a"), [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]),
        (("b", "a"), MultiLabel(), ("b", "a"), [[1, 0], [0, 1], [0, 0]]),
        ("names", MultiLabel(), ("a", "b"), [[1, 1], [0, 0], [0, 1]]),
        ("", Regression(), ("p", "q"), None),
    ],
)
def test_labels_of_tasks(tmp_path: Path, label: Any, task: Task, names: tuple[str, ...], first: Any) -> None:
    classes = names if not label else ()
    for name in ("train", "val", "test"):
        save(tmp_path / f"{name}.csv", LABELLED, LABELS)
    dataset = Table(str(tmp_path), label=label, columns=("x",), classes=classes).load(task)
    assert dataset.classes == names
    assert first is None if dataset.train.y is None else dataset.train.y[:3].tolist() == first


def test_heads_share_rows_with_gaps(tmp_path: Path) -> None:
    path = save(tmp_path / "t.csv", rows())
    keys: dict[str, Any] = {"path": path, "columns": ("temp", "kind"), "split": "split"}
    sources = {"count": Table(label="count", **keys), "wind": Table(label="wind", **keys)}
    both = LabelsByHead(sources).load({"count": Regression(), "wind": Regression()})
    assert both.classes == ("count", "wind") and both.train.y is not None
    assert both.train.y[:3].tolist() == [[0, 0], [10, -1], [40, -4]]


def test_an_anomaly_has_names_or_bits(tmp_path: Path) -> None:
    lines = {"train": LABELLED[::2], "val": LABELLED, "test": LABELLED}
    for name, part in lines.items():
        save(tmp_path / f"{name}.csv", part, LABELS)
    for task, label in ((Anomaly(0.2, normal="good"), "cut"), (Anomaly(0.2), "a")):
        dataset = Table(str(tmp_path), label=label, columns=("x",)).load(task)
        assert dataset.validation.y is not None and dataset.validation.y[:3].tolist() == [[0], [1], [0]]


BIKES = "season yr mnth hr holiday weekday workingday weathersit"  # categories of the recipe, numbers all


def test_the_recipe_of_bicycles_reads_its_table(tmp_path: Path) -> None:
    """Packed, tabs between, the splits in a column; what adds up to the label is no input."""
    header = ["dteday", *BIKES.split(), "temp", "atemp", "hum", "windspeed", "casual", "registered", "cnt", "split"]
    kinds = [[str(i * (k + 3) % (k + 2)) for k in range(8)] for i in range(40)]
    numbers = [[f"0.{i % 9}", f"0.{i % 7}", f"0.{i % 5}" if i % 5 else "", "0.1940"] for i in range(40)]
    lines = ["\t".join(header)]
    for i, (kind, number) in enumerate(zip(kinds, numbers, strict=True)):
        role = ("train", "train", "val", "test")[i % 4]
        lines.append("\t".join(["2011-01-01", *kind, *number, str(i), str(2 * i), str(3 * i), role]))
    with gzip.open(tmp_path / "bike_hourly.tsv.gz", "wt", encoding="utf-8", newline="") as file:
        file.write("\n".join(lines) + "\n")
    bikes = recipe.load("bike-table", [f"data.path={tmp_path / 'bike_hourly.tsv.gz'}"])[0]
    dataset = plugins.build("data", bikes.data.table, "data").load(Regression(unit_of_values="bicycles an hour"))
    assert [len(split) for split in dataset.splits.values()] == [20, 10, 10] and dataset.classes == ("cnt",)
    about = columns(dataset)
    assert list(about) == ["temp", "atemp", "hum", "windspeed", *BIKES.split()]
    assert {name for name, column in about.items() if "values" in column} == {*BIKES.split()}
    assert about["hum"]["missing"] and dataset.train.y is not None and dataset.train.y[:3, 0].tolist() == [0, 3, 12]
    assert any("'windspeed' is the same in every training row" in note for note in dataset.notes)


def changed(column: str, row: int, text: str) -> list[list[str]]:
    lines = rows()
    lines[row][HEADER.index(column)] = text
    return lines


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"columns": ("temp", "wnd")}, "t.csv, line 1, data.columns: no such column; found 'wnd'.*mean 'wind'"),
        ({"label": "cont"}, "data.label: no such column; found 'cont'.*did you mean 'count'"),
        ({"split": "splt"}, "data.split: no such column.*did you mean 'split'"),
        ({"groups": "moth"}, "data.groups: no such column.*did you mean 'month'"),
        ({"id": "idd"}, "data.id: no such column.*did you mean 'id'"),
        ({"categories": ("kinds",)}, "data.categories: no such column.*did you mean 'kind'"),
        ({"categories": ("kind",), "columns": ("temp",)}, "no column that is read; found 'kind'; allowed: temp"),
        (
            {"categories": ("month",)},
            "t.csv, line 3: kind: a word in a column of numbers; found 'rain'.*data.categories",
        ),
        ({"columns": ("temp", "temp")}, "data.columns: no columns for the student"),
        ({"split": "kind"}, "t.csv, line 2: kind: no split; found ''; allowed: dev, test"),
        ({"label": "kind"}, "t.csv, line 2: kind: a row without a label"),
        ({"label": ("count", "kind")}, "line 3: kind: a label that is no number; found 'rain'"),
        ({"label": ("count", "wind"), "task": CLASSES}, "labels that the task does not take; found .*one column"),
        ({"task": Tagging()}, "labels that the task does not take"),
    ],
)
def test_keys_that_name_what_is_not_there(tmp_path: Path, keys: dict[str, Any], why: str, lazy: bool) -> None:
    with pytest.raises(DataError, match=why):
        load(save(tmp_path / "t.csv", rows()), **keys, lazy=lazy)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (changed("wind", 2, "strong"), "t.csv, line 4: wind: a word in a column of numbers; found 'strong'"),
        (changed("wind", 6, "1e60"), "t.csv, line 8: wind: a word in a column of numbers; found '1e60'"),
        (changed("count", 8, "null"), "t.csv, line 10: count: a row without a label"),
        (changed("count", 8, "many"), "t.csv, line 10: a label that is no number; found 'many'"),
        ([["x", "", *row[2:]] for row in rows()], "a column without a value in any training row; found 'temp'"),
        ([], "a split without rows"),
        ([row for row in rows() if row[5] != "train"], r"data.path \(train\): a split without rows"),
    ],
)
def test_rows_that_nothing_can_be_learned_of(tmp_path: Path, lines: list[list[str]], why: str, lazy: bool) -> None:
    with pytest.raises(DataError, match=why):
        load(save(tmp_path / "t.csv", lines), lazy=lazy)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(("count", "word"), [(40, "unknown"), (40, "None"), (3, "?"), (40, "-")])
def test_one_word_among_many_numbers_is_no_category(tmp_path: Path, count: int, word: str, lazy: bool) -> None:
    lines = [f"{word if i % 3 == 0 else i % count},{i % 2}" for i in range(80)]
    (tmp_path / "t.csv").write_text("\n".join(["n,label", *lines]))
    with pytest.raises(DataError, match=r"line 2: n: a word in a column of numbers; found .*; allowed: .*categories"):
        Table(str(tmp_path / "t.csv"), lazy=lazy).load()
    (op,) = Table(str(tmp_path / "t.csv"), categories=("n",), lazy=lazy).load().preprocess
    assert word in op["columns"][0]["values"]
    for gap in ("N/A", "#n/a", "<NA>"):
        (tmp_path / "t.csv").write_text("\n".join(["n,label", *lines]).replace(f"{word},", f"{gap},"))
        (op,) = Table(str(tmp_path / "t.csv"), lazy=lazy).load().preprocess
        assert op["columns"][0]["missing"] is True
    doors = [f"{('2', '3', '4', '5more')[i % 4]},{i % 2}" for i in range(80)]
    (tmp_path / "t.csv").write_text("\n".join(["n,label", *doors]))
    assert "values" in Table(str(tmp_path / "t.csv"), lazy=lazy).load().preprocess[0]["columns"][0]


def test_numbers_that_are_written_otherwise_are_told_and_are_no_names(tmp_path: Path) -> None:
    """As a spreadsheet of another country writes them; who means names says so."""
    lines = [f"{i}\t{i},5\t1,{i:03},000\t{i % 2}" for i in range(20)]
    (tmp_path / "t.tsv").write_text("\n".join(["a\tb\tc\tlabel", *lines]) + "\n")
    for columns_, text in ((("a", "b"), "0,5"), (("a", "c"), "1,000,000")):
        why = f"line 2: {columns_[1]}: a word in a column of numbers; found '{text}'.*1234.5 is how"
        with pytest.raises(DataError, match=why):
            Table(str(tmp_path / "t.tsv"), columns=columns_).load()
    with pytest.raises(DataError, match=r"line 2: b: a label that is no number; found '0,5'.*1234.5 is how"):
        Table(str(tmp_path / "t.tsv"), columns=("a",), label=("label", "b")).load(Regression())
    for text in ("5 %", "inf", "-Infinity", "1 234", "1'234", "1_234", "\N{MINUS SIGN}5", "\N{FULLWIDTH DIGIT ONE}5"):
        rows_ = "".join(f"{i if i % 2 else text}\t{i % 3}\n" for i in range(20))
        (tmp_path / "n.tsv").write_text(f"n\tlabel\n{rows_}")
        with pytest.raises(
            DataError, match=f"line 2: n: a word in a column of numbers; found ['\"]{text}.*1234.5 is how"
        ):
            Table(str(tmp_path / "n.tsv")).load()
    dataset = Table(str(tmp_path / "t.tsv"), columns=("a", "b"), categories=("b",)).load()
    assert "values" in columns(dataset)["b"]


def test_a_file_of_a_split_without_rows_and_a_split_twice(tmp_path: Path) -> None:
    save(tmp_path / "train.csv", rows())
    save(tmp_path / "test.csv", [])
    with pytest.raises(DataError, match=r"data.path \(test\): a split without rows; found 'test.csv'"):
        load(str(tmp_path), split="")
    with pytest.raises(DataError, match="a split twice: by file, and by column"):
        load(str(tmp_path))


def test_keys_out_of_range() -> None:
    for keys, why in (({"values": 0}, "values"), ({"columns": ["a", "label"]}, "columns"), ({"test": 0}, "test")):
        with pytest.raises(RecipeError, match=why):
            plugins.build("data", {"kind": "table", "path": "t.csv", **keys}, "data")


def test_gaps_are_for_the_op_alone_and_codes_are_no_quantities(tmp_path: Path) -> None:
    path = save(tmp_path / "t.csv", rows())
    dataset = load(path)
    feed = Feed(dataset, dataset.preprocess, Augment(), 0)
    assert feed.raw_kind == "codes" and feed.sample_shape == (2 + 1 + 1 + 3,)
    numbers = load(path, columns=("wind",))
    assert Feed(numbers, numbers.preprocess, Augment(), 0).raw_kind == "vectors"
    with pytest.raises(RecipeError, match=r"data.preprocess: a table with missing values; .*the op table"):
        set_up._check_gaps(dataset, [{"op": "normalise", "mean": 0.0, "std": 1.0}])
    set_up._check_gaps(numbers, [])


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
@pytest.mark.parametrize("coding", ["utf-16", "latin-1"])
def test_a_table_that_is_no_utf_8_is_told_to_be_saved_as_such(tmp_path: Path, ending: str, coding: str) -> None:
    lines = ["a,label", *(f"{i},{'gut é' if i > 1 else 'bad'}" for i in range(30))]
    if ending == "jsonl":
        lines = [f'{{"a": {i}, "label": "{"gut é" if i > 2 else "bad"}"}}' for i in range(30)]
    (tmp_path / f"d.{ending}").write_bytes("\n".join(lines).encode(coding))
    line, kind = (1, "UTF-16") if coding == "utf-16" else (4, "Latin-1")
    with pytest.raises(
        DataError, match=rf"d\.{ending}, line {line}: not UTF-8; .*seems to be {kind}.*save it as UTF-8"
    ):
        Table(str(tmp_path / f"d.{ending}")).load()


def test_dates_are_told_to_be_given_as_numbers(tmp_path: Path) -> None:
    lines = ["day,kind,label", *(f"2024-03-{1 + i % 28:02},2-{i % 3},{i % 2}" for i in range(60))]
    (tmp_path / "d.csv").write_text("\n".join(lines))
    dates = [note for note in Table(str(tmp_path / "d.csv")).load().notes if "dates" in note]
    assert len(dates) == 1 and dates[0].startswith("column 'day' holds dates, which are read as names")


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ("{i} kg", "holds numbers with 'kg', which are read as names: write the numbers alone"),
        ("${i}.50", "holds numbers with '$', which"),
        ("{i}/3/24", "holds dates, which are read as names"),
        ("31.12.20{i}", "holds dates, which are read as names"),
        ("12:{i}", "holds dates, which are read as names"),
        ("user{n}", "has a value of its own in nearly every training row"),
        ("{i}st", "holds numbers with 'st'"),
        ("a{i}", ""),
        ("{i}-{i}", ""),
        ("{i} {i} kg", ""),
    ],
)
def test_names_that_were_better_numbers_or_ids_are_told(tmp_path: Path, cells: str, why: str) -> None:
    lines = ["cell,number,label", *(f"{cells.format(i=10 + i % 3, n=i)},{i},{i % 2}" for i in range(60))]
    (tmp_path / "d.csv").write_text("\n".join(lines))
    notes = [note for note in Table(str(tmp_path / "d.csv")).load().notes if "column 'cell'" in note]
    assert [why in note for note in notes] == ([True] if why else [])
