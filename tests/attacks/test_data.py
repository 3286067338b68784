"""Data of a stranger: one wrong number, a bomb, a damaged file. Each is told with its place; nothing large is made."""

from __future__ import annotations

import ast
import gzip
import io
import json
import os
import struct
import tracemalloc
import wave
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgekd.base import limits, preprocess, toml_files, wordpiece
from edgekd.base.errors import DataError, IntegrityError, RecipeError, UsageError
from edgekd.base.shards import shards
from edgekd.base.wordpiece import Vocabulary
from edgekd.learn.data import _archive, _encoded, _vocabulary
from edgekd.learn.data._clips import read_wav
from edgekd.learn.data.audio import Audio
from edgekd.learn.data.imagefolder import Imagefolder
from edgekd.learn.data.interactions import Interactions
from edgekd.learn.data.npz import Npz
from edgekd.learn.data.text import Text
from edgekd.runtime import bundle as bundles
from edgekd.runtime.devices._find import find
from edgekd.spec import recipe

MB = 2**20
GOLDEN = Path(__file__).parents[1] / "golden" / "bundle_1"


@contextmanager
def little(most: int = 64 * MB) -> Iterator[None]:
    """Nothing large is made meanwhile; numpy tells tracemalloc of its arrays."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


# Arrays.
X = np.zeros((20, 4, 4), np.uint8)
Y = np.arange(20) % 2


def npz(path: Path, **changes: Any) -> Path:
    arrays: dict[str, Any] = {"x_train": X, "y_train": Y, "x_test": X, "y_test": Y} | changes
    np.savez_compressed(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def header(shape: str, descr: str = "'|u1'", version: bytes = b"\x01\x00", order: str = "False") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".encode() + b"\n"
    size = struct.pack("<H", len(text)) if version[0] == 1 else struct.pack("<I", len(text))
    return b"\x93NUMPY" + version + size + text


def packed(path: Path, member: bytes, name: str = "x_train.npy", method: int = zipfile.ZIP_DEFLATED) -> Path:
    """The file with one of its arrays written by hand."""
    whole = npz(path.with_name("whole.npz"))
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(path, "w", method) as new:
        for info in old.infolist():
            new.writestr(info.filename, member if info.filename == name else old.read(info))
    return path


def zeros(path: Path, count: int, name: str = "x_train.npy", descr: str = "'|u1'") -> Path:
    """A bomb: an array of zeros, packed 1,000 times smaller, never whole in memory."""
    whole = npz(path.with_name("whole.npz"))
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new:
        for info in old.infolist():
            if info.filename != name:
                new.writestr(info.filename, old.read(info))
        with new.open(name, "w", force_zip64=True) as file:
            file.write(header(f"({count},)", descr))
            for _ in range(count // MB):
                file.write(bytes(MB))
    return path


HEADERS = {
    "more than is there": header("(1000000000000,)"),
    "more of many": header("(4000000000, 4000000000, 4)"),
    "beyond 64 bits": header(f"({2**80},)"),
    "less than is there": header("(1,)") + bytes(100),
    "below zero": header("(-1,)"),
    "texts of no letters": header(f"({2**62},)", "'<U0'"),
    "bytes of no bytes": header(f"({2**62},)", "'|S0'"),
    "objects": header("(1,)", "'|O'") + b"cos\nsystem\n(S'touch pwned'\ntR.",
    "objects inside": header("(1,)", "[('a', '|O')]") + bytes(8),
    "a structure": header("(1,)", "[('a', '<i8')]") + bytes(8),
    "complex": header("(1,)", "'<c16'") + bytes(16),
    "nothing": b"",
    "the magic alone": b"\x93NUMPY",
    "another magic": b"\x93NUMPI\x01\x00" + bytes(100),
    "another version": header("(1,)", version=b"\x09\x00"),
    "a header that is not there": b"\x93NUMPY\x02\x00\xff\xff\xff\xff",
    "no header": b"\x93NUMPY\x01\x00\x05\x00hello",
    "code": header("(__import__('os').system('touch pwned'),)"),
    "open brackets": b"\x93NUMPY\x01\x00" + struct.pack("<H", 3000) + b"(" * 3000,
    "minus signs": b"\x93NUMPY\x01\x00" + struct.pack("<H", 9000) + b"-" * 8999 + b"1",
    "a header of 50 kB": b"\x93NUMPY\x01\x00" + struct.pack("<H", 50_000) + b" " * 50_000,
    "a shape of texts": header("('a',)"),
    "a shape of one": header("5"),
    "no type": header("(1,)", "'nonsense'"),
    "a text": b"just a text",
    "a number": header("()") + b"\x01",
}


@pytest.mark.parametrize("member", HEADERS.values(), ids=HEADERS)
@pytest.mark.parametrize("name", ["x_train.npy", "y_train.npy"])
def test_an_array_that_is_not_what_it_says(name: str, member: bytes, tmp_path: Path) -> None:
    path = packed(tmp_path / "a.npz", member, name)
    with little(), pytest.raises(DataError, match=r"data\."):
        Npz(str(path)).load()
    assert not Path("pwned").exists()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zip_methods_that_python_unpacks_without_a_bound(method: int, tmp_path: Path) -> None:
    path = packed(tmp_path / "a.npz", header("(20, 4, 4)") + bytes(320), method=method)
    with pytest.raises(DataError, match="packed in a way that is not read; found 'zip method"):
        Npz(str(path)).load()


def patched(path: Path, old: bytes, new: bytes) -> Path:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))
    return path


def test_encrypted_unknown_and_lying_members(tmp_path: Path) -> None:
    with zipfile.ZipFile(npz(tmp_path / "a.npz")) as archive:
        info = archive.getinfo("x_train.npy")
    data = bytearray((tmp_path / "a.npz").read_bytes())
    central = data.rindex(b"PK\x01\x02", 0, data.rindex(b"x_test.npy"))  # of x_test
    for offset, value in ((8, b"\x01\x00"), (10, b"\x63\x00"), (10, b"\x09\x00")):  # encrypted; two unknown methods
        bad = bytearray(data)
        bad[central + offset : central + offset + 2] = value
        (tmp_path / "b.npz").write_bytes(bad)
        with pytest.raises(DataError, match=r"data\."):
            Npz(str(tmp_path / "b.npz")).load()
    for announced in (info.file_size - 1, info.file_size + 1, 2**31):  # of more or less than there is
        bad = bytearray(data)
        at = data.rindex(b"PK\x01\x02", 0, data.rindex(b"x_train.npy"))
        bad[at + 24 : at + 28] = struct.pack("<I", announced)
        (tmp_path / "c.npz").write_bytes(bad)
        with little(), pytest.raises(DataError, match=r"data\."):
            Npz(str(tmp_path / "c.npz")).load()


@pytest.mark.parametrize("name", ["x_train", "y_train"])
def test_a_zip_bomb_is_refused_before_it_is_unpacked(name: str, tmp_path: Path) -> None:
    path = zeros(tmp_path / "a.npz", 128 * MB, f"{name}.npy")
    assert path.stat().st_size < MB
    with little(16 * MB), pytest.raises(DataError, match=r"unpacks to more than likely is meant; .*EDGEKD_MOST_BYTES"):
        Npz(str(path)).load()


def test_two_halves_of_a_bomb_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays: dict[str, Any] = {name: np.zeros((MB, 4), np.uint8) for name in ("a", "b")}
    monkeypatch.setattr(limits, "SMALL", 6 * MB)
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match="unpacks to more"):
        _archive.read(str(tmp_path / "a.npz"), lambda known: [("x", name) for name in known])


def test_the_environment_may_allow_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = npz(tmp_path / "a.npz", x_train=np.zeros((20, 4, MB // 8), np.uint8) + np.uint8(1), x_test=None)
    monkeypatch.setattr(limits, "SMALL", MB)
    wanted: Callable[[Any], Any] = lambda known: [("x_train", "x_train")]  # noqa: E731
    with pytest.raises(DataError, match=r"at most [\d,]+ bytes"):
        _archive.read(str(path), wanted)
    monkeypatch.setenv("EDGEKD_MOST_BYTES", str(100 * MB))
    assert len(_archive.read(str(path), wanted)["x_train"]) == 20


@pytest.mark.parametrize("text", ["", "-1", "0", "1e9", "many", "1_000", "٣", "9" * 5000, " 1"])
def test_a_limit_that_is_none(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKD_MOST_PIXELS", text)
    with pytest.raises(UsageError, match="EDGEKD_MOST_PIXELS: not a limit"):
        limits.most("pixels")


def test_many_members_and_a_file_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_archive, "MEMBERS", 10)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        for i in range(_archive.MEMBERS + 1):
            file.writestr(str(i), b"")
    with pytest.raises(DataError, match="too many arrays"):
        Npz(str(tmp_path / "a.npz")).load()
    os.mkfifo(tmp_path / "fifo.npz")
    for path in (tmp_path / "fifo.npz", Path("/dev/zero"), tmp_path):
        with pytest.raises(DataError, match="no such file"):
            Npz(str(path)).load()
    (tmp_path / "sparse.npz").touch()
    os.truncate(tmp_path / "sparse.npz", 2**40)
    for source in (Npz(str(tmp_path / "sparse.npz")), Interactions(str(tmp_path / "sparse.npz"))):
        for door in (source.fingerprint, source.load):
            with pytest.raises(DataError, match="a file larger than likely is meant"):
                door()


LABELS = {
    "2^62": [0, 1, 2**62],
    "1e9": [0, 1, 10**9],
    "2^63 and more": np.array([0, 1, 2**64 - 1], np.uint64),
    "below zero": [0, 1, -(2**62)],
    "fractions": [0.0, 1.5, 2.0],
    "NaN": [0, 1, np.nan],
    "two dimensions": [[0, 1, 2]],
    "none": [],
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("names", [None, np.array(["a", "b"])])
def test_one_wrong_label_makes_no_billion_of_names(labels: Any, names: Any, tmp_path: Path) -> None:
    y = np.array(labels)
    path = npz(tmp_path / "a.npz", x_train=X[:3], y_train=y, class_names=names)
    with little(), pytest.raises(DataError, match=r"data\.y_train"):
        Npz(str(path)).load()


def test_classes_that_nobody_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    y = np.arange(100_001)
    path = npz(tmp_path / "a.npz", x_train=np.zeros((len(y), 1, 1), np.uint8), y_train=y)
    with pytest.raises(DataError, match=r"more classes than likely are meant; found 100001; .*EDGEKD_MOST_CLASSES"):
        Npz(str(path)).load()
    monkeypatch.setattr(limits, "MOST", {**limits.MOST, "names": 2})
    with pytest.raises(DataError, match="more names than likely are meant"):
        Npz(str(npz(tmp_path / "b.npz", class_names=np.array(["a", "b", "c"])))).load()


def liked(path: Path, **changes: Any) -> Interactions:
    user = np.arange(40) % 4
    arrays = {"user": user, "item": np.arange(40) % 5, "rating": np.full(40, 5.0), "train_idx": np.arange(20)}
    arrays |= {"valid_idx": np.arange(20, 30), "test_idx": np.arange(30, 40)}
    np.savez_compressed(path, **{**arrays, **changes})
    return Interactions(str(path))


@pytest.mark.parametrize("number", [2**31 - 1, 2**31, 10**9, 2**62, -1, 2**63])
@pytest.mark.parametrize("field", ["user", "item", "train_idx", "valid_idx", "test_idx"])
def test_one_wrong_user_or_item_makes_no_billion(field: str, number: int, tmp_path: Path) -> None:
    values = (np.arange(40) % 4).astype(np.uint64 if number >= 2**63 else np.int64)
    values[7] = number
    with little(), pytest.raises(DataError, match=r"data\."):
        liked(tmp_path / "a.npz", **{field: values}).load()


ROWS = ("user", "item", "rating", "train_idx", "valid_idx", "test_idx")


@pytest.mark.parametrize("field", ROWS)
@pytest.mark.parametrize("value", [np.array(1), np.array("a"), np.array([[1]]), np.array(["a"] * 40), np.array([])])
def test_arrays_of_another_rank(field: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\."):
        liked(tmp_path / "a.npz", **{field: value}).load()


@pytest.mark.parametrize("field", ["x_train", "y_train", "x_test", "y_test", "class_names", "g"])
@pytest.mark.parametrize("value", [np.array(1), np.array("a"), np.zeros((20, 0)), np.zeros((0, 4, 4))])
def test_images_and_labels_of_another_rank(field: str, value: Any, tmp_path: Path) -> None:
    path = npz(tmp_path / "a.npz", **{"g": Y, field: value})
    with pytest.raises(DataError, match=r"data\."):
        Npz(str(path), groups="g").load()


@pytest.mark.parametrize("field", ["samples", "offsets", "labels", "class_names", "rate", "split", "g"])
@pytest.mark.parametrize("value", [np.array(1), np.array("a"), np.zeros((20, 0)), np.array([1j] * 20), np.array([])])
def test_sounds_of_another_rank(field: str, value: Any, tmp_path: Path) -> None:
    arrays = {"samples": np.ones(2000, np.int16), "offsets": np.arange(21) * 100, "labels": Y, "rate": np.array(8000)}
    arrays |= {"class_names": np.array(["a", "b"]), "split": np.arange(20) % 3, "g": np.arange(20)}
    np.savez(tmp_path / "a.npz", **{**arrays, field: value})
    with pytest.raises(DataError, match=r"data\."):
        Audio(str(tmp_path / "a.npz"), rate=8000, length=100, split="split", groups="g").load()


COUNT = 2**17


def test_many_empty_clips_take_no_room(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {
        "samples": np.ones(100, np.int16),
        "offsets": np.zeros(COUNT, np.int64),
        "labels": np.zeros(COUNT - 1, np.int64),
    }
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    with little(), pytest.raises(DataError, match="an empty clip"):
        Audio(str(tmp_path / "a.npz"), length=10_000_000).load()
    arrays |= {"samples": np.ones(COUNT, np.int16), "offsets": np.arange(COUNT)}
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    with little(), pytest.raises(DataError, match="more than likely is meant"):
        Audio(str(tmp_path / "a.npz"), length=10_000_000).load()


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**16), st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=4))
def test_damaged_archives(cut: int, changes: list[tuple[int, int]]) -> None:
    data = bytearray(WHOLE)
    for place, value in changes:
        data[place % len(data)] = value
    file = Path(os.environ["EDGEKD_CACHE"] + ".npz")
    file.write_bytes(data[: len(data) - cut % len(data)] if cut % 3 == 0 else data)
    try:
        Npz(str(file)).load()
    except DataError as err:
        assert str(err).startswith("data.")


def _whole() -> bytes:
    file = io.BytesIO()
    np.savez(file, x_train=X, y_train=Y, x_test=X, y_test=Y)
    return file.getvalue()


WHOLE = _whole()


# Pictures.
def saved(kind: str, size: tuple[int, int] = (9, 7), mode: str = "RGB", **how: Any) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size).save(file, kind, **how)
    return file.getvalue()


def png(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def bmp(width: int, height: int) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 14 + len(info) + 10, 0, 0, 14 + len(info)) + info + bytes(10)


BOMBS = {
    "png, just above": png(8193, 8192),
    "png, of which Pillow warns": png(10_000, 10_000),
    "png, which Pillow refuses": png(40_000, 40_000),
    "png, all that goes": png(2**31 - 1, 2**31 - 1),
    "ppm": b"P6 60000 60000 255\n",
    "pgm": b"P5 9000 9000 255\n",
    "pbm": b"P4 1000000 1000000\n",
    "bmp": bmp(60_000, 60_000),
    "gif": b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0)
    + b"," + struct.pack("<HHHHB", 0, 0, 65_535, 65_535, 0) + b"\x02\x02L\x01\0;",
}  # fmt: skip


@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS)
def test_a_picture_is_refused_before_it_is_decoded(data: bytes, recwarn: pytest.WarningsRecorder) -> None:
    with little(), pytest.raises(DataError, match=r"^here: .*(pixels|can't be decoded)"):
        _encoded.open_image(data, "here")
    assert not recwarn.list


def test_more_pixels_where_the_environment_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = saved("PNG", (200, 100), "L")
    monkeypatch.setenv("EDGEKD_MOST_PIXELS", "19999")
    with pytest.raises(DataError, match="found 20000; allowed: at most 19,999 pixels; EDGEKD_MOST_PIXELS"):
        _encoded.open_image(picture, "here")
    monkeypatch.setenv("EDGEKD_MOST_PIXELS", "20000")
    assert _encoded.open_image(picture, "here").shape == (100, 200, 1)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert _encoded.open_image(picture, "here").shape == (100, 200, 1)


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n(pwned) (w) file closefile\nshowpage\n%%EOF\n"
DDS = b"DDS " + struct.pack("<IIIIIII", 124, 0x1007, 4, 4, 0, 0, 0) + bytes(44) + struct.pack("<II4s", 32, 4, b"ABCD")
OTHERS = {
    "EPS": EPS,
    "EPS in a file of DOS": b"\xc5\xd0\xd3\xc6" + struct.pack("<II", 32, len(EPS)) + bytes(20) + EPS,
    "DDS": DDS + bytes(100),
    "PSD": b"8BPS\0\x01" + bytes(6) + struct.pack(">HIIHH", 3, 4, 4, 8, 3) + bytes(40),
    "TGA": saved("TGA"),
    "ICO": saved("ICO", (16, 16)),
    "ICNS": b"icns" + struct.pack(">I", 100) + bytes(92),
    "PCX": saved("PCX"),
    "SGI": saved("SGI"),
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(100),
    "XBM": b"#define a_width 8\n#define a_height 8\nstatic char a_bits[] = {0};",
    "XPM": b'/* XPM */\nstatic char *a[] = {"1 1 1 1", "a c #000000", "a"};',
    "FITS": b"SIMPLE  =                    T" + bytes(2880),
    "WMF": b"\xd7\xcd\xc6\x9a\0\0" + bytes(100),
    "MPEG": b"\0\0\x01\xb3" + bytes(20),
    "PDF": b"%PDF-1.4\n",
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "nothing": b"",
    "a text": b"hello",
}


@pytest.mark.parametrize("data", OTHERS.values(), ids=OTHERS)
def test_other_kinds_of_pictures_start_nothing(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: Any, **kwargs: Any) -> None:
        raise AssertionError(args)

    for name in ("Popen", "run", "check_call", "call"):
        monkeypatch.setattr(f"subprocess.{name}", never)
    monkeypatch.setattr("shutil.which", never)
    with pytest.raises(DataError, match="here: can't be decoded"):
        _encoded.open_image(data, "here")


KINDS = {
    "PNG": saved("PNG"), "PNG of 16 bits": saved("PNG", mode="I;16"), "PNG of colours": saved("PNG", mode="P"),
    "JPEG": saved("JPEG"), "GIF": saved("GIF"), "TIFF": saved("TIFF"),
    "TIFF, packed": saved("TIFF", compression="tiff_lzw"),
    "BMP": saved("BMP"), "WEBP": saved("WEBP"), "PPM": saved("PPM"), "several": saved("MPO"),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_the_kinds_that_are_read(kind: str) -> None:
    assert _encoded.open_image(KINDS[kind], "here", mode="RGB").shape == (7, 9, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_pictures(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Cut off anywhere, and with bytes of headers changed: a picture, or a DataError that names it; no other word."""
    data, rng = KINDS[kind], np.random.default_rng(0)
    cuts = [data[: int(count)] for count in np.linspace(0, len(data) - 1, 25)]
    for _ in range(75):
        bad = bytearray(data)
        for place in rng.integers(0, min(len(data), 200), rng.integers(1, 4)):
            bad[place] = rng.choice([0, 1, 127, 128, 255, *rng.integers(0, 256, 3)])
        cuts.append(bytes(bad))
    with little():
        for bad_data in cuts:
            try:
                assert _encoded.open_image(bad_data, "here").size <= 4 * limits.MOST["pixels"]
            except DataError as err:
                assert str(err).startswith("here: ")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("how", [{}, {"compression": "jpeg"}])
