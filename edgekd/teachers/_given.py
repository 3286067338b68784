"""What a user's function gave to a batch, as plain values, and each answer as the bytes that a journal keeps of it.

::

    j  JSON in UTF-8, with NaN and Infinity as Python writes them; null where there is no answer
    a  a row of numbers: numpy's name of their type (three bytes, such as <f4), and they
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from edgekd.base.arrays import AnyArray
from edgekd.teachers._columns import Column

AS_JSON, AS_ROW = b"j", b"a"
OF_NUMPY = (torch.float16, torch.float32, torch.float64)


def plain(value: object) -> object:
    """A value as JSON has it, but numbers in arrays, which stay such; what is none of these is its text.

    It may run a user's code: an object's own ``__array__`` or ``__str__``.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float | str):
        kind = next(kind for kind in (int, float, str) if isinstance(value, kind))
        return kind(value)  # of numpy's float64, too, which is a float
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(of) for key, of in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = (value.float() if value.is_floating_point() and value.dtype not in OF_NUMPY else value).numpy()
    if hasattr(value, "__array__"):
        array = np.asarray(value)
        if array.ndim and array.dtype.kind in "fiub":
            return array
        return plain(array.tolist()) if array.ndim or array.dtype.kind != "O" else str(value)
    return str(value)


def packed(answer: object) -> bytes:
    """A plain answer to one sample as bytes."""
    if isinstance(answer, np.ndarray) and answer.ndim == 1 and answer.itemsize <= 8:
        little = np.ascontiguousarray(answer, answer.dtype.newbyteorder("<"))
        return AS_ROW + little.dtype.str.encode() + little.tobytes()
    value = answer.tolist() if isinstance(answer, np.ndarray | np.generic) else answer
    return AS_JSON + json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def unpacked(data: bytes) -> object:
    """The answer that ``packed`` made bytes of."""
    if data[:1] == AS_ROW:
        return np.frombuffer(data[4:], np.dtype(data[1:4].decode()))
    return json.loads(data[1:].decode("utf-8", "surrogatepass"))


def column(answers: Sequence[object]) -> Column:
    """Answers to several samples as one column: an array where all are rows of as many numbers."""
    rows = [answer for answer in answers if isinstance(answer, np.ndarray)]
    silent = [answer is None for answer in answers]
    if rows and len({row.shape for row in rows}) == 1 and len(rows) + sum(silent) == len(answers):
        table: AnyArray = np.stack(rows)
        if len(rows) < len(answers):
            some, table = table, np.full((len(answers), *table.shape[1:]), np.nan)
            table[~np.array(silent)] = some
        return table
    return [answer.tolist() if isinstance(answer, np.ndarray) else answer for answer in answers]


def of_batch(value: object, count: int) -> Sequence[object] | AnyArray | None:
    """A batch's plain answers, one a sample; None where they are not as many."""
    is_several = isinstance(value, list) or (isinstance(value, np.ndarray) and value.ndim > 0)
    return value if is_several and len(value) == count else None  # type: ignore[arg-type, return-value]
