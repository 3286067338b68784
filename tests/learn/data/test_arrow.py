"""Arrow and Parquet as ``datasets`` writes them: read where they lie or unpacked once, and what is wrong is told."""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import ipc, parquet

from edgekd.base.errors import DataError, UnavailableError
from edgekd.learn.data import _arrow, _hashes
from edgekd.learn.data._lazy import Lazy
from edgekd.learn.data.arrow import Arrow, columns_of

RNG = np.random.default_rng(6)
NAMES = ("ant", "bee")
FEATURES = {"info": {"features": {"label": {"names": list(NAMES), "_type": "ClassLabel"}, "image": {"_type": "Image"}}}}


def picture(size: tuple[int, int] = (6, 5)) -> bytes:
    file = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (*size, 3), dtype=np.uint8)).save(file, "png")
    return file.getvalue()


def table(count: int = 24, **columns: Any) -> pa.Table:
    """As ``datasets`` has it: pictures are a struct of bytes and a path, labels numbers with names in the metadata."""
    pictures = [{"bytes": picture(), "path": f"{i}.png"} for i in range(count)]
    values: dict[str, Any] = {"image": pictures, "label": [i % 2 for i in range(count)], **columns}
    kept = {name: value for name, value in values.items() if value is not None}
    return pa.table(kept).replace_schema_metadata({"huggingface": json.dumps(FEATURES)})


def written(path: Path, content: pa.Table, form: str = "stream", rows: int = 7) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if form == "parquet":
        parquet.write_table(content, path, row_group_size=rows)
        return path
    options = ipc.IpcWriteOptions(compression="zstd" if form == "packed" else None)
    new = ipc.new_file if form == "file" else ipc.new_stream
    with new(str(path), content.schema, options=options) as writer:
        writer.write_table(content, rows)
    return path


def texts(count: int = 40) -> dict[str, Any]:
    return {"text": [f"{'good' if i % 2 else 'bad'} film number {i}" for i in range(count)], "image": None}


@pytest.mark.parametrize("form", ["stream", "file", "packed", "parquet"])
def test_later_is_the_same_as_now(tmp_path: Path, form: str) -> None:
    content = table()
    name = "data.parquet" if form == "parquet" else "data.arrow"
    for split, count in (("train", 24), ("test", 12)):
        written(tmp_path / split / name, content.slice(0, count), form)
    here = Arrow(str(tmp_path)).load()
    with _hashes.remembered_in(tmp_path / "cache"):
        there = Arrow(str(tmp_path), lazy=True, workers=1).load()
    assert here.classes == there.classes == NAMES and here.notes == there.notes
    assert [len(split) for split in here.splits.values()] == [22, 2, 12]
    left = list((tmp_path / "cache" / "hashes").glob(".unpacked*/*")) if (tmp_path / "cache").exists() else []
    assert len(left) == (2 if form in ("packed", "parquet") else 0)
    for mine, theirs in zip(here.splits.values(), there.splits.values(), strict=True):
        assert isinstance(theirs.x, Lazy) and np.array_equal(mine.x, theirs.x) and mine.names == theirs.names
        assert mine.y is not None and theirs.y is not None and mine.y.tolist() == theirs.y.tolist()
    first = np.asarray(Image.open(io.BytesIO(content["image"][0]["bytes"].as_py())))
    assert np.array_equal(here.test.x[0], first)
    del there, theirs
    assert not list((tmp_path / "cache" / "hashes").glob(".unpacked*")) if (tmp_path / "cache").exists() else True


def test_texts(tmp_path: Path) -> None:
    content = table(40, **texts(), label=[("no", "yes")[i % 2] for i in range(40)])
    written(tmp_path / "train.parquet", content.replace_schema_metadata(None), "parquet")
    source = Arrow(str(tmp_path / "train.parquet"), x="text", vocab=100)
    here, there = source.load(), Arrow(str(tmp_path / "train.parquet"), x="text", vocab=100, lazy=True).load()
    assert here.classes == there.classes == ("no", "yes") and here.preprocess == there.preprocess
    assert isinstance(there.train.x, Lazy) and there.train.x.ndim == 1 and there.train.x.dtype.kind == "O"
    assert list(here.train.x) == list(there.train.x) and str(here.train.x[0]).split()[1] == "film"
    assert source.fingerprint() == Arrow(str(tmp_path), x="text", vocab=100).fingerprint()


def sound(samples: np.ndarray, rate: int = 8000) -> dict[str, Any]:
    """What ``datasets`` makes of a sound."""
    file = io.BytesIO()
    with wave.open(file, "wb") as clip:
        clip.setnchannels(1)
        clip.setsampwidth(2)
        clip.setframerate(rate)
        clip.writeframes(samples.astype("<i2").tobytes())
    return {"bytes": file.getvalue(), "path": None}


