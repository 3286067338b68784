"""Sounds: what the source reads and refuses, and the log-mel spectrogram inside the graph."""

from __future__ import annotations

import os
import struct
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekd.base import batches, preprocess
from edgekd.base.errors import DataError, RecipeError, UsageError
from edgekd.compress._base import Context
from edgekd.compress.int8_qat import Int8Qat
from edgekd.learn.data._clips import is_wav, read_wav, wav_facts
from edgekd.learn.data.audio import Audio
from edgekd.learn.data.made_audio import MadeAudio
from edgekd.learn.models.keyword_cnn import KeywordCnn
from edgekd.learn.student import Student, TensorSpec
from edgekd.lower.lower import to_onnx
from edgekd.runtime import backend as backends
from edgekd.spec import target

RATE = 8_000


def write(path: Path, samples: np.ndarray, rate: int = RATE, channels: int = 1, width: int = 2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", ""))
        file.writeframes(samples.astype({1: "u1", 2: "<i2"}[width]).tobytes())
    return path


def folder(root: Path, splits: tuple[str, ...] = ("train", "test"), count: int = 10) -> Path:
    for split in splits:
        for label, name in enumerate(("no", "yes")):
            for i in range(count):
                write(root / split / name / f"s{i // 2}_nohash_{i}.wav", np.arange(100) + 1_000 * label + i)
    return root


def test_a_folder_of_wav_files(tmp_path: Path) -> None:
    data = Audio(str(folder(tmp_path)), rate=RATE, length=100, validation=4).load()
    assert data.classes == ("no", "yes") and data.preprocess == ({"op": "scale", "divide": 32768.0},)
    assert [len(split) for split in data.splits.values()] == [16, 4, 20]
    assert data.test.x.dtype == np.int16 and data.test.x[11].tolist() == list(range(1_001, 1_101))


def test_clips_are_cut_in_the_middle_and_padded_at_the_end(tmp_path: Path) -> None:
    place = folder(tmp_path, ("val", "train", "test"))
    data = Audio(str(place), rate=RATE, length=7).load()
    assert data.validation.x[0].tolist() == [46, 47, 48, 49, 50, 51, 52]
    padded = Audio(str(place), rate=RATE, length=103).load().validation.x[0]
    assert padded[:100].tolist() == list(range(100)) and padded[100:].tolist() == [0, 0, 0]


def test_classes_alone_are_carved_and_no_speaker_is_split(tmp_path: Path) -> None:
    root = str(folder(tmp_path, ("train",)) / "train")
    source = Audio(root, rate=RATE, length=100, validation=0.2, test=0.2, groups="_nohash_")
    data = source.load()
    speakers = [set((split.x[:, 0] % 1_000 // 2).tolist()) for split in data.splits.values()]
    assert all(speakers) and sum(map(len, speakers)) == len(set.union(*speakers)) == 5
    before = source.fingerprint()
    write(tmp_path / "train" / "no" / "s0_nohash_0.wav", np.zeros(100))
    assert source.fingerprint() != before


def test_silence_is_a_clip(tmp_path: Path) -> None:
    write(folder(tmp_path) / "train" / "no" / "quiet.wav", np.zeros(100))
    clips = np.asarray(Audio(str(tmp_path), rate=RATE, length=100, validation=1).load().train.x)
    assert not clips.any(axis=1).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate": 44_100}, r"odd\.wav: another sample rate; found '44100 Hz'; allowed: 8000 Hz; resample"),
        ({"channels": 2}, r"odd\.wav: not one channel; found '2 channels'; allowed: mono; ffmpeg -i in\.wav -ac 1"),
        ({"width": 1}, r"odd\.wav: another width of samples; found '8 bits'; .*pcm_s16le out\.wav"),
        ({"samples": np.zeros(0)}, r"odd\.wav: an empty clip"),
        ({"cut": -3}, r"odd\.wav: cut off; found '98 samples'; allowed: 100"),
        ({"cut": 20}, r"odd\.wav: not a wav file"),
        ({"cut": 0}, r"odd\.wav: not a wav file.*ends too soon"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    cut = change.pop("cut", None)
    file = write(folder(tmp_path) / "train" / "no" / "odd.wav", **{"samples": np.zeros(100), **change})
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(DataError, match=message):
        Audio(str(tmp_path), rate=RATE, length=100).load()


@given(at=st.integers(0, 43), value=st.integers(0, 255), cut=st.integers(0, 80))
@settings(max_examples=200, deadline=None)
def test_a_damaged_header_is_told_and_never_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, at: int, value: int, cut: int
) -> None:
    data = bytearray(write(tmp_path_factory.getbasetemp() / "d.wav", np.arange(20)).read_bytes())
    data[at] = value
    try:
        assert read_wav(bytes(data[: cut + 5]), RATE, "d.wav").dtype == np.int16
    except DataError as err:
        assert str(err).startswith("d.wav: ")


def test_what_is_no_file_among_the_clips(tmp_path: Path) -> None:
    source = Audio(str(folder(tmp_path)), rate=RATE, length=100)
    before = source.fingerprint()
    (tmp_path / "train" / "no" / "backup.wav").mkdir()
    assert source.fingerprint() == before and len(source.load().train)
    (tmp_path / "train" / "no" / "gone.wav").symlink_to(tmp_path / "nowhere")
    for read in (source.fingerprint, source.load):
        with pytest.raises(DataError, match=r"no/gone\.wav: a link that leads nowhere"):
            read()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_of_bytes_that_are_no_text(tmp_path: Path) -> None:
    source = Audio(str(folder(tmp_path)), rate=RATE, length=100)
    odd = next((tmp_path / "train" / "no").glob("*.wav"))
    odd.rename(os.fsdecode(os.fsencode(odd.parent) + b"/caf\xe9.wav"))
    source.fingerprint()
    source.load()
    os.rename(tmp_path / "train" / "no", os.fsencode(tmp_path / "train") + b"/caf\xe9")
    with pytest.raises(DataError, match="a name that is not UTF-8"):
        source.load()


def test_folders_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no class folders.*<class>/\*\.wav"):
        Audio(str(tmp_path)).load()
    (folder(tmp_path) / "test" / "perhaps").mkdir()
    with pytest.raises(DataError, match=r"a class that train does not have; found 'perhaps'"):
        Audio(str(tmp_path), rate=RATE).load()
    with pytest.raises(DataError, match="no such file"):
        Audio(str(tmp_path / "none")).fingerprint()
    (tmp_path / "empty" / "no").mkdir(parents=True)
    with pytest.raises(DataError, match="an empty split"):
        Audio(str(tmp_path / "empty")).load()


def arrays() -> dict[str, Any]:
    clips = [np.arange(i, i + 90 + i) for i in range(20)]
    offsets = np.cumsum([0, *map(len, clips)])
    return {"samples": np.concatenate(clips).astype(np.int16), "offsets": offsets, "labels": np.arange(20) % 2}


def save(path: Path, **changed: Any) -> str:
    np.savez(path / "a.npz", **{key: value for key, value in {**arrays(), **changed}.items() if value is not None})
    return str(path / "a.npz")


def test_an_npz_of_clips(tmp_path: Path) -> None:
    path = save(tmp_path, class_names=["no", "yes"], rate=RATE, part=np.arange(20) % 3, who=np.arange(20) // 4)
    data = Audio(path, rate=RATE, length=92, split="part", limit=5).load()
    assert [len(split) for split in data.splits.values()] == [5, 7, 6] and data.classes == ("no", "yes")
    assert data.train.x[0].tolist() == [*range(90), 0, 0], "clip 0"
    assert data.train.x[2].tolist() == list(range(8, 100)), "the middle of clip 6, which has 96"
    carved = Audio(path, rate=RATE, length=1, groups="who", validation=4, test=4).load()
    members = [set((split.x[:, 0].astype(int) // 5).tolist()) for split in carved.splits.values()]
    assert all(members), "three splits"
    assert len(Audio(save(tmp_path, labels=None, class_names=["a", "b"]), rate=RATE, labels="").load().classes) == 2


@pytest.mark.parametrize(
    ("changed", "fields", "message"),
    [
        ({"rate": 16_000}, {}, "data.rate: another sample rate; found '16000 Hz'; allowed: 8000 Hz"),
        ({"rate": np.where(np.arange(20) == 3, 11_025, RATE)}, {}, "clip 3: another sample rate"),
        ({"rate": 8e3}, {}, "one sample rate, or one a clip"),
        ({"samples": np.zeros(9_999, np.float32)}, {}, "int16"),
        ({"samples": np.zeros(99, np.int16)}, {}, "offsets that don't fit"),
        ({"offsets": arrays()["offsets"][::-1]}, {}, "offsets that don't fit"),
        ({"offsets": np.repeat(arrays()["offsets"][::2], 2)[:21]}, {}, "clip 0: an empty clip"),
        ({"labels": np.arange(19)}, {}, "as many labels"),
        ({"offsets": None}, {}, "no such array"),
        ({}, {"split": "part"}, "no such array"),
        ({"part": np.full(20, 3)}, {"split": "part"}, "not one split for each clip"),
        ({"part": np.arange(20) % 3 - 1}, {"split": "part"}, "not one split for each clip"),
        ({"part": np.zeros(20, int)}, {"split": "part"}, "empty split"),
        ({"who": np.zeros(20)}, {"groups": "who"}, "one group"),
        ({"who": np.zeros(3)}, {"groups": "who"}, "one group for each sample"),
        ({"labels": None}, {"labels": ""}, "class names are needed"),
    ],
)
def test_an_npz_says_what_is_wrong(
    tmp_path: Path, changed: dict[str, Any], fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        Audio(save(tmp_path, **changed), rate=RATE, **fields).load()


def test_made_words_are_seeded_and_differ() -> None:
    one, two = (
        MadeAudio(rate=RATE, length=RATE, train=20, validation=10, test=10, seed=seed).load() for seed in (0, 1)
    )
    assert one.classes == two.classes and len(set(one.classes)) == 10
    assert not np.array_equal(one.train.x, two.train.x)
    loud = np.abs(np.asarray(one.train.x).astype(int)).max(1)
    assert loud.min() > 50 and loud.max() <= 32_768 and loud.max() > 4 * loud.min(), "gains vary"


def student(length: int = 2_000) -> Student:
    torch.manual_seed(0)
    module = KeywordCnn(width=16, depth=3, rate=RATE, hop=100, mels=16, high=3_000.0).build((length,), 4).eval()
    return Student(module, (TensorSpec("input", (None, length)),), (TensorSpec("logits", (None, 4)),))


def test_int8_leaves_the_spectrogram_alone_and_silence_is_finite() -> None:
    change, before = Int8Qat(), student()
    x = torch.randn(3, 2_000) * torch.tensor([[1.0], [1e-3], [0.0]])
    changed = change.apply(before, Context(target.load("ort-cpu").quantized, 1, [(x,)]))
    quantized: Any = changed.module.quantized
    assert {name.split("_")[0] for name in quantized} == {"adaptive", "conv2d", "flatten", "linear"}
    finished = change.finish(changed)
    with torch.no_grad():
        fake, whole = changed.module(x), finished.module(x)
    assert torch.allclose(fake, whole, atol=0.02 * float(fake.max() - fake.min())), "the norm before the convolutions"
    onnx, wanted = to_onnx(finished, opset=20, metadata={}), whole.numpy()
    assert np.isfinite(wanted).all()
    for name in ("ort-cpu", "openvino"):
        backend = backends.make(target.load(name).backend, {"threads": 1}, name)
        for count in (1, 3):
            got = backend.open(backend.lower(onnx), batch=count).run({"input": x[-count:].numpy()})["logits"]
            assert np.abs(got - wanted[-count:]).max() <= 0.05 * float(np.ptp(wanted))


def test_an_app_gives_a_clip_as_it_was_recorded() -> None:
    clip = np.arange(2_000, dtype=np.int16)
    batch, one = batches.batched(clip, (2_000,))
    assert one and preprocess.apply(({"op": "scale", "divide": 32768.0},), batch)["input"].shape == (1, 2_000)
    assert not batches.batched(np.stack([clip, clip]), (2_000,))[1]
    with pytest.raises(UsageError, match=r"wrong shape; found \(1999,\); allowed: 2000"):
        batches.batched(clip[1:], (2_000,))
    with pytest.raises(DataError, match=r"scaled already; found 'float32 within -1..1'; allowed: int16 samples"):
        preprocess.apply(({"op": "scale", "divide": 32768.0},), batch.astype(np.float32) / 32_768)
    with pytest.raises(DataError, match="crop takes images"):
        preprocess.apply([{"op": "crop", "height": 1, "width": 1}], batch)


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"high": 9_000.0}, "high: "), ({"mels": 200}, "mels: "), ({"low": 4_000.0}, "low: "), ({"hop": 4}, "hop: ")],
)
def test_fields_of_the_net_are_checked(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KeywordCnn(**fields)
    with pytest.raises(RecipeError, match=r"takes sounds; found \(639,\); allowed: .* at least 640 samples"):
        KeywordCnn().build((639,), 2)


def test_a_wav_file_that_holds_more_than_its_header_says(tmp_path: Path) -> None:
    whole = write(tmp_path / "w.wav", np.arange(50)).read_bytes()
    for samples in (49, 20, 0):
        short = whole[:40] + (2 * samples).to_bytes(4, "little") + whole[44:]
        with pytest.raises(DataError, match=rf"w: its header does not say .* found '{samples} samples, and"):
            read_wav(short, RATE, "w")
    note = b"LIST" + (5).to_bytes(4, "little") + b"hello"
    more = b"id3 " + (2).to_bytes(4, "little") + b"me"
    for behind in (note, note + b"\0", note + more, note + b"\0" + more, more):
        assert read_wav(whole + behind, RATE, "w").tolist() == list(range(50))
    with pytest.raises(DataError, match="and 3 bytes"):
        read_wav(whole + b"odd", RATE, "w")


def test_a_wav_file_with_an_extensible_header(tmp_path: Path) -> None:
    """As many recorders write them; Python 3.11 knows no such format."""
    whole = write(tmp_path / "w.wav", np.arange(50)).read_bytes()

    def extensible(kind: int) -> bytes:
        guid = kind.to_bytes(2, "little") + bytes.fromhex("00000000 1000 8000 00aa00389b71")
        told = b"\xfe\xff" + whole[22:36] + struct.pack("<HHI", 22, 16, 4) + guid
        chunks = b"WAVEfmt " + struct.pack("<I", len(told)) + told + whole[36:]
        return b"RIFF" + struct.pack("<I", len(chunks)) + chunks

    assert read_wav(extensible(1), RATE, "w").tolist() == list(range(50))
    assert is_wav(extensible(1)) and wav_facts(extensible(1), "w") == (50, RATE)
    with pytest.raises(DataError, match="not PCM samples; found 'an extensible header, of no PCM'"):
        wav_facts(extensible(3), "w")
    with pytest.raises(DataError, match=r"not PCM samples.*ffmpeg -i in\.wav -ac 1 -c:a pcm_s16le"):
        read_wav(extensible(3), RATE, "w")  # floats
