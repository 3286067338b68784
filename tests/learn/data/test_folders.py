"""Folders of pictures and sounds: what is a split, a class, or neither; pictures as a person sees them."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgekd.base.errors import DataError
from edgekd.learn.data._encoded import Seen, open_image
from edgekd.learn.data.imagefolder import Imagefolder

RNG = np.random.default_rng(5)


def fill(folder: Path, count: int = 6, ending: str = "png") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.fromarray(RNG.integers(0, 256, (5, 4, 3), dtype=np.uint8)).save(folder / f"{i}.{ending}")
    return folder


def layout(root: Path, *splits: str, classes: tuple[str, ...] = ("ant", "bee")) -> Path:
    for split in splits or (".",):
        for name in classes:
            fill(root / split / name)
    return root


@pytest.mark.parametrize(
    ("splits", "sizes"),
    [
        (("Train", "TEST"), [11, 1, 12]),
        (("training", "valid", "testing"), [12, 12, 12]),
        (("train", "Val"), [11, 12, 1]),
        (("train", "validation", "test"), [12, 12, 12]),
    ],
)
def test_folders_of_splits_in_whatever_case(tmp_path: Path, splits: tuple[str, ...], sizes: list[int]) -> None:
    data = Imagefolder(str(layout(tmp_path, *splits)), validation=1, test=1).load()
    assert data.classes == ("ant", "bee") and [len(split) for split in data.splits.values()] == sizes
    assert len([note for note in data.notes if "were carved off" in note]) == sizes.count(1)


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (("train", "Training"), "two folders for one split"),
        (("train", "val", "valid"), "two folders for one split"),
        (("test", "val"), "none for training"),
        (("train", "cars"), r"the training split or a class; found \['train', 'cars'\]"),
    ],
)
def test_folders_that_may_mean_two_things(tmp_path: Path, splits: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Imagefolder(str(layout(tmp_path, *splits))).load()


def test_a_class_may_be_called_train_and_folders_may_lie_beside_the_splits(tmp_path: Path) -> None:
    assert Imagefolder(str(layout(tmp_path / "a", classes=("bus", "car", "train")))).load().classes[2] == "train"
    layout(tmp_path / "b", "train", "test", "unlabelled")
    assert "no class folder: 1 folder unlabelled" in " ".join(Imagefolder(str(tmp_path / "b")).load().notes)
    fill(tmp_path / "c" / "test")
    with pytest.raises(DataError, match=r"\(test\): test: an empty split; found 'outside of class folders: 6 \.png in"):
        Imagefolder(str(layout(tmp_path / "c", "train"))).load()


def test_what_is_hidden_or_not_read_is_counted_and_is_no_class(tmp_path: Path) -> None:
    root = layout(tmp_path, "train", "test")
    source = Imagefolder(str(root))
    before = source.fingerprint()
    for place in ("__MACOSX/train", ".git", "train/.ipynb_checkpoints", "train/ant/.ipynb_checkpoints", "test/@eaDir"):
        fill(root / place)
    for name in ("train/.DS_Store", "train/ant/._0.png", "train/ant/._1.png", "train/ant/Thumbs.db"):
        (root / name).write_bytes(b"no picture")
    assert source.fingerprint() == before
    (root / "train" / "bee" / "list.txt").write_text("a")
    (root / "train" / "bee" / "9.HEIC").write_bytes(b"a")
    fill(root / "train", 2)
    data = source.load()
    assert data.classes == ("ant", "bee") and len(data.train) + len(data.validation) == 12
    hidden, endings, astray = data.notes[1:4]
    assert "2 ._*, 2 .ipynb_checkpoints, 1 .DS_Store, 1 .git, 1 @eaDir, 1 Thumbs.db, 1 __MACOSX" in hidden
    assert "1 .heic, 1 .txt" in endings and "2 .png in train" in astray


def test_an_empty_folder_is_a_class_and_changes_the_fingerprint(tmp_path: Path) -> None:
    source = Imagefolder(str(layout(tmp_path, "train", "test")))
    before = source.fingerprint()
    (tmp_path / "train" / "cow").mkdir()
    assert source.fingerprint() != before
    with pytest.raises(DataError, match="train/cow: a class without a training sample; found 'an empty folder'"):
        source.load()
    (tmp_path / "train" / "cow" / "1.heic").write_bytes(b"a")
    with pytest.raises(DataError, match=r"train/cow: .*other endings: 1 \.heic"):
        source.load()


@pytest.mark.parametrize("linked", ["train", "train/ant", "train/ant/0.png", "train/ant/more"])
def test_what_lies_behind_a_link_counts(tmp_path: Path, linked: str) -> None:
    root, real = layout(tmp_path / "data", "train"), tmp_path / "real"
    fill(root / "train" / "ant" / "more")
    (root / linked).rename(real)
    (root / linked).symlink_to(real)
    source = Imagefolder(str(root))
    before, data = source.fingerprint(), source.load()
    assert sum(map(len, data.splits.values())) == 18
    picture = real if real.is_file() else next(real.rglob("1.png"))
    Image.fromarray(np.full((5, 4, 3), 9, np.uint8)).save(picture, "png")
    assert source.fingerprint() != before


def test_links_that_lead_nowhere_or_back(tmp_path: Path) -> None:
    source = Imagefolder(str(layout(tmp_path, "train")))
    (tmp_path / "train" / "ant" / "all").symlink_to(tmp_path)
    for read in (source.fingerprint, source.load):
        with pytest.raises(DataError, match="a link to a folder that it lies in"):
            read()
    (tmp_path / "train" / "ant" / "all").unlink()
    (tmp_path / "train" / "eel").symlink_to(tmp_path / "none")
    with pytest.raises(DataError, match="train/eel: a link that leads nowhere"):
        source.load()


def test_pictures_of_one_group_are_carved_together(tmp_path: Path) -> None:
    for name, level in (("ant", 0), ("bee", 100)):
        (tmp_path / name).mkdir()
        for i in range(20):
            picture = Image.fromarray(np.full((5, 4, 3), level + i // 5, np.uint8))
            picture.save(tmp_path / name / f"patient{i // 5}_{i}.png")
    data = Imagefolder(str(tmp_path), groups="_", validation=10, test=10).load()
    levels = [set((split.x[:, 0, 0, 0] % 100).tolist()) for split in data.splits.values()]
    assert len(set.union(*levels)) == sum(map(len, levels)) == 4
    assert "in whole groups of what stands before '_' in a file's name" in data.notes[0] and len(data.notes) == 2
    (tmp_path / "ant" / "patient0_0.png").rename(tmp_path / "ant" / "alone.png")
    told = "1 of 40 training files don't have '_' in their name (alone.png): each is a group of its own"
    assert told in Imagefolder(str(tmp_path), groups="_").load().notes
    with pytest.raises(DataError, match=r"data\.groups: in no file's name; found '-'; allowed: as in alone\.png"):
        Imagefolder(str(tmp_path), groups="-").load()


def test_a_split_that_was_not_unpacked_is_told(tmp_path: Path) -> None:
    layout(tmp_path, "train")
    for name in ("Test.tar.gz", "val.zip", "train.csv", "read.me"):
        (tmp_path / name).write_bytes(b"")
    told = "left out, as they lie in no class folder: 1 Test.tar.gz, 1 val.zip"
    assert told in Imagefolder(str(tmp_path)).load().notes


def read(picture: Image.Image, path: Path, seen: Seen | None = None, **how: Any) -> list[Any]:
    picture.save(path, **how)
    return open_image(path.read_bytes(), path.name, seen=seen).tolist()


def test_pictures_are_turned_as_their_exif_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: the first row is the right column
    picture = Image.fromarray(np.array([[10, 20, 30], [40, 50, 60]], np.uint8))
    for name in ("a.png", "a.tiff", "a.webp"):
        how: dict[str, Any] = {"lossless": True} if name == "a.webp" else {}
        turned = np.array(read(picture, tmp_path / name, exif=exif, **how))[..., 0]
        assert turned.tolist() == [[40, 10], [50, 20], [60, 30]]


def test_greys_of_16_bits_and_floats_are_scaled_and_never_cut_off(tmp_path: Path) -> None:
    grey = np.array([[0, 257, 25_700, 65_535]])
    wanted = [[[0], [1], [100], [255]]]
    assert read(Image.fromarray(grey.astype(np.uint16)), tmp_path / "a.png") == wanted
    assert read(Image.fromarray(grey.astype(np.uint16)), tmp_path / "a.tif") == wanted
    assert read(Image.fromarray(grey.astype(np.int32)), tmp_path / "b.tif") == wanted
    assert read(Image.fromarray((grey / 65_535).astype(np.float32)), tmp_path / "c.tif") == wanted
    (tmp_path / "d.pgm").write_bytes(b"P5 4 1 65535 " + grey.astype(">u2").tobytes())
    assert open_image((tmp_path / "d.pgm").read_bytes(), "d.pgm").tolist() == wanted
    for odd in (grey - 1, grey * 2, np.array([[0, 128, 255]])):
        with pytest.raises(DataError, match=r"e\.tif: greys that nothing says how to scale"):
            read(Image.fromarray(odd.astype(np.int32)), tmp_path / "e.tif")
    for odd in (grey / 257, grey * np.nan, grey / 65_535 - 0.1):
        with pytest.raises(DataError, match=r"f\.tif: greys that nothing says how to scale"):
            read(Image.fromarray(odd.astype(np.float32)), tmp_path / "f.tif")


def png_16(pixels: np.ndarray, transparent: tuple[int, ...] = ()) -> bytes:
    """(H, W) or (H, W, 3) as a PNG of 16 bits a channel, which Pillow does not write in colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, 2 * (pixels.ndim - 2), 0, 0, 0)
    clear = chunk(b"tRNS", struct.pack(f">{len(transparent)}H", *transparent)) if transparent else b""
    parts = (chunk(b"IHDR", head), clear, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_a_tiff_whose_0_is_white_is_not_inverted(kind: type, tmp_path: Path) -> None:
    """Pillow turns 8 bits over (also when it writes them), and no others."""
    grey = np.array([[0, 257, 25_700, 65_535]])
    scales: dict[type, int] = {np.uint8: 257, np.uint16: 1, np.float32: 65_535}
    scale = scales[kind]
    picture = Image.fromarray((grey / scale).astype(kind))
    upright = [[[0], [1], [100], [255]]]
    assert read(picture, tmp_path / "a.tif") == upright
    wanted = upright if kind is np.uint8 else [[[255], [254], [155], [0]]]
    assert read(picture, tmp_path / "b.tif", tiffinfo={262: 0}) == wanted


def test_a_transparent_colour_of_16_bits_lies_on_white() -> None:
    grey, seen = np.array([[0, 25_700, 51_400]]), Seen()
    assert open_image(png_16(grey, (25_700,)), "a.png", seen=seen).tolist() == [[[0], [255], [200]]]
    colour = np.stack([grey, grey, grey + 3], axis=-1)
    found = open_image(png_16(colour, (25_700, 25_700, 25_703)), "b.png", seen=seen)
    assert found.tolist() == [[[0] * 3, [255] * 3, [200] * 3]]
    assert seen.clear == 2 and open_image(png_16(grey), "c.png").tolist() == [[[0], [100], [200]]]


def test_colours_of_16_bits_that_hold_8_are_refused() -> None:
    seen = Seen()
    for top in (255, 200):
        open_image(png_16(np.full((2, 2, 3), top)), "a.png", seen=seen)
    with pytest.raises(DataError, match="all black; found '2 pictures, none above 255'"):
        list(seen.notes())
    open_image(png_16(np.full((2, 2, 3), 4095)), "a.png", seen=seen)
    assert any("3 of 3 pictures have 16 bits and reach 4095" in note for note in seen.notes())
    open_image(png_16(np.full((2, 2, 3), 60_000)), "a.png", seen=seen)
    assert list(seen.notes()) == []


def test_a_set_of_16_bits_that_hold_fewer(tmp_path: Path) -> None:
    def make(top: int) -> Imagefolder:
        for name in ("ant", "bee"):
            (tmp_path / name).mkdir(exist_ok=True)
            for i in range(8):
                greys = RNG.integers(0, top + 1, (5, 4), dtype=np.uint16)
                greys[0, 0] = top
                Image.fromarray(greys).save(tmp_path / name / f"{i}.png")
        return Imagefolder(str(tmp_path), grey=True, validation=2, test=2)

    with pytest.raises(
        DataError, match="16-bit pictures of 8-bit greys: all black; found '16 pictures, none above 255'"
    ):
        make(255).load()
    assert any("16 of 16 pictures have 16 bits and reach 4095 of 65535" in note for note in make(4095).load().notes)
    assert not any("16 bits" in note for note in make(60_000).load().notes)


def test_transparency_lies_on_white_and_palettes_are_their_colours(tmp_path: Path) -> None:
    seen = Seen()
    clear = np.array([[[200, 0, 0, 255], [200, 0, 0, 0], [0, 0, 0, 51]]], np.uint8)
    assert read(Image.fromarray(clear), tmp_path / "a.png", seen) == [[[200, 0, 0], [255, 255, 255], [204, 204, 204]]]
    grey = np.array([[[9, 255], [9, 0]]], np.uint8)
    assert read(Image.fromarray(grey, "LA"), tmp_path / "b.png", seen) == [[[9], [255]]]
    flat = Image.fromarray(np.array([[[1, 2, 3], [200, 100, 50]]], np.uint8)).quantize(2)
    assert sorted(read(flat, tmp_path / "c.png", seen)[0]) == [[1, 2, 3], [200, 100, 50]]
    number = flat.getpixel((0, 0))
    assert read(flat, tmp_path / "d.png", seen, transparency=number) == [[[255, 255, 255], [200, 100, 50]]]
    assert read(Image.fromarray(clear[..., :3]), tmp_path / "e.png", seen, transparency=(200, 0, 0))[0][0] == [255] * 3
    assert list(seen.notes()) == ["4 of 5 pictures are transparent in places: these lie on white"]


@pytest.mark.parametrize("ending", ["gif", "tif", "tiff", "bmp", "webp", "jpeg", "JPG", "ppm", "jfif"])
def test_every_usual_format_is_read_and_of_frames_the_first(tmp_path: Path, ending: str) -> None:
    for name, level in (("ant", 40), ("bee", 200)):
        (tmp_path / name).mkdir()
        frames = [Image.fromarray(np.full((5, 4, 3), value, np.uint8)) for value in (level, 255 - level)]
        more: dict[str, Any] = (
            {"save_all": True, "append_images": frames[1:]} if ending in ("gif", "tif", "tiff", "webp") else {}
        )
        for i in range(4):
            frames[0].save(tmp_path / name / f"{i}.{ending}", **more)
    data = Imagefolder(str(tmp_path), validation=2, test=2).load()
    assert data.train.y is not None and sum(map(len, data.splits.values())) == 8
    means = [data.train.x[data.train.y == label].mean() for label in (0, 1)]
    assert means == pytest.approx([40, 200], abs=2)
    assert any("8 of 8 pictures have several frames: the first is read" in note for note in data.notes) == bool(more)


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    layout(tmp_path)
    good = (tmp_path / "ant" / "1.png").read_bytes()
    for bad in (b"", b"no picture", good[:40], good[:43] + b"\xff\xff" + good[45:]):
        (tmp_path / "ant" / "1.png").write_bytes(bad)
        with pytest.raises(DataError, match=r"\(train\): ant/1\.png: can't be decoded"):
            Imagefolder(str(tmp_path)).load()


@pytest.mark.parametrize("place", ["data", "data/more", "train/data"])
def test_classes_that_lie_a_folder_too_deep_are_told_where(tmp_path: Path, place: str) -> None:
    layout(tmp_path, place)
    with pytest.raises(DataError, match=rf"one class only; .*; the folders in {place} may be the classes"):
        Imagefolder(str(tmp_path)).load()


def test_folders_whose_names_differ_in_case_alone_are_noted(tmp_path: Path) -> None:
    notes = Imagefolder(str(layout(tmp_path, classes=("Ant", "ant")))).load().notes
    assert "names that differ in case or blanks alone are different ones: 'Ant' and 'ant'" in notes
