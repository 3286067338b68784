"""A user's data, which somebody else may have made: arrays in zip files, sounds, pictures."""

from __future__ import annotations

import random
import zlib
from typing import Any
from unittest import mock

from edgekd.base import limits
from edgekd.learn.data import _encoded
from edgekd.learn.data._clips import read_wav
from edgekd.learn.data.audio import Audio
from edgekd.learn.data.interactions import Interactions
from edgekd.learn.data.npz import Npz
from fuzzing import _mutate, harness, room

PIXELS = 1 << 14  # of a picture here: decoding a large one is slow, and nothing else


def _file(name: str, data: bytes) -> str:
    path = room("data") / name
    path.write_bytes(data)
    return str(path)


def _sound(found: Any) -> None:
    """Every split has samples, and every label a class."""
    for split in found.splits.values():
        assert len(split) and (split.y is None or 0 <= split.y.min() <= split.y.max() < len(found.classes))


@harness(_mutate.of_zip, most=8192)
def npz(data: bytes) -> None:
    """Pictures in an .npz: as they are, or encoded where it has offsets."""
    told: dict[str, Any] = {"groups": "groups" if b"groups.npy" in data else ""}
    if b"train_offsets.npy" in data:
        told |= {"x_train": "train_bytes", "x_test": "test_bytes", "offsets": "offsets"}
    with mock.patch.dict(limits.MOST, pixels=PIXELS):
        _sound(Npz(_file("x.npz", data), validation=0.4, **told).load())


@harness(_mutate.of_zip, most=8192)
def npz_sounds(data: bytes) -> None:
    """Clips in an .npz."""
    split = "split" if b"split.npy" in data else ""
    _sound(Audio(_file("x.npz", data), rate=8000, length=20, split=split, validation=0.3, test=0.3).load())


@harness(_mutate.of_zip, most=8192)
def interactions(data: bytes) -> None:
    """Who liked what."""
    names = "names" if b"names.npy" in data else ""
    _sound(Interactions(_file("x.npz", data), history=3, names=names).load())


@harness(most=2048)
def wav(data: bytes) -> None:
    """A sound."""
    clip = read_wav(data, 8000, "a.wav")
    assert clip.ndim == 1 and 2 * len(clip) <= len(data)


def _of_picture(data: bytes, rng: random.Random) -> bytes:
    """A PNG's chunk changed, its sum made right; of other kinds bytes."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n") or not rng.randrange(6):
        return _mutate.of_bytes(data, rng)
    chunks, at = [], 8
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    i = rng.randrange(len(chunks) or 1)
    match rng.randrange(5):
        case _ if not chunks:
            return _mutate.of_bytes(data, rng)
        case 0:
            del chunks[i]
        case 1:
            chunks.insert(rng.randrange(len(chunks)), chunks[i])
        case 2 if chunks[i][0] == b"IDAT":
            try:
                chunks[i] = (b"IDAT", zlib.compress(_mutate.of_bytes(zlib.decompress(chunks[i][1]), rng)))
            except zlib.error:
                return _mutate.of_bytes(data, rng)
        case _:
            chunks[i] = (chunks[i][0], _mutate.of_bytes(chunks[i][1], rng))
    made = [len(held).to_bytes(4, "big") + kind + held + zlib.crc32(kind + held).to_bytes(4, "big")
            for kind, held in chunks]  # fmt: skip
    return data[:8] + b"".join(made)


@harness(_of_picture)
def picture(data: bytes) -> None:
    """A picture of any kind that is read."""
    seen = _encoded.Seen()
    with mock.patch.dict(limits.MOST, pixels=PIXELS):
        found = _encoded.open_image(data, "a.png", seen=seen)
        assert found.ndim == 3 and found.shape[2] in (1, 3)
        assert _encoded.open_image(data, "a.png", (4, 5), "L").shape == (4, 5, 1)
    list(seen.notes())
