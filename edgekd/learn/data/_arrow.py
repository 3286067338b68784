"""Tables of Arrow and Parquet, read so that a value of bytes or text is known by where it lies in a file.

An Arrow file (what ``datasets`` saves) is mapped, and its values are in it as they are: nothing is copied. A packed one
and Parquet, whose values are found by unpacking them all, are written into one file beside the cache first, once a run.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError, UnavailableError
from edgekd.learn.data import _files
from edgekd.learn.data._unpacked import Unpacked

try:
    import pyarrow
    from pyarrow import compute, ipc, parquet
except ImportError as err:
    MISSING: str | None = str(err)
else:
    MISSING = None

Batch: TypeAlias = "pyarrow.RecordBatch"
AT_ONCE = 256  # rows that are unpacked together
LOOKED_AT = 50  # rows that tell what a column holds
_END = b"\xff\xff\xff\xff\0\0\0\0"  # of a stream of Arrow
_FILE = b"ARROW1"  # the other form begins and ends so


class Values(NamedTuple):
    """Some values of a column: file, first byte and how many bytes of each."""

    file: Path
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]


class Part(NamedTuple):
    """Some rows of a file: the number of the first, and where the file is mapped, none of Parquet."""

    file: Path
    row: int
    batch: Batch
    mapped: range

    @property
    def where(self) -> str:
        """What an error calls the file."""
        return f"data.path: {self.file.name}"


@dataclass
class Places:
    """Where the values of a column lie, with their file's name and the first one's row."""

    parts: list[tuple[Values, str, int]] = field(default_factory=list)

    def add(self, part: Part, column: int, name: str, unpacked: Unpacked) -> None:
        """Those of a part of a file, see ``values``; ``name``: of the column."""
        column_of, where = part.batch.column(column), f"{part.where}: {name}"
        at = values(column_of, part.row, part.mapped, part.file, unpacked, where)
        self.parts.append((at, part.file.name, part.row))

    def columns(self, most: int = 0) -> tuple[AnyArray, ...]:
        """Of ``_files.span``; the last names the row. ``most``: so many at most; 0: all."""
        stamps = {at.file: _files.stamp_of(at.file.stat()) for at, _, _ in self.parts}
        columns: list[list[AnyArray]] = [[], [], [], [], []]
        for at, name, first in self.parts:
            count = len(at.sizes)
            names = _files.packed([f"{name}: row {first + i}" for i in range(count)])
            of_part = (np.full(count, str(at.file), object), np.full(count, stamps[at.file], np.int64))
            for column, values_of in zip(columns, (*of_part, at.starts, at.sizes, names), strict=True):
                column.append(values_of)
        return tuple(np.concatenate(column)[: most or None] for column in columns)


def check_installed(where: str) -> None:
    """Raise UnavailableError where pyarrow is not."""
    if MISSING is not None:
        hint = "pip install 'edgekd[parquet]'"
        raise UnavailableError("Arrow and Parquet are read by pyarrow", where=where, found=MISSING, hint=hint)


def schema(file: Path, where: str) -> pyarrow.Schema:
    """The columns of a file, and what is told of them."""
    with _reading(where):
        if file.suffix == ".parquet":
            return parquet.read_schema(file)
        return next(_opened(file, where))[0].schema


def class_names(of: pyarrow.Schema, column: str) -> tuple[str, ...]:
    """Names that ``datasets`` keeps of a column's numbers, or of those in its lists; none where it keeps none."""
    with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError, IndexError):
        feature = json.loads(of.metadata[b"huggingface"])["info"]["features"][column]
        while isinstance(feature, list) or "feature" in feature:
            feature = feature[0] if isinstance(feature, list) else feature["feature"]
        return tuple(str(name) for name in feature.get("names") or ())
    return ()


class Column(NamedTuple):
    """A column as its first rows are: ``files`` of pictures or sounds, ``texts``, lists of ``words``, or ``""``."""

    name: str
    holds: Literal["files", "texts", "words", ""]
    first: list[object]


def columns_of(file: Path, where: str) -> list[Column]:
    """What the columns of a file hold, by some of its rows. A text has three words in the middle of them, or more.

    Raises:
        UnavailableError, DataError: see ``check_installed``, ``batches``.
    """
    check_installed(where)
    batch, _ = next(batches(file, schema(file, where).names, where), (None, range(0)))
    columns = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True) if batch is not None else ():
        first = column.slice(0, LOOKED_AT).to_pylist()
        if holds_files(column):
            columns.append(Column(name, "files", [one.get("bytes") if isinstance(one, dict) else one for one in first]))
            continue
        counts = [len(text.split()) for text in first if isinstance(text, str)]
        is_text = _is_text(column.type) and bool(counts) and float(np.median(counts)) >= 3
        columns.append(Column(name, "texts" if is_text else "words" if _of_words(column.type) else "", first))
    return columns


def batches(file: Path, columns: Sequence[str], where: str) -> Iterator[tuple[Batch, range]]:
    """Some columns of a file, some rows at a time; and the addresses where the file is mapped, none of Parquet.

    Raises:
        DataError: not such a file, one that is cut off, or no such column.
    """
    with _reading(where):
        if file.suffix == ".parquet":
            _files.size_of(file, where, "bytes")
            with parquet.ParquetFile(file) as whole:
                _check_columns(whole.schema_arrow, columns, where)
                yield from ((batch, range(0)) for batch in whole.iter_batches(AT_ONCE, columns=list(columns)))
            return
        _files.size_of(file, where, "bytes")
        for reader, mapped in _opened(file, where):
            _check_columns(reader.schema, columns, where)
            count = getattr(reader, "num_record_batches", None)
            parts = reader if count is None else map(reader.get_batch, range(count))
            yield from ((batch.select(list(columns)), mapped) for batch in parts)


