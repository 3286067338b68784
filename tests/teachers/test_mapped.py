"""Arrays of recorded answers that stay in their file: the same rows, nothing of them in memory, and no other file's."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekd.base.errors import DataError
from edgekd.learn.answers import have_answer, whole
from edgekd.learn.data import _archive
from edgekd.teachers import _columns
from edgekd.teachers._classes import Classes
from edgekd.teachers._forms import Reader
from edgekd.teachers._mapped import Mapped

NAMES = ("ant", "bee", "cat", "dog")
ROWS = np.random.default_rng(0).standard_normal((40, 4)).astype(np.float32)


@pytest.fixture(autouse=True)
def _every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_archive, "MAPPED", 1)


def read(path: Path, columns: tuple[int, ...] | None = None) -> object:
    return Reader(Classes(NAMES, columns)).read(_columns.read(str(path), "teacher.model")[""]).logits


def saved(path: Path, values: np.ndarray, form: str = "logits") -> Path:
    arrays: dict[str, Any] = {form: values}
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("form", ["logits", "probabilities", "log_probabilities"])
@pytest.mark.parametrize("dtype", ["<f4", "<f8", ">f4", "<f2"])
def test_rows_are_those_that_are_read_bit_by_bit(tmp_path: Path, form: str, dtype: str) -> None:
    values = ROWS.copy() if form == "logits" else np.exp(ROWS) / np.exp(ROWS).sum(1, keepdims=True)
    values = (np.log(values) if form == "log_probabilities" else values).astype(dtype)
    values[3] = np.nan
    mapped = read(saved(tmp_path / "a.npz", values, form))
    arrays: dict[str, Any] = {form: values}
    np.savez_compressed(tmp_path / "b.npz", **arrays)
    in_memory = read(tmp_path / "b.npz")
    assert isinstance(mapped, Mapped) and isinstance(in_memory, np.ndarray)
    assert whole(mapped).tobytes() == in_memory.tobytes() and mapped.shape == (len(mapped), 4) == (40, 4)
    index = np.array([39, 0, 3, 3])
    assert mapped[index].tobytes() == in_memory[index].tobytes()
    assert have_answer(mapped).tolist() == have_answer(in_memory).tolist()


def test_columns_in_another_order_and_arrays_by_column(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npz", np.asfortranarray(ROWS))
    mapped = read(path, (3, 2, 1, 0))
    assert isinstance(mapped, Mapped)
    np.testing.assert_array_equal(whole(mapped), ROWS[:, ::-1])


def test_what_is_damaged_is_told_as_of_a_file_that_is_read(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npz", ROWS)
    data = bytearray(path.read_bytes())
    data[data.index(ROWS[20].tobytes())] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"a\.npz: not an \.npz file \(Bad CRC-32 for file 'logits\.npy'\)"):
        read(path)
    with pytest.raises(DataError, match=r"a\.npz, row 9: not finite; found 'Inf, in 1 rows'"):
        read(saved(tmp_path / "a.npz", np.where(np.arange(40)[:, None] == 9, np.inf, ROWS)))


def test_small_arrays_and_packed_ones_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, logits=ROWS)
    assert isinstance(read(path), np.ndarray)
    saved(path, ROWS)
    monkeypatch.setattr(_archive, "MAPPED", path.stat().st_size)
    assert isinstance(read(path), np.ndarray)


def test_members_behind_others_and_behind_a_prefix_are_found(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", ids=np.arange(40), logits=ROWS)
    (tmp_path / "b.npz").write_bytes(b"before" + (tmp_path / "a.npz").read_bytes())
    assert zipfile.is_zipfile(tmp_path / "b.npz")
    for name in ("a", "b"):
        np.testing.assert_array_equal(whole(read(tmp_path / f"{name}.npz")), ROWS)  # type: ignore[arg-type]


def test_a_file_that_is_written_to_is_an_error_and_one_that_is_replaced_is_read_as_it_was(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npz", ROWS)
    mapped = read(path)
    assert isinstance(mapped, Mapped)
    os.replace(saved(tmp_path / "b.npz", ROWS + 1), path)
    np.testing.assert_array_equal(mapped[np.array([1])], ROWS[[1]])
    path.unlink()
    np.testing.assert_array_equal(mapped[np.array([1])], ROWS[[1]])
    other = read(saved(path, ROWS))
    assert isinstance(other, Mapped)
    with path.open("r+b") as file:
        file.write(b"P")
    os.utime(path, ns=(0, 0))
    with pytest.raises(DataError, match=r"a\.npz: written to while it is read; .*rename it"):
        other[np.array([1])]
