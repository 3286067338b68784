"""Labels of places: in samples that are no pictures, and points outside of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgekd.base.errors import DataError
from edgekd.base.samples import sides
from edgekd.learn.data._base import Dataset

WIDE = 4  # pixels of a side from which on points that are all in the first pixel are in another unit
MOST = 0.5  # the share of a split's points beyond which they are in another unit than pixels


def check_pictures(dataset: Dataset, where: str) -> None:
    """Raise DataError where labels are of places, and samples no pictures that have them."""
    if dataset.train.x.ndim != 4:
        shape, allowed = dataset.train.x.shape, "pictures, (N, H, W, C) or (N, C, H, W)"
        raise DataError("labels of places in samples that are no pictures", where=where, found=shape, allowed=allowed)


def outside(dataset: Dataset, where: str) -> Iterator[str]:
    """A note on each split that has points outside of its pictures: learned as they are, since a face may be cut off.

    Args:
        dataset: labels (N, 2 K), x and y of one point after another in pixels, NaN where not known; pictures, see
            ``sides``.

    Raises:
        DataError: most of a split's points lie outside, or all in the first pixel.
    """
    for name, split in dataset.splits.items():
        height, width = sides(split.x.shape, any(op["op"] == "layout" for op in dataset.preprocess))
        points = np.asarray(split.y, np.float64).reshape(len(split), -1, 2)
        known = ~np.isnan(points).any(axis=2)
        size = np.array([width, height])
        beyond = np.any((points < -0.5) | (points > size - 0.5), axis=2) & known
        if known.any() and (size > WIDE).all() and (points[known] >= 0).all() and (points[known] <= 1).all():
            allowed = f"pixels of pictures of {width} x {height}, from the centre of the first one"
            raise DataError(
                "points in shares of their pictures", where=f"{where} ({name})", found="0 to 1", allowed=allowed
            )
        if beyond.sum() > MOST * max(1, known.sum()):
            sample, point = (int(axis[0]) for axis in np.nonzero(beyond))
            x, y = points[sample, point]
            place, allowed = f"x {x:g}, y {y:g} of sample {sample}", f"pixels of pictures of {width} x {height}"
            raise DataError("points outside of their pictures", where=f"{where} ({name})", found=place, allowed=allowed)
        if beyond.any():
            some = int(beyond.any(axis=1).sum())
            yield f"{some:,} of {len(split):,} {name} samples have points outside of the picture: learned as they are"
