"""Parquet, which needs pyarrow: an extra, so that its absence is told where such a file is named, and not before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgekd.base import limits
from edgekd.base.errors import DataError, UnavailableError
from edgekd.learn.data import file_size

try:
    import pyarrow
    from pyarrow import parquet
except ImportError as err:
    MISSING: str | None = str(err)
else:
    MISSING = None

AT_ONCE = 1024  # rows that are Python's objects at once


def cells(file: Path, where: str) -> Iterator[tuple[str, list[object]]]:
    """Column after column of some rows of a file as Python's own values, then of the next ones; of no rows first.

    Raises:
        UnavailableError: pyarrow is not installed. DataError: not such a file, or half of one.
    """
    if MISSING is not None:
        raise UnavailableError(
            "Parquet is read by pyarrow", where=where, found=MISSING, hint="pip install 'edgekd[parquet]'"
        )
    packed = file_size(file, where, "bytes")
    try:
        with parquet.ParquetFile(file) as whole:
            groups = [whole.metadata.row_group(i).total_byte_size for i in range(whole.metadata.num_row_groups)]
            most = limits.most_unpacked(packed)
            limits.check("bytes", sum(groups), "unpacks to more than likely is meant", where, most)
            yield from ((name, []) for name in whole.schema_arrow.names)
            for batch in filter(len, whole.iter_batches(AT_ONCE)):
                yield from zip(batch.schema.names, map(pyarrow.Array.to_pylist, batch.columns), strict=True)
    except (pyarrow.ArrowException, OSError) as err:
        raise DataError(f"not a Parquet file ({str(err).partition(chr(10))[0]})", where=where) from err