def values(column: pyarrow.Array, row: int, mapped: range, file: Path, unpacked: Unpacked, where: str) -> Values:
    """Where the bytes or texts of a column lie.

    Args:
        row: the number of the first.
        mapped: see ``batches``.
        unpacked: takes those that don't lie in the file as they are; lists of words become texts.

    Raises:
        DataError: a column of neither, or a row without a value.
    """
    kind, inner = column.type, -1
    if pyarrow.types.is_struct(kind):  # what datasets makes of pictures: their bytes, or a path
        inner = kind.get_field_index("bytes")
    if inner >= 0 and not column.null_count:
        column = column.field(inner)
        kind = column.type
    if _of_words(kind):
        column = compute.binary_join(column, " ")
        kind = column.type
    large = pyarrow.types.is_large_binary(kind) or pyarrow.types.is_large_string(kind)
    if not (large or pyarrow.types.is_binary(kind) or pyarrow.types.is_string(kind)):
        allowed = "binary, string, or what datasets makes of pictures"
        raise DataError("neither bytes nor texts", where=where, found=str(kind), allowed=allowed)
    if column.null_count:
        row += int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        hint = "of pictures that lie beside the table their bytes are to be put into it"
        raise DataError("a row without a value", where=where, found=f"row {row}", hint=hint)
    _, ends, data = column.buffers()
    numbers = np.frombuffer(ends, np.int64 if large else np.int32) if ends is not None else np.zeros(1, np.int64)
    cuts = numbers[column.offset : column.offset + len(column) + 1].astype(np.int64)
    first, last = (int(cuts[0]), int(cuts[-1])) if len(cuts) else (0, 0)
    if data is not None and data.address in mapped and data.address + last <= mapped.stop:
        return Values(file, data.address - mapped.start + cuts[:-1], np.diff(cuts))
    body = memoryview(b"" if data is None else data)[first:last]
    written, start = unpacked.add(body, f"{file.stem}.values")
    return Values(written, start + cuts[:-1] - first, np.diff(cuts))


def holds_texts(column: pyarrow.Array) -> bool:
    """Whether a column is of texts, or of lists of words, and not of bytes."""
    return _is_text(column.type) or _of_words(column.type)


def holds_files(column: pyarrow.Array) -> bool:
    """Whether a column is of bytes, or of what ``datasets`` makes of pictures: a struct with such a field."""
    kinds = pyarrow.types
    of_datasets = kinds.is_struct(column.type) and column.type.get_field_index("bytes") >= 0
    return bool(of_datasets or kinds.is_binary(column.type) or kinds.is_large_binary(column.type))


def _is_text(kind: pyarrow.DataType) -> bool:
    return bool(pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind))


def _is_list(kind: pyarrow.DataType) -> bool:
    kinds = pyarrow.types
    return bool(kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind))


def _of_words(kind: pyarrow.DataType) -> bool:
    return _is_list(kind) and _is_text(kind.value_type)


def labels(column: pyarrow.Array, row: int, where: str) -> AnyArray:
    """(N,) labels as they stand in a column: whole numbers, floats (NaN where there is none), texts, or lists of such.

    Args:
        row: the number of the first.

    Raises:
        DataError: a row without one, or a column of anything else.
    """
    kinds = pyarrow.types
    if kinds.is_dictionary(column.type):
        column = column.dictionary_decode()
    inner, values = column.type, column
    while _is_list(inner):
        inner, values = inner.value_type, values.flatten()
    if not (_is_text(inner) or kinds.is_integer(inner) or kinds.is_floating(inner) or kinds.is_boolean(inner)):
        allowed = "numbers, names, or lists of them; of masks pictures"
        raise DataError("no labels", where=where, found=str(column.type), allowed=allowed)
    if column.null_count and not kinds.is_floating(column.type):
        missing = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise DataError("a row without a label", where=where, found=f"row {row + missing}")
    if values is not column and values.null_count:
        allowed = "NaN where there is no number"
        raise DataError("a label in a list that is none", where=where, found="null", allowed=allowed)
    if _is_list(column.type):
        lists = np.empty(len(column), object)
        lists[:] = column.to_pylist()
        return lists
    if _is_text(inner):
        return np.array([sys.intern(text) for text in column.to_pylist()], object)
    numbers = np.asarray(column.to_numpy(zero_copy_only=False))
    return numbers.astype(np.float64 if kinds.is_floating(inner) else np.int64)


def _opened(file: Path, where: str) -> Iterator[tuple[pyarrow.ipc.RecordBatchStreamReader, range]]:
    """A reader of an Arrow file, and the addresses where that is mapped."""
    with file.open("rb") as plain:
        start = plain.read(len(_FILE))
        plain.seek(max(0, file.stat().st_size - len(_END)))
        end = plain.read()
    if start != _FILE and end != _END:
        hint = "copy or download it again: it is not as long as it was made"
        raise DataError("not an Arrow file, or one that is cut off", where=where, found=file.name, hint=hint)
    with pyarrow.memory_map(str(file)) as source:
        address, size = source.read_buffer(source.size()).address, source.size()
        source.seek(0)
        reader = ipc.open_file(source) if start == _FILE else ipc.open_stream(source)
        yield reader, range(address, address + size)


@contextlib.contextmanager
def _reading(where: str) -> Iterator[None]:
    """Tell what pyarrow raises of a file that is damaged."""
    try:
        yield
    except (pyarrow.ArrowException, OSError) as err:
        raise DataError(f"can't be read ({str(err).partition(chr(10))[0]})", where=where) from err


def _check_columns(of: pyarrow.Schema, columns: Sequence[str], where: str) -> None:
    for name in columns:
        if name not in of.names:
            raise DataError("no such column", where=where, found=name, allowed=of.names)
