"""What every data source keeps, found by its file."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from edgekd.base import plugins, preprocess
from edgekd.tasks import IGNORED, Task
from edgekd.tasks.anomaly import Anomaly
from edgekd.tasks.regression import Regression
from edgekd.tasks.segmentation import Segmentation


def _npz(folder: Path) -> dict[str, Any]:
    x = np.random.default_rng(0).integers(0, 256, (30, 6, 6), dtype=np.uint8)
    np.savez(folder / "d.npz", x_train=x, y_train=np.arange(30) % 3, x_test=x[:9], y_test=np.arange(9) % 3)
    return {"path": str(folder / "d.npz")}


def _imagefolder(folder: Path) -> dict[str, Any]:
    for name in ("a", "b"):
        (folder / name).mkdir()
        for i in range(12):
            Image.fromarray(np.full((6, 6), 9 * i, np.uint8)).save(folder / name / f"{i}.png")
    return {"path": str(folder)}


def _python(folder: Path) -> dict[str, Any]:
    (folder / "made_here.py").write_text(
        "import numpy as np\n"
        "def make():\n"
        "    x, y = np.zeros((8, 4), np.float32), np.arange(8) % 2\n"
        "    return (x, y), (x, y), (x, y)\n"
    )
    return {"factory": "made_here:make"}


def _interactions(folder: Path) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    user, item = np.divmod(np.arange(60), 10)
    order = rng.permutation(60)
    parts: dict[str, Any] = {"train_idx": order[:40], "valid_idx": order[40:50], "test_idx": order[50:]}
    np.savez(folder / "i.npz", user=user, item=item, rating=rng.integers(3, 6, 60), **parts)
    return {"path": str(folder / "i.npz"), "history": 4}


def _audio(folder: Path) -> dict[str, Any]:
    clips = np.random.default_rng(0).integers(-9_999, 9_999, (30, 40))
    np.savez(
        folder / "a.npz",
        samples=clips.astype(np.int16).ravel(),
        offsets=np.arange(31) * 40,
        labels=np.arange(30) % 3,
    )
    return {"path": str(folder / "a.npz"), "length": 50}


def _text(folder: Path) -> dict[str, Any]:
    rows = [f"{'good' if i % 2 else 'bad'} film number {i}\t{i % 2}" for i in range(40)]
    (folder / "t.tsv").write_text("\n".join(["sentence\tlabel", *rows]) + "\n")
    return {"path": str(folder / "t.tsv"), "vocab": 100}


def _webdataset(folder: Path) -> dict[str, Any]:
    with tarfile.open(folder / "0.tar", "w") as archive:
        for i in range(24):
            Image.fromarray(np.full((6, 6), 9 * i, np.uint8)).save(folder / "x.png")
            (folder / "x.cls").write_text(str(i % 2))
            for ending in ("png", "cls"):
                archive.add(folder / f"x.{ending}", f"{i}.{ending}")
    return {"path": str(folder)}


def _arrow(folder: Path) -> dict[str, Any]:
    table = pyarrow.table({"text": [f"film number {i}" for i in range(40)], "label": [i % 2 for i in range(40)]})
    parquet.write_table(table, folder / "train.parquet")
    return {"path": str(folder), "x": "text", "vocab": 100}


def _table(folder: Path) -> dict[str, Any]:
    lines = [f"{i},{'abc'[i % 3]},{'' if i % 5 == 0 else i / 7},{'yes' if i % 2 else 'no'}" for i in range(40)]
    (folder / "t.csv").write_text("\n".join(["count,kind,mass,label", *lines]) + "\n")
    return {"path": str(folder / "t.csv")}


# A source without an entry is built from its defaults.
EXAMPLES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "npz": _npz,
    "imagefolder": _imagefolder,
    "python": _python,
    "interactions": _interactions,
    "audio": _audio,
    "made_audio": lambda _: {"train": 30, "validation": 10, "test": 10},
    "text": _text,
    "arrow": _arrow,
    "table": _table,
    "webdataset": _webdataset,
}


# Sources whose labels are of places, and the tasks that take them.
TASKS: dict[str, Task] = {
    "made_scenes": Segmentation(),
    "made_points": Regression(points=True),
    "made_tiles": Anomaly(),
}


@pytest.mark.parametrize("kind", plugins.kinds("data"))
def test_a_source(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    table = {"kind": kind, **EXAMPLES.get(kind, lambda _: {})(tmp_path)}
    source, again = plugins.build("data", table, "data"), plugins.build("data", table, "data")
    assert source.fingerprint() == again.fingerprint() == source.fingerprint()
    given = [TASKS[kind]] if kind in TASKS else []
    one, two = source.load(*given), again.load(*given)
    classes = len(one.classes)
    assert classes >= (1 if kind == "made_tiles" else 2)  # one score
    preprocess.check(one.preprocess, "data")
    for name, split in one.splits.items():
        assert len(split) > 0
        gaps = kind == "table"  # NaN is a missing value
        assert np.array_equal(split.x, two.splits[name].x, equal_nan=gaps), "two loads differ"
        assert split.x.shape[1:] == one.train.x.shape[1:]
        assert split.x.dtype in (np.uint8, np.int16, np.float32, np.int64) or split.x.dtype.kind in "UO"
        if split.y is not None and split.together is not None:  # pairs of samples, and their scores
            assert split.y.dtype == np.float32 and np.array_equal(split.y[:, 0].astype(np.int64), split.together)
        elif kind == "made_points":
            assert split.y is not None and split.y.shape == (len(split), classes) and np.isfinite(split.y).all()
        elif split.y is not None:
            known = split.y[split.y != IGNORED]
            assert split.y.dtype == np.int64 and known.min() >= 0 and known.max() < max(classes, 2)
    for ready in preprocess.apply(one.preprocess, one.train.x[:2]).values():
        assert ready.dtype in (np.float32, np.int64) and ready.flags.c_contiguous
