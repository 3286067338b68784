"""Numbers of which nobody says what they are: shares, percentages, votes or scores."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edgekd.base.errors import DataError
from edgekd.base.scores import softmax
from edgekd.tasks import CLASSES, Task
from edgekd.tasks.multi_label import MultiLabel
from edgekd.teachers import _columns
from edgekd.teachers._classes import Classes
from edgekd.teachers._forms import Read, Reader

NAMES = ("ant", "bee", "cat")
SHARES = np.tile([[0.9, 0.05, 0.05], [0.25, 0.5, 0.25]], (10, 1))


def written(path: Path, rows: Sequence[Sequence[object]], header: Sequence[str] = NAMES, mark: str = ",") -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=mark).writerows([header, *rows])
    return path


def read(path: Path, form: str = "", task: Task = CLASSES) -> Read:
    reader = Reader(Classes(NAMES), form, task=task)  # type: ignore[arg-type]
    return reader.read(_columns.read(str(path), "teacher.model", reader.holds)[""])


def shares(path: Path, form: str = "") -> np.ndarray:
    return softmax(np.asarray(read(path, form).logits))


def test_a_row_that_is_wrong_makes_no_scores_of_shares(tmp_path: Path) -> None:
    for bad in ([0.9, 0.05, 0.5], [9, 0.05, 0.05], [0.9, -0.5, 0.05]):
        path = written(tmp_path / "a.csv", [*SHARES.tolist(), bad])
        with pytest.raises(DataError, match=r"don't sum to 1; found 'line 22: .*form = \"logits\""):
            read(path)
        assert read(path, "logits").form == "logits"


def test_scores_stay_scores(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((20, 3))
    got = read(written(tmp_path / "a.csv", rows.tolist()))
    assert got.form == "logits" and "not all rows sum to 1" in str(got.note)


def test_one_label_too_likely_makes_no_scores_of_probabilities(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", [*np.ones((9, 3)).tolist(), [1.4, 0, 0]])
    with pytest.raises(DataError, match=r"outside of 0 to 1; found 'line 11'"):
        read(path, task=MultiLabel())


def test_shares_of_one_decimal_are_shares(tmp_path: Path) -> None:
    rounded = np.round(np.random.default_rng(0).dirichlet([1, 1, 1], 200), 1)
    assert (np.abs(rounded.sum(axis=1) - 1) > 0.05).any()
    path = written(tmp_path / "a.csv", rounded.tolist())
    np.testing.assert_allclose(shares(path), rounded / rounded.sum(axis=1, keepdims=True), atol=1e-6)
    assert "all rows sum to 1 but for their rounding" in str(read(path).note)
    with pytest.raises(DataError, match="don't sum to 1"):
        read(written(tmp_path / "b.csv", [*rounded.tolist(), [0.9, 0.1, 0.5]]))


@pytest.mark.parametrize("form", ["", "probabilities"])
def test_percentages_are_divided(tmp_path: Path, form: str) -> None:
    path = written(tmp_path / "a.csv", (100 * SHARES).tolist())
    np.testing.assert_allclose(shares(path, form), SHARES, atol=1e-6)
    assert "percentages" in str(read(path, form).note) and read(path, form).form == "probabilities"
    marked = written(tmp_path / "b.csv", [[f"{100 * one:g}%" for one in row] for row in SHARES])
    np.testing.assert_allclose(shares(marked, form), SHARES, atol=1e-6)
    with pytest.raises(DataError, match="found 'line 22: 1'"):
        read(written(tmp_path / "c.csv", [*(100 * SHARES).tolist(), [0.5, 0.25, 0.25]]), form)


def test_whole_numbers_may_be_votes_which_is_to_be_said(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", (20 * SHARES).astype(int).tolist())
    with pytest.raises(DataError, match=r'votes or scores\?.*"probabilities" counts them as votes, "logits"'):
        read(path)
    np.testing.assert_allclose(shares(path, "probabilities"), SHARES, atol=1e-6)
    assert "votes" in str(read(path, "probabilities").note)
    assert np.asarray(read(path, "logits").logits).max() == 18


@pytest.mark.parametrize("of", ["prob_{}", "{}_score", "ANT BEE CAT", "p({})"])
def test_columns_of_classes_with_something_around_their_names(tmp_path: Path, of: str) -> None:
    names = [of.format(name) if "{" in of else name.upper() for name in NAMES]
    header = ["predicted", *names[::-1]]
    path = written(tmp_path / "a.csv", [["ant", *row[::-1]] for row in SHARES.tolist()], header)
    np.testing.assert_allclose(shares(path), SHARES, atol=1e-6)
    assert f"{names[0]!r} is read as class 'ant'" in str(read(path).note)
    two = [*names, *(f"other_{name}" for name in NAMES)]
    with pytest.raises(DataError, match="no answers in it"):
        read(written(tmp_path / "b.csv", np.hstack([SHARES, SHARES]).tolist(), two))


def test_lists_of_labels_with_scores_are_probabilities(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    cells = [[{"label": n, "score": s} for n, s in zip(NAMES[::-1], row[::-1], strict=True)] for row in SHARES.tolist()]
    path.write_text("\n".join(json.dumps({"scores": cell}) for cell in cells))
    np.testing.assert_allclose(shares(path), SHARES, atol=1e-6)
    assert read(path).form == "probabilities"


def test_what_is_nearly_right_names_the_way_out(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", predictions=SHARES)
    cases = {
        tmp_path / "a.npz": "'predictions' holds a number for each class: call it probabilities or logits",
        written(tmp_path / "b.csv", [[i, *row] for i, row in enumerate(SHARES)], ["", *NAMES]): "index=False",
        written(tmp_path / "c.csv", SHARES.tolist(), mark="|"): "line 1: one column alone.*found 'bar'",
        written(tmp_path / "d.csv", [["0,9", "0,05", "0,05"]]): "not a number; found '0,9'; a point stands before",
    }
    for path, message in cases.items():
        with pytest.raises(DataError, match=message):
            read(path)


def test_semicolons_part_columns_where_the_header_has_them_alone(tmp_path: Path) -> None:
    np.testing.assert_allclose(shares(written(tmp_path / "a.csv", SHARES.tolist(), mark=";")), SHARES, atol=1e-6)


def test_names_in_bytes_are_names(tmp_path: Path) -> None:
    names = np.array([name.encode() for name in NAMES])
    np.savez(tmp_path / "a.npz", probabilities=SHARES, classes=names)
    np.testing.assert_allclose(shares(tmp_path / "a.npz"), SHARES, atol=1e-6)
