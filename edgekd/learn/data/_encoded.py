"""Pictures that are still files (JPEG, PNG, GIF, TIFF, BMP, WebP), as a person sees them.

Turned as their EXIF orientation says; of several frames the first; palettes as their colours; what is transparent
lies on white. Greys of 16 bits (Pillow's modes I;16 and I, 0..65535) and of floats (mode F, 0..1) are scaled to 0..255,
never cut off: one outside of its range is refused. Of colours of 16 bits Pillow gives the upper 8.
"""

from __future__ import annotations

import io
import itertools
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from edgekd.base import limits
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.learn.data import _complaints
from edgekd.learn.data._fitting import fitted

# The kinds that are read (a phone's MPO is a JPEG); Pillow knows others, and starts programs for some.
FORMATS = ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP", "PPM")
BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)
DECODABLE = (
    *(UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error),
    *(LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError, AssertionError),  # of damaged metadata
)
GREY = ("1", "L", "LA", "La")
WHITE = {"I;16": 65_535, "I;16L": 65_535, "I;16B": 65_535, "I;16N": 65_535, "I": 65_535, "F": 1}
INVERTED, PHOTOMETRIC = 0, 262  # what a TIFF says where 0 is white; Pillow turns 8 bits over, and no others
SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations whose width is the height of what is stored
DARK = 8192  # of 65535: no picture of 16 bits is brighter, so that few greys are left of them


@dataclass
class Seen:
    """What pictures held that is not read as it is, counted.

    Attributes:
        deep: those of 16 bits.
        peak: the brightest of their greys and colours, 0..65535.
    """

    pictures: int = 0
    frames: int = 0
    damaged: int = 0
    clear: int = 0
    deep: int = 0
    peak: float = 0.0

    def add(self, other: Mapping[str, float]) -> None:
        """Count what pictures held that were read elsewhere."""
        for name, value in other.items():
            before = getattr(self, name)
            setattr(self, name, max(before, value) if name == "peak" else before + int(value))

    def notes(self) -> Iterator[str]:
        """A sentence on each kind.

        Raises:
            DataError: pictures of 16 bits whose greys all lie in 8.
        """
        if self.frames:
            yield f"{self.frames:,} of {self.pictures:,} pictures have several frames: the first is read"
        if self.damaged:
            yield f"{self.damaged:,} of {self.pictures:,} pictures are damaged in places: what could be read of them is"
        if self.clear:
            yield f"{self.clear:,} of {self.pictures:,} pictures are transparent in places: these lie on white"
        if self.deep and 0 < self.peak <= 255:
            pictures, hint = f"{self.deep} pictures, none above {self.peak:g}", "save them as pictures of 8 bits"
            raise DataError("16-bit pictures of 8-bit greys: all black", where="data.path", found=pictures, hint=hint)
        if self.deep and 0 < self.peak < DARK:
            greys = f"reach {self.peak:g} of 65535: they are dark, and few of their greys remain"
            yield f"{self.deep:,} of {self.pictures:,} pictures have 16 bits and {greys}"


def decode(data: AnyArray, offsets: AnyArray, limit: int | None, where: str, seen: Seen) -> NDArray[np.uint8]:
    """Images one after another as (N, H, W, C) uint8; image i is ``data[offsets[i]:offsets[i + 1]]``.

    Raises:
        DataError: offsets that don't fit, an image that can't be decoded or has another size than the first.
    """
    files = cut(data, offsets, where)
    count = min(len(files), limit if limit is not None else len(files))

    def decoded(i: int) -> NDArray[np.uint8]:
        return open_image(files[i].tobytes(), f"{where}: image {i}", seen=seen)

    first = decoded(0)
    limits.check("bytes", count * first.size, "more than likely is meant", where)
    images = np.empty((count, *first.shape), np.uint8)
    for i in range(count):
        image = decoded(i) if i else first
        if image.shape != images.shape[1:]:
            raise DataError(
                "an image of another size",
                where=f"{where}: image {i}",
                found=image.shape,
                allowed=str(images.shape[1:]),
            )
        images[i] = image
    return images


def cut(data: AnyArray, offsets: AnyArray, where: str) -> list[AnyArray]:
    """The bytes of each of several files that stand one after another: file i is ``data[offsets[i]:offsets[i + 1]]``.

    Raises:
        DataError: no bytes, or offsets that don't fit.
    """
    if data.dtype != np.uint8 or data.ndim != 1:
        raise DataError(
            "encoded images are a row of bytes", where=where, found=f"{data.dtype} {data.shape}", allowed="uint8 (n,)"
        )
    good = offsets.ndim == 1 and len(offsets) >= 2 and offsets.dtype.kind in "iu"
    if not good or offsets[0] < 0 or offsets[-1] > len(data) or bool((np.diff(offsets) <= 0).any()):
        raise DataError("offsets must rise and stay inside the bytes", where=where, found=offsets.shape)
    ends = offsets.tolist()
    return [data[start:stop] for start, stop in itertools.pairwise(ends)]


