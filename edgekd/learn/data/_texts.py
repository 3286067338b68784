"""Texts that lie in larger files, read when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from edgekd.base.errors import DataError
from edgekd.learn.data import _files, _table_lines
from edgekd.learn.data._decoding import Decoded, Item
from edgekd.tasks import Task

IN_MEMORY = 3  # bytes of Python's texts for each of a file


def check_pair(task: Task, label: bool, pair: str) -> None:
    """Raise DataError where a second text is named for labels of single texts, or is not for labels of pairs.

    Args:
        label: whether a column of labels is named; pair: the column of the second texts.
    """
    if pair and not task.pairs:
        allowed = "none, or the task embedding"
        raise DataError("the task's labels are of single texts", where="data.pair", found=pair, allowed=allowed)
    if task.pairs and label and not pair:
        allowed = "the column of the second text; or no data.label either"
        raise DataError("the task's labels are of pairs of texts", where="data.pair", found="none", allowed=allowed)


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
