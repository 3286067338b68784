"""Which file is of which split; tests/learn/data/test_text.py and test_table.py read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekd.base.errors import DataError
from edgekd.learn.data._role_files import RoleFiles

ENDINGS = (".csv", ".parquet")


def touched(folder: Path, *names: str) -> str:
    for name in names:
        (folder / name).touch()
    return str(folder)


def test_a_folder_in_whatever_case_and_one_file(tmp_path: Path) -> None:
    path = touched(tmp_path, "x_Train.CSV", "x_dev.parquet", "x_test.csv", "x_more.csv", "x_test.txt", "y_test.csv")
    files = RoleFiles(path, "x_", ENDINGS)
    assert {role: file.name for role, file in files.by_role().items()} == {
        "train": "x_Train.CSV",
        "validation": "x_dev.parquet",
        "test": "x_test.csv",
    }
    assert files.left_out() == [
        "left out, as no split is called so: x_more.csv",
        "left out, as only files of .csv and .parquet are read: x_test.txt",
    ]
    alone = RoleFiles(str(tmp_path / "x_more.csv"), "", ENDINGS)
    assert alone.by_role() == {"train": tmp_path / "x_more.csv"} and alone.left_out() == []


def test_what_is_no_folder_of_splits(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        RoleFiles(str(tmp_path / "none"), "", ENDINGS).by_role()
    with pytest.raises(DataError, match=r"no training file in this folder; found 'train.csv'; allowed: test.csv"):
        RoleFiles(touched(tmp_path, "test.csv"), "", ENDINGS).by_role()
    with pytest.raises(DataError, match=r"two files for one split; found \['train.csv', 'training.parquet'\]"):
        RoleFiles(touched(tmp_path, "train.csv", "training.parquet"), "", ENDINGS).by_role()
