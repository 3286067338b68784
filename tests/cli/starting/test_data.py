"""What data is told by its files: columns, arrays, pictures, sounds; and what is none that is known."""

from __future__ import annotations

import gzip
import io
import json
import struct
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import ExifTags, Image
from pyarrow import ipc, parquet

from edgekd.base import plugins
from edgekd.base.errors import DataError, EdgekdError, UsageError
from edgekd.cli.starting.data import table
from edgekd.learn.data import loaded


def lines(path: Path, header: str, count: int = 12) -> Path:
    path.parent.mkdir(exist_ok=True)
    rows = [f"{i}\tsome words {i}\t{'good' if i % 2 else 'bad'}" for i in range(count)]
    text = "\n".join([header, *rows]).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def table_of(path: Path, header: str, mark: str = ",") -> Path:
    path.parent.mkdir(exist_ok=True)
    rows = [f"{i % 24},{'sun' if i % 3 else 'rain'},{'many' if i % 2 else 'few'}" for i in range(40)]
    path.write_text("\n".join([header, *(row.replace(",", mark) for row in rows)]))
    return path


def objects(path: Path, row: Callable[[int], dict[str, Any]]) -> Path:
    path.write_text("\n".join(json.dumps(row(i)) for i in range(40)))
    return path


def rows_of(path: Path) -> Path:
    np.savez(path, data=np.arange(60.0).reshape(20, 3), labels=np.arange(20) % 2)
    return path


def hidden(folder: Path) -> Path:
    for place in (folder / "__MACOSX" / "cat", folder / ".checkpoints"):
        place.mkdir(parents=True)
        (place / "0.png").write_bytes(b"no picture")
    return folder


def linked(folder: Path, links: Path) -> Path:
    links.mkdir()
    for place in folder.iterdir():
        (links / place.name).symlink_to(place, target_is_directory=True)
    return links


def pictures(folder: Path, sides: tuple[int, ...], mode: str) -> Path:
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for i, side in enumerate(sides * (10 // len(sides))):
            picture = Image.fromarray(np.full((side, side), i * 9, np.uint8)).convert(mode)
            picture.save(folder / label / f"{i}.png")
    return folder


def listed(folder: Path) -> Path:
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    rows = [f"{name},{i},{'old' if i % 3 else 'young'}" for i, name in enumerate(names)]
    (folder / "metadata.csv").write_text("\n".join(["file_name,number,Class", *rows]))
    return folder


def sounds(folder: Path) -> Path:
    for label in ("yes", "no"):
        (folder / label).mkdir(parents=True)
        for i in range(12):
            with wave.open(str(folder / label / f"{i}.wav"), "wb") as sound:
                sound.setnchannels(1)
                sound.setsampwidth(2)
                sound.setframerate(8000)
                sound.writeframes(np.full(400 + i, i, "<i2").tobytes())
    return folder


def arrays(path: Path, *names: str) -> Path:
    """Images under names with an x, labels under the others."""
    x, y = np.arange(8 * 16, dtype=np.uint8).reshape(8, 4, 4), np.arange(8) % 2
    np.savez(path, **{name: x if "x" in name.lower() else y for name in names})  # type: ignore[arg-type]
    return path


def turned(folder: Path) -> Path:
    """Of 16 x 8 pixels, all of which a person sees as 8 x 16 but one."""
    for i, path in enumerate(sorted(folder.rglob("*.png"))):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6 if i else 1
        Image.new("RGB", (16, 8), (i, 0, 0)).save(path, exif=exif)
    return folder


def extensible(folder: Path) -> Path:
    """As many recorders write the header of PCM."""
    for path in folder.rglob("*.wav"):
        whole = path.read_bytes()
        form = b"\xfe\xff" + whole[22:36] + struct.pack("<HHI", 22, 16, 4)
        form += bytes.fromhex("0100 0000 0000 1000 8000 00aa00389b71")
        chunks = b"WAVEfmt " + struct.pack("<I", len(form)) + form + whole[36:]
        path.write_bytes(b"RIFF" + struct.pack("<I", len(chunks)) + chunks)
    return folder


def table_of_sounds(folder: Path) -> Path:
    rows = [f"{path.relative_to(folder).as_posix()},{path.stem}" for path in sorted(folder.rglob("*.wav"))]
    rows = [f"{row},{'odd' if i % 2 else 'even'}" for i, row in enumerate(rows)]
    (folder / "metadata.csv").write_text("\n".join(["file_name,number,Label", *rows]))
    return folder


def png(side: int, kind: str = "png") -> dict[str, Any]:
    file = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), side, np.uint8)).save(file, kind)
    return {"bytes": file.getvalue(), "path": None}


