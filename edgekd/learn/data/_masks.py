"""Masks that are still pictures: a pixel's number is its class, or its colour says it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgekd.base import limits
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.learn.data._encoded import DECODABLE, cut, opened, size_of
from edgekd.learn.data._fitting import fitted_mask
from edgekd.tasks import NORMAL, Task

FORMATS = ("PNG", "TIFF", "BMP")  # a JPEG has no numbers, but about these
NUMBERS = ("L", "P", "1", "I;16")  # Pillow's modes that hold them
COLOURS = ("RGB", "RGBA", "LA")  # modes that hold them where each pixel is grey, as some programs write them


def decode(data: AnyArray, offsets: AnyArray, where: str) -> AnyArray:
    """Masks one after another as (N, H, W) uint16; mask i is ``data[offsets[i]:offsets[i + 1]]``.

    A grey is its number, 0..255 or 0..65535; of a palette the number of the colour, as in Pascal VOC's masks.

    Raises:
        DataError: offsets that don't fit, a mask that can't be decoded, in colours, or of another size than the first.
    """
    files = cut(data, offsets, where)
    first = _opened(files[0].tobytes(), f"{where}: mask 0")
    limits.check("bytes", 8 * len(files) * first.size, "more than likely is meant", where)
    masks = np.empty((len(files), *first.shape), np.uint16)
    for i, file in enumerate(files):
        mask = _opened(file.tobytes(), f"{where}: mask {i}") if i else first
        if mask.shape != first.shape:
            allowed = f"{first.shape}, as the first"
            raise DataError("a mask of another size", where=f"{where}: mask {i}", found=mask.shape, allowed=allowed)
        masks[i] = mask
    return masks


def _opened(data: bytes, where: str) -> AnyArray:
    """(H, W) of one file."""
    try:
        return _numbers(_file(data, where), where)
    except DECODABLE as err:
        raise DataError(f"can't be decoded ({err})", where=where) from err


def valued(data: bytes, values: Sequence[int | str], unlabelled: int, where: str) -> AnyArray:
    """(H, W) int32 of one file: at every pixel the place of its number, or of its colour, among ``values``.

    Args:
        values: numbers, or colours as ``#rrggbb``, see ``check_values``; none: the numbers as they are.
        unlabelled: of pixels that are none of them.

    Raises:
        DataError: it can't be decoded; a mask in colours where numbers are wanted.
    """
    try:
        file = _file(data, where)
        if not values:
            return _numbers(file, where).astype(np.int32)
        if isinstance(values[0], str):
            red, green, blue = np.moveaxis(np.asarray(file.convert("RGB")).astype(np.int32), -1, 0)
            numbers = red << 16 | green << 8 | blue
        else:
            numbers = _numbers(file, where).astype(np.int32)
    except DECODABLE as err:
        raise DataError(f"can't be decoded ({err})", where=where) from err
    known = np.array([int(value[1:], 16) if isinstance(value, str) else value for value in values])
    order = np.argsort(known)
    place = order[np.searchsorted(known[order], numbers).clip(max=len(known) - 1)]
    return np.where(known[place] == numbers, place, unlabelled).astype(np.int32)


class Pair(NamedTuple):
    """A picture's file and its mask's, None where all of it is normal; and what errors call the two."""

    picture: bytes
    mask: bytes | None
    picture_place: str
    mask_place: str


@dataclass(frozen=True)
class Fitting:
    """How masks are read, and made one size with their pictures.

    Attributes:
        values, unlabelled: see ``valued``.
        size, fit: that their pictures are made one size by, see ``fitted_mask``; None: they have one.
    """

    values: Sequence[int | str]
    unlabelled: int
    size: tuple[int, int] | None
    fit: str

    def each(self, pairs: Iterable[Pair]) -> Iterator[NDArray[np.int32]]:
        """(H, W) of one mask after another.

        Raises:
            DataError: a mask that can't be decoded, or is of another size than its picture, or a picture of another
                one than the first.
        """
        size = self.size
        for pair in pairs:
            of_picture = size_of(pair.picture, pair.picture_place)
            size = size or of_picture
            if self.size is None and of_picture != size:
                where, hint = pair.picture_place, "give data.size = [height, width]"
                raise DataError("an image of another size", where=where, found=of_picture, allowed=str(size), hint=hint)
            if pair.mask is None:
                yield np.full(size, NORMAL, np.int32)
            else:
                yield self._mask(pair.mask, of_picture, pair)

    def _mask(self, data: bytes, size: tuple[int, int], pair: Pair) -> AnyArray:
        mask = valued(data, self.values, self.unlabelled, pair.mask_place)
        if mask.shape != size:
            what, allowed = "a mask of another size than its picture", f"{size}, of {pair.picture_place}"
            raise DataError(what, where=pair.mask_place, found=mask.shape, allowed=allowed)
        return mask if self.size is None else fitted_mask(mask, self.size, self.fit, self.unlabelled, pair.mask_place)


def stacked(masks: Iterable[NDArray[np.int32]], count: int, where: str) -> NDArray[np.int32]:
    """(N, H, W) of so many masks of one size; raises DataError where they take more than is meant."""
    together = np.zeros((0, 0, 0), np.int32)
    for i, mask in enumerate(masks):
        if not i:
            limits.check("bytes", 8 * count * mask.size, "more than likely is meant", where)
            together = np.empty((count, *mask.shape), np.int32)
        together[i] = mask
    return together


def names_of(values: Sequence[int | str], task: Task) -> tuple[str, ...] | None:
    """Names of classes that nobody named, of ``values``; None: as the task has it, as where it tells what is normal."""
    return tuple(map(str, values)) if values and task.false_alarms is None else None


def check_used(values: Sequence[int | str], masks: object) -> None:
    """Raise DataError where values are said, and labels are no pictures: ``masks`` is empty, or None."""
    if values and not masks:
        raise DataError("labels are no pictures of masks", where="data.values", found=list(values), allowed="none")


def check_values(values: Sequence[int | str]) -> None:
    """Raise ValueError where what is to say the class of a pixel is no row of numbers, or of colours, each once."""
    numbers = all(isinstance(value, int) and 0 <= value <= 65_535 for value in values)
    colours = all(isinstance(value, str) and re.fullmatch("#[0-9a-fA-F]{6}", value) for value in values)
    if not numbers and not colours:
        raise ValueError("values: allowed is whole numbers of 0 to 65535, or colours as #rrggbb")
    if len({str(value).lower() for value in values}) < len(values):
        raise ValueError("values: allowed is each once")


def _file(data: bytes, where: str) -> Image.Image:
    file = opened(data, where)
    if file.format not in FORMATS:
        raise DataError("not a mask: pixels that are not kept", where=where, found=file.format, allowed=FORMATS)
    return file


def _numbers(file: Image.Image, where: str) -> NDArray[np.uint16]:
    """(H, W) greys or numbers of a palette's colours; of colours that are all grey the grey."""
    if file.mode in NUMBERS:
        return np.asarray(file).astype(np.uint16)
    colours = np.asarray(file.convert("RGB" if file.mode in COLOURS else file.mode))
    if file.mode not in COLOURS or (colours != colours[..., :1]).any() or _is_clear(file):
        allowed = "greys or a palette, whose numbers are the classes"
        hint = 'in a folder, data.values = ["#000000", ...] names the colours of the classes'
        raise DataError(
            "a mask in colours", where=where, found=f"Pillow's mode {file.mode}", allowed=allowed, hint=hint
        )
    return colours[..., 0].astype(np.uint16)


def _is_clear(file: Image.Image) -> bool:
    return file.mode in ("LA", "RGBA") and int(np.asarray(file)[..., -1].min()) < 255
