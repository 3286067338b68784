"""Who liked what: users, items and ratings from an .npz, with the positions of each split.

A sample is a user and what it liked before; the label is one more item that it liked. So a model ranks all items at
once, and every classification loss distils a ranking.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekd.base import limits
from edgekd.base.errors import DataError
from edgekd.learn.data import _archive
from edgekd.learn.data._archive import Arrays
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.data._checks import checked
from edgekd.learn.data._split import check_seed
from edgekd.tasks import check_ids, named


@dataclass(frozen=True)
class Interactions:
    """Samples are (N, 1 + history) int64: the user, then items it liked in the training split (without the label),
    filled up with the number of items.

    Attributes:
        path: the .npz file.
        user, item, rating: names of its arrays, (M,) each; users and items are numbered from 0, ratings are finite.
        train, validation, test: names of arrays of positions into these. A note counts what a user likes in two splits.
        names: array of the items' names, "" for their numbers; names beyond the highest number are items that nobody
            rated. Of two that are called alike, each name is followed by its number.
        at_least: the rating from which on a user likes an item.
        history: how many liked items a sample holds at most, 1 to 4096; of more, some at random.
        seed: of that choice.
    """

    path: str
    user: str = "user"
    item: str = "item"
    rating: str = "rating"
    train: str = "train_idx"
    validation: str = "valid_idx"
    test: str = "test_idx"
    names: str = ""
    at_least: float = 4.0
    history: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.history <= 4096:
            raise ValueError("history: allowed is 1 to 4096")
        if not math.isfinite(self.at_least):
            raise ValueError("at_least: allowed is a finite number")
        check_seed("seed", self.seed)

    def fingerprint(self) -> str:
        """SHA-256 over the file and the fields."""
        return _archive.fingerprint(self.path, repr(replace(self, path="")))

    def load(self) -> Dataset:
        """Read, keep what was liked, gather each user's history."""
        arrays = self._arrays()
        user, item = arrays["user"].astype(np.int64), arrays["item"].astype(np.int64)
        liked = arrays["rating"] >= self.at_least
        users, classes = int(user.max(initial=-1)) + 1, self._names(arrays, item)
        items = len(classes)
        rows = {name: arrays[name][liked[arrays[name]]] for name in ("train", "validation", "test")}
        for name, indices in rows.items():
            if not len(indices):
                raise DataError("an empty split", where=f"data.{name}", found=f"no rating of {self.at_least:g} or more")
        known = _by_user(user[rows["train"]], item[rows["train"]], users)
        rng = np.random.default_rng(self.seed)
        splits = {}
        for name, indices in rows.items():
            limits.check("bytes", 8 * len(indices) * (1 + self.history), "more than likely is meant", f"data.{name}")
            x = np.full((len(indices), 1 + self.history), items, np.int64)
            x[:, 0] = user[indices]
            for i, row in enumerate(indices):
                before = known[user[row]]
                before = before[before != item[row]]
                if len(before) > self.history:
                    before = rng.permutation(before)[: self.history]
                x[i, 1 : 1 + len(before)] = before
            splits[name] = Split(x, item[indices])
        ops = [
            {"op": "columns", "names": ["user", "history"], "sizes": [users, items + 1], "widths": [1, self.history]}
        ]
        pairs = {name: user[indices] * items + item[indices] for name, indices in rows.items()}
        notes = [
            f"{same:,} likes of a user are both in {before} and in {name}: the figures will be lower on others"
            for before, name in (("train", "validation"), ("train", "test"), ("validation", "test"))
            if (same := len(np.intersect1d(pairs[before], pairs[name])))
        ]
        if never := items - len(np.unique(item[rows["train"]])):
            notes.append(f"{never:,} of {items:,} items are liked by nobody in train: nothing is learned of them")
        parts = (splits["train"], splits["validation"], splits["test"])
        dataset = Dataset(*parts, classes, tuple(ops), notes=tuple(notes))
        return checked(dataset, f"data.path: {Path(self.path).name}", every_class=False)

    def _names(self, arrays: Arrays, item: NDArray[np.int64]) -> tuple[str, ...]:
        """The items' names; of two that are called alike, each with its number."""
        items = int(item.max(initial=-1)) + 1
        if not self.names:
            limits.check("classes", items, "more items than likely are meant, and data.names names none", "data.item")
            return tuple(map(str, range(items)))
        where = f"data.{self.names}"
        if arrays["names"].ndim != 1 or len(arrays["names"]) < items:
            shape = arrays["names"].shape
            raise DataError("one name for each item", where=where, found=shape, allowed=f"({items},) or more")
        texts = [named([name], where)[0] for name in arrays["names"].tolist()]
        times = Counter(texts)
        return named([f"{name} (item {i})" if times[name] > 1 else name for i, name in enumerate(texts)], where)

    def _arrays(self) -> Arrays:
        fields = ["user", "item", "rating", "train", "validation", "test", *(["names"] if self.names else [])]
        by_name = _archive.read(self.path, lambda _: [(field, getattr(self, field)) for field in fields])
        arrays = {field: by_name[getattr(self, field)] for field in fields}
        count = len(arrays["user"])
        for field in ("user", "item", "rating"):
            if arrays[field].shape != (count,) or arrays[field].dtype.kind not in "iuf":
                raise DataError("not one number a rating", where=f"data.{field}", found=arrays[field].shape)
        if (bad := np.flatnonzero(~np.isfinite(arrays["rating"]))).size:
            where, value = f"data.{self.rating}: rating {bad[0]}", float(arrays["rating"][bad[0]])
            raise DataError("NaN or infinity in the ratings", where=where, found=value, allowed="finite numbers")
        for field in ("user", "item", "train", "validation", "test"):
            values = arrays[field]
            most = count if field in ("train", "validation", "test") else 2**31
            if (
                values.ndim != 1
                or values.dtype.kind not in "iu"
                or (len(values) and not 0 <= values.min() <= values.max() < most)
            ):
                raise DataError("not whole numbers from 0", where=f"data.{field}", allowed=f"0 to {most - 1}")
        for field in ("user", "item"):
            check_ids(arrays[field].astype(np.int64), f"data.{field}")
        return arrays


def _by_user(user: NDArray[np.int64], item: NDArray[np.int64], users: int) -> list[NDArray[np.int64]]:
    order = np.argsort(user, kind="stable")
    return np.split(item[order], np.searchsorted(user[order], np.arange(1, users)))
