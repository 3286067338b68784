"""Recorded answers: every form of file and of answer, what does not fit, and the student that they teach."""

from __future__ import annotations

import csv
import gzip
import json
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgekd
from edgekd import cli
from edgekd.base.errors import DataError, EdgekdError, RecipeError, UnavailableError
from edgekd.base.scores import log_softmax, softmax
from edgekd.build import request as requests
from edgekd.build import run as running
from edgekd.build.prepare import Objects, prepare
from edgekd.learn import answers
from edgekd.learn.data import Dataset, _archive, from_splits
from edgekd.learn.data.made import Made
from edgekd.learn.feed import Feed
from edgekd.spec.recipe import Augment
from edgekd.teachers import Asked, _columns, _forms, _parquet, recorded
from edgekd.teachers._classes import Classes
from edgekd.teachers.recorded import Recorded

NAMES = ("ant", "bee", "cat", "dog")
SIZES = {"train": 6, "validation": 4, "test": 3}
RNG = np.random.default_rng(0)
LOGITS = {name: RNG.standard_normal((count, 4)).astype(np.float32) for name, count in SIZES.items()}
SHARES = {name: np.exp(log_softmax(rows)) for name, rows in LOGITS.items()}
EVERY = [f"{name}/{i}" for name, count in SIZES.items() for i in range(count)]
ROWS = np.concatenate(list(LOGITS.values()))


def dataset() -> Dataset:
    splits = [(np.zeros((n, 2), np.float32) + np.arange(n)[:, None], np.arange(n) % 4) for n in SIZES.values()]
    return from_splits(splits, "data", NAMES)


def asked(
    columns: tuple[int, ...] | None = None, data: Dataset | None = None, views: int = 1
) -> tuple[Asked, list[str]]:
    data, notes = data or dataset(), list[str]()
    shown = Augment(views=views, ops=({"kind": "mixup"},) if views > 1 else ())
    feed = Feed(data, (), shown, 0)
    nowhere = Path("/nonexistent")
    return Asked(feed, data.splits, NAMES, columns, nowhere, "", "teacher.model", notes.append, notes.append), notes


def read(path: Path, columns: tuple[int, ...] | None = None, **keys: Any) -> np.ndarray:
    """All answers, split after split."""
    answers = Recorded(str(path), **keys).answers(asked(columns)[0])
    assert not answers.sees_views and answers.may_miss
    return np.concatenate([answers.split(name) for name in SIZES])


def table(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]], delimiter: str = ",") -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([header, *rows])
    return path