def open_image(
    data: bytes,
    where: str,
    size: tuple[int, int] | None = None,
    mode: str | None = None,
    seen: Seen | None = None,
    interpolation: str = "bilinear",
    fit: str = "stretch",
) -> NDArray[np.uint8]:
    """One image as (H, W, C) uint8.

    Args:
        size: (height, width) to resize to.
        interpolation, fit: how, see ``fitted``.
        mode: Pillow's ``"L"`` (one channel) or ``"RGB"``; None: as the image comes, grey or RGB.
        seen: counts what is told of it.

    Raises:
        DataError: it can't be decoded, it has more pixels than is likely meant (then none is decoded), or its greys lie
            outside of their range.
    """
    seen = seen or Seen()
    with _complaints.heard(data) as complaints:
        image = _image(data, where, mode, seen)
    seen.damaged += complaints.any
    if size is not None and image.size != (size[1], size[0]):
        return fitted(image, size, interpolation, fit, where)
    array = np.asarray(image, dtype=np.uint8)
    return array[..., None] if array.ndim == 2 else array


def _image(data: bytes, where: str, mode: str | None, seen: Seen) -> Image.Image:
    """A decoded picture of greys, or of colours."""
    try:
        file = opened(data, where)
        seen.pictures += 1
        deep = _is_deep(file)
        seen.frames += (
            getattr(file, "n_frames", 1) > 1 and file.format != "MPO"
        )  # a phone's: one picture, several sizes
        image: Image.Image = ImageOps.exif_transpose(file)
        grey = image.mode in GREY or image.mode in WHITE
        if image.mode in WHITE:
            inverted = getattr(file, "tag_v2", {}).get(PHOTOMETRIC) == INVERTED
            image = _eight_bits(image, where, seen, inverted)
        elif deep:
            _count_deep(image, seen)
        if image.has_transparency_data:
            image = _on_white(image, seen)
        return image.convert(mode or ("L" if grey else "RGB"))
    except UnidentifiedImageError as err:
        raise DataError("can't be decoded (no picture of a kind that is read)", where=where, found=data[:16]) from err
    except DECODABLE as err:
        raise DataError(f"can't be decoded ({err})", where=where) from err


def looked_at(data: bytes, where: str) -> tuple[int, int, bool]:
    """Height and width of an encoded picture as it is read, turned as its EXIF says; and whether it is grey.

    Raises:
        DataError: no picture of a kind that is read.
    """
    try:
        file = opened(data, where)
        turned = file.getexif().get(ExifTags.Base.Orientation, 1) in SIDEWAYS
    except UnidentifiedImageError as err:
        raise DataError("not a picture of a kind that is read", where=where, found=data[:16]) from err
    except DECODABLE as err:
        raise DataError(f"not a picture ({err})", where=where) from err
    height, width = (file.width, file.height) if turned else (file.height, file.width)
    return height, width, file.mode in GREY or file.mode in WHITE


def size_of(data: bytes, where: str) -> tuple[int, int]:
    """Height and width of an encoded picture; see ``looked_at``."""
    return looked_at(data, where)[:2]


def opened(data: bytes, where: str) -> Image.Image:
    """A picture whose header alone is read, and says that it has not too many pixels.

    Raises:
        DataError: it says that it has more; else what ``DECODABLE`` lists.
    """
    limit, message = limits.most("pixels"), "more pixels than likely are meant"
    if Image.MAX_IMAGE_PIXELS is not None and limit > Image.MAX_IMAGE_PIXELS:  # the user said so
        Image.MAX_IMAGE_PIXELS = limit
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            file = Image.open(io.BytesIO(data), formats=FORMATS)
    except BOMB as err:
        raise limits.beyond("pixels", str(err), message, where, limit) from err
    limits.check("pixels", file.width * file.height, message, where)
    return file


def _is_deep(file: Image.Image) -> bool:
    """Whether a picture that is not decoded yet has more than 8 bits a colour, of which Pillow keeps the upper ones."""
    args = [tile[3] if isinstance(tile[3], tuple) else (tile[3],) for tile in getattr(file, "tile", ())]
    return any(isinstance(word, str) and ";16" in word for words in args for word in words)


def _count_deep(image: Image.Image, seen: Seen) -> None:
    """Count colours of 16 bits, by their upper 8; and bring the colour that is transparent to these, too."""
    seen.deep += 1
    seen.peak = max(seen.peak, 256.0 * float(np.asarray(image.convert("RGB")).max()) + 255)
    clear = image.info.get("transparency")
    if isinstance(clear, tuple):
        image.info["transparency"] = tuple(value >> 8 for value in clear)


def _eight_bits(image: Image.Image, where: str, seen: Seen, inverted: bool) -> Image.Image:
    """Greys of 16 bits or floats as 0..255, on white where one of them is transparent."""
    greys, white = np.asarray(image).astype(np.float64), WHITE[image.mode]
    low, high = float(greys.min()), float(greys.max())
    allowed = f"0 (black) to {white} (white)"
    # 32 bits that hold 8: black alone would be left. Of 16 bits that is told at the end: one picture may be dark.
    if not 0 <= low <= high <= white or (image.mode == "I" and 0 < high <= 255):
        span, hint = f"{low:g} to {high:g} in Pillow's mode {image.mode}", "save it as a picture of 8 or 16 bits"
        raise DataError("greys that nothing says how to scale", where=where, found=span, allowed=allowed, hint=hint)
    if image.mode != "F":
        seen.deep += 1
        seen.peak = max(seen.peak, high)
    clear = greys == image.info.get("transparency", -1)
    seen.clear += bool(clear.any())
    greys = np.where(clear, white, white - greys if inverted else greys)
    return Image.fromarray(np.rint(greys * (255 / white)).astype(np.uint8))


def _on_white(image: Image.Image, seen: Seen) -> Image.Image:
    """A picture with transparent parts as it looks on a page."""
    image = image.convert("RGBA")
    seen.clear += int(np.asarray(image)[..., 3].min()) < 255
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")
