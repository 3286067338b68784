"""Documents of the cache, held against their shapes: an odd one is dropped, and so made anew."""

from __future__ import annotations

from typing import TypeVar

from edgekd.base import reader
from edgekd.base.errors import IntegrityError
from edgekd.build.store import Store

MOST = 256_000_000  # bytes; a measurement holds every sample of every candidate
T = TypeVar("T")


def document(store: Store, key: str, name: str, shape: type[T]) -> T | None:
    """What an artifact holds under a name; None where there is none, or it is not of the shape."""
    files = store.get(key, (name,))
    if files is None:
        return None
    try:
        return reader.read(files[name], shape, name, most=MOST)
    except IntegrityError:
        store.drop(key)
        return None
