"""Pictures of one size that are still files, or lie in larger ones: how they are decoded, together or later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar, get_args

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray, Samples
from edgekd.base.errors import DataError
from edgekd.learn.data import _files
from edgekd.learn.data._decoding import Decoded, Facts, Item
from edgekd.learn.data._encoded import Seen, open_image
from edgekd.learn.data._fitting import Fit, Interpolation
from edgekd.learn.data._lazy import Lazy, Reading
from edgekd.tasks import Task


@dataclass(frozen=True)
class Pictures:
    """A ``Decoder`` of pictures; items are those of ``_files.span``.

    Attributes:
        root: the folder that the files' paths count from.
        naming: what an error calls a picture: a text with ``{file}`` and ``{name}`` in it.
        size: (height, width) that each is resized to; None: all have one size.
        grey: read as one channel.
        shape: of each, (H, W, C).
        interpolation, fit: how it is resized, see ``fitted``.
    """

    root: str
    naming: str
    size: Sequence[int] | None
    grey: bool
    shape: Sequence[int] = ()
    interpolation: str = "bilinear"
    fit: str = "stretch"
    dtype: ClassVar[str] = "uint8"

    def decoded(self, items: Sequence[Item]) -> Decoded:
        """(N, H, W, C), and what ``Seen`` counts."""
        images, seen = np.empty((len(items), *self.shape), np.uint8), Seen()
        for i, item in enumerate(items):
            image = self.one(item, seen)
            if image.shape != images.shape[1:]:
                raise DataError(
                    "an image of another size",
                    where=self.place(item),
                    found=image.shape[:2],
                    allowed=str(images.shape[1:3]),
                    hint="give data.size = [height, width]",
                )
            images[i] = image
        return images, asdict(seen)

    def one(self, item: Item, seen: Seen) -> NDArray[np.uint8]:
        """(H, W, C) of one, of whatever shape."""
        where = self.place(item)
        content = _files.span(self.root, item, where)
        size = None if self.size is None else (self.size[0], self.size[1])
        mode = "L" if self.grey else "RGB"
        return open_image(content, where, size, mode, seen, self.interpolation, self.fit)

    def place(self, item: Item) -> str:
        """What an error calls a picture."""
        return self.naming.format(file=Path(str(item[0])).name, name=_files.named(item))


def check_size(size: Sequence[int] | None, interpolation: str = "bilinear", fit: str = "stretch") -> None:
    """Raise ValueError where a source's ``size`` is out of range, or what says how to get there is no such word."""
    for key, word, known in (("interpolation", interpolation, Interpolation), ("fit", fit, Fit)):
        if word not in get_args(known):
            raise ValueError(f"{key}: allowed is {', '.join(get_args(known))}")
    if size is None and (interpolation, fit) != ("bilinear", "stretch"):
        key = "fit" if fit != "stretch" else "interpolation"
        raise ValueError(f"{key}: allowed is none where no size is said")
    if size is not None and not all(1 <= side <= 4096 for side in size):
        raise ValueError("size: allowed is a height and a width of 1 to 4096")


def check_geometry(task: Task, size: Sequence[int] | None, masks: bool = True) -> None:
    """Raise DataError where pictures are resized and labels of places would stay. ``masks``: these are resized, too."""
    if size is not None and (task.geometry == "points" or (task.geometry and not masks)):
        what, allowed = "labels of places move where a picture is resized", "none: pictures of one size"
        raise DataError(what, where="data.size", found=size, allowed=allowed)


def pictures(
    decoder: Pictures,
    columns: Sequence[AnyArray],
    reading: Reading,
    where: str,
    count: Callable[[Facts], None],
    keeps: object = None,
) -> Samples:
    """A split's pictures, in memory or not as the recipe says.

    Args:
        columns, keeps: see ``Lazy``.
        where, count: see ``Reading.held``.
    """
    first = Lazy(decoder, [column[:1] for column in columns], None)
    shape = decoder.one(first.items[0], Seen()).shape
    return reading.held(Lazy(replace(decoder, shape=shape), columns, reading.pool, keeps), where, count)