def wav(length: int) -> dict[str, Any]:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(np.full(length, length, "<i2").tobytes())
    return {"bytes": file.getvalue(), "path": None}


def saved(path: Path, **columns: list[Any]) -> Path:
    """A table with a column of labels, as ``datasets`` or its hub has it."""
    count = len(next(iter(columns.values())))
    content = pa.table(
        {"number": list(range(count)), **columns, "Class": [("few", "many")[i % 2] for i in range(count)]}
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        parquet.write_table(content, path)
        return path
    with ipc.new_stream(str(path), content.schema) as writer:
        writer.write_table(content)
    return path


KNOWN: dict[str, tuple[Callable[[Path], Path], dict[str, Any]]] = {
    "texts of other columns": (
        lambda p: lines(p / "a.tsv", "number\tText\tIntent"),
        {"source": "text", "sentence": "Text", "label": "Intent"},
    ),
    "a folder of texts": (
        lambda p: lines(p / "f" / "my_train.tsv.gz", "number\tsentence\tlabel").parent,
        {"source": "text", "prefix": "my_"},
    ),
    "a table": (
        lambda p: table_of(p / "a.csv", "hour,weather,Target"), {"source": "table", "label": "Target"}
    ),
    "a folder of tables": (
        lambda p: table_of(p / "f" / "my_train.csv", "hour,weather,label").parent,
        {"source": "table", "prefix": "my_", "label": "label"},
    ),
    "pictures of one size": (lambda p: pictures(p / "f", (12,), "RGB"), {"source": "imagefolder"}),
    "grey pictures of several sizes": (
        lambda p: pictures(p / "f", (30, 21), "L"), {"source": "imagefolder", "grey": True, "size": [16, 16]}
    ),
    "pictures with a table of labels": (
        lambda p: listed(pictures(p / "f", (12,), "RGB")),
        {"source": "imagefolder", "metadata": "metadata.csv", "label": "Class"},
    ),
    "sounds": (lambda p: sounds(p / "f"), {"source": "audio", "rate": 8000, "length": 411}),
    "pictures that datasets saved": (
        lambda p: saved(p / "f" / "train" / "data.arrow", image=[png(9 + i % 2) for i in range(20)]).parent.parent,
        {"source": "arrow", "x": "image", "label": "Class", "size": [8, 8]},
    ),
    "texts in parquet": (
        lambda p: saved(p / "train.parquet", about=[f"some words of {i}" for i in range(40)]),
        {"source": "arrow", "x": "about", "label": "Class"},
    ),
    "a struct beside pictures of WebP": (
        lambda p: saved(
            p / "train.parquet", meta=[{"source": "web"}] * 20, image=[png(9, kind="webp") for _ in range(20)]
        ),
        {"source": "arrow", "x": "image", "label": "Class"},
    ),
    "pictures of which some lie on their side": (
        lambda p: turned(pictures(p / "f", (12,), "RGB")), {"source": "imagefolder", "size": [8, 8]}
    ),
    "sounds of an extensible header": (
        lambda p: extensible(sounds(p / "f")), {"source": "audio", "rate": 8000, "length": 411}
    ),
    "sounds with a table of labels": (
        lambda p: table_of_sounds(sounds(p / "f")),
        {"source": "audio", "metadata": "metadata.csv", "labels": "Label", "rate": 8000, "length": 411},
    ),
    "sounds in parquet": (
        lambda p: saved(p / "train.parquet", audio=[wav(300 + i) for i in range(20)]),
        {"source": "arrow", "x": "audio", "label": "Class", "rate": 8000, "length": 319},
    ),
    "numbers in parquet": (
        lambda p: saved(p / "train.parquet", hour=list(range(40)), weather=["sun", "rain"] * 20),
        {"source": "table", "label": "Class"},
    ),
    "arrays of other names": (
        lambda p: arrays(p / "a.npz", "X_train", "y_train", "X_test", "y_test", "x_val", "y_val"),
        {
            "source": "npz",
            "x_train": "X_train",
            "x_test": "X_test",
            "x_validation": "x_val",
            "y_validation": "y_val",
            "classes": "",
        },
    ),
    "arrays of samples and labels alone": (
        lambda p: arrays(p / "a.npz", "X", "target"), {"source": "npz", "classes": ""}
    ),
    "arrays that name their split first": (
        lambda p: arrays(p / "a.npz", *(f"{of}_{name}" for of in ("train", "val", "test") for name in ("x", "labels"))),
        {
            "source": "npz",
            "x_train": "train_x",
            "y_train": "train_labels",
            "x_test": "test_x",
            "y_test": "test_labels",
            "x_validation": "val_x",
            "y_validation": "val_labels",
            "classes": "",
        },
    ),
    "arrays of rows": (
        lambda p: rows_of(p / "a.npz"), {"source": "npz", "samples": "numbers", "classes": ""}
    ),
    "texts in JSON lines": (
        lambda p: objects(p / "a.jsonl", lambda i: {"text": f"some words {i}", "label": i % 2, "of": [i]}),
        {"source": "text", "sentence": "text"},
    ),
    "a table in JSON lines": (
        lambda p: objects(p / "a.jsonl", lambda i: {"hour": i % 24, "sun": i % 3 > 0, "label": i % 2}),
        {"source": "table", "label": "label"},
    ),
    "a table with semicolons": (
        lambda p: table_of(p / "a.csv", "hour;weather;label", ";"), {"source": "table", "label": "label"}
    ),
    "what is hidden beside pictures": (
        lambda p: hidden(pictures(p / "f", (12,), "RGB")), {"source": "imagefolder"}
    ),
    "folders that are linked": (
        lambda p: linked(pictures(p / "f", (12,), "RGB"), p / "g"), {"source": "imagefolder"}
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", KNOWN)
def test_the_table_reads_what_lies_there(tmp_path: Path, case: str) -> None:
    make, wanted = KNOWN[case]
    read = table(str(make(tmp_path)))
    assert {key: value for key, value in read.items() if key != "path"} == wanted
    kind = read.pop("source")
    dataset = loaded(plugins.build("data", {"kind": kind, **read}, "data"))
    assert len(dataset.classes) == 2 and dataset.train.y is not None


def test_a_source_and_code_of_ones_own_go_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data_to_start.py").write_text("def parts():\n    return ()\nclass Mine:\n    def load(self): ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert table("digits") == {"source": "digits"}
    assert table("data_to_start:parts") == {"source": "python", "factory": "data_to_start:parts"}
    assert table("data_to_start:Mine") == {"source": "data_to_start:Mine"}


def test_a_column_that_the_user_names_need_not_be_known(tmp_path: Path) -> None:
    path = str(lines(tmp_path / "a.tsv", "number\tfirst\tsecond"))
    with pytest.raises(DataError, match=r"--data: a\.tsv: no column that is known to hold texts; found \['number'"):
        table(path)
    assert table(path, frozenset({"data.sentence", "data.label"}))["source"] == "text"
    assert table(path, frozenset({"data.source", "data.label"})) == {"source": "table", "path": path}


UNKNOWN: dict[str, tuple[Callable[[Path], Path], str]] = {
    "nothing": (lambda p: p / "digts", r"--data: no such file, folder or source"),
    "an empty folder": (lambda p: p, r"--data: .*: no data that is known in it; found 'no files'; allowed: a fol"),
    "pictures of another kind": (
        lambda p: _broken(pictures(p / "f", (12,), "RGB"), "cat/0.png", b"<html>"),
        r"--data: cat/0\.png: not a picture of a kind that is read; found b'<html>'",
    ),
    "sounds of another kind": (
        lambda p: lines(p / "f" / "a.mp3", "a").parent, r"--data: f: no data that is known in it; found '1 \.mp3'"
    ),
    "what Git LFS leaves": (
        lambda p: lines(p / "a.csv", "version https://git-lfs.github.com/spec/v1"), r"--data: what Git LFS leaves"
    ),
    "another file": (lambda p: lines(p / "a.txt", "a\tb\tc"), r"no data of such a file is read; found 'a\.txt'"),
    "no training file": (lambda p: lines(p / "f" / "test.tsv", "a\tb\tc").parent, r"no training file in it; found 'te"),
    "a table without a label": (
        lambda p: table_of(p / "a.csv", "a,b,c"), r"a\.csv: no column that is known to hold labels; found \['a', 'b'"
    ),
    "half a picture": (
        lambda p: _broken(pictures(p / "f", (12,), "RGB"), "cat/0.png"), r"--data: cat/0\.png: not a picture"
    ),
    "half a sound": (lambda p: _broken(sounds(p / "f"), "no/0.wav"), r"--data: no/0\.wav: not a wav file"),
    "other arrays": (
        lambda p: arrays(p / "a.npz", "x", "z"), r"no arrays that are known; found 'x, z'; allowed: x_train"
    ),
}  # fmt: skip


def _broken(folder: Path, name: str, data: bytes = b"") -> Path:
    (folder / name).write_bytes(data or (folder / name).read_bytes()[:20])
    return folder


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_is_no_data_is_told(tmp_path: Path, case: str) -> None:
    make, message = UNKNOWN[case]
    with pytest.raises(EdgekdError, match=message) as error:
        table(str(make(tmp_path)))
    assert error.value.exit_code == 2


def test_the_nearest_source_is_named() -> None:
    with pytest.raises(UsageError, match=r"found 'digts'.*did you mean 'digits'"):
        table("digts")
