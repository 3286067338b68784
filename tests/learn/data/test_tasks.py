"""Labels of every task, in every source that has more than classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from edgekd.base import plugins
from edgekd.base.errors import DataError, RecipeError
from edgekd.learn.data import Dataset, loaded
from edgekd.learn.data._batches import from_splits
from edgekd.tasks import Task
from edgekd.tasks.embedding import Embedding
from edgekd.tasks.multi_label import MultiLabel
from edgekd.tasks.regression import Regression

ROWS = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 0]] * 6)
VALUES = np.array([[190.0], [math.nan], [7.5], [400.0]] * 6, np.float32)
NAMES = ("far", "loud", "warm")
TEXTS = [" ".join(NAMES[c] for c in np.flatnonzero(row)) for row in ROWS]


def npz(folder: Path, y: np.ndarray) -> dict[str, Any]:
    x = np.random.default_rng(0).standard_normal((24, 5)).astype(np.float32)
    np.savez(folder / "d.npz", x_train=x, y_train=y, x_test=x[:8], y_test=y[:8])
    return {"kind": "npz", "path": str(folder / "d.npz"), "samples": "numbers"}


def tsv(folder: Path, column: list[str]) -> dict[str, Any]:
    lines = ["sentence\tlabel", *(f"a word {i}\t{cell}" for i, cell in enumerate(column))]
    (folder / "d.tsv").write_text("\n".join(lines))
    return {"kind": "text", "path": str(folder / "d.tsv"), "vocab": 100}


def arrow(folder: Path, column: Any) -> dict[str, Any]:
    texts = [f"a word {i}" for i in range(24)]
    parquet.write_table(pyarrow.table({"text": texts, "label": column}), folder / "train.parquet")
    return {"kind": "arrow", "path": str(folder), "x": "text", "vocab": 100}


def read(table: dict[str, Any], task: Task) -> Dataset:
    return loaded(plugins.build("data", table, "data"), task)


def every(dataset: Dataset) -> np.ndarray:
    labels = [split.y for split in dataset.splits.values()]
    return np.concatenate([y for y in labels if y is not None])


@pytest.mark.parametrize("make", [lambda f: npz(f, ROWS), lambda f: tsv(f, TEXTS), lambda f: arrow(f, TEXTS)])
def test_several_labels_a_sample(tmp_path: Path, make: Any) -> None:
    table = {**make(tmp_path)}
    dataset = read(table, MultiLabel())
    names = NAMES if table["kind"] != "npz" else ("label 0", "label 1", "label 2")
    assert dataset.classes == names
    labels = every(dataset)
    assert labels.dtype == np.int64 and labels.shape[1] == 3
    assert {tuple(row) for row in labels} == {tuple(row) for row in ROWS}


@pytest.mark.parametrize(
    "make",
    [
        lambda f: npz(f, VALUES),
        lambda f: npz(f, VALUES[:, 0]),
        lambda f: tsv(f, [f"{v:g}" if v == v else "" for v in VALUES[:, 0]]),
        lambda f: arrow(f, [f"{v:g}" for v in np.nan_to_num(VALUES[:, 0])]),
    ],
)
def test_values(tmp_path: Path, make: Any) -> None:
    dataset = read(make(tmp_path), Regression())
    labels = every(dataset)
    assert dataset.classes == ("value",) and labels.dtype == np.float32 and labels.shape[1] == 1
    assert {190.0, 7.5, 400.0} <= set(labels[:, 0].tolist())


def test_rows_of_numbers_are_counted_in_their_own_spread(tmp_path: Path) -> None:
    dataset = read(npz(tmp_path, ROWS), MultiLabel())
    (op,) = dataset.preprocess
    assert op["op"] == "normalise" and len(op["mean"]) == len(op["std"]) == 5
    x = np.asarray(dataset.train.x)
    assert x.dtype == np.float32
    np.testing.assert_allclose((x - op["mean"]) / op["std"], (x - x.mean(0)) / x.std(0), atol=1e-5)


def test_what_does_not_go_together_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.y_train: sample 0: a label that neither applies nor does not; found 5"):
        read(npz(tmp_path, np.full((24, 2), 5)), MultiLabel())
    with pytest.raises(DataError, match=r"line 3: a label that is no number; found 'much'"):
        read(tsv(tmp_path, ["1", "much", *["2"] * 22]), Regression())
    ragged = [[1.0, 2.0] if i != 2 else [3.0] for i in range(24)]
    given = [(ROWS[part], ragged[part]) for part in (slice(0, 8), slice(8, 16), slice(16, 24))]
    what = r"sample 2: another number of labels than the first sample has; found '?1'?; allowed: 2"
    with pytest.raises(DataError, match=what):
        from_splits(given, "data", None, (), Regression())
    with pytest.raises(RecipeError, match="the labels of this source are classes alone; found 'Digits'"):
        read({"kind": "digits"}, Regression())
    with pytest.raises(RecipeError, match=r"data\.offsets: allowed is none"):
        read({"kind": "npz", "path": "d.npz", "samples": "numbers", "offsets": "offsets"}, Regression())
    flat = npz(tmp_path, ROWS)
    np.savez(tmp_path / "d.npz", x_train=np.arange(24.0), y_train=ROWS, x_test=np.arange(8.0), y_test=ROWS[:8])
    with pytest.raises(DataError, match="not rows of numbers"):
        read(flat, MultiLabel())


PAIRS = [(f"a cat {i}", f"the cat {i}", str(1 + i % 5)) for i in range(24)]


def pairs(folder: Path, rows: Sequence[tuple[str, ...]] = PAIRS) -> dict[str, Any]:
    lines = ["one\ttwo\tscore", *("\t".join(row) for row in rows)]
    (folder / "p.tsv").write_text("\n".join(lines))
    columns = {"sentence": "one", "pair": "two", "label": "score"}
    return {"kind": "text", "path": str(folder / "p.tsv"), "vocab": 100, **columns}


@pytest.mark.parametrize("lazy", [False, True])
def test_a_line_of_two_texts_is_two_samples_that_stay_together(tmp_path: Path, lazy: bool) -> None:
    dataset = read({**pairs(tmp_path), "lazy": lazy}, Embedding(size=3, scores=(1.0, 5.0)))
    assert dataset.classes == ("value 0", "value 1", "value 2")
    assert [len(split) for split in dataset.splits.values()] == [40, 4, 4]
    for split in dataset.splits.values():
        texts = np.asarray(split.x).tolist()
        assert split.together is not None and split.y is not None
        assert (split.together[::2] == split.together[1::2]).all()
        assert [text.replace("a ", "the ") for text in texts[::2]] == texts[1::2]
        scores = [(int(text.split()[-1]) % 5) / 4 for text in texts]
        np.testing.assert_allclose(split.y[:, 1], scores)
    assert any("in whole groups of pair" in note for note in dataset.notes)
    unscored = read({**pairs(tmp_path), "label": ""}, Embedding(size=3))
    assert unscored.train.y is not None and (unscored.train.y[:, 1] == 1).all()
    alone = read({**pairs(tmp_path), "label": "", "pair": ""}, Embedding(size=3))
    assert alone.train.y is None and len(alone.train) == 20, "a teacher's vectors may be all there is"
    by_name = read({**pairs(tmp_path), "id": "score"}, Embedding(size=3, scores=(1.0, 5.0))).train.names
    assert by_name is not None and {name[1:] for name in by_name} == {"/1", "/2"}


@pytest.mark.parametrize(
    ("changes", "task", "message"),
    [
        ({"pair": ""}, Embedding(size=3, scores=(1, 5)), r"data\.pair: the task's labels are of pairs of texts"),
        ({}, Regression(), r"data\.pair: the task's labels are of single texts; found 'two'"),
        ({}, Embedding(size=3), r"p\.tsv, line 3: a score out of range; found 2\.0"),
        ({"pair": "there"}, Embedding(size=3), r"line 1, data\.pair: no such column; found 'there'"),
        ({"label": "two"}, Embedding(size=3), r"line 2: a label that is no number; found 'the cat 0'"),
    ],
)
def test_what_makes_no_pairs_is_refused(tmp_path: Path, changes: Any, task: Task, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read({**pairs(tmp_path), **changes}, task)
    with pytest.raises(DataError, match=r"line 3: an empty text"):
        read(pairs(tmp_path, [*PAIRS[:1], ("a", " ", "1")]), Embedding(size=3, scores=(1, 5)))


TRIPLETS = [(f"a cat {i}", f"the cat {i}", f"a dog {i}", f"no pet {i}") for i in range(24)]


def triplets(folder: Path, rows: Sequence[tuple[str, ...]] = TRIPLETS, kind: str = "text") -> dict[str, Any]:
    names = ("anchor", "positive", "negative", "other")
    if kind == "arrow":
        table = pyarrow.table({name: list(texts) for name, texts in zip(names, zip(*rows, strict=True), strict=True)})
        parquet.write_table(table, folder / "t.parquet")
        return {"kind": "arrow", "path": str(folder / "t.parquet"), "x": "anchor", **COLUMNS}
    (folder / "t.csv").write_text("\n".join([",".join(names), *(",".join(row) for row in rows)]))
    return {"kind": "text", "path": str(folder / "t.csv"), "sentence": "anchor", **COLUMNS}


COLUMNS = {"pair": "positive", "negative": ["negative", "other"], "label": "", "vocab": 100}


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("kind", ["text", "arrow"])
def test_a_line_of_an_anchor_a_positive_and_negatives_is_as_many_samples(tmp_path: Path, kind: str, lazy: bool) -> None:
    dataset = read({**triplets(tmp_path, kind=kind), "lazy": lazy}, Embedding(size=3))
    assert [len(split) for split in dataset.splits.values()] == [80, 8, 8]
    for split in dataset.splits.values():
        texts = np.asarray(split.x).reshape(-1, 4)
        assert {tuple(row) for row in texts} <= {*TRIPLETS}
        assert split.y is not None and (split.y[:, 1].reshape(-1, 4) == [2, 3, 4, 4]).all()
        assert split.together is not None and (split.together[::4] == split.together.reshape(-1, 4).T).all()
    assert any("in whole groups of triplet" in note for note in dataset.notes)
    assert len(read({**triplets(tmp_path, kind=kind), "limit": 5, "test": 1}, Embedding(size=3)).train) == 12
    one = read({**triplets(tmp_path, kind=kind), "negative": "other"}, Embedding(size=3))
    assert [len(split) for split in one.splits.values()] == [60, 6, 6]


@pytest.mark.parametrize("kind", ["text", "arrow"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pair": ""}, r"data\.pair: a negative without a positive; found 'none'"),
        ({"label": "other"}, r"data\.label: triplets have no label; found 'other'; allowed: label = \"\""),
        ({"negative": "negativ"}, r"no such column; found 'negativ'; .*did you mean 'negative'"),
        ({"negative": "anchor"}, r"data\.negative: a column twice in a row of samples; found 'anchor'"),
        ({"negative": ["other", "positive"]}, r"data\.negative: a column twice in a row of samples; found 'positive'"),
        ({"negative": "", "pair": "anchor"}, r"data\.pair: a column twice"),
    ],
)
def test_what_makes_no_triplets_is_refused(tmp_path: Path, kind: str, changes: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read({**triplets(tmp_path, kind=kind), **changes}, Embedding(size=3))


def test_a_text_of_a_triplet_is_named_by_its_line(tmp_path: Path) -> None:
    for row, message in (
        (("a", "b", "c", ""), "an empty text"),
        (("a", "b", "b", "c"), "a negative that is its anchor, or its positive; found 'b'"),
    ):
        with pytest.raises(DataError, match=rf"t\.csv, line 3: {message}"):
            read(triplets(tmp_path, [TRIPLETS[0], row]), Embedding(size=3))
    with pytest.raises(DataError, match=r"\(train\): a negative that is its anchor, or its positive; found 'sample 6'"):
        read(triplets(tmp_path, [TRIPLETS[0], ("a", "b", "b", "c")] * 9, kind="arrow"), Embedding(size=3))
    named = read({**triplets(tmp_path), "id": "other"}, Embedding(size=3)).train.names
    assert named is not None and named[:4] == [f"{named[0][:-2]}/{part}" for part in (1, 2, 3, 4)]
    with pytest.raises(DataError, match=r"data\.pair: the task's labels are of single texts"):
        read(triplets(tmp_path), Regression())


def test_triplets_of_arrays(tmp_path: Path) -> None:
    y = np.array([[str(i // 3), ("anchor", "positive", "negative")[i % 3]] for i in range(24)])
    x = np.random.default_rng(0).standard_normal((24, 5)).astype(np.float32)
    table = {"kind": "npz", "path": str(tmp_path / "d.npz"), "samples": "numbers", "groups": "of", "validation": 0.3}
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y, x_test=x[:9] + 1, y_test=y[:9], of=np.arange(24) // 3)
    dataset = read(table, Embedding(size=3))
    assert [len(split) for split in dataset.splits.values()] == [18, 6, 9] and dataset.test.y is not None
    assert dataset.test.y.tolist() == [[i // 3, 2 + i % 3] for i in range(9)]
    x[5] = x[4]
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y, x_test=x[:9] + 1, y_test=y[:9], of=np.arange(24) // 3)
    with pytest.raises(
        DataError, match=r"\((train|validation)\): a negative that is its anchor, or its positive; found 'sample \d+'"
    ):
        read(table, Embedding(size=3))


def test_pairs_of_arrays_that_carving_parts_are_refused_by_the_key_that_helps(tmp_path: Path) -> None:
    y = np.stack([np.arange(24) // 2, np.ones(24)], axis=1)
    with pytest.raises(
        DataError, match=r"a pair of another number of samples than 2.*groups names what holds the pairs"
    ):
        read({**npz(tmp_path, y), "validation": 3}, Embedding(size=3))
    x = np.zeros((24, 5), np.float32) + np.arange(24)[:, None]
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y, x_test=x[:8], y_test=y[:8], of=y[:, 0])
    table = {"kind": "npz", "path": str(tmp_path / "d.npz"), "samples": "numbers", "groups": "of"}
    train = read(table, Embedding(size=3)).train
    assert train.together is not None and len(train) == 22


def of_texts(folder: Path, texts: Sequence[str], **keys: Any) -> Dataset:
    (folder / "d.csv").write_text("\n".join(["a,label", *(f'{i},"{text}"' for i, text in enumerate(texts))]))
    return read({"kind": "table", "path": str(folder / "d.csv"), **keys}, MultiLabel(**keys.pop("task", {})))


@pytest.mark.parametrize("mark", [";", ",", "|", "; ", ", "])
def test_labels_with_another_separator_between_are_no_names(tmp_path: Path, mark: str) -> None:
    texts = [f"sport{mark}food", "food", "sport", f"tech{mark}sport"] * 10
    hint = f'a label that holds other labels; .*separator = "{mark.strip()}"'.replace("|", r"\|")
    with pytest.raises(DataError, match=hint):
        of_texts(tmp_path, texts)
    with pytest.raises(DataError, match=f"d.tsv, line 2: {hint}"):
        read(tsv(tmp_path, (texts * 2)[:24]), MultiLabel())
    if mark == mark.strip():
        told = of_texts(tmp_path, [f"tech{mark}food", f"sport{mark}food", f"tech{mark}sport", ""] * 10).notes
        assert len([note for note in told if f'separator = "{mark}"' in note]) == 1
    apart = MultiLabel(separator=mark.strip())
    assert read(tsv(tmp_path, (texts * 2)[:24]), apart).classes == ("food", "sport", "tech")


def test_names_may_hold_a_separator(tmp_path: Path) -> None:
    table = tsv(tmp_path, (["a;b", "a", "b", ""] * 6))
    assert read({**table, "classes": ("a;b", "a", "b")}, MultiLabel()).classes == ("a;b", "a", "b")
    with pytest.raises(DataError, match=r'that nobody named; found \'a;b\'.*separator = ";"'):
        read({**table, "classes": ("a", "b")}, MultiLabel())
    assert not [
        note for note in read(tsv(tmp_path, ["it's;", "b,c", "d", ""] * 6), MultiLabel()).notes if "hold" in note
    ]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_truth_values_of_several_columns_are_labels(tmp_path: Path, ending: str) -> None:
    rows = [(i % 2 == 0, i % 3 == 0) for i in range(24)]
    if ending == "parquet":
        columns = {"a": range(24), "active": [row[0] for row in rows], "churn": [row[1] for row in rows]}
        parquet.write_table(pyarrow.table(columns), tmp_path / "d.parquet")
    else:
        lines = ["a,active,churn", *(f"{i},{row[0]},{str(row[1]).lower()}" for i, row in enumerate(rows))]
        (tmp_path / "d.csv").write_text("\n".join(lines))
    table = {"kind": "table", "path": str(tmp_path / f"d.{ending}"), "label": ("active", "churn")}
    dataset = read(table, MultiLabel())
    assert dataset.classes == ("active", "churn") and {tuple(row) for row in every(dataset)} == {*rows}
    with pytest.raises(DataError, match=r"a label that is no number; found 'True'"):
        read(table, Regression())


def test_a_name_in_a_list_stays_whole(tmp_path: Path) -> None:
    lists = [["tech mac", "food"], ["food"], [], ["tech mac"]] * 6
    assert read(arrow(tmp_path, lists), MultiLabel()).classes == ("food", "tech mac")
