"""Sounds that are still files: wav of 16-bit PCM, one channel, of one rate and made one length."""

from __future__ import annotations

import io
import struct
import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekd.base.errors import DataError
from edgekd.base.samples import fit
from edgekd.learn.data import _files
from edgekd.learn.data._decoding import Decoded, Item

UNREADABLE = (wave.Error, EOFError, RuntimeError, struct.error, ValueError, ArithmeticError)  # of a damaged header
_PCM = bytes.fromhex("0100000000001000800000aa00389b71")  # the GUID of PCM in a header that is extensible
FORMS = {3: "floats", 6: "A-law", 7: "mu-law", 0x55: "MP3", 0xFFFE: "an extensible header, of no PCM"}
CONVERTED = "ffmpeg -i in.wav -ac 1 -c:a pcm_s16le out.wav writes such a file"
Clip = NDArray[np.int16]


@dataclass(frozen=True)
class Clips:
    """A ``Decoder`` of wav files: items are those of ``_folders.columns``.

    Attributes:
        root: the folder.
        naming: what stands before a clip's name in an error.
        rate, length: see ``Audio``.
    """

    root: str
    naming: str
    rate: int
    length: int
    dtype: ClassVar[str] = "int16"

    @property
    def shape(self) -> tuple[int]:
        """Of a clip."""
        return (self.length,)

    def decoded(self, items: Sequence[Item]) -> Decoded:
        """(N, T); there is nothing to count."""
        x = np.zeros((len(items), self.length), np.int16)
        for i, item in enumerate(items):
            where = self.place(item)
            put(read_wav(_files.span(self.root, item, where), self.rate, where), x[i], where)
        return x, {}

    def place(self, item: Item) -> str:
        """What an error calls a clip."""
        return self.naming + _files.named(item)


class Facts(NamedTuple):
    """What the header of a wav file says: samples, and how many in a second."""

    length: int
    rate: int


def wav_facts(data: bytes, where: str) -> Facts:
    """What the header of a wav file says.

    Raises:
        DataError: not a wav file.
    """
    try:
        with wave.open(io.BytesIO(_plain(data)), "rb") as file:
            return Facts(file.getnframes(), file.getframerate())
    except UNREADABLE as err:
        raise _unreadable(data, "not a wav file", err, where) from err


def is_wav(data: bytes) -> bool:
    """Whether bytes begin as a wav file does; a picture of WebP, too, is one of RIFF."""
    return data[:4] == b"RIFF" and data[8:12] == b"WAVE"


def read_wav(data: bytes, rate: int, where: str) -> Clip:
    """The samples of a wav file, (S,) int16.

    Raises:
        DataError: not a wav file, not 16-bit PCM of one channel, another sample rate, cut off, or more in the file
            than its header says.
    """
    try:
        with wave.open(io.BytesIO(_plain(data)), "rb") as file:
            channels, width, clip_rate, count = file.getparams()[:4]
            frames = file.readframes(count)
    except UNREADABLE as err:
        raise _unreadable(data, "not a wav file of PCM samples", err, where) from err
    if channels != 1:
        raise DataError("not one channel", where=where, found=f"{channels} channels", allowed="mono", hint=CONVERTED)
    if width != 2:
        what, bits = "another width of samples", f"{8 * width} bits"
        raise DataError(what, where=where, found=bits, allowed="16 bits", hint=CONVERTED)
    check_rate(clip_rate, rate, where)
    if len(frames) != 2 * count:
        allowed = f"{count}, as its header says"
        raise DataError("cut off", where=where, found=f"{len(frames) // 2} samples", allowed=allowed)
    if rest := _beyond(data):
        held = f"{count} samples, and {rest:,} bytes that are no part of a wav file"
        hint = "write the file anew"
        raise DataError("its header does not say all that it holds", where=where, found=held, hint=hint)
    return np.frombuffer(frames, "<i2").astype(np.int16)


def _unreadable(data: bytes, what: str, err: BaseException, where: str) -> DataError:
    """The error on a file that Python can't read; where its samples are of another form, with the way out."""
    forms = [
        int.from_bytes(data[at : at + 2], "little") for name, at, size in _chunks(data) if name == b"fmt " and size
    ]
    if forms and forms[0] != 1:
        form = FORMS.get(forms[0], f"of form {forms[0]}")
        return DataError("not PCM samples", where=where, found=form, allowed="16 bits, mono", hint=CONVERTED)
    return DataError(f"{what} ({str(err) or 'it ends too soon'})", where=where)


def _plain(data: bytes) -> bytes:
    """A wav file whose header says PCM where it said "extensible, of PCM", as many recorders do.

    Python reads these from 3.12 on. Source: Microsoft, WAVEFORMATEXTENSIBLE.
    """
    for name, at, size in _chunks(data):
        if name == b"fmt ":
            is_pcm = size >= 40 and data[at : at + 2] == b"\xfe\xff" and data[at + 24 : at + 40] == _PCM
            return data[:at] + b"\x01\x00" + data[at + 2 :] if is_pcm else data
    return data


def _beyond(data: bytes) -> int:
    """Bytes at the end of a wav file that belong to none of its chunks; 0: it is whole."""
    end = 12
    for _, at, size in _chunks(data):
        end = at + size + (size % 2 and data[at + size : at + size + 1] == b"\0")
    return len(data) - end


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte and length of each chunk of a wav file.

    A chunk is a name in ASCII, its length and as many bytes; behind an odd length most programs write a zero.
    """
    at = 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if not all(32 <= byte < 127 for byte in name) or at + 8 + size > len(data):
            return
        yield name, at + 8, size
        at += 8 + size
        at += size % 2 and data[at : at + 1] == b"\0"


def check_rate(clip_rate: int, rate: int, where: str) -> None:
    """Raise DataError where a clip has another sample rate, in Hz, than the data is said to have."""
    if clip_rate != rate:
        raise DataError(
            "another sample rate",
            where=where,
            found=f"{clip_rate} Hz",
            allowed=f"{rate} Hz",
            hint="resample the clips, or set data.rate and the models' rate: nothing is resampled here",
        )


def check_kind(rate: int, length: int) -> None:
    """Raise ValueError where a source's sample rate in Hz or length of a clip is out of range."""
    if not 1_000 <= rate <= 384_000:
        raise ValueError("rate: allowed is 1000 to 384000 Hz")
    if not 1 <= length <= 10_000_000:
        raise ValueError("length: allowed is 1 to 10000000 samples")


def put(clip: Clip, place: Clip, where: str) -> None:
    """Put a clip into a row of zeros: the middle of a longer one, a shorter one at the beginning."""
    if not len(clip):
        raise DataError("an empty clip", where=where, found="0 samples")
    place[:] = fit(clip, len(place))
