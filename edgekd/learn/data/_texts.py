"""Texts that lie in larger files, read when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.learn.data import _files, _table_lines
from edgekd.learn.data._decoding import Decoded, Item
from edgekd.learn.data._split import listed
from edgekd.learn.data._table_labels import Names
from edgekd.tasks import TRIPLET_ROLES, Task

IN_MEMORY = 3  # bytes of Python's texts for each of a file


def check_pair(task: Task, label: Names, first: str, pair: str, negative: Names) -> None:
    """Raise DataError where a second sample is named for labels of single ones, or is not for labels of pairs; or a
    third one without it, or beside a label; or one column twice.

    Args:
        label: the column of labels, "": none; first, pair, negative: of the samples of a row.
    """
    if pair and not task.pairs:
        allowed = "none, or the task embedding"
        raise DataError("the task's labels are of single texts", where="data.pair", found=pair, allowed=allowed)
    if negative and not pair:
        allowed = "the column of what belongs to the first sample"
        raise DataError("a negative without a positive", where="data.pair", found="none", allowed=allowed)
    columns = [first, *filter(None, [pair]), *listed(negative)]
    if twice := [name for i, name in enumerate(columns) if name in columns[:i]]:
        where = "data.negative" if negative else "data.pair"
        raise DataError("a column twice in a row of samples", where=where, found=twice[0], allowed="another column")
    if negative and label:
        raise DataError("triplets have no label", where="data.label", found=label, allowed='label = ""')
    if task.pairs and label and not pair:
        allowed = "the column of the second text; or no data.label either"
        raise DataError("the task's labels are of pairs of texts", where="data.pair", found="none", allowed=allowed)


def labels_of_rows(count: int, each: int, scores: AnyArray | None) -> AnyArray:
    """(N,) the numbers of pairs, or (N, 2) with the score of each, of samples that stand side by side in the rows of a
    table; of triplets with a role.

    Args:
        count: N, samples; each: of a row: 2, or 3 and more, an anchor, its positive and its negatives.
        scores: (N,) as they come; None: there are none.
    """
    numbers = np.arange(count) // each
    if each > 2:
        scores = np.array([*TRIPLET_ROLES], object)[np.minimum(np.arange(count) % each, len(TRIPLET_ROLES) - 1)]
    return numbers if scores is None else np.stack([numbers.astype(object), scores], axis=1)


@dataclass(frozen=True)
class Texts:
    """A ``Decoder`` of texts in UTF-8; items are those of ``_files.span``.

    Attributes:
        root: the folder that the files' paths count from.
        naming: what an error calls a text, with ``{file}`` and ``{name}`` in it.
        delimiter: what stands between the cells of a row, of which a sixth part of an item says which one is the text;
            "": nothing, what lies there is the text.
    """

    root: str
    naming: str
    delimiter: str = ""
    shape: ClassVar[tuple[int, ...]] = ()
    dtype: ClassVar[str] = "object"

    def decoded(self, items: Sequence[Item]) -> Decoded:
        """(N,) texts; there is nothing to count."""
        texts = np.empty(len(items), object)
        for i, item in enumerate(items):
            where = self.place(item)
            try:
                text = _files.span(self.root, item, where).decode()
            except UnicodeDecodeError as err:
                raise DataError(f"no UTF-8 ({err.reason})", where=where, allowed="UTF-8") from err
            if self.delimiter:
                text = _table_lines.row_of(text, self.delimiter, where)[int(item[5])].strip()
            texts[i] = text
            if not texts[i].strip() or "\0" in texts[i]:
                raise DataError("no text, or a NUL, which no text has", where=where, found=texts[i][:40])
        return texts, {}

    def place(self, item: Item) -> str:
        """What an error calls a text."""
        return self.naming.format(file=Path(str(item[0])).name, name=_files.named(item))