def test_what_is_read_of_a_damaged_picture_is_noted(how: dict[str, Any], capfd: pytest.CaptureFixture[str]) -> None:
    """Pillow warns of some, of others libtiff writes to stderr itself."""
    picture, seen = saved("TIFF", **how), _encoded.Seen()
    for at in range(8, 110):
        with suppress(DataError):
            _encoded.open_image(picture[:at] + b"\xff" + picture[at + 1 :], "here", seen=seen)
    assert 0 < seen.damaged < seen.pictures
    assert f"{seen.damaged} of {seen.pictures} pictures are damaged in places" in " ".join(seen.notes())
    assert capfd.readouterr().err == ""


def test_pictures_of_an_archive_and_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.frombuffer(png(40_000, 40_000) * 20, np.uint8)
    offsets = np.arange(21) * (len(data) // 20)
    np.savez(
        tmp_path / "a.npz", train_bytes=data, train_off=offsets, y_train=Y, test_bytes=data, test_off=offsets, y_test=Y
    )
    source = Npz(str(tmp_path / "a.npz"), x_train="train_bytes", x_test="test_bytes", offsets="off")
    with little(), pytest.raises(DataError, match="image 0: more pixels"):
        source.load()
    for i, name in enumerate(("cat", "dog")):
        (tmp_path / "f" / name).mkdir(parents=True)
        (tmp_path / "f" / name / f"{i}.png").write_bytes(saved("PNG"))
    os.mkfifo(tmp_path / "f" / "cat" / "a.png")
    for door in (Imagefolder(str(tmp_path / "f")).load, Imagefolder(str(tmp_path / "f")).fingerprint):
        with pytest.raises(DataError, match=r"cat/a.png: not a regular file"):
            door()
    (tmp_path / "f" / "cat" / "a.png").unlink()
    (tmp_path / "f" / "cat" / "a.png").symlink_to("/dev/zero")
    with pytest.raises(DataError, match="not a regular file"):
        Imagefolder(str(tmp_path / "f")).load()
    (tmp_path / "f" / "cat" / "a.png").unlink()
    (tmp_path / "f" / "cat" / "a.png").touch()
    os.truncate(tmp_path / "f" / "cat" / "a.png", 2**40)
    for door in (Imagefolder(str(tmp_path / "f")).load, Imagefolder(str(tmp_path / "f")).fingerprint):
        with little(), pytest.raises(DataError, match="a file larger than likely is meant"):
            door()


# Sounds.
def wav(channels: int = 1, width: int = 2, rate: int = 8000, frames: bytes = bytes(200)) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as made:
        made.setnchannels(channels)
        made.setsampwidth(width)
        made.setframerate(rate)
        made.writeframes(frames)
    return file.getvalue()


GOOD = wav()
WAVS = {
    "8 bits": wav(width=1),
    "24 bits": wav(width=3, frames=bytes(300)),
    "two channels": wav(channels=2),
    "another rate": wav(rate=44_100),
    "no channels": GOOD[:22] + b"\0\0" + GOOD[24:],
    "65,535 channels": GOOD[:22] + b"\xff\xff" + GOOD[24:],
    "no bits": GOOD[:34] + b"\0\0" + GOOD[36:],
    "floats": GOOD[:20] + b"\x03\0" + GOOD[22:],
    "4 GB announced": GOOD[:4] + b"\xff\xff\xff\xff" + GOOD[8:40] + b"\xff\xff\xff\xff" + GOOD[44:],
    "half": GOOD[:100],
    "the head": GOOD[:44][:30],
    "no data": GOOD[:36],
    "big-endian": b"RIFX" + GOOD[4:],
    "64 bits": b"RF64" + GOOD[4:],
    "nothing": b"",
    "a text": b"hello",
    "a chunk below zero": GOOD[:16] + b"\xff\xff\xff\xff" + GOOD[20:],
}


@pytest.mark.parametrize("data", WAVS.values(), ids=WAVS)
def test_sounds_of_another_kind(data: bytes) -> None:
    with little(MB), pytest.raises(DataError, match=r"^here: "):
        read_wav(data, 8000, "here")


def test_damaged_sounds() -> None:
    rng = np.random.default_rng(0)
    for _ in range(500):
        bad = bytearray(GOOD[: int(rng.integers(0, len(GOOD) + 1))])
        for place in rng.integers(0, max(1, len(bad)), 3 if bad else 0):
            bad[place % 44 if place < len(bad) else 0] = rng.integers(0, 256)
        try:
            assert len(read_wav(bytes(bad), 8000, "here")) <= 100
        except DataError as err:
            assert str(err).startswith("here: ")


# Texts.
WORDS = Vocabulary(
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh", *(f"##{c}" for c in "abcdefgh"), "中", "."]
)


def tsv(path: Path, data: bytes) -> Text:
    path.write_bytes(data)
    return Text(str(path), validation=0.2, test=0.2)


LINES = b"sentence\tlabel\n" + b"".join(b"a text %d\t%d\n" % (i, i % 2) for i in range(40))
TSVS = {
    "a NUL": LINES + b"a\0b\t1\n",
    "NULs alone": bytes(1000),
    "UTF-16": LINES.decode().encode("utf-16"),
    "Latin": LINES + b"caf\xe9\t1\n",
    "surrogates": LINES + b"\xed\xa0\x80\t1\n",
    "another number of columns": LINES + b"a\n",
    "nothing": b"",
    "100,000 columns": b"\t".join(b"%d" % i for i in range(10**5)) + b"\n",
}


@pytest.mark.parametrize("data", TSVS.values(), ids=TSVS)
@pytest.mark.parametrize("ending", [".tsv", ".tsv.gz"])
def test_texts_that_are_none(data: bytes, ending: str, tmp_path: Path) -> None:
    source = tsv(tmp_path / f"a{ending}", gzip.compress(data) if ending.endswith("gz") else data)
    with pytest.raises(DataError, match=f"data.path: a{ending}") as caught:
        source.load()
    assert len(str(caught.value)) < 10_000


GZIP = gzip.compress(LINES)
GZIPS = {
    "cut off": GZIP[:-9],
    "another sum": GZIP[:-8] + bytes(8),
    "rubbish behind": GZIP + b"rubbish",
    "rubbish inside": GZIP[:20] + b"\xff" * 20 + GZIP[40:],
    "no gzip": LINES,
    "its head": GZIP[:5],
    "another method": GZIP[:2] + b"\x07" + GZIP[3:],
}


@pytest.mark.parametrize("data", GZIPS.values(), ids=GZIPS)
def test_damaged_gzip(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data.path: a.tsv.gz: can't be read"):
        tsv(tmp_path / "a.tsv.gz", data).load()


@pytest.mark.parametrize("members", [1, 20])
def test_a_gzip_bomb_is_counted_and_not_kept(members: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SMALL", 8 * MB)
    bomb = gzip.compress(bytes(20 * MB // members)) * members
    source = tsv(tmp_path / "a.tsv.gz", gzip.compress(LINES) + bomb)
    with little(6 * MB), pytest.raises(DataError, match=r"unpacks to more than likely is meant.*EDGEKD_MOST_BYTES"):
        source.load()


def test_sparse_texts_and_devices(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").touch()
    os.truncate(tmp_path / "a.tsv", 2**40)
    with little(MB), pytest.raises(DataError, match="a file larger than likely is meant"):
        Text(str(tmp_path / "a.tsv")).load()
    os.mkfifo(tmp_path / "b.tsv")
    for path in (tmp_path / "b.tsv", Path("/dev/zero")):
        with pytest.raises(DataError, match="no such file or folder"):
            Text(str(path)).load()


LONG = {
    "different words": " ".join(map(str, range(300_000))),
    "ideographs": "中" * 2_000_000,
    "punctuation": "." * 2_000_000,
    "one word": "a" * 5_000_000,
    "one word of accents": "á" * 500_000,
    "accents": "a" + "\u0301" * 500_000,
    "spaces": " " * 1_000_000 + "a",
    "controls": "\u200b" * 500_000,
    "special tokens": "[SEP]" * 500_000,
    "almost special tokens": "[SE" * 500_000,
    "half surrogates": "\ud800" * 2_000_000,
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_a_long_text_is_read_as_far_as_the_student_does(text: str) -> None:
    looked = Looked(text)
    ids, _ = WORDS.encode([looked], 64, True)
    assert len(ids[0]) <= 64
    assert sum(looked.pieces) <= wordpiece.CHARACTERS + 2 * wordpiece.PIECE
    if "word" not in text[:5] and text[0] in "0中.[":
        assert sum(looked.pieces) <= 3 * wordpiece.PIECE


class Looked(str):
    """A text that counts how much of it is taken."""

    pieces: list[int]

    def __new__(cls, text: str) -> Looked:
        made = super().__new__(cls, text)
        made.pieces = []
        return made

    def __getitem__(self, part: Any) -> str:
        taken = super().__getitem__(part)
        if isinstance(part, slice) and part.start is None:  # of a text that is too long
            shorter = Looked(taken)
            shorter.pieces = self.pieces
            return shorter
        if isinstance(part, slice):
            self.pieces.append(len(taken))
        return taken


PARTS = [*"abc ", "[SEP]", "[MASK]", "[", "\u0301", "\u0344", "\u0f73", "가", "中", "é", "\0"]


@settings(deadline=None)
@given(st.lists(st.one_of(st.characters(), st.sampled_from(PARTS))), st.booleans(), st.integers(1, 12))
def test_a_text_in_pieces_has_the_same_tokens(parts: list[str], lower: bool, piece: int) -> None:
    text = "".join(parts)
    whole = WORDS.tokens(text, lower)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wordpiece, "PIECE", piece)
        assert WORDS.tokens(text, lower) == whole
        for most in (0, 1, 2, len(whole)):
            assert WORDS.tokens(text, lower, most) == whole[:most]


def test_a_vocabulary_of_millions_and_a_word_of_megabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TOKENS", 1000)
    tokens = [*WORDS, *map(str, range(10_000))]
    (tmp_path / "vocab.txt").write_text("\n".join(tokens))
    with pytest.raises(DataError, match=r"vocab.txt: can't be read .more than 1,000 tokens"):
        _vocabulary.read(str(tmp_path), True)
    with pytest.raises(ValueError, match="more than 1,000 tokens"):
        Vocabulary(map(str, iter(int, 1)))  # without end
    (tmp_path / "vocab.txt").unlink()
    table = {"model": {"type": "WordPiece", "vocab": {token: i for i, token in enumerate(tokens)}}}
    (tmp_path / "tokenizer.json").write_text(json.dumps(table))
    with pytest.raises(DataError, match="too many tokens"):
        _vocabulary.read(str(tmp_path), True)
    learned = _vocabulary.learned(["a b a b", "ab" * 200_000, "ab ab"], 100, True)
    assert "ab" in learned


TOKENIZERS = {
    "5,000 digits": '{"model": ' + "1" * 5000 + "}",
    "5,000 deep": '{"model": ' * 5000 + "1" + "}" * 5000,
    "100,000 deep": "[" * 100_000,
    "no table": "[]",
    "a number": "1",
    "no text": "\udcff\udcfe",
    "a normalizer of texts": json.dumps({"model": {"type": "WordPiece", "vocab": {"a": 0}}, "normalizer": "x"}),
    "numbers that are texts": json.dumps({"model": {"type": "WordPiece", "vocab": {"a": "0"}}}),
    "numbers twice": json.dumps({"model": {"type": "WordPiece", "vocab": {"a": 0, "b": 0}}}),
}


@pytest.mark.parametrize("text", TOKENIZERS.values(), ids=TOKENIZERS)
def test_tokenizers_that_are_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(DataError, match=r"data.tokenizer: tokenizer.json"):
        _vocabulary.read(str(tmp_path), True)


# Tables.
TABLES = {
    "5,000 digits": "a = " + "1" * 5000,
    "5,000 digits in hexadecimal": "a = 0x" + "f" * 5000,
    "65 bits": "a = 0x1ffffffffffffffff",
    "deep lists": "a = " + "[" * 5000 + "]" * 5000,
    "deep tables": "a = " + "{a = " * 5000 + "1" + "}" * 5000,
    "deep names": ".".join("a" * 5000) + " = 1",
    "a deep section": f"[{'.'.join('a' * 5000)}]",
    "deep and even": "a = " + "[" * 80 + "]" * 80,
    "Latin": "a = 'caf\udce9'",
    "NUL": "a = '\0'",
}


@pytest.mark.parametrize("text", TABLES.values(), ids=TABLES)
def test_tables_without_end(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "devices.toml"
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(RecipeError, match=r"devices\.toml: "):
        toml_files.read(file, RecipeError)
    monkeypatch.setenv("EDGEKD_DEVICES", str(file))
    with pytest.raises(UsageError, match=r"devices\.toml: "):
        find("pi")


@pytest.mark.parametrize("text", ["1" * 5000, "0x" + "f" * 5000, "[" * 5000 + "]" * 5000, "[" * 80 + "]" * 80])
def test_settings_without_end(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--set: "):
        recipe._apply({}, f"seed={text}")
    with pytest.raises(UsageError, match=r"^--set: "):
        recipe._apply({}, f"{'.'.join('a' * 5000)}=1")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"weight_map": ' + "1" * 5000 + "}", "[]", '{"weight_map": [1]}', ""])
def test_an_index_of_shards_that_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.index.json").write_text(text)
    with pytest.raises(RecipeError):
        shards(tmp_path / "a.index.json")


# What a bundle says of its samples.
def resized(tmp_path: Path, ops: Any, shape: list[int], batch: int = 1) -> Path:
    (tmp_path / "bundle").mkdir()
    table = json.loads((GOLDEN / "manifest.json").read_text())
    about = table["additional_metadata"]["edgekd"]
    about["preprocess"], about["sample_shape"] = ops, shape
    for variant in table["components"]["student"]["variants"].values():
        variant["executor_info"]["edgekd"]["batch"] = batch
    (tmp_path / "bundle" / "manifest.json").write_bytes(bundles.canonical(table))
    return tmp_path / "bundle"


def resize(height: int, width: int) -> dict[str, Any]:
    return {"op": "resize", "height": height, "width": width}


READS = {"op": "wordpiece", "vocabulary": "recipe.json", "length": 9, "lower": True}
ROOMS: dict[str, tuple[Any, list[int], int]] = {
    "65,536 x 65,536": ([resize(65_536, 65_536)], [8, 8, 1], 1),
    "8,193 x 8,192": ([resize(8193, 8192)], [8, 8, 1], 1),
    "many channels": ([resize(8192, 8192)], [1, 1, 2**20], 1),
    "twice": ([resize(4, 4), resize(65_536, 4096)], [8, 8, 1], 1),
    "a large sample": ([], [2**30], 1),
    "larger than any": ([], [2**31 - 1] * 20, 1),
    "a batch of a billion": ([], [8, 8, 1], 2**30),
    "a large batch of large samples": ([], [1024, 1024, 3], 65_536),
    "a large batch of resized ones": ([resize(4096, 4096)], [8, 8, 1], 64),
    "100,000 ops": ([{"op": "edges"}] * 100_000, [8, 8, 1], 1),
    "1,000 vocabularies": ([READS] * 1000, [8], 1),
    "columns without end": ([{"op": "columns", "names": ["a"], "sizes": [2**62], "widths": [10**4000]}], [8], 1),
}  # fmt: skip


@pytest.mark.parametrize(("ops", "shape", "batch"), ROOMS.values(), ids=ROOMS)
def test_a_bundle_of_samples_that_no_machine_holds(ops: Any, shape: list[int], batch: int, tmp_path: Path) -> None:
    folder = resized(tmp_path, ops, shape, batch)
    with little(), pytest.raises(IntegrityError):
        bundles.read(folder)


def test_a_bundle_of_usual_samples(tmp_path: Path) -> None:
    assert bundles.read(resized(tmp_path, [resize(224, 224), {"op": "layout"}], [480, 640, 3], 64)).variants


def test_a_recipe_is_told_before_anything_is_made() -> None:
    with pytest.raises(RecipeError, match=r"preprocess\[0\]: larger than likely is meant; found '65536 x 65536'"):
        preprocess.check([resize(65_536, 65_536)], "preprocess")


def test_pictures_are_opened_in_one_place() -> None:
    """By what says which kinds are read, and how large they may be."""
    found = {
        (path.name, ast.unparse(call))
        for path in Path(limits.__file__).parents[1].rglob("*.py")
        if "Image.open" in path.read_text()
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("Image.open")
    }
    assert found == {("_encoded.py", "Image.open(io.BytesIO(data), formats=FORMATS)")}