@pytest.mark.parametrize("form", ["stream", "parquet"])
def test_sounds(tmp_path: Path, form: str) -> None:
    clips = [RNG.integers(-900, 900, 50 + i % 3, dtype=np.int16) for i in range(24)]
    content = table(audio=list(map(sound, clips)), image=None)
    path = written(tmp_path / f"train.{'parquet' if form == 'parquet' else 'arrow'}", content, form)
    keys: dict[str, Any] = {"x": "audio", "rate": 8000, "length": 52}
    here, there = Arrow(str(path), **keys).load(), Arrow(str(path), **keys, lazy=True, workers=0).load()
    assert (
        here.rate == 8000
        and here.preprocess == ({"op": "scale", "divide": 32768.0},)
        and isinstance(there.train.x, Lazy)
    )
    of = {clip.tobytes() for clip in (np.pad(clip, (0, 52 - len(clip))) for clip in clips)}
    for mine, theirs in zip(here.splits.values(), there.splits.values(), strict=True):
        assert np.array_equal(mine.x, theirs.x) and {np.asarray(clip).tobytes() for clip in mine.x} <= of
    with pytest.raises(DataError, match=r"row 0: another sample rate; found '?8000 Hz"):
        Arrow(str(path), x="audio", rate=16000, length=52).load()
    with pytest.raises(ValueError, match="rate: allowed"):
        Arrow(str(path), x="audio", rate=1)


def test_a_struct_without_bytes_holds_no_files(tmp_path: Path) -> None:
    plain = pa.table({"meta": [{"source": "web"}] * 9, "image": [{"bytes": b"", "path": ""}] * 9})
    path = written(tmp_path / "train.parquet", plain, "parquet")
    assert [one.holds for one in columns_of(str(path))] == ["", "files"]


def test_shards_and_a_limit(tmp_path: Path) -> None:
    content = table(30)
    for i in range(3):
        written(tmp_path / "data" / f"train-{i:05}-of-00003.parquet", content.slice(10 * i, 10), "parquet")
        (tmp_path / "data" / "cache-1f.arrow").write_bytes(b"what datasets keeps there")
    data = Arrow(str(tmp_path), limit=25).load()
    assert sum(map(len, data.splits.values())) == 25
    (tmp_path / "data" / "train-00001-of-00003.parquet").unlink()
    with pytest.raises(DataError, match=r"shards of train are missing; found \[1\]; allowed: all of 0 to 2 in data"):
        Arrow(str(tmp_path)).load()


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("form", ["stream", "parquet"])
@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({}, {"x": "picture"}, r"no such column; found 'picture'; allowed: image, label"),
        ({}, {"label": "class"}, r"no such column; found 'class'; allowed: image, label"),
        ({"label": None}, {}, r"no such column; found 'label'; allowed: image"),
        ({"image": list(range(24))}, {}, r"image: neither bytes nor texts; found 'int64'"),
        ({"label": [0.5] * 24}, {}, r"row 0: labels are whole numbers or names; found 'float64'"),
        ({"label": [0, 1, None] * 8}, {}, r"label: a row without a label; found 'row 2'"),
        ({"label": [0, 1, 2] * 8}, {}, r"row 2: a label that is no class; found '2'"),
        ({"image": [picture()] * 9 + [None] + [picture()] * 14}, {}, r"image: a row without a value; found 'row 9'"),
        ({"image": [picture()] * 9 + [b"no"] + [picture()] * 14}, {}, r"row 9: can't be decoded"),
        ({"image": [picture()] * 9 + [picture((9, 9))] + [picture()] * 14}, {}, r"row 9: an image of another size"),
        ({"image": [{"bytes": None, "path": "a.png"}] * 24}, {}, r"image: a row without a value|neither bytes nor"),
        ({"text": ["a b"] * 9 + [" "] + ["c"] * 14}, {"x": "text"}, r"row 9: no text, or a NUL"),
    ],
)
def test_columns_that_are_mistaken(
    tmp_path: Path, form: str, columns: Mapping[str, Any], options: Mapping[str, Any], message: str
) -> None:
    path = written(tmp_path / f"train.{'parquet' if form == 'parquet' else 'arrow'}", table(**columns), form)
    for lazy in (False, True):
        with pytest.raises(DataError, match=message):
            Arrow(str(path), lazy=lazy, workers=0, vocab=100, **options).load()


@pytest.mark.parametrize(
    ("name", "form", "change", "message"),
    [
        ("train.arrow", "stream", half, r"train\.arrow: not an Arrow file, or one that is cut off"),
        ("train.arrow", "file", half, r"train\.arrow: can't be read"),
        ("train.parquet", "parquet", half, r"train\.parquet: can't be read"),
        ("train.parquet", "parquet", lambda path: path.write_bytes(b""), r"train\.parquet: can't be read"),
        ("train.arrow", "stream", lambda path: path.write_bytes(b""), r"not an Arrow file, or one that is cut off"),
        (
            "train.arrow",
            "stream",
            lambda path: path.rename(path.with_suffix(".feather")),
            r"no shards; found \['train\.f",
        ),
        (
            "train.arrow",
            "stream",
            lambda path: written(path, table(0, image=pa.array([], pa.binary()))),
            "an empty split",
        ),
    ],
)
def test_files_that_are_damaged(
    tmp_path: Path, name: str, form: str, change: Callable[[Path], object], message: str
) -> None:
    change(written(tmp_path / name, table(), form))
    with pytest.raises(DataError, match=message):
        Arrow(str(tmp_path)).load()


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_arrow, "MISSING", "No module named 'pyarrow'")
    with pytest.raises(UnavailableError, match=r"pip install 'edgekd\[parquet\]'"):
        Arrow(str(written(tmp_path / "train.arrow", table()))).load()


def test_a_file_that_changes_while_it_is_learned_from(tmp_path: Path) -> None:
    path = written(tmp_path / "train.arrow", table())
    data = Arrow(str(path), lazy=True, workers=0).load()
    written(path, table())
    with pytest.raises(DataError, match=r"train\.arrow: row \d+: the file has changed since the build began"):
        np.asarray(data.train.x)