def lines(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def by_id(values: np.ndarray) -> list[list[object]]:
    return [[name, *map(float, row)] for name, row in zip(EVERY, values, strict=True)]


def npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def parquet(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as written

    written.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def nested(form: str, values: np.ndarray, keys: Callable[[list[float]], Any] = list) -> list[dict[str, Any]]:
    return [{"id": name, form: keys(row.tolist())} for name, row in zip(EVERY, values, strict=True)]


FILES: dict[str, Callable[[Path], Path]] = {
    "arrays of each split": lambda p: npz(p / "a.npz", **{f"logits_{name}": rows for name, rows in LOGITS.items()}),
    "arrays with ids": lambda p: npz(p / "a.npz", ids=np.array(EVERY[::-1]), logits=ROWS[::-1]),
    "arrays with names": lambda p: npz(p / "a.npz", ids=EVERY, logits=ROWS[:, ::-1], classes=np.array(NAMES[::-1])),
    "csv": lambda p: table(p / "a.csv", ["id", *NAMES], by_id(ROWS)),
    "tsv in another order": lambda p: table(
        p / "a.tsv",
        ["dog", "id", "text", "bee", "cat", "ant"],
        [[r[4], r[0], "a,b", *r[2:4], r[1]] for r in by_id(ROWS)][::-1],
        "\t",
    ),
    "json lines": lambda p: lines(p / "a.jsonl", nested("logits", ROWS)),
    "json lines by name": lambda p: lines(
        p / "a.jsonl", nested("logits", ROWS, lambda row: dict(zip(NAMES[::-1], row[::-1], strict=True)))
    ),
    "parquet": lambda p: parquet(p / "a.parquet", nested("logits", ROWS)),
    "parquet by column": lambda p: parquet(
        p / "a.parquet", [{"id": row[0], **dict(zip(NAMES, row[1:], strict=True))} for row in by_id(ROWS)]
    ),
}  # fmt: skip


@pytest.fixture(params=["whole", "in blocks"])
def _read_in(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are read at once, and a few rows at a time."""
    if request.param != "whole":
        for module, name, size in ((_columns, "AT_ONCE", 11), (_columns, "CHARACTERS", 200), (_parquet, "AT_ONCE", 3)):
            monkeypatch.setattr(module, name, size)
        monkeypatch.setattr(answers, "BLOCK", 4)


@pytest.mark.usefixtures("_read_in")
@pytest.mark.parametrize("kind", FILES)
def test_logits_are_the_same_numbers_in_every_file(tmp_path: Path, kind: str) -> None:
    found = read(FILES[kind](tmp_path))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, ROWS)


def test_a_folder_holds_a_file_for_each_split_and_packed_ones_are_unpacked(tmp_path: Path) -> None:
    for name, called in (("train", "Training"), ("validation", "val"), ("test", "test")):
        lines(tmp_path / "one.jsonl", [{"logits": row.tolist()} for row in LOGITS[name]])
        (tmp_path / f"{called}.jsonl.gz").write_bytes(gzip.compress((tmp_path / "one.jsonl").read_bytes()))
    (tmp_path / "README.md").write_text("more")
    np.testing.assert_array_equal(read(tmp_path), ROWS)


@pytest.mark.parametrize("form", ["logits", "log_probabilities"])
def test_an_array_is_read_in_blocks_of_which_one_alone_is_in_float64(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "BLOCK", 4)
    path = npz(tmp_path / "a.npz", ids=EVERY, **{form: log_softmax(ROWS)})
    np.testing.assert_allclose(read(path), log_softmax(ROWS), rtol=1e-5, atol=1e-6)
    odd = np.where(np.arange(13)[:, None] == 9, np.inf, ROWS)
    with pytest.raises(DataError, match=r"a\.npz, row 9: not finite; found 'Inf, in 1 rows'"):
        read(npz(tmp_path / "a.npz", ids=EVERY, logits=odd))


def test_recorded_logits_take_little_more_than_themselves(tmp_path: Path) -> None:
    """In float32, once as they are read and once by sample; in float64 they took three times as much."""
    rows, names = np.zeros((20_000, 50), np.float16), tuple(f"class {i}" for i in range(50))
    path = npz(tmp_path / "a.npz", logits=rows)
    columns = _columns.read(str(path), "t")[""]
    tracemalloc.start()
    try:
        logits = _forms.Reader(Classes(names)).read(columns).logits
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(logits, np.ndarray) and logits.dtype == np.float32 and peak < 2.5 * logits.nbytes


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_table_takes_little_more_than_its_numbers(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Python's own objects they took 40 bytes and more each; a column that nobody reads takes nothing."""
    for module, name, size in ((_columns, "AT_ONCE", 2_000), (_columns, "CHARACTERS", 40_000), (answers, "BLOCK", 100)):
        monkeypatch.setattr(module, name, size)
    values, names = RNG.standard_normal((3_000, 30)), tuple(f"class {i}" for i in range(30))
    if kind == "csv":
        rows = [[*row, "a text of many words " * 3 + str(i)] for i, row in enumerate(values.tolist())]
        path = table(tmp_path / "a.csv", [*names, "text"], rows)
    else:
        path = lines(tmp_path / "a.jsonl", [{"logits": row, "text": "of words " * 9} for row in values.tolist()])
    reader = _forms.Reader(Classes(names))
    tracemalloc.start()
    try:
        logits = reader.read(_columns.read(str(path), "t", reader.holds)[""]).logits
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(logits, values.astype(np.float32))
    assert peak < 3 * values.nbytes


def test_what_is_wrong_is_told_in_one_order(tmp_path: Path) -> None:
    """Of the whole file what is no UTF-8, then what is no table, then rows; wherever they stand."""
    path = tmp_path / "a.csv"
    rows = b"id,label\ntrain/0\n" + b"train/1,ant\n" * 9_000
    for content, message in (
        (b'train/2,"ant', r"a\.csv, line 9003: not a table"),
        (b'train/2,"ant\ntrain/2,\xff', r"a\.csv: not UTF-8 \('utf-8' codec .* byte 0xff in position 108038: invalid"),
        (b"", r"a\.csv, line 2: another number of cells than the header; found 1; allowed: 2"),
    ):
        path.write_bytes(rows + content)
        with pytest.raises(DataError, match=message):
            read(path)


FORMS: dict[str, Callable[[Path], Path]] = {
    "probabilities": lambda p: lines(p / "a.jsonl", nested("probabilities", np.concatenate(list(SHARES.values())))),
    "log_probabilities": lambda p: npz(p / "a.npz", ids=EVERY, log_probabilities=log_softmax(ROWS)),
    "columns that sum to 1": lambda p: table(p / "a.csv", ["id", *NAMES], by_id(np.concatenate(list(SHARES.values())))),
}


@pytest.mark.usefixtures("_read_in")
@pytest.mark.parametrize("kind", FORMS)
def test_shares_become_their_logarithms(tmp_path: Path, kind: str) -> None:
    np.testing.assert_allclose(read(FORMS[kind](tmp_path)), log_softmax(ROWS), rtol=1e-5, atol=1e-6)


def test_what_columns_were_read_as_is_told_and_can_be_said(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", ["id", *NAMES], by_id(np.concatenate(list(SHARES.values()))))
    for keys, told in (({}, ["read as probabilities, as all rows sum to 1"]), ({"form": "logits"}, [])):
        question, notes = asked()
        Recorded(str(path), **keys).answers(question)  # type: ignore[arg-type]
        assert len(notes) == len(told) and all(part in note for part, note in zip(told, notes, strict=True))


def best(row: np.ndarray, count: int = 2) -> list[tuple[str, float]]:
    return [(NAMES[i], float(row[i])) for i in np.argsort(-row)[:count]]


def tops() -> list[dict[str, Any]]:
    shares = np.concatenate(list(SHARES.values()))
    return [{"id": name, "top": dict(best(row))} for name, row in zip(EVERY, shares, strict=True)]


TOPS: dict[str, Callable[[Path], Path]] = {
    "a table": lambda p: lines(p / "a.jsonl", tops()),
    "pairs": lambda p: lines(p / "a.jsonl", [{**row, "top": list(row["top"].items())} for row in tops()]),
    "logarithms": lambda p: lines(
        p / "a.jsonl", [{**row, "top": {k: float(np.log(v)) for k, v in row["top"].items()}} for row in tops()]
    ),
    "columns": lambda p: table(
        p / "a.csv",
        ["id", "label_1", "probability_1", "label_2", "probability_2"],
        [[row["id"], *(cell for pair in row["top"].items() for cell in pair)] for row in tops()],
    ),
    "arrays": lambda p: npz(
        p / "a.npz",
        ids=EVERY,
        top_labels=np.array([[NAMES.index(name) for name in row["top"]] for row in tops()]),
        top_probabilities=np.array([list(row["top"].values()) for row in tops()]),
    ),
    "some probabilities": lambda p: lines(
        p / "a.jsonl", [{"id": row["id"], "probabilities": row["top"]} for row in tops()]
    ),
}


@pytest.mark.usefixtures("_read_in")
@pytest.mark.parametrize("kind", TOPS)
def test_the_rest_of_the_best_few_is_spread(tmp_path: Path, kind: str) -> None:
    shares = np.exp(read(TOPS[kind](tmp_path)))
    for row, wanted in zip(shares, np.concatenate(list(SHARES.values())), strict=True):
        first, second, *others = np.argsort(-wanted)
        np.testing.assert_allclose(row[[first, second]], wanted[[first, second]], rtol=1e-5)
        np.testing.assert_allclose(row[others], wanted[others].mean(), rtol=1e-4)


@pytest.mark.parametrize("digits", [2, 3, 4])
def test_rounded_shares_are_shares(tmp_path: Path, digits: int) -> None:
    """Also where some rows sum to 0.998, so that ``log_softmax`` of what is read is that of what was meant."""
    shares = np.concatenate(list(SHARES.values()))
    rounded = shares.round(digits)
    assert digits > 3 or (np.abs(rounded.sum(axis=1) - 1) > 1e-6).any(), "or this test tells nothing"
    path = table(tmp_path / "a.csv", ["id", *NAMES], by_id(rounded))
    for form in ("", "probabilities"):
        np.testing.assert_allclose(softmax(read(path, form=form)), shares, atol=0.1**digits)
    assert recorded.best_reading(str(path), NAMES, "here").form == "probabilities"


@pytest.mark.parametrize("kind", ["top", "named", "arrays"])
def test_a_logarithm_of_0_is_all_of_it(tmp_path: Path, kind: str) -> None:
    rows: dict[str, list[object]] = {"top": [{"id": name, "top": [["cat", 0.0]]} for name in EVERY]}
    rows["named"] = [{"id": name, "label_1": "cat", "logprob_1": 0.0} for name in EVERY]
    path = (
        npz(tmp_path / "a.npz", ids=EVERY, top_labels=np.full((13, 1), 2), top_log_probabilities=np.zeros((13, 1)))
        if kind == "arrays"
        else lines(tmp_path / "a.jsonl", rows[kind])
    )
    np.testing.assert_allclose(softmax(read(path)), [[0, 0, 1, 0]] * 13, atol=1e-30)


VOTES: dict[str, Callable[[Path], Path]] = {
    "lists": lambda p: lines(p / "a.jsonl", [{"id": name, "labels": ["ant", "ant", "ant", "dog"]} for name in EVERY]),
    "columns": lambda p: table(
        p / "a.csv",
        ["id", *(f"label_{i}" for i in range(1, 6))],
        [[name, "ant", "dog", "ant", "ant", ""] for name in EVERY],
    ),
    "rows of one id": lambda p: table(
        p / "a.csv", ["id", "label"], [[name, label] for label in ("ant", "dog", "ant", "ant") for name in EVERY]
    ),
    "arrays": lambda p: npz(p / "a.npz", ids=EVERY, labels=np.array([[0, 0, 3, 0, -1]] * len(EVERY))),
}


@pytest.mark.usefixtures("_read_in")
@pytest.mark.parametrize("kind", VOTES)
def test_several_labels_are_votes(tmp_path: Path, kind: str) -> None:
    path = VOTES[kind](tmp_path)
    np.testing.assert_allclose(np.exp(read(path)), [[0.75, 0, 0, 0.25]] * 13, rtol=1e-5, atol=1e-30)
    if kind != "rows of one id":
        smooth = np.exp(read(path, smoothing=0.2))
        np.testing.assert_allclose(smooth, [[0.65, 0.05, 0.05, 0.25]] * 13, rtol=1e-5)


def test_one_label_is_all_of_it_by_name_or_by_number(tmp_path: Path) -> None:
    labels = ROWS.argmax(1)
    for names in (labels.tolist(), [NAMES[i] for i in labels], [f" {NAMES[i]}" for i in labels]):
        found = read(lines(tmp_path / "a.jsonl", [{"id": i, "label": n} for i, n in zip(EVERY, names, strict=True)]))
        assert np.isfinite(found).all()
        np.testing.assert_allclose(np.exp(found), np.eye(4)[labels], atol=1e-30)


@pytest.mark.usefixtures("_read_in")
def test_missing_answers_are_an_error_or_rows_without_one(tmp_path: Path) -> None:
    rows: list[Any] = nested("logits", ROWS)
    rows[2]["logits"] = None
    del rows[0], rows[6]
    path = lines(tmp_path / "a.jsonl", rows)
    with pytest.raises(
        DataError, match=r"samples without an answer; found 'train/0, train/2, validation/1'; .*missing ="
    ):
        read(path)
    found = read(path, missing="skip")
    assert np.flatnonzero(np.isnan(found).all(axis=1)).tolist() == [0, 2, 7] and np.isfinite(found).sum() == 40
    np.testing.assert_array_equal(found[[1, 3]], ROWS[[1, 3]])


def test_the_teachers_columns_may_stand_elsewhere(tmp_path: Path) -> None:
    more = np.concatenate([np.zeros((13, 1), np.float32), ROWS[:, ::-1]], axis=1)
    path = npz(tmp_path / "a.npz", ids=EVERY, logits=more)
    np.testing.assert_array_equal(read(path, (4, 3, 2, 1)), ROWS)
    with pytest.raises(DataError, match=r"classes: no such column; found 5; allowed: 0\.\.4"):
        read(path, (5, 3, 2, 1))


def test_samples_of_names_and_rows_that_are_none_are_told(tmp_path: Path) -> None:
    data = dataset()
    question, _ = asked(data=data)
    whole = Recorded(str(lines(tmp_path / "a.jsonl", [{"logits": row.tolist()} for row in ROWS])))
    with pytest.raises(DataError, match=r"no ids, and rows of several splits; allowed: test, train, validation"):
        whole.answers(question)
    shuffled = from_splits([[(np.zeros((4, 2), np.float32), np.arange(4))] for _ in SIZES], "d", NAMES)
    with pytest.raises(DataError, match=r"data \(train\): the data does not say what its samples are called"):
        whole.answers(asked(data=shuffled)[0])


def test_an_answer_is_taught_under_every_view(tmp_path: Path) -> None:
    question, notes = asked(views=4)
    answers = Recorded(str(FILES["csv"](tmp_path))).answers(question)
    np.testing.assert_array_equal(answers.view(3), LOGITS["train"])
    assert any("all augmented views of one are taught the same" in note for note in notes)


PART = np.tile([0.5, 0.1, 0.0, 0.0], (13, 1))


def changed(values: list[Any], i: int, row: Any) -> list[Any]:
    return [*values[:i], row, *values[i + 1 :]]


WRONG: dict[str, tuple[Callable[[Path], Path], str]] = {
    "no file": (lambda p: p / "a.csv", r"teacher\.model\.path: no such file or folder"),
    "another ending": (lambda p: lines(p / "a.json", []), r"a\.json: no answers are read of such a file.*jsonl"),
    "an empty file": (lambda p: lines(p / "a.jsonl", []), r"a\.jsonl: an empty file"),
    "ids of other samples": (
        lambda p: table(p / "a.csv", ["id", *NAMES], [[f"x{i}", *row[1:]] for i, row in enumerate(by_id(ROWS))]),
        r"ids of no sample; found 'x0, x1, x2, x3, x4 and 8 more'; allowed: such as train/0, train/1",
    ),
    "other classes": (
        lambda p: table(p / "a.csv", ["id", *NAMES, "eel", "fox"], [[*row, 0, 1] for row in by_id(ROWS)]),
        r"columns of no class of the data; found 'eel, fox'; allowed: ant, bee, cat, dog; .*ignore",
    ),
    "a missing column": (
        lambda p: table(p / "a.csv", ["id", "ant", "dog"], [row[:3] for row in by_id(ROWS)]),
        r"no column of a class; found 'bee, cat'",
    ),
    "no answers": (
        lambda p: table(p / "a.csv", ["id", "text"], [["train/0", "a"]]), r"no answers in it; found 'id, text'"
    ),
    "several kinds": (
        lambda p: table(p / "a.csv", ["id", *NAMES, "label"], [[*row, "ant"] for row in by_id(ROWS)]),
        r"answers of several kinds; found 'labels, a column for each class'; .*form says which",
    ),
    "labels that are no class": (
        lambda p: table(p / "a.csv", ["id", "label"], [[name, "bee" if i else "wasp"] for i, name in enumerate(EVERY)]),
        r"line 2: labels that are no class; found 'wasp'; allowed: ant, bee, cat, dog; .*unknown",
    ),
    "half a table": (
        lambda p: _half(FILES["csv"](p)), r"line \d+: another number of cells than the header; found \d; allowed: 5"
    ),
    "half a quotation": (
        lambda p: _half(table(p / "a.csv", ["id", "label"], [["train/0", 'a "b"\nc' * 9]])),
        r"not a table: unexpected end",
    ),
    "half of lines": (lambda p: _half(FILES["json lines"](p)), r"a\.jsonl, line \d+: no JSON"),
    "half an archive": (lambda p: _half(FILES["arrays with ids"](p)), r"a\.npz: not an \.npz file"),
    "half of parquet": (lambda p: _half(FILES["parquet"](p)), r"a\.parquet: not a Parquet file"),
    "two columns of a name": (
        lambda p: table(p / "a.csv", ["id", "label", "label"], [["train/0", "ant", "ant"]]), "line 1: two columns of"
    ),
    "two columns of a name in parquet": (lambda p: _twice(p / "a.parquet"), "two columns of this name; found 'label'"),
    "no table in a line": (lambda p: lines(p / "a.jsonl", [[1, 2]]), r"line 1: no table"),
    "a word for a number": (
        lambda p: table(p / "a.csv", ["id", *NAMES], changed(by_id(ROWS), 1, ["train/1", "x", 1, 2, 3])),
        r"line 3: ant: not a number; found 'x'",
    ),
    "a row in part": (
        lambda p: table(p / "a.csv", ["id", *NAMES], changed(by_id(ROWS), 1, ["train/1", "", 1, 2, 3])),
        r"rows without a number for some class; found 'line 3'",
    ),
    "shares that are none": (
        lambda p: lines(
            p / "a.jsonl",
            changed(nested("probabilities", np.full((13, 4), 0.25)), 4, nested("probabilities", PART)[4]),
        ),
        r"shares that are none, or don't sum to 1; found 'line 5: 0.6'",
    ),
    "more than all": (
        lambda p: lines(p / "a.jsonl", changed(tops(), 0, {"id": "train/0", "top": {"ant": 0.9, "bee": 0.2}})),
        r"don't sum to 1; found 'line 1: 1\.1'",
    ),
    "a class twice": (
        lambda p: lines(p / "a.jsonl", changed(tops(), 0, {"id": "train/0", "top": [["ant", 0.5], ["ant", 0.2]]})),
        r"line 1: a class twice",
    ),
    "too few numbers": (
        lambda p: lines(p / "a.jsonl", changed(nested("logits", ROWS), 2, {"id": "train/2", "logits": [1.0]})),
        r"line 3: another number of classes; found 1; allowed: 4: ant, bee, cat, dog",
    ),
    "arrays of other lengths": (
        lambda p: npz(p / "a.npz", ids=EVERY[:5], logits=ROWS),
        r"arrays of different lengths; found \{'ids': 5, 'logits': 13\}",
    ),
    "arrays of some splits and of all": (
        lambda p: npz(p / "a.npz", logits=ROWS, logits_test=ROWS), r"arrays of one split and of all"
    ),
    "too few rows of a split": (
        lambda p: npz(p / "a.npz", **{f"logits_{name}": rows[:3] for name, rows in LOGITS.items()}),
        r"another number of answers than of samples; found 3; allowed: 6",
    ),
    "a split without answers": (
        lambda p: npz(p / "a.npz", logits_train=LOGITS["train"]),
        r"samples without an answer; found 'validation/0, validation/1",
    ),
    "a folder of nothing": (lambda p: p, r"teacher\.model\.path: no file of a split"),
    "infinite": (
        lambda p: npz(p / "a.npz", ids=EVERY, logits=np.where(ROWS[3, 1] == ROWS, np.inf, ROWS)), r"row 3: not finite"
    ),
}  # fmt: skip


def _twice(path: Path) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as written

    written.write_table(pyarrow.table([["train/0"], ["ant"], ["ant"]], names=["id", "label", "label"]), path)
    return path


def _half(path: Path) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    return path


@pytest.mark.usefixtures("_read_in")
@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_told_with_its_place(tmp_path: Path, case: str) -> None:
    write, message = WRONG[case]
    with pytest.raises(EdgekdError, match=message) as error:
        read(write(tmp_path))
    assert error.value.exit_code == 2


def test_what_is_passed_over_is_told(tmp_path: Path) -> None:
    rows = [[name, "bee" if i else "wasp"] for i, name in enumerate([*EVERY, "other/1"])]
    path = table(tmp_path / "a.csv", ["id", "label"], rows)
    question, notes = asked()
    answers = Recorded(str(path), missing="skip", extra="skip", unknown="skip").answers(question)
    assert np.isnan(answers.split("train")[0]).all() and np.isfinite(answers.split("train")[1:]).all()
    assert notes == ["teacher.model: labels that are no class count as no answer: 'wasp' (1)"]


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_parquet, "MISSING", "No module named 'pyarrow'")
    (tmp_path / "a.parquet").write_bytes(b"")
    with pytest.raises(UnavailableError, match=r"pip install 'edgekd\[parquet\]'"):
        read(tmp_path / "a.parquet")


MADE: dict[str, Any] = {"shape": (8, 8, 1), "classes": 4, "train": 96, "validation": 48, "test": 48}
SMALL: dict[str, Any] = {
    "name": "small",
    "data": {"source": "made", **MADE},
    "teacher": {"model": {"kind": "convnet", "width": 16, "depth": 2}, "epochs": 2},
    "student": {"model": {"kind": "convnet", "width": 8, "depth": 2}, "epochs": 2},
    "losses": [{"kind": "kl", "weight": 0.7}, {"kind": "cross_entropy", "weight": 0.3}],
    "compress": [{"kind": "int8_ptq"}],
    "budget": {"max_drop": 1.0},
    "targets": ["ort-cpu"],
}


def trained(recipe: dict[str, Any], cache: Path) -> tuple[Any, dict[str, dict[str, bytes]]]:
    """The teacher's answers, and every candidate's file."""
    workspace = prepare(requests.make(recipe, cache=cache, quick=True), Objects())
    steps, outputs = running.train_all(workspace)
    return outputs, running.export_all(workspace, steps)


def test_what_a_network_said_teaches_the_same_student_byte_for_byte(tmp_path: Path) -> None:
    outputs, files = trained(SMALL, tmp_path / "one")
    np.testing.assert_array_equal(outputs.view(0), outputs.split("train"))
    np.savez(tmp_path / "said.npz", **{f"logits_{name}": outputs.split(name) for name in SIZES})
    recorded = {**SMALL, "teacher": {"model": {"kind": "recorded", "path": str(tmp_path / "said.npz")}}}
    again, same = trained(recorded, tmp_path / "two")
    assert set(files["ort-cpu"]) == {"fp32", "int8-ptq"} and same == files
    np.testing.assert_array_equal(again.split("test"), outputs.split("test"))
    report = edgekd.build(recorded, out=tmp_path / "out", cache=tmp_path / "two", quick=True)
    teacher, labels = report["stages"][0], Made(**MADE).load().test.y
    assert teacher["value_test"] == (outputs.split("test").argmax(1) == labels).mean()
    assert (teacher["params"], teacher["size_bytes"], report["stages"][1]["name"]) == (0, 0, "student")
    edgekd.verify(tmp_path / "out")
    assert "of the teacher" not in (tmp_path / "out" / "report.html").read_text().partition("<table")[0]
    again_report = edgekd.build(recorded, out=tmp_path / "out", cache=tmp_path / "two", quick=True)
    assert again_report == report, "what stands is read, and nothing built"
    assert cli.run(["report", str(tmp_path / "out"), "--out", str(tmp_path / "page.html")]) == 0


def test_what_needs_a_network_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    path = npz(tmp_path / "said.npz", **{f"logits_{name}": np.zeros((SMALL["data"][name], 4)) for name in SIZES})
    recorded = {**SMALL, "teacher": {"model": {"kind": "recorded", "path": str(path)}}}

    def refused(match: str, **changes: Any) -> None:
        with pytest.raises(RecipeError, match=match):
            prepare(requests.make({**recorded, **changes}, cache=tmp_path / "cache"), Objects())

    refused(r"losses\[0\]\.kind: compares layers; found 'relational, of recorded'", losses=[{"kind": "relational"}])
    refused(r"budget\.max_size_share: a share of nothing", budget={"max_size_share": 0.5})
    refused(r"student\.from_teacher: its teacher is only asked", student={"from_teacher": [], "epochs": 0})
    refused(
        r"augment\.ops: nobody answers to mixed views", augment={"ops": [{"kind": "mixup"}]}, losses=[{"kind": "kl"}]
    )


def students(recipe: dict[str, Any], folder: Path) -> tuple[dict[str, dict[str, bytes]], int]:
    """Every candidate's file, and how many shards of answers are kept."""
    _, files = trained(recipe, folder)
    return files, len(list(folder.rglob("rows")))


@pytest.mark.parametrize("form", ["float32", "top"])
def test_the_file_itself_teaches_the_same_student_byte_for_byte_and_nothing_of_it_is_kept(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the best few labels, of which some samples have none; and of an array that stays in its file."""
    monkeypatch.setattr(_archive, "MAPPED", 1)
    rng = np.random.default_rng(0)
    names = [f"{name}/{i}" for name in SIZES for i in range(MADE[name])]
    logits = rng.standard_normal((len(names), 4)).astype(np.float32)
    best_two = np.argsort(-logits, axis=1)[:, :2]
    top = [
        {"id": name, "top": {str(k): 0.6 / (1 + i) for i, k in enumerate(two)}}
        for n, (name, two) in enumerate(zip(names, best_two, strict=True))
        if n % 5
    ]
    paths = npz(tmp_path / "a.npz", ids=np.array(names), logits=logits), lines(tmp_path / "b.jsonl", top)
    for number, path in enumerate(paths):
        table = {"kind": "recorded", "path": str(path), "missing": "skip"}
        recipe = {**SMALL, "teacher": {"model": table}, "compress": []}
        files = [
            students({**recipe, "teacher_outputs": {"form": form, "policy": policy}}, tmp_path / f"{policy}{number}")
            for policy in ("keep", "recompute")
        ]
        (kept, shards), (read, none) = files
        assert kept == read and (shards, none) == (2, 0)  # a training reads train and validation
